"""Picks judged by the map that comes of them where the structure and all orientations are known."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from downstream_sources import REFERENCE, Found, Points, Source, coordinates
from phantom import PhantomSettings, density
from relion_runs import (
    MASK_DIAMETERS,
    ball,
    box_for,
    extract,
    read_particles,
    reconstruct,
    resolution,
    shell_correlation,
    write_particles,
)
from stage import STAR_FILE

STREAM = 62_001
CUTS = (0.5, 0.143)


def all_maps(
    source: Source, picks: Mapping[str, Found], phantom: PhantomSettings, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Reconstruct a map from every picker's picks, and print a line for each."""
    box = box_for(phantom.diameter, phantom.pixel_size, 10**6)
    true = density(phantom, box.scaled)
    mask = ball(box.scaled, MASK_DIAMETERS * phantom.diameter_px / 2)
    print(f"\nmap of the {source.real.name} structure, correlation with the truth; {args.micrographs} micrographs")
    print(f"{'picker':10s} {'picks':>7s} {'with a particle':>16s} {'A at 0.5':>9s} {'A at 0.143':>11s} {'mean correlation':>17s}")
    rows = []
    for name, found in picks.items():
        folder = args.out / source.real.name / f"{name}-map"
        particles = extract(source.real.root, source.real.root / STAR_FILE, found, box, phantom.diameter, folder)
        blocks = read_particles(particles)
        blocks["particles"], matched = with_angles(blocks["particles"], source, phantom, exact=name == REFERENCE)
        write_particles(folder / "oriented.star", blocks)
        curve = shell_correlation(reconstruct(folder / "oriented.star", True, folder / "map.mrc"), true, mask)
        row = {
            "picks": len(blocks["particles"]),
            "matched": matched,
            "mean": float(curve[1:].mean()),
            **{f"at {cut}": resolution(curve, cut, phantom.pixel_size) for cut in CUTS},
        }
        print(
            f"{name:10s} {row['picks']:7d} {100 * matched / max(row['picks'], 1):14.1f} % {row['at 0.5']:9.1f} "
            f"{row['at 0.143']:11.1f} {row['mean']:17.3f}",
            flush=True,
        )
        rows.append({"picker": name, **row, "curve": curve.round(4).tolist()})
    return rows


def with_angles(table: Any, source: Source, phantom: PhantomSettings, exact: bool) -> tuple[Any, int]:
    """Give every particle angles: the true ones if it lies on a particle, else random ones.

    Parameters
    ----------
    table
        The particles.
    source, phantom
        Where the truth is, and the size of a particle.
    exact
        Also give the distance from the true centre, as a refinement would find it.

    Returns
    -------
    The table with angles, and how many particles it has that lie on one.
    """
    rng = np.random.default_rng((STREAM, 1))
    table, matched = table.reset_index(drop=True), 0
    angles = np.stack([rng.uniform(-180, 180, len(table)), np.degrees(np.arccos(rng.uniform(-1, 1, len(table))))], axis=1)
    angles = np.hstack([angles, rng.uniform(-180, 180, (len(table), 1))])
    shifts = np.zeros((len(table), 2))
    for name, rows in table.groupby("rlnMicrographName"):
        truth = pd.read_csv(source.real.root / "truth" / f"{Path(str(name)).stem}.csv")
        centres, here = truth[["x", "y"]].to_numpy(float), coordinates(rows)
        for k, partner in pairs(here, centres, phantom.diameter_px / 2):
            angles[rows.index[k]] = truth.loc[partner, ["rot", "tilt", "psi"]].to_numpy(float)
            shifts[rows.index[k]] = (here[k] - centres[partner]) * phantom.pixel_size
            matched += 1
    named = dict(zip(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), angles.T, strict=True))
    if exact:
        named |= dict(zip(("rlnOriginXAngst", "rlnOriginYAngst"), shifts.T, strict=True))
    return table.assign(**named), matched


def pairs(picks: Points, truth: Points, reach: float) -> list[tuple[int, int]]:
    """Pair picks with true centres one to one, the closest first, within ``reach`` pixels."""
    if not len(picks) or not len(truth):
        return []
    away = np.hypot(*(picks[:, None] - truth[None]).transpose(2, 0, 1))
    found: list[tuple[int, int]] = []
    free = np.isfinite(away)
    for flat in np.argsort(away, axis=None):
        k, partner = divmod(int(flat), len(truth))
        if away[k, partner] > reach:
            break
        if free[k, partner]:
            found.append((k, partner))
            free[k], free[:, partner] = False, False
    return found
