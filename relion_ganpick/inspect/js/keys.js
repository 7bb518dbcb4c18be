"use strict";
/* The keyboard. */

const KEYS = [
  ["ArrowRight", "→", "next micrograph", () => ganpick.step(1)],
  ["ArrowDown", "↓", "", () => ganpick.step(1)],
  ["ArrowLeft", "←", "previous micrograph", () => ganpick.step(-1)],
  ["ArrowUp", "↑", "", () => ganpick.step(-1)],
  ["n", "N", "next odd micrograph", () => ganpick.next_odd()],
  ["[", "[", "lower threshold: more picks", () => ganpick.nudge(-0.01)],
  ["]", "]", "higher threshold: fewer picks", () => ganpick.nudge(0.01)],
  ["h", "H", "circles on and off", () => ganpick.toggle("circles")],
  ["g", "G", "picks that are left out on and off", () => ganpick.toggle("left_out")],
  ["f", "F", "filtered or plain picture", () => ganpick.next_layer()],
  ["c", "C", "contamination on and off", () => ganpick.toggle("veil")],
  ["e", "E", "edit: click adds, drag moves, click and Delete removes", () => ganpick.set_editing(!ganpick.editing_on)],
  ["d", "D", "delete the pick under the mouse, or the marked ones", () => ganpick.remove_under_mouse()],
  ["Delete", "Del", "", () => ganpick.remove_under_mouse()],
  ["x", "X", "reject the micrograph, or take it back", () => ganpick.reject()],
  ["r", "R", "automatic picks of this micrograph again", () => ganpick.revert()],
  ["z", "Z", "undo", () => ganpick.undo()],
  ["y", "Y", "redo", () => ganpick.redo()],
  ["0", "0", "whole micrograph", () => ganpick.fit()],
  ["?", "?", "this help", () => ganpick.show_keys()],
];

ganpick.show_keys = function () {
  const dialog = document.getElementById("keys");
  if (dialog.open) return dialog.close();
  const table = dialog.querySelector("table");
  table.textContent = "";
  let cell = null;
  for (const [, shown, text] of KEYS) {
    const key = document.createElement("kbd");
    key.textContent = shown;
    if (text) { // without one, the key does what the one before it does
      const row = table.insertRow();
      cell = row.insertCell();
      row.insertCell().textContent = text;
    }
    cell.append(key, " ");
  }
  return dialog.showModal();
};

ganpick.listen_to_keys = function () {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches && event.target.matches("input:not([type=range]), select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.getElementById("ask").open) return;
    const sliding = event.target.matches && event.target.matches("input[type=range]");
    if (sliding && event.key.startsWith("Arrow")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const found = KEYS.find(([name]) => name === key);
    if (!found) return;
    event.preventDefault();
    event.stopPropagation();
    found[3]();
  }, true);
};
