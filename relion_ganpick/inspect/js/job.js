"use strict";
/* What the page knows about the job as a whole, and how it gets it: from the file itself, or from the server. */

const ganpick = {job: null, details: new Map(), token: null};
window.ganpick = ganpick;

/** Read an answer of the server, or the same from the report's own text. */
ganpick.fetch = async function (what, body) {
  if (!ganpick.token) {
    const held = document.getElementById(`data-${what.replaceAll("/", "-")}`);
    return held === null ? null : JSON.parse(held.textContent);
  }
  const how = {headers: {"X-Ganpick-Token": ganpick.token}, cache: "no-store"};
  if (body !== undefined) {
    how.method = "POST";
    how.headers["Content-Type"] = "application/json";
    how.body = JSON.stringify(body);
  }
  const answer = await fetch(what, how);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
};

/** Unpack figures of merit: base64, zlib, differences of neighbours. */
ganpick.unpack = async function (text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length); // a loop, since Uint8Array.from with a function takes ten times as long
  for (let k = 0; k < bytes.length; k++) bytes[k] = letters.charCodeAt(k);
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const values = new Uint16Array(await new Response(plain).arrayBuffer());
  for (let k = 1; k < values.length; k++) values[k] += values[k - 1];
  return values;
};

const read_job = async function () {
  const job = await ganpick.fetch("job");
  job.scores = await ganpick.unpack(job.scores);
  return job;
};

/** A served page asks for what it begins with at once, while the browser still reads Bokeh. */
ganpick.ask_early = function () {
  ganpick.token = new URLSearchParams(window.location.search).get("token");
  if (!ganpick.token) return;
  ganpick.early = read_job();
  ganpick.early.catch(() => null); // whoever waits for it hears of it
  ganpick.load_details(0).catch(() => null); // a served page begins with the first one
};

ganpick.load_job = async function () {
  const job = await (ganpick.early || read_job());
  const n = job.names.length;
  job.starts = new Uint32Array(n + 1);
  for (let k = 0; k < n; k++) job.starts[k + 1] = job.starts[k] + job.counts[k];
  ganpick.job = job;
};

const SMOOTH_SIDE = 1024;

/** Grey values of a small picture, {width, height, pixels}; made larger, so that no squares are seen. */
ganpick.grey = async function (address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const larger = Math.max(SMOOTH_SIDE / Math.max(image.width, image.height), 1);
  const width = Math.round(image.width * larger);
  const height = Math.round(image.height * larger);
  const canvas = document.createElement("canvas");
  Object.assign(canvas, {width, height});
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  const four = context.getImageData(0, 0, width, height).data;
  const pixels = new Uint8Array(width * height);
  for (let k = 0; k < pixels.length; k++) pixels[k] = four[4 * k];
  return {width, height, pixels};
};

const MOST_HELD = 60;

/** Everything about one micrograph; null where a report does not hold it. What was asked for once is kept for a while. */
ganpick.load_details = function (index) {
  if (!ganpick.details.has(index)) {
    const promise = ganpick.fetch(`micrograph/${index}`).then(async (found) => {
      if (found === null) return null;
      await Promise.all(Object.values(found.layers).map(async (layer) => {
        layer.grey = await ganpick.grey(layer.picture);
      }));
      promise.found = found;
      return found;
    });
    promise.catch(() => ganpick.details.delete(index));
    ganpick.details.set(index, promise);
    const oldest = ganpick.details.keys().next().value;
    if (ganpick.token && ganpick.details.size > MOST_HELD && oldest !== index) ganpick.details.delete(oldest);
  }
  return ganpick.details.get(index);
};

/** What is already here about a micrograph, or null. */
ganpick.held = function (index) {
  const promise = ganpick.details.get(index);
  return (promise && promise.found) || null;
};

ganpick.ask_early();
