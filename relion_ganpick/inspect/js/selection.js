"use strict";
/* Which picks are kept: the handles, and the micrographs that have a list of their own because a person edited them. */

/** One rule for all micrographs that nobody has edited. `best` is a share; `most` and `power_high` are null for no limit. */
ganpick.selection = {threshold: 0.5, best: 1, most: null, power_low: 0, power_high: null};
ganpick.dropped_classes = new Set();

/** Own lists of edited micrographs, index -> {x, y, score}; null stands for "back to automatic". */
ganpick.own = new Map();

/** The list that a person made of a micrograph's picks, or null where the handles decide. */
ganpick.own_list = function (index) {
  if (ganpick.own.has(index)) return ganpick.own.get(index);
  const found = ganpick.held(index);
  return found && found.file ? found.file : null;
};

ganpick.is_edited = function (index) {
  if (ganpick.own.has(index)) return ganpick.own.get(index) !== null;
  return ["edited", "rejected"].includes(ganpick.job.states[index]);
};

ganpick.uses_power = (selection) => selection.power_low > 0 || selection.power_high !== null;

/** Numbers, best first, of the picks that a selection keeps; power and classes count where they are known. */
ganpick.selected = function (picks, selection, classes) {
  const kept = [];
  const {power} = picks;
  const drop = ganpick.dropped_classes;
  for (let k = 0; k < picks.score.length; k++) {
    if (picks.score[k] < selection.threshold - 1e-9) break;
    if (power && (power[k] < selection.power_low || (selection.power_high !== null && power[k] > selection.power_high))) continue;
    if (classes && drop.size && drop.has(classes[k])) continue;
    kept.push(k);
  }
  return kept.slice(0, ganpick.rank(kept.length, selection));
};

/** How many of n picks are kept by rank: the best share, rounded up, so that one pick stays one; and no more than `most`. */
ganpick.rank = (n, {best, most}) => Math.min(Math.ceil(n * best - 1e-9), most ?? n);

/** What is kept on one micrograph, as {x, y, score}; `details` must be there. */
ganpick.kept = function (details, selection = ganpick.selection) {
  const own = ganpick.own_list(details.index);
  if (own) return own;
  const numbers = ganpick.selected(details.picks, selection, details.classes);
  const pick = (column) => numbers.map((k) => details.picks[column][k]);
  return {x: pick("x"), y: pick("y"), score: pick("score"), number: numbers};
};

ganpick.mean = function (scores) {
  let sum = 0;
  let n = 0;
  for (const score of scores) {
    if (score >= 0) {
      sum += score;
      n += 1;
    }
  }
  return n ? sum / n : null;
};

/** Number and mean figure of merit of the kept picks of one micrograph. */
ganpick.count = function (index, selection = ganpick.selection) {
  const {job} = ganpick;
  if (ganpick.own.get(index)) {
    const own = ganpick.own.get(index);
    return [own.x.length, ganpick.mean(own.score)];
  }
  if (ganpick.is_edited(index)) return [job.n_file[index], job.mean_file[index]];
  const details = ganpick.held(index);
  if (details && (ganpick.uses_power(selection) || (details.classes && ganpick.dropped_classes.size))) {
    const numbers = ganpick.selected(details.picks, selection, details.classes);
    return [numbers.length, ganpick.mean(numbers.map((k) => details.picks.score[k]))];
  }
  const least = Math.round(selection.threshold * job.steps);
  const begin = job.starts[index];
  let low = begin;
  let high = job.starts[index + 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (job.scores[middle] >= least) low = middle + 1;
    else high = middle;
  }
  const n = ganpick.rank(low - begin, selection);
  let sum = 0;
  for (let k = begin; k < begin + n; k++) sum += job.scores[k];
  return [n, n ? sum / n / job.steps : null];
};

/** Numbers and means of all micrographs, and the total. */
ganpick.count_all = function (selection = ganpick.selection) {
  const n = ganpick.job.names.length;
  const picks = new Array(n);
  const mean = new Array(n);
  let total = 0;
  for (let k = 0; k < n; k++) {
    [picks[k], mean[k]] = ganpick.count(k, selection);
    total += picks[k];
  }
  return {picks, mean, total};
};

/** Numbers of a's points without a partner in b within `reach`, best first. */
ganpick.without_partner = function (a, b, reach) {
  const cells = new Map();
  const key = (x, y) => `${Math.floor(x / reach)},${Math.floor(y / reach)}`;
  for (let k = 0; k < b.x.length; k++) {
    const at = key(b.x[k], b.y[k]);
    if (!cells.has(at)) cells.set(at, []);
    cells.get(at).push(k);
  }
  const taken = new Set();
  const alone = [];
  for (let k = 0; k < a.x.length; k++) {
    let best = null;
    let nearest = reach;
    for (let dx = -1; dx <= 1; dx++) {
      for (let dy = -1; dy <= 1; dy++) {
        for (const j of cells.get(key(a.x[k] + dx * reach, a.y[k] + dy * reach)) || []) {
          const gap = Math.hypot(a.x[k] - b.x[j], a.y[k] - b.y[j]);
          if (gap <= nearest && !taken.has(j)) [best, nearest] = [j, gap];
        }
      }
    }
    if (best === null) alone.push(k);
    else taken.add(best);
  }
  return alone;
};
