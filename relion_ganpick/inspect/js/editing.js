"use strict";
/* Edits of micrographs, with undo and redo. An edit is a micrograph's list before and after; null is "automatic". */

ganpick.done = [];
ganpick.undone = [];
ganpick.saved_at = 0;

const copy_list = (list) => (list ? {x: [...list.x], y: [...list.y], score: [...list.score]} : null);

/** Give a micrograph a list of its own (null: automatic picks again) and remember what was before. */
ganpick.edit = function (index, list, what = "edit") {
  const had = ganpick.own.has(index);
  ganpick.done.push({index, what, had, before: had ? copy_list(ganpick.own.get(index)) : null, after: copy_list(list)});
  ganpick.undone = [];
  ganpick.own.set(index, copy_list(list));
  ganpick.changed();
};

ganpick.undo = function () {
  ganpick.take_drawn();
  const last = ganpick.done.pop();
  if (!last) return;
  ganpick.undone.push(last);
  if (last.had) ganpick.own.set(last.index, copy_list(last.before));
  else ganpick.own.delete(last.index);
  ganpick.go(last.index).then(ganpick.changed);
};

ganpick.redo = function () {
  const next = ganpick.undone.pop();
  if (!next) return;
  ganpick.done.push(next);
  ganpick.own.set(next.index, copy_list(next.after));
  ganpick.go(next.index).then(ganpick.changed);
};

ganpick.reject = function () {
  const own = ganpick.own.get(ganpick.current);
  if (own && !own.x.length) ganpick.undo();
  else ganpick.edit(ganpick.current, {x: [], y: [], score: []}, "reject");
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
