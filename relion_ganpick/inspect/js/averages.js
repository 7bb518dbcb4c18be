"use strict";
/* Class averages: the first look at what was picked. */

ganpick.load_averages = async function () {
  const note = document.getElementById("averages_note");
  if (ganpick.token) note.textContent = "are being made ...";
  let found = null;
  try {
    found = await ganpick.fetch("averages");
  } catch (problem) {
    note.textContent = problem.message;
    return;
  }
  if (!found || !found.classes.length) {
    note.textContent = "There are too few picks for averages.";
    return;
  }
  ganpick.averages = found;
  note.textContent = `of ${found.n} picks on ${found.micrographs} micrographs. Below each: its members, and their mean merit. A click shows where they are.`;
  const place = document.getElementById("averages");
  place.textContent = "";
  found.classes.forEach((each, k) => {
    const figure = document.createElement("figure");
    figure.dataset.number = k;
    const image = new Image();
    image.src = each.picture;
    image.alt = `class ${k + 1}`;
    const caption = document.createElement("figcaption");
    caption.textContent = `${each.count} · ${each.merit.toFixed(2)}`;
    figure.title = `${each.count} picks, mean figure of merit ${each.merit.toFixed(2)}`;
    figure.append(image, caption);
    figure.addEventListener("click", () => ganpick.choose_class(k));
    place.append(figure);
  });
};

/** A served page asks to which classes a micrograph's picks belong when somebody looks at classes. */
ganpick.load_classes = async function (details) {
  if (!ganpick.token || !details || details.classes || !details.size || !ganpick.averages) return;
  details.classes = (await ganpick.fetch(`classes/${details.index}`)).classes;
  ganpick.changed();
};

ganpick.choose_class = function (k) {
  ganpick.chosen_class = ganpick.chosen_class === k ? null : k;
  ganpick.load_classes(ganpick.held(ganpick.current));
  ganpick.draw_classes();
  ganpick.draw_current();
};

ganpick.draw_classes = function () {
  for (const figure of document.querySelectorAll("#averages figure")) {
    const k = Number(figure.dataset.number);
    figure.classList.toggle("on", ganpick.chosen_class === k);
    figure.classList.toggle("gone", ganpick.dropped_classes.has(k));
  }
  const drop = document.getElementById("drop");
  drop.hidden = ganpick.chosen_class === null;
  drop.textContent = ganpick.dropped_classes.has(ganpick.chosen_class) ? "Keep its members" : "Drop its members";
};

ganpick.drop_class = function () {
  const k = ganpick.chosen_class;
  const dropped = new Set(ganpick.dropped_classes);
  if (!dropped.delete(k)) dropped.add(k);
  ganpick.set_rule({dropped}, null);
};
