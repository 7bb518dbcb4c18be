"""Simpler pickers to compare with: a difference of Gaussians as the floor, and RELION's Laplacian of Gaussian."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from sets import RealSet

from relion_ganpick.core.localize import peaks
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.formats.coordinates import read_coordinates
from relion_ganpick.picking.picker import Prepared


def difference_of_gaussians(prepared: Prepared) -> Picks:
    """Find dark blobs of the particle's size: the floor that any picker must beat.

    Parameters
    ----------
    prepared
        A micrograph at the working scale.

    Returns
    -------
    Picks in pixels of the file, with a score that is relative to the micrograph.
    """
    narrow, wide = (cv2.GaussianBlur(-prepared.picture, (0, 0), share * PARTICLE_PX) for share in (0.22, 0.35))
    response = narrow - wide
    response = np.clip(response / max(float(np.percentile(response, 99.9)), 1e-6), 0, 1).astype(np.float32)
    found = prepared.scale.to_file(peaks(response, PARTICLE_PX, 0.6 * PARTICLE_PX, 0.02))
    return Picks(found.x + prepared.area.left, found.y + prepared.area.top, found.score)


def laplacian(real: RealSet) -> Iterator[tuple[str, Picks]]:
    """Run RELION's own picker with the diameter plus and minus 15 per cent; yields stems and picks."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["relion_autopick", "--i", "micrographs.star", "--odir", f"{folder}/", "--pickname", "log", "--LoG"]
        command += ["--LoG_diam_min", f"{0.85 * real.diameter}", "--LoG_diam_max", f"{1.15 * real.diameter}"]
        subprocess.run(command, cwd=real.root, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        files = sorted(Path(folder).rglob("*_log.star"))
        found = {stem.removesuffix("_log"): each.picks for stem, each in (read_coordinates(files) if files else {}).items()}
    for path in real.paths:
        yield path.stem, found.get(path.stem, Picks.none())
