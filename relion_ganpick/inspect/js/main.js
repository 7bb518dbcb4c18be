"use strict";
/* Start, and what buttons, handles and keys do. */

ganpick.chosen_class = null;
const LAYERS = ["filtered", "plain"];

/** Show a micrograph. */
ganpick.go = async function (index) {
  ganpick.take_drawn();
  const before = ganpick.held(ganpick.current);
  ganpick.current = index;
  element("message").textContent = "";
  let details = null;
  try {
    details = await ganpick.load_details(index);
  } catch (problem) {
    element("message").textContent = problem.message;
  }
  if (ganpick.current !== index) return;
  ganpick.draw_picture(details);
  ganpick.draw_current();
  const same = before && details && before.size && details.size && String(before.size) === String(details.size);
  if (!same || !ganpick.fitted) ganpick.fit();
  ganpick.fitted = true;
  ganpick.draw_histogram();
  ganpick.draw_cloud(details);
  ganpick.draw_here();
  const row = ganpick.order.indexOf(index);
  ganpick.drawing = true;
  ganpick.model("rows").selected.indices = row < 0 ? [] : [row];
  ganpick.drawing = false;
  if (ganpick.shows.veil) ganpick.load_veil(details);
  if (ganpick.chosen_class !== null || ganpick.dropped_classes.size) ganpick.load_classes(details);
  ganpick.prefetch(row);
};

/** Fetch the neighbours, so that the next step is at once. */
ganpick.prefetch = function (row) {
  if (!ganpick.token || row < 0) return;
  for (const next of [ganpick.order[row + 1], ganpick.order[row - 1]]) {
    if (next !== undefined) ganpick.load_details(next).catch(() => null);
  }
};

/** A served page asks for contamination when it is to be shown: it may need the network. */
ganpick.load_veil = async function (details) {
  if (!details || details.layers.contamination || !ganpick.token) return;
  element("message").textContent = "looking for contamination ...";
  try {
    const layer = await ganpick.fetch(`contamination/${details.index}`);
    layer.grey = await ganpick.grey(layer.picture);
    details.layers.contamination = layer;
    ganpick.job.contaminated[details.index] = layer.share;
    element("message").textContent = "";
  } catch (problem) {
    element("message").textContent = problem.message;
  }
  if (ganpick.current === details.index) ganpick.draw_picture(details);
  ganpick.changed();
};

ganpick.step = function (by) {
  const row = ganpick.order.indexOf(ganpick.current) + by;
  if (row >= 0 && row < ganpick.order.length) ganpick.go(ganpick.order[row]);
};

ganpick.next_odd = function () {
  const {order} = ganpick;
  const from = order.indexOf(ganpick.current);
  for (let k = 1; k <= order.length; k++) {
    const index = order[(from + k) % order.length];
    if (ganpick.state_of(index) === "odd") return ganpick.go(index);
  }
  element("message").textContent = "No odd micrographs in the list.";
  return null;
};

/** Change the rule by which picks are kept. A number of picks that no micrograph has is no limit. */
ganpick.choose = function (change) {
  const limit = (value, low, high) => Math.min(Math.max(value, low), high);
  const next = {...ganpick.selection, ...change};
  next.threshold = Math.round(limit(next.threshold, 0, 1) * 1000) / 1000;
  next.best = limit(next.best, 0.01, 1);
  if (next.most !== null) next.most = Math.max(Math.round(next.most), 1);
  if (next.most >= Number(element("most").max)) next.most = null;
  next.power_low = Math.max(Math.round(next.power_low * 100) / 100, 0);
  if (next.power_high !== null) {
    next.power_high = Math.round(next.power_high * 100) / 100;
    if (next.power_high >= ganpick.model("power").y_range.end) next.power_high = null;
  }
  if (ganpick.same_selection(next, ganpick.selection)) ganpick.changed(); // a line may have been dragged too far
  else ganpick.set_rule({selection: next}, Object.keys(change).join());
};

/** A line has moved. Bokeh tells of it a little later, also where the page itself has put the line. */
ganpick.dragged = function (what, location) {
  if (location === ganpick.placed[what]) return;
  ganpick.choose({[what]: location});
};

ganpick.nudge = (by) => ganpick.choose({threshold: ganpick.selection.threshold + by});

ganpick.toggle = function (what) {
  ganpick.shows[what] = !ganpick.shows[what];
  ganpick.mark(what, ganpick.shows[what]);
  const details = ganpick.held(ganpick.current);
  if (what === "veil") {
    if (ganpick.shows.veil) ganpick.load_veil(details);
    ganpick.draw_picture(details);
  } else ganpick.draw_circles(details);
};

const mark_layer = function () {
  for (const button of document.querySelectorAll("#layers button")) button.classList.toggle("on", button.dataset.layer === ganpick.layer);
};

