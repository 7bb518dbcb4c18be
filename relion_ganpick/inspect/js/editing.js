"use strict";
/* What a person has changed, with undo and redo: the list of a micrograph, or the handles. */

ganpick.done = [];
ganpick.undone = [];

const copy_list = (list) => (list ? {x: [...list.x], y: [...list.y], score: [...list.score]} : list);

ganpick.same_selection = (a, b) => Object.keys(a).every((name) => a[name] === b[name]);

/** Give a micrograph a list of its own; null: automatic picks again; undefined: as it is on disk. */
const put_list = function (index, list) {
  if (list === undefined) ganpick.own.delete(index);
  else ganpick.own.set(index, copy_list(list));
};

/** The same, and remember what was before. */
ganpick.edit = function (index, list, what = "edit") {
  ganpick.done.push({index, what, before: copy_list(ganpick.own.get(index)), after: copy_list(list)});
  ganpick.undone = [];
  put_list(index, list);
  ganpick.changed();
};

const put_rule = function ({selection, dropped}) {
  ganpick.selection = selection;
  ganpick.dropped_classes = dropped;
  ganpick.draw_classes();
};

const PAUSE = 700; // milliseconds; what a handle does without a longer one in between is taken back at once

/** Set the handles, `{selection, dropped}` or one of them; a slide of one `handle` is one thing to undo. */
ganpick.set_rule = function (change, handle) {
  const before = {selection: ganpick.selection, dropped: ganpick.dropped_classes};
  const after = {...before, ...change};
  const last = ganpick.done.at(-1);
  const now = performance.now();
  if (last && last.what === "rule" && handle !== null && last.handle === handle && now - last.time < PAUSE) {
    Object.assign(last, {after, time: now});
  } else {
    ganpick.done.push({what: "rule", handle, time: now, before, after});
  }
  ganpick.undone = [];
  put_rule(after);
  ganpick.changed();
};

/** Bring back one side of what was done. */
const restore = function (step, state) {
  if (step.what === "rule") {
    put_rule(state);
    ganpick.changed();
  } else {
    put_list(step.index, state);
    ganpick.go(step.index).then(ganpick.changed);
  }
};

ganpick.undo = function () {
  ganpick.take_drawn();
  const last = ganpick.done.pop();
  if (!last) return;
  ganpick.undone.push(last);
  restore(last, last.before);
};

ganpick.redo = function () {
  const next = ganpick.undone.pop();
  if (!next) return;
  ganpick.done.push({...next, time: 0});
  restore(next, next.after);
};

/** Keep no picks on this micrograph; if there are none already, give back those that it had. */
ganpick.reject = function () {
  const index = ganpick.current;
  if (ganpick.state_of(index) !== "rejected") {
    ganpick.edit(index, {x: [], y: [], score: []}, "reject");
    return;
  }
  const last = ganpick.done.findLast((step) => step.index === index && step.what === "reject");
  ganpick.edit(index, last ? last.before : null, "automatic");
};

ganpick.revert = function () {
  if (ganpick.is_edited(ganpick.current)) ganpick.edit(ganpick.current, null, "automatic");
};

/** Delete picks by their numbers in the circles' source. */
ganpick.remove = function (numbers) {
  const details = ganpick.held(ganpick.current);
  if (!details || !numbers.length) return;
  const list = ganpick.kept(details);
  const stays = (_, k) => !numbers.includes(k);
  ganpick.edit(ganpick.current, {x: list.x.filter(stays), y: list.y.filter(stays), score: list.score.filter(stays)});
};

ganpick.remove_under_mouse = function () {
  const source = ganpick.model("picks");
  const marked = source.selected.indices;
  const under = source.inspected.indices;
  ganpick.remove(marked.length ? [...marked] : under.slice(0, 1));
};

/* Bokeh's drawing tool changes the circles' source, many times while a pick is dragged. When it rests we take the list over. */

let drawn_later = null;

ganpick.drawn = function () {
  if (ganpick.drawing || !ganpick.editing_on) return;
  clearTimeout(drawn_later);
  drawn_later = setTimeout(ganpick.take_drawn, 250);
};

ganpick.take_drawn = function () {
  clearTimeout(drawn_later);
  drawn_later = null;
  const details = ganpick.held(ganpick.current);
  if (!details || !ganpick.editing_on) return;
  const {data} = ganpick.model("picks");
  const was = ganpick.kept(details);
  const x = Array.from(data.x, Math.round);
  const y = Array.from(data.y, Math.round);
  const score = Array.from(data.score);
  const same = x.length === was.x.length && x.every((v, k) => v === Math.round(was.x[k]) && y[k] === Math.round(was.y[k]));
  if (same) return;
  for (let k = was.x.length; k < x.length; k++) score[k] = -1;
  if (x.length === was.x.length) {
    // what was moved is where a person put it
    for (let k = 0; k < x.length; k++) if (x[k] !== Math.round(was.x[k]) || y[k] !== Math.round(was.y[k])) score[k] = -1;
  }
  ganpick.edit(ganpick.current, {x, y, score});
};

ganpick.set_editing = function (on) {
  if (!on) ganpick.take_drawn();
  ganpick.editing_on = on;
  ganpick.model("draw").active = on;
  ganpick.model("pan").active = !on;
  ganpick.model("picks").selected.indices = [];
  ganpick.mark("edit", on);
};
