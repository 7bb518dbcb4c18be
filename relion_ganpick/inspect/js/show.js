"use strict";
/* Draw what is shown: the micrograph with its circles, the histogram, the numbers. */

ganpick.current = 0;
ganpick.shows = {circles: true, left_out: false, veil: false};
ganpick.layer = "filtered";
ganpick.editing_on = false;
ganpick.drawing = false;
ganpick.compare = {mode: "off", threshold: 0.5};

const element = (id) => document.getElementById(id);
const models = new Map();

/** A Bokeh model of the page by its name. */
ganpick.model = function (name) {
  if (!models.has(name)) models.set(name, Bokeh.documents[0].get_model_by_name(name));
  return models.get(name);
};

ganpick.mark = (id, on) => element(id).classList.toggle("on", on);

/** Put data into a source without taking it for somebody's drawing. */
ganpick.fill = function (name, data) {
  ganpick.drawing = true;
  const source = ganpick.model(name);
  if (source.selected.indices.length) source.selected.indices = [];
  source.data = data;
  ganpick.drawing = false;
};

/** Show the whole micrograph as large as it fits, without stretching it. */
ganpick.fit = function () {
  const details = ganpick.held(ganpick.current);
  const plot = ganpick.model("picture");
  if (!details || !details.size || !plot.inner_width) return;
  const [width, height] = details.size;
  const unit = Math.max(width / plot.inner_width, height / plot.inner_height);
  const wide = unit * plot.inner_width;
  const high = unit * plot.inner_height;
  plot.x_range.setv({start: (width - wide) / 2 - 0.5, end: (width + wide) / 2 - 0.5});
  plot.y_range.setv({start: (height + high) / 2 - 0.5, end: (height - high) / 2 - 0.5});
  ganpick.zoomed = false;
};

/** After the window has changed its size: the whole micrograph again, unless somebody has zoomed or dragged it. */
ganpick.fit_again = function () {
  if (!ganpick.zoomed) ganpick.fit();
};

let empty_image = null;

const image_columns = function (layer) {
  const first = ganpick.model("image").data.image[0];
  empty_image = empty_image || first;
  if (!layer) return {image: [empty_image], x: [0], y: [0], dw: [1], dh: [1]};
  const {width, height, pixels} = layer.grey;
  const Picture = first.constructor;
  const [left, top, wide, high] = layer.box;
  return {image: [new Picture(pixels, [height, width])], x: [left - 0.5], y: [top - 0.5], dw: [wide], dh: [high]};
};

ganpick.draw_picture = function (details) {
  const layers = details ? details.layers : {};
  const layer = layers[ganpick.layer] || layers.plain || layers.filtered;
  ganpick.model("image").data = image_columns(layer);
  ganpick.model("image_glyph").visible = Boolean(layer);
  const veil = ganpick.shows.veil && layers.contamination;
  if (veil) ganpick.model("veil").data = image_columns(veil);
  ganpick.model("veil_glyph").visible = Boolean(veil);
  element("no_picture").hidden = Boolean(layer);
  element("no_picture").textContent = details
    ? details.problem || "This micrograph has no picture."
    : `A report holds the pictures of some micrographs only. To see all: ganpick inspect ${ganpick.job.folder}`;
};

const circles = function (list, numbers, details) {
  const take = (column) => numbers.map((k) => column[k]);
  const score = take(list.score);
  const power = list.number && details.picks.power ? numbers.map((k) => details.picks.power[list.number[k]]) : score.map(() => NaN);
  const label = score.map((v, k) => {
    const strength = Number.isFinite(power[k]) ? `, power ${power[k].toFixed(1)}` : "";
    return v < 0 ? "by hand" : `merit ${v.toFixed(3)}${strength}`;
  });
  return {x: take(list.x), y: take(list.y), score, power, label, radius: score.map(() => details.diameter_px / 2)};
};

const count_up = (n) => Array.from({length: n}, (_, k) => k);

ganpick.draw_circles = function (details) {
  const none = {x: [], y: [], score: [], power: [], label: [], radius: []};
  if (!details) {
    for (const name of ["picks", "dropped", "added", "removed", "members"]) ganpick.fill(name, none);
    return;
  }
  const list = ganpick.kept(details);
  const all = {...details.picks, number: count_up(details.picks.x.length)};
  ganpick.fill("picks", circles(list, count_up(list.x.length), details));
  ganpick.model("picks_circles").visible = ganpick.shows.circles;
  const reach = details.diameter_px / 4;
  const left_out = ganpick.shows.left_out && ganpick.shows.circles ? ganpick.without_partner(all, list, reach) : [];
  ganpick.fill("dropped", circles(all, left_out, details));
  const other = ganpick.other_list(details);
  const added = other ? ganpick.without_partner(list, other, details.diameter_px / 2) : [];
  const removed = other ? ganpick.without_partner(other, list, details.diameter_px / 2) : [];
  ganpick.fill("added", circles(list, added, details));
  ganpick.fill("removed", other ? circles(other, removed, details) : none);
  ganpick.say_difference(other, added.length, removed.length);
  const member = ganpick.chosen_class;
  const members = member !== null && details.classes ? all.number.filter((k) => details.classes[k] === member) : [];
  ganpick.fill("members", circles(all, members, details));
};

