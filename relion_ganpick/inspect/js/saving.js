"use strict";
/* Save what was changed. Only a served page can. */

ganpick.unsaved = function () {
  return Boolean(ganpick.saved_selection) && (ganpick.own.size > 0 || ganpick.rule_changed());
};

/** Whether the handles say something else than what is on disk. */
ganpick.rule_changed = function () {
  const dropped = [...ganpick.dropped_classes].sort().join();
  return !ganpick.same_selection(ganpick.selection, ganpick.saved_selection) || dropped !== (ganpick.saved_classes || "");
};

/** The handles in words, for the question before they are saved. */
ganpick.rule_in_words = function ({threshold, best, most, power_low, power_high}, n_dropped) {
  const words = [`threshold ${threshold}`];
  if (best < 1) words.push(`best ${Math.round(100 * best)} %`);
  if (most !== null) words.push(`at most ${most}`);
  if (power_low > 0) words.push(`power from ${power_low}`);
  if (power_high !== null) words.push(`power up to ${power_high}`);
  if (n_dropped) words.push(`without ${n_dropped} class${n_dropped === 1 ? "" : "es"}`);
  return words.join(", ");
};

/** Everything that differs from what is on disk, as the server wants it. */
ganpick.to_save = function () {
  const edits = [...ganpick.own].map(([index, list]) => ({index, list}));
  const selection = ganpick.rule_changed() ? {...ganpick.selection, dropped_classes: [...ganpick.dropped_classes]} : null;
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
  const n = wanted.edits.length;
  if (n) parts.push(`${n} edited micrograph${n === 1 ? "" : "s"}`);
  if (wanted.selection) {
    const words = ganpick.rule_in_words(wanted.selection, wanted.selection.dropped_classes.length);
    parts.push(`new picks on all ${n ? "others" : "micrographs that are not edited"} (${words})`);
  }
  const later = wanted.selection ? " If you press Continue in RELION later, give the job the same values." : "";
  if (!(await ganpick.ask(`Write ${parts.join(" and ")} to ${ganpick.job.folder}?${later}`))) return;
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
  ganpick.saved_selection = {...ganpick.selection};
  ganpick.saved_classes = [...ganpick.dropped_classes].sort().join();
  if (answer.reload) for (const index of [...ganpick.details.keys()]) if (index !== ganpick.current) ganpick.details.delete(index);
  ganpick.changed();
};
