"""A simpler picker to compare with: a difference of Gaussians, the floor."""

from __future__ import annotations

import cv2
import numpy as np

from relion_ganpick.core.localize import peaks
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
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
