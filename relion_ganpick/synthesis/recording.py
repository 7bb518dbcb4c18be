"""What the microscope and programs add to the specimen: noise, uneven illumination, denoising, eight bits."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import scipy.fft

from relion_ganpick.synthesis.imaging import Image, colour, root_mean_square, transfer
from relion_ganpick.synthesis.scene_settings import SceneSettings

OCTAVES = 4


def specimen_noise(shape: tuple[int, int], ctf: Image, film: Image | None, rng: np.random.Generator) -> Image:
    """Noise of unit variance: ice that was imaged like the particles, and the detector's own, of random colour.

    Both are Gaussian and independent, so that one noise with the sum of their power spectra does for the two.
    """
    ice = colour(shape, rng.uniform(0.0, 0.5)) * ctf
    detector = colour(shape, rng.uniform(-0.2, 0.6))
    share = rng.uniform(0, 0.8)
    power = share / root_mean_square(ice) ** 2 * ice**2 + (1 - share) / root_mean_square(detector) ** 2 * detector**2
    noise = transfer(rng.standard_normal(shape, dtype=np.float32), np.sqrt(power, dtype=np.float32))
    if film is not None:
        noise = noise * (1 + film * np.float32(rng.uniform(-0.3, 0.6)))
    return np.asarray(noise, dtype=np.float32)


def illumination(shape: tuple[int, int], rng: np.random.Generator) -> Image:
    """Smooth unevenness of beam and ice, several standard deviations of the noise."""
    coarse = rng.normal(size=(int(rng.integers(2, 6)), int(rng.integers(2, 6)))).astype(np.float32)
    smooth = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth * np.float32(rng.uniform(0, 3)), dtype=np.float32)


def low_pass(pixels: Image, cut: float) -> Image:
    """Keep frequencies up to ``cut`` (cycles per pixel), with a raised cosine of a fifth of it as its edge, (h, w) float32."""
    ky = scipy.fft.fftfreq(pixels.shape[0])[:, None]
    kx = scipy.fft.rfftfreq(pixels.shape[1])[None, :]
    beyond = np.clip((np.hypot(ky, kx) / cut - 1) / 0.2, 0, 1)
    return transfer(pixels, (0.5 + 0.5 * np.cos(np.pi * beyond)).astype(np.float32))


def wiener(pixels: Image, cut: float, steepness: float) -> Image:
    """Damp fine detail like a Wiener filter whose signal falls with a power of the frequency: 1 / (1 + (k / cut)**steepness).

    Parameters
    ----------
    pixels
        (h, w) float32.
    cut
        Frequency at which signal and noise are taken to be equal, in cycles per pixel.
    """
    over = colour((pixels.shape[0], pixels.shape[1]), -steepness) / np.float32(cut**steepness)
    return transfer(pixels, (1 / (1 + over)).astype(np.float32))


def shrunken(pixels: Image, finest: float, strength: float) -> Image:
    """Denoise as trained networks do: in each octave of detail what is weak goes, what is strong stays.

    Differences of Gaussians, each shrunk towards 0 by ``strength`` of its own median deviations.

    Parameters
    ----------
    finest
        Standard deviation of the finest Gaussian in pixels; finer detail goes altogether.
    """
    blurred = [cv2.GaussianBlur(pixels, (0, 0), finest * 2**octave) for octave in range(OCTAVES)]
    out = blurred[-1]
    for fine, coarse in itertools.pairwise(blurred):
        detail = fine - coarse
        limit = np.float32(strength * 1.4826 * np.median(np.abs(detail[::2, ::2])))
        out = out + np.sign(detail) * np.maximum(np.abs(detail) - limit, 0)
    return np.asarray(out, dtype=np.float32)


def denoise(pixels: Image, rng: np.random.Generator, diameter_px: float) -> Image:
    """Smooth a picture as one of several programs would, and mix a part of the original in, in one half of the cases."""
    chosen = rng.random()
    if chosen < 0.35:
        smooth = np.asarray(cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.4, 2.0))), dtype=np.float32)
    elif chosen < 0.65:
        smooth = low_pass(pixels, rng.uniform(0.2, 0.45))
    elif chosen < 0.85:
        smooth = wiener(pixels, rng.uniform(1, 4) / diameter_px, rng.uniform(1, 4))
    else:
        smooth = shrunken(pixels, rng.uniform(0.5, 1.5), rng.uniform(0.3, 1.5))
    keep = np.float32(rng.uniform(0, 0.5) if rng.random() < 0.5 else 0)
    return np.asarray(smooth + keep * (pixels - smooth), dtype=np.float32)


def record(pixels: Image, rng: np.random.Generator, settings: SceneSettings, diameter_px: float) -> Image:
    """Do what programs do to a picture before we see it: denoising, clipping, eight bits, each with its probability."""
    if rng.random() < settings.denoised:
        pixels = denoise(pixels, rng, diameter_px)
    if rng.random() < settings.eight_bit:
        middle, spread = float(np.median(pixels)), float(pixels.std())
        reach = rng.uniform(2.5, 6.0)
        pixels = np.round(np.clip((pixels - middle) / (reach * spread), -1, 1) * 127) * np.float32(reach * spread / 127)
    return pixels.astype(np.float32)
