"""Candidates of a micrograph where it is known what the particle looks like, as a user has kept some.

A filter that was made from these particles finds candidates beside the network's marks. So faint ones that the network passes
over are among them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.evidence.candidates import find_spots
from relion_ganpick.evidence.features import describe_spots
from relion_ganpick.evidence.filter import Lesson, SetFilter, answer, filter_of, lesson_at
from relion_ganpick.evidence.view import View, view_of
from relion_ganpick.model.approved import Correction
from relion_ganpick.model.weights import Model

Image = NDArray[np.float32]
Points = NDArray[np.float64]

LEAST_MERIT = 0.01
SEED_DENSITY = 0.05  # per squared diameter; the same for all candidates, so that it tells nothing


def lesson_from(picture: Image, points: Points) -> Lesson:
    """Collect what approved particles of a micrograph look like, and places of it.

    Parameters
    ----------
    picture
        (h, w) float32, prepared for the generator.
    points
        (n, 2) float64, columns x and y, in pixels of the picture.
    """
    columns = np.clip(np.rint(points[:, 0]), 0, picture.shape[1] - 1).astype(np.intp)
    rows = np.clip(np.rint(points[:, 1]), 0, picture.shape[0] - 1).astype(np.intp)
    return lesson_at(picture, columns, rows)


def approved_filter(lessons: Sequence[Lesson]) -> SetFilter:
    """Make the filter for particles that look like the approved ones, all of which count."""
    return filter_of(np.concatenate([each.seeds for each in lessons]), np.concatenate([each.places for each in lessons]))


def kept_in(correction: Correction, of_set: SetFilter) -> None:
    """Keep a filter in a correction, which travels with the model."""
    correction.filter_weights = torch.from_numpy(of_set.weights.astype(np.float32))
    correction.filter_offset = torch.tensor([of_set.offset], dtype=torch.float32)
    correction.filter_profile = torch.from_numpy(of_set.profile.astype(np.float32))


def filter_in(correction: Correction) -> SetFilter:
    """Give the filter that a correction keeps."""
    weights, profile = correction.filter_weights.double().numpy(), correction.filter_profile.double().numpy()
    return SetFilter(weights, float(correction.filter_offset), 0, profile)


def describe_like(
    model: Model, view: View, marked: Image, of_set: SetFilter, min_distance_px: float = PARTICLE_PX / 2
) -> tuple[Picks, Image]:
    """Find candidates, all of them.

    Parameters
    ----------
    model
        Gives them figures of merit, by each micrograph alone.
    view, marked
        The micrograph, and what the generator made of it.
    of_set
        What the particle looks like.
    min_distance_px
        Smallest distance between two candidates, in pixels of the working scale.

    Returns
    -------
    Candidates in pixels of the working scale, and their features, (n, 24) float32.
    """
    spots = find_spots(view, answer(view, of_set), min_distance_px)
    features = describe_spots(view, spots, of_set, SEED_DENSITY)
    row, column = np.rint(spots.y).astype(int), np.rint(spots.x).astype(int)
    alone = Picks(spots.x, spots.y, view.smooth[row, column].astype(float))
    return model.rescored(alone, view.picture, marked), features


def picked_like(model: Model, picture: Image, marked: Image, min_distance_px: float) -> Picks:
    """Pick a micrograph with a model that has learned from approved particles, in pixels of the working scale."""
    assert model.approved is not None
    found, features = describe_like(model, view_of(picture, marked), marked, filter_in(model.approved), min_distance_px)
    merit = model.approved.correct(found.score, features)
    return Picks(found.x, found.y, merit).above(LEAST_MERIT)