ganpick.set_layer = function (name) {
  ganpick.layer = name;
  mark_layer();
  ganpick.draw_picture(ganpick.held(ganpick.current));
};

ganpick.next_layer = () => ganpick.set_layer(LAYERS[(LAYERS.indexOf(ganpick.layer) + 1) % LAYERS.length]);

ganpick.set_contrast = function (strength) {
  const reach = 127.5 / strength;
  ganpick.model("grey").setv({low: 127.5 - reach, high: 127.5 + reach});
};

ganpick.set_compare = function () {
  const mode = element("compare").value;
  ganpick.compare = {mode, threshold: Number(element("other_threshold").value)};
  element("other_threshold").hidden = mode !== "threshold";
  element("other_value").textContent = mode === "threshold" ? ganpick.compare.threshold.toFixed(2) : "";
  ganpick.changed();
};

ganpick.draw_buttons = function () {
  element("undo").disabled = !ganpick.done.length;
  element("redo").disabled = !ganpick.undone.length;
  element("save").disabled = !ganpick.unsaved();
};

const on = (id, event, what) => element(id).addEventListener(event, what);

ganpick.connect = function () {
  on("undo", "click", ganpick.undo);
  on("redo", "click", ganpick.redo);
  on("help", "click", ganpick.show_keys);
  on("save", "click", () => ganpick.save());
  on("previous", "click", () => ganpick.step(-1));
  on("next", "click", () => ganpick.step(1));
  on("next_odd", "click", ganpick.next_odd);
  on("edit", "click", () => ganpick.set_editing(!ganpick.editing_on));
  on("delete", "click", ganpick.remove_under_mouse);
  on("reject", "click", ganpick.reject);
  on("revert", "click", ganpick.revert);
  for (const what of ["circles", "left_out", "veil"]) on(what, "click", () => ganpick.toggle(what));
  for (const button of document.querySelectorAll("#layers button")) {
    button.addEventListener("click", () => ganpick.set_layer(button.dataset.layer));
  }
  on("contrast", "input", (event) => ganpick.set_contrast(Number(event.target.value)));
  on("threshold", "input", (event) => ganpick.choose({threshold: Number(event.target.value)}));
  on("best", "input", (event) => ganpick.choose({best: Number(event.target.value) / 100}));
  on("most", "input", (event) => ganpick.choose({most: Number(event.target.value)}));
  on("compare", "change", ganpick.set_compare);
  on("other_threshold", "input", ganpick.set_compare);
  on("sort", "change", ganpick.draw_overview);
  on("turn", "click", () => {
    ganpick.turned = !ganpick.turned;
    ganpick.draw_overview();
  });
  on("everything", "click", () => ganpick.show_only(null));
  on("against", "change", ganpick.draw_series);
  on("drop", "click", ganpick.drop_class);
  const source = ganpick.model("picks");
  source.change.connect(ganpick.drawn);
  source.properties.data.change.connect(ganpick.drawn);
  let settled = null; // Bokeh lays its plots out anew a little after the window has changed
  window.addEventListener("resize", () => {
    clearTimeout(settled);
    settled = setTimeout(() => {
      ganpick.fit_table();
      ganpick.fit_again();
    }, 400);
  });
  const moved = (event) => {
    if (event.type === "wheel" || (event.buttons && !ganpick.editing_on)) ganpick.zoomed = true;
  };
  for (const what of ["wheel", "pointermove"]) element("stage").addEventListener(what, moved, {capture: true, passive: true});
  window.addEventListener("beforeunload", (event) => {
    if (ganpick.token && ganpick.unsaved()) event.preventDefault();
  });
  ganpick.listen_to_keys();
};

ganpick.start = async function () {
  await ganpick.load_job();
  const {job} = ganpick;
  element("folder").textContent = job.folder;
  element("facts").textContent = `diameter ${Math.round(job.diameter)} Å`;
  element("save").hidden = !job.served;
  ganpick.selection.threshold = job.threshold;
  ganpick.selection.best = job.best ?? 1;
  ganpick.selection.most = job.most;
  element("most").max = Math.max(2, job.most ?? 0, ...job.counts);
  ganpick.saved_selection = {...ganpick.selection};
  element("other_threshold").value = Math.min(job.threshold + 0.1, 1);
  (job.compare || []).forEach((name, k) => {
    element("compare").add(new Option(name, String(k)));
  });
  ganpick.fit_table();
  for (const [what, shown] of Object.entries(ganpick.shows)) ganpick.mark(what, shown);
  mark_layer();
  ganpick.connect();
  ganpick.overview();
  ganpick.arrange();
  await ganpick.go(job.first ?? 0);
  ganpick.draw_table();
  ganpick.draw_totals();
  ganpick.draw_handles();
  ganpick.draw_buttons();
  ganpick.ready = performance.now();
  setTimeout(() => {
    ganpick.draw_series();
    ganpick.load_averages();
  }, 50);
};
