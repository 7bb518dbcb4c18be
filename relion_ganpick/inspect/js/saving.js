"use strict";
/* Save what was changed. Only a served page can. */

const same_selection = (a, b) => Object.keys(a).every((name) => a[name] === b[name]);

ganpick.unsaved = function () {
  const {done, saved_at, selection, saved_selection} = ganpick;
  const classes = ganpick.dropped_classes.size !== (ganpick.saved_classes || 0);
  return Boolean(saved_selection) && (done.length !== saved_at || classes || !same_selection(selection, saved_selection));
};

/** Everything that differs from what is on disk, as the server wants it. */
ganpick.to_save = function () {
  const edits = [...ganpick.own].map(([index, list]) => ({index, list}));
  const changed = !same_selection(ganpick.selection, ganpick.saved_selection)
    || ganpick.dropped_classes.size !== (ganpick.saved_classes || 0);
  const selection = changed ? {...ganpick.selection, dropped_classes: [...ganpick.dropped_classes]} : null;
  return {edits, selection};
};

ganpick.ask = function (text) {
  const dialog = element("ask");
  dialog.querySelector("p").textContent = text;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), {once: true});
  });
};

ganpick.save = async function () {
  ganpick.take_drawn();
  const wanted = ganpick.to_save();
  const parts = [];
  if (wanted.edits.length) parts.push(`${wanted.edits.length} edited micrographs`);
  if (wanted.selection) parts.push(`new picks on all others (threshold ${wanted.selection.threshold})`);
  if (!(await ganpick.ask(`Write ${parts.join(" and ")} to ${ganpick.job.folder}?`))) return;
  element("save").disabled = true;
  element("message").textContent = "saving ...";
  try {
    await ganpick.fetch("save", wanted);
    const answer = await ganpick.follow();
    ganpick.take_over(answer);
    element("message").textContent = answer.text;
  } catch (problem) {
    element("message").textContent = `Not saved: ${problem.message}`;
  }
  ganpick.draw_buttons();
};

/** Ask how far the server is until it has done. */
ganpick.follow = async function () {
  for (;;) {
    const answer = await ganpick.fetch("progress");
    if (answer.problem) throw new Error(answer.problem);
    if (answer.finished) return answer;
    element("message").textContent = `saving ... ${answer.done} of ${answer.all}`;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
};

/** What was saved is now what is on disk. */
ganpick.take_over = function (answer) {
  const {job} = ganpick;
  Object.assign(job, {states: answer.states, n_file: answer.n_file, mean_file: answer.mean_file});
  for (const [index, list] of ganpick.own) {
    const details = ganpick.held(index);
    if (details) details.file = list;
  }
  ganpick.own.clear();
  ganpick.done = [];
  ganpick.undone = [];
  ganpick.saved_at = 0;
  ganpick.saved_selection = {...ganpick.selection};
  ganpick.saved_classes = ganpick.dropped_classes.size;
  if (answer.reload) for (const index of [...ganpick.details.keys()]) if (index !== ganpick.current) ganpick.details.delete(index);
  ganpick.changed();
};
