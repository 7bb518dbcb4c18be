"use strict";
/* All micrographs at once: the list on the left, the plots below, the totals. */

ganpick.order = [];
ganpick.chosen = null;

const share = (value) => (value === null || value === undefined ? NaN : 100 * value);

/** What the list and the plots show of every micrograph, columns. */
ganpick.overview = function () {
  const {job} = ganpick;
  const {picks, mean, total} = ganpick.count_all();
  ganpick.columns = {picks, mean, contaminated: job.contaminated.map(share), defocus: job.defocus, total};
  return ganpick.columns;
};

/** Micrographs in the order in which they are listed; the arrow keys follow it. */
ganpick.arrange = function () {
  const {job, columns} = ganpick;
  const by = document.getElementById("sort").value;
  const all = ganpick.chosen || Array.from(job.names.keys());
  const values = by === "odd" ? job.names.map((_, k) => (ganpick.state_of(k) === "odd" ? 0 : 1)) : columns[by];
  const order = [...all];
  if (by !== "order") {
    const known = (k) => (values[k] === null || Number.isNaN(values[k]) ? Infinity : values[k]);
    order.sort((a, b) => known(a) - known(b) || a - b);
  }
  if (ganpick.turned) order.reverse();
  ganpick.order = order;
};

ganpick.draw_table = function () {
  const {job, columns, order} = ganpick;
  const of = (column) => order.map((k) => (column[k] === null ? NaN : column[k]));
  const states = order.map((k) => ganpick.state_of(k));
  ganpick.drawing = true;
  ganpick.model("rows").data = {
    index: order,
    name: order.map((k) => job.names[k]),
    picks: of(columns.picks),
    mean: of(columns.mean),
    contaminated: of(columns.contaminated),
    defocus: of(columns.defocus),
    colour: order.map((k) => ganpick.colour_of(k)),
    weight: states.map((state) => (state === "normal" ? "normal" : "bold")),
    tip: states.map((state, k) => (state === "normal" ? job.names[order[k]] : `${job.names[order[k]]}: ${state}`)),
  };
  const view = Bokeh.index.find_one(ganpick.model("table"));
  if (view) view.updateGrid(); // new data alone leave the old rows in sight
  ganpick.model("rows").selected.indices = [order.indexOf(ganpick.current)].filter((k) => k >= 0);
  ganpick.drawing = false;
  const listed = document.getElementById("listed");
  listed.textContent = ganpick.chosen ? `${order.length} of ${job.names.length}` : `${job.names.length}`;
  document.getElementById("everything").hidden = !ganpick.chosen;
};

const ROOM_BESIDE = 26; // the column's padding and the scroll bar

/** Leave out a column of which nothing is known, and give all room that is left to the names. */
ganpick.fit_table = function () {
  const [name, ...others] = ganpick.model("table").columns;
  for (const column of others) {
    if (column.field === "defocus") column.visible = ganpick.job.defocus.some((value) => value !== null);
  }
  const taken = others.filter(({visible}) => visible).reduce((sum, {width}) => sum + width, 0);
  name.width = Math.max(document.getElementById("left").clientWidth - ROOM_BESIDE - taken, 80);
};

ganpick.row_selected = function () {
  const [row] = ganpick.model("rows").selected.indices;
  const index = row === undefined ? ganpick.current : ganpick.model("rows").data.index[row];
  if (index !== ganpick.current) ganpick.go(index);
};

const SERIES = ["picks", "mean", "contaminated"];

/** Limits of what is known among values, with some room; null where nothing is. */
const limits = function (values, from_zero) {
  const known = values.filter(Number.isFinite);
  if (!known.length) return null;
  const low = from_zero ? 0 : known.reduce((a, b) => Math.min(a, b));
  const high = known.reduce((a, b) => Math.max(a, b));
  const room = 0.05 * (high - low) || 0.5;
  return {start: low - room, end: high + room};
};

ganpick.draw_series = function () {
  const {job, columns} = ganpick;
  const defocus = document.getElementById("against").value === "defocus";
  const x = job.names.map((_, k) => (defocus ? job.defocus[k] ?? NaN : k + 1));
  const colour = job.names.map((_, k) => ganpick.colour_of(k));
  const index = Array.from(job.names.keys());
  ganpick.drawing = true;
  for (const name of SERIES) {
    const y = columns[name].map((v) => (v === null ? NaN : v));
    ganpick.model(`points_${name}`).data = {x, y, index, colour, name: job.names};
    const plot = ganpick.model(`series_${name}`);
    const [wide, high] = [limits(x, false), limits(y, name !== "mean")];
    if (wide) plot.x_range.setv(wide);
    if (high) plot.y_range.setv(high);
    plot.below[0].ticker.min_interval = defocus ? 0 : 1;
    plot.below[0].axis_label = defocus ? "defocus (µm)" : "order of recording";
    document.getElementById(`nothing_${name}`).hidden = Boolean(wide && high);
  }
  ganpick.drawing = false;
  ganpick.draw_here();
};

/** Ring the current micrograph in the plots. */
ganpick.draw_here = function () {
  for (const name of SERIES) {
    const {x, y} = ganpick.model(`points_${name}`).data;
    const k = ganpick.current;
    ganpick.model(`here_${name}`).data = {x: [x[k]], y: [y[k]]};
  }
};

/** One point: go there. Several: list only these. */
ganpick.points_selected = function (name) {
  const found = ganpick.model(`points_${name}`).selected.indices;
  if (!found.length || (ganpick.chosen && String(found) === String(ganpick.chosen))) return;
  if (found.length === 1) {
    ganpick.drawing = true;
    ganpick.model(`points_${name}`).selected.indices = [];
    ganpick.drawing = false;
    ganpick.go(found[0]);
    return;
  }
  ganpick.show_only([...found].sort((a, b) => a - b));
};

ganpick.show_only = function (indices) {
  ganpick.chosen = indices;
  ganpick.drawing = true;
  for (const name of SERIES) ganpick.model(`points_${name}`).selected.indices = indices || [];
  ganpick.drawing = false;
  ganpick.arrange();
  ganpick.draw_table();
};

const with_commas = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ","); // toLocaleString takes a tenth of a second at first

ganpick.draw_totals = function () {
  const {job, columns} = ganpick;
  const put = (id, text) => {
    document.getElementById(id).textContent = text;
  };
  put("kept", with_commas(columns.total));
  put("all", with_commas(job.scores.length));
  const edited = [...ganpick.own.keys()].length;
  const guess = ganpick.uses_power(ganpick.selection) || ganpick.dropped_classes.size;
  const notes = [];
  if (edited) notes.push(`${edited} micrograph${edited === 1 ? "" : "s"} changed here`);
  if (guess) notes.push("at most: power and classes count only where known");
  put("changes", notes.join("; "));
};

/** After a handle has moved or a micrograph was edited: everything that depends on it, once per frame. */
ganpick.changed = function () {
  if (ganpick.will_draw) return;
  ganpick.will_draw = true;
  requestAnimationFrame(() => {
    ganpick.will_draw = false;
    ganpick.draw_current();
    ganpick.draw_handles();
    ganpick.overview();
    ganpick.draw_totals();
    ganpick.draw_buttons();
    clearTimeout(ganpick.slow);
    ganpick.slow = setTimeout(ganpick.draw_overview, 120);
  });
};

ganpick.draw_overview = function () {
  ganpick.arrange();
  ganpick.draw_table();
  ganpick.draw_series();
};
