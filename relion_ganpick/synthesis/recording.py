"""What the microscope and programs add to the specimen: noise, uneven illumination, denoising, eight bits."""

from __future__ import annotations

import cv2
import numpy as np
import scipy.fft

from relion_ganpick.synthesis.imaging import Image, coloured_noise, transfer


def specimen_noise(shape: tuple[int, int], ctf: Image, film: Image | None, rng: np.random.Generator) -> Image:
    """Noise of unit variance: ice that was imaged like the particles, and the detector's own, of random colour."""
    ice = transfer(coloured_noise(shape, rng.uniform(0.0, 0.5), rng), ctf)
    ice /= max(float(ice.std()), 1e-6)
    detector = coloured_noise(shape, rng.uniform(-0.2, 0.6), rng)
    share = np.float32(rng.uniform(0, 0.8))
    noise = np.sqrt(share) * ice + np.sqrt(1 - share) * detector
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


def record(pixels: Image, rng: np.random.Generator, denoised: float, eight_bit: float) -> Image:
    """Do what programs do to a picture before we see it: denoising, clipping, eight bits, each with its probability."""
    if rng.random() < denoised:
        smooth = rng.random() < 0.5
        blur = (
            cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.4, 2.0))) if smooth else low_pass(pixels, rng.uniform(0.2, 0.45))
        )
        keep = np.float32(rng.uniform(0, 0.5) if rng.random() < 0.5 else 0)
        pixels = blur + keep * (pixels - blur)
    if rng.random() < eight_bit:
        middle, spread = float(np.median(pixels)), float(pixels.std())
        reach = rng.uniform(2.5, 6.0)
        pixels = np.round(np.clip((pixels - middle) / (reach * spread), -1, 1) * 127) * np.float32(reach * spread / 127)
    return pixels.astype(np.float32)