/** What the current picks are compared with, or null. */
ganpick.other_list = function (details) {
  const {mode, threshold} = ganpick.compare;
  if (mode === "off") return null;
  if (mode === "threshold") {
    const numbers = ganpick.selected(details.picks, {threshold, best: 1, most: null, power_low: 0, power_high: null});
    return {x: numbers.map((k) => details.picks.x[k]), y: numbers.map((k) => details.picks.y[k]), score: numbers.map((k) => details.picks.score[k])};
  }
  if (mode === "saved") {
    if (details.file) return details.file;
    const numbers = count_up(Math.min(ganpick.job.n_file[details.index], details.picks.x.length));
    return {x: numbers.map((k) => details.picks.x[k]), y: numbers.map((k) => details.picks.y[k]), score: numbers.map((k) => details.picks.score[k])};
  }
  return (details.others || [])[Number(mode)] || null;
};

ganpick.say_difference = function (other, added, removed) {
  const place = element("difference");
  place.textContent = "";
  if (!other) return;
  const add = (text, name) => {
    const part = document.createElement("span");
    part.textContent = text;
    part.className = name;
    place.append(part);
  };
  add(`+${added} added`, "plus");
  add(", ", "");
  add(`-${removed} removed`, "minus");
  add(" on this micrograph", "quiet");
};

const N_BARS = 50;

const in_bars = function (scores, most, weight) {
  const bars = new Float64Array(N_BARS);
  for (let k = 0; k < scores.length; k++) bars[Math.min(Math.floor((scores[k] / most) * N_BARS), N_BARS - 1)] += weight;
  return bars;
};

ganpick.draw_histogram = function () {
  const {job, current} = ganpick;
  if (!ganpick.bars) ganpick.bars = in_bars(job.scores, job.steps, 1 / job.names.length);
  const here = in_bars(job.scores.subarray(job.starts[current], job.starts[current + 1]), job.steps, 1);
  const edge = count_up(N_BARS);
  ganpick.model("bars").data = {
    left: edge.map((k) => k / N_BARS),
    right: edge.map((k) => (k + 1) / N_BARS),
    all: ganpick.bars,
    this: here,
  };
  ganpick.model("histogram").y_range.setv({start: 0, end: 1.05 * Math.max(1, ...ganpick.bars, ...here)});
};

const MOST_IN_CLOUD = 6000;

ganpick.draw_cloud = function (details) {
  const known = details && details.picks.power;
  ganpick.model("cloud_here").data = known ? {x: details.picks.score, y: details.picks.power} : {x: [], y: []};
  const x = [];
  const y = [];
  for (const promise of ganpick.details.values()) {
    if (!promise.found || !promise.found.picks.power) continue;
    if (x.length > MOST_IN_CLOUD || promise.found === details) continue;
    x.push(...promise.found.picks.score);
    y.push(...promise.found.picks.power);
  }
  ganpick.model("cloud").data = {x, y};
  const most = Math.max(4, ...(known ? details.picks.power : []));
  ganpick.model("power").y_range.setv({start: 0, end: Math.min(Math.ceil(most), 30)});
  ganpick.draw_handles();
  const where = ganpick.token ? "others that you have seen" : "others with pictures";
  element("power_note").textContent = `Power: strength of the picture around a pick. 1 is usual, ice and edges have more. Grey: ${where}.`;
};

/** Put the lines and sliders where the selection is. */
ganpick.draw_handles = function () {
  const {threshold, best, most, power_low, power_high} = ganpick.selection;
  const top = ganpick.model("power").y_range.end;
  ganpick.placed = {threshold, power_low, power_high: power_high === null ? top : power_high};
  ganpick.model("threshold_line").location = threshold;
  ganpick.model("threshold_line_2").location = threshold;
  ganpick.model("power_low").location = power_low;
  ganpick.model("power_high").location = ganpick.placed.power_high;
  const set = (id, value, text) => {
    element(id).value = value;
    element(id).parentElement.querySelector("output").textContent = text;
  };
  set("threshold", threshold, threshold.toFixed(3).replace(/0$/, ""));
  set("best", 100 * best, `${Math.round(100 * best)} %`);
  set("most", most ?? element("most").max, most === null ? "all" : String(most));
};

ganpick.draw_names = function (details) {
  const {job, current} = ganpick;
  element("name").textContent = job.names[current];
  element("name").title = job.names[current];
  const state = ganpick.state_of(current);
  element("state").textContent = state === "normal" ? "" : state;
  element("state").className = state;
  const n = ganpick.count(current)[0];
  const of = job.starts[current + 1] - job.starts[current];
  element("count").textContent = state === "edited" ? `${n} picks, its own` : `${n} of ${of} picks`;
  element("reject").disabled = element("edit").disabled = element("delete").disabled = !details;
  element("revert").disabled = !ganpick.is_edited(current);
};

const COLOURS = {normal: "#1d2733", odd: "#c77700", edited: "#0b7285", rejected: "#b02a37", missing: "#9aa7b5"};
ganpick.colour_of = (index) => COLOURS[ganpick.state_of(index)];

/** normal, odd, edited, rejected or missing, with what has been done on this page. */
ganpick.state_of = function (index) {
  const {job} = ganpick;
  if (ganpick.own.get(index)) return ganpick.own.get(index).x.length ? "edited" : "rejected";
  const state = ganpick.own.has(index) ? "normal" : job.states[index];
  return state === "normal" && job.odd[index] ? "odd" : state;
};

/** Draw everything about the current micrograph. */
ganpick.draw_current = function () {
  const details = ganpick.held(ganpick.current);
  ganpick.draw_circles(details);
  ganpick.draw_names(details);
};
