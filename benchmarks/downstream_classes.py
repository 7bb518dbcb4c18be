"""Picks judged by RELION's 2D classification: how many particles come into good classes, and how many of those are right."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from class_pictures import draw_classes
from downstream_sources import Found, Source, coordinates
from relion_runs import box_for, classify, extract, read_classes, read_particles
from stage import STAR_FILE

from relion_ganpick.core.evaluate import match

GOOD_SHARE = 0.5
GOOD_RESOLUTION_DIAMETERS = 1 / 8
STREAM = 62_000


def all_classes(source: Source, picks: Mapping[str, Found], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Classify the same number of picks of every picker, and print a line for each."""
    count = min(args.particles, *(sum(map(len, each.values())) for each in picks.values()))
    print(
        f"\n{source.real.name}: {count} picks of each, {args.classes} classes, {args.iterations} iterations, {args.seeds} seeds"
    )
    print(f"{'picker':10s} {'in good classes':>16s} {'right in these':>15s} {'reference found':>16s} {'good classes':>13s}")
    rows = []
    for name, found in picks.items():
        folder = args.out / source.real.name / f"{name}-{count}"
        box = box_for(source.real.diameter, source.real.pixel_size, args.box)
        stars = source.real.root / STAR_FILE
        particles = extract(source.real.root, stars, drawn(found, count), box, source.real.diameter, folder)
        runs = []
        for seed in range(1, args.seeds + 1):
            out = folder / f"classes-{args.classes}-{args.iterations}-{seed}"
            how = (args.classes, args.iterations, seed, source.ctf, out, args.j)
            model, data = classify(particles, source.real.diameter, *how)
            runs.append(judged(source, model, data))
            draw_classes(model, good_classes(model, source.real.diameter), folder / f"CLASSES-{seed}.png")
        row = {key: mean(run[key] for run in runs) for key in runs[0]}
        shares = f"{100 * row['good']:14.1f} % {100 * row['right']:13.1f} % {100 * row['found']:14.1f} %"
        print(f"{name:10s} {shares} {row['classes']:13.1f}", flush=True)
        rows.append({"picker": name, "picks": count, **row, "runs": runs})
    return rows


def good_classes(model: Path, diameter: float) -> list[int]:
    """Find the good classes by the one rule; their numbers."""
    table = read_classes(model)
    large = table["share"] >= GOOD_SHARE / len(table)
    return [int(k) for k in table.index[large & (table["resolution"] <= GOOD_RESOLUTION_DIAMETERS * diameter)]]


def judged(source: Source, model: Path, data: Path) -> dict[str, float]:
    """Count particles in good classes, and how many of them are right."""
    table = read_particles(data)["particles"]
    good = good_classes(model, source.real.diameter)
    inside = table[table["rlnClassNumber"].astype(int).isin(good)]
    right = 0
    for name, rows in inside.groupby("rlnMicrographName"):
        right += int(match(coordinates(rows), source.truth(str(name)), source.real.diameter_px / 4).sum())
    truth = sum(len(source.truth(name)) for name in source.names)
    return {
        "good": len(inside) / max(len(table), 1),
        "right": right / max(len(inside), 1),
        "found": right / max(truth, 1),
        "classes": float(len(good)),
    }


def drawn(picks: Found, count: int) -> Found:
    """Draw some of all picks at random, the same ones each time."""
    total = sum(map(len, picks.values()))
    chosen = np.zeros(total, bool)
    chosen[np.random.default_rng(STREAM).permutation(total)[:count]] = True
    parts = np.split(chosen, np.cumsum([len(each) for each in picks.values()])[:-1])
    return {name: each.where(part) for (name, each), part in zip(picks.items(), parts, strict=True)}
