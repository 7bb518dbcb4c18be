"""Fine texture: a second witness, which neither the generator nor the filter of the set has heard.

A particle is dark as a whole, and it has structure inside. So where a picture is dark at the size of a particle, its fine
detail is stronger as well. Noise knows nothing of this: detail of one size is independent of detail of another. Thicker ice is
dark too, but fewer electrons pass it, so its detail is weaker. So the rank correlation of the two says whether a micrograph
holds particles at all, and a candidate with more detail than its surroundings is likelier a particle.

Sizes are given in cycles per particle diameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.special import expit, logit

from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.evidence.candidates import Spots
from relion_ganpick.evidence.filter import CLEAN, bounded
from relion_ganpick.evidence.view import View

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Values = NDArray[np.float64]

RIM_PX = round(PARTICLE_PX / 2)
LEAST_PIXELS = 3000
SMALL = (6 * PARTICLE_PX) ** 2  # pixels of a picture that is too small to say anything
DARK = (0.3, 0.95)  # cycles per diameter: a particle as a whole
FINE = ((3.3, 5.2), (5.2, 7.8))  # its structure, up to the finest detail at the working scale
STEEP = 8  # how sharply a band ends
STEP = 3  # pixels between the places that are compared
WITHIN = 0.25 * PARTICLE_PX / STEP  # sigma of the surroundings whose detail is measured
AROUND = (round(5 * PARTICLE_PX / STEP) | 1,) * 2  # differences over more than that are of the ice
WEAKEST = 0.05  # of the median strength
BESIDE, AWAY = (0.7, 1.2), (2.0, 12.0)  # diameters
NARROW, WIDE = 0.8, 1.6  # sigmas in pixels of the detail of one candidate: 2 to 6 cycles per diameter

# Weights of the second witness, chosen on 946 simulated sets (notebook, "A second witness"). Those of detail and of
# contamination are rounded from fits by likelihood. The others keep the mean F1 there within 0.02 and lower the number of
# picks where there are no particles; between two of them real sets decided.
PER_SPREAD = 0.25  # log odds for each standard deviation of detail
MOST_SPREADS = 3.0
DIRTY = -0.4  # log odds of a candidate on contamination
UNSURE = -1.5  # log odds of a candidate where nothing speaks for particles
NOTHING, SURE = 1.0, 4.0  # standard deviations of the correlation up to which it says nothing, and from which it is certain
LEAST_ODDS = 1e-3


@dataclass(frozen=True)
class Texture:
    """What a micrograph's fine detail says, for every 3 x 3 pixels of its view.

    Attributes
    ----------
    detail
        (h, w) float32, strength of detail against the surroundings, in standard deviations; 0 on contamination.
    clean
        (h, w) bool, where it counts.
    """

    detail: Image
    clean: Mask


def texture_of(view: View) -> Texture:
    """Measure the detail of a micrograph at 2 to 6 cycles per diameter; none, and all of it clean, where it is too small."""
    clean = _clean(view)
    weight = _smaller(clean.astype(np.float32))
    there = weight > 0.5
    if view.picture.size < SMALL:
        return Texture(np.zeros_like(weight), np.ones_like(there))
    if clean.sum() < LEAST_PIXELS:
        return Texture(np.zeros_like(weight), np.zeros_like(there))
    picture = bounded(view.picture)
    fine = cv2.GaussianBlur(picture, (0, 0), NARROW) - cv2.GaussianBlur(picture, (0, 0), WIDE)
    strength = _strength(_smaller(np.square(fine) * clean), weight, there)
    inside = strength[there]
    detail = (strength - inside.mean()) / max(float(inside.std()), 1e-6)
    return Texture(np.where(there, detail, np.float32(0)).astype(np.float32), there)


def agreement(view: View) -> float:
    """Tell whether a micrograph holds particles: whether fine detail is stronger where it is dark at the size of a particle.

    Returns
    -------
    Spearman's correlation of darkness and detail at the same place, minus that with the detail of a ring around it, in standard
    deviations of the same figure for places that lie far apart; two bands of detail together. About 0 without particles,
    10 and more for clear ones. 0 where too little of the micrograph is clean to tell, NaN where it is too small.
    """
    if view.picture.size < SMALL:
        return float("nan")
    rows, columns = (_fast(n) for n in view.picture.shape)
    clean = _clean(view)[:rows, :columns]
    if clean.sum() < LEAST_PIXELS:
        return 0.0
    picture = np.where(clean, bounded(view.picture)[:rows, :columns], np.float32(0))
    small = _smaller(picture)
    weight = _smaller(clean.astype(np.float32))
    there = weight > 0.5
    darkness = -fft.irfft2(fft.rfft2(small) * _passed(small.shape, DARK, STEP), small.shape)
    dark = _ranked(darkness, there)
    spectrum = fft.rfft2(picture)
    scores = []
    for band in FINE:
        fine = fft.irfft2(spectrum * _passed(picture.shape, band, 1), picture.shape)
        strength = _strength(_smaller(np.square(fine) * clean), weight, there)
        scores.append(_score(dark, _ranked(strength, there)))
    return float(sum(scores) / np.sqrt(len(scores)))


def trust_in(agreements: Sequence[float]) -> float:
    """Add up what micrographs say, as standard deviations are added: 0 if nothing speaks for particles, 1 if they are certain.

    Those that say NaN do not count. If no other is left, what else is known of the set is trusted: 1.
    """
    said = [each for each in agreements if not np.isnan(each)]
    if not said:
        return 1.0
    together = sum(said) / np.sqrt(len(said))
    return float(np.clip((together - NOTHING) / (SURE - NOTHING), 0, 1))


def heard(merit: Values, spots: Spots, texture: Texture, of_set: float, of_micrograph: float) -> Values:
    """Weigh figures of merit by the second witness.

    Parameters
    ----------
    merit
        (n,) float64, figures of merit of the candidates.
    spots
        The candidates, (n,).
    texture
        Of their micrograph.
    of_set, of_micrograph
        How certain it is that there are particles (`trust_in`). A set that is certain vouches for half of a micrograph.

    Returns
    -------
    (n,) float64 in [0, 1].
    """
    height, width = texture.clean.shape
    row = np.clip((spots.y / STEP).astype(int), 0, height - 1)
    column = np.clip((spots.x / STEP).astype(int), 0, width - 1)
    odds = logit(np.clip(merit, LEAST_ODDS, 1 - LEAST_ODDS))
    odds += PER_SPREAD * np.clip(texture.detail[row, column].astype(float), -MOST_SPREADS, MOST_SPREADS)
    odds += np.where(texture.clean[row, column], 0.0, DIRTY)
    odds += UNSURE * (1 - max(of_set / 2, of_micrograph))
    return np.asarray(expit(odds))


def _clean(view: View) -> Mask:
    clean = view.contamination < CLEAN
    if view.closed is not None:
        clean &= ~view.closed
    clean[:RIM_PX] = clean[-RIM_PX:] = False
    clean[:, :RIM_PX] = clean[:, -RIM_PX:] = False
    return clean


def _fast(n: int) -> int:
    """Find the largest length up to n that has small factors only, 3 and 4 among them, so that transforms are fast."""
    n -= n % (4 * STEP)
    while n > 4 * STEP and fft.next_fast_len(n, real=True) != n:
        n -= 4 * STEP
    return n


def _smaller(layer: Image) -> Image:
    """Average every 3 x 3 pixels, (3 h, 3 w) -> (h, w); rows and columns that are left over are left out."""
    height, width = (n - n % STEP for n in layer.shape)
    layer = layer[:height, :width]
    return np.asarray(cv2.resize(layer, (width // STEP, height // STEP), interpolation=cv2.INTER_AREA), dtype=np.float32)


@lru_cache(maxsize=16)
def _away(shape: tuple[int, int]) -> Image:
    """Measure how far each pixel of a layer lies from its corner, in pixels, across the edges if that is nearer."""
    steps = [np.minimum(np.arange(n), n - np.arange(n)) for n in shape]
    return np.hypot(steps[0][:, None], steps[1][None, :]).astype(np.float32)


@lru_cache(maxsize=16)
def _passed(shape: tuple[int, int], band: tuple[float, float], px: int) -> Image:
    """Make the filter of a band for the transform of a layer whose pixels are ``px`` of the working scale wide."""
    cycles = PARTICLE_PX / px * np.hypot(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :])
    low, high = band
    return np.asarray(np.exp(-((cycles / high) ** STEEP)) * (1 - np.exp(-((cycles / low) ** STEEP))), dtype=np.float32)


@lru_cache(maxsize=16)
def _against_ring(shape: tuple[int, int]) -> NDArray[np.complex64]:
    """Make the filter that subtracts the mean over a ring from a layer of correlations."""
    diameter = PARTICLE_PX / STEP
    away = _away(shape)
    ring = ((away > BESIDE[0] * diameter) & (away < BESIDE[1] * diameter)).astype(np.float32)
    return np.asarray(1 - np.conj(fft.rfft2(ring / max(float(ring.sum()), 1.0))), dtype=np.complex64)


def _strength(squares: Image, weight: Image, clean: Mask) -> Image:
    """Take the log of the mean square within a quarter of a diameter, minus its mean within five diameters.

    Parameters
    ----------
    squares
        (h, w) float32, means of squares of the detail in every 3 x 3 pixels, 0 on contamination.
    weight
        (h, w) float32, the clean part of each.
    clean
        (h, w) bool.
    """
    near = cv2.GaussianBlur(squares, (0, 0), WITHIN) / (cv2.GaussianBlur(weight, (0, 0), WITHIN) + np.float32(1e-3))
    usual = max(float(np.median(near[clean])), 1e-12)
    strength = np.log(np.maximum(near / usual, WEAKEST))
    wide = cv2.blur(strength * weight, AROUND, borderType=cv2.BORDER_REFLECT)
    return np.asarray(strength - wide / (cv2.blur(weight, AROUND, borderType=cv2.BORDER_REFLECT) + np.float32(1e-3)))


def _ranked(layer: Image, clean: Mask) -> Image:
    """Replace pixels by their rank among the clean ones, with mean 0 and spread 1; 0 elsewhere."""
    ranks = np.zeros(layer.shape, np.float32)
    order = np.argsort(layer[clean], kind="stable")
    rank = np.empty(len(order), np.float32)
    rank[order] = np.arange(len(order)) - (len(order) - 1) / 2
    ranks[clean] = rank / max(float(rank.std()), 1e-6)
    return ranks


def _score(dark: Image, fine: Image) -> float:
    """Measure by how much the correlation of two layers, minus that with a ring around, exceeds that of places far apart."""
    shape = (dark.shape[0], dark.shape[1])
    figure = fft.irfft2(fft.rfft2(dark) * np.conj(fft.rfft2(fine)) * _against_ring(shape), shape)
    away = _away(shape) / (PARTICLE_PX / STEP)
    by_chance = figure[(away > AWAY[0]) & (away < AWAY[1])]
    return float(figure[0, 0] / max(float(by_chance.std()), 1e-12)) if by_chance.size else 0.0
