"""Image formation in the electron microscope: contrast transfer function and coloured noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Image = NDArray[np.float32]

SLOWEST = 0.01  # cycles per pixel: coloured noise is as strong below as here
GRIDS_KEPT = 64


@dataclass(frozen=True)
class Optics:
    """Settings of the microscope for one micrograph."""

    voltage_kv: float = 300.0
    spherical_aberration_mm: float = 2.7
    amplitude_contrast: float = 0.1
    defocus_angstrom: float = 15000.0
    astigmatism_angstrom: float = 0.0
    astigmatism_angle: float = 0.0
    phase_shift: float = 0.0
    b_factor: float = 100.0


def electron_wavelength(voltage_kv: float) -> float:
    """Relativistic de Broglie wavelength of the electron in Angstrom (0.0197 at 300 kV, 0.0251 at 200 kV)."""
    volts = voltage_kv * 1e3
    return float(12.2643 / np.sqrt(volts * (1 + 0.978466e-6 * volts)))


def contrast_transfer_function(shape: tuple[int, int], pixel_size: float, optics: Optics) -> Image:
    """Contrast transfer function on the half-plane of `numpy.fft.rfft2`.

    CTF(k) = -sin(chi(k) + phase_shift + asin(A)) exp(-B k^2 / 4), with
    chi(k) = pi lambda dz(angle) k^2 - pi/2 Cs lambda^3 k^4 (dz positive for underfocus): negative at low
    resolution, so that matter comes out dark.

    Parameters
    ----------
    shape
        (h, w) of the picture in pixels.
    pixel_size
        Angstrom per pixel.
    optics
        Settings of the microscope.

    Returns
    -------
    (h, w // 2 + 1) float32.
    """
    ky = scipy.fft.fftfreq(shape[0], pixel_size).astype(np.float32)[:, None]
    kx = scipy.fft.rfftfreq(shape[1], pixel_size).astype(np.float32)[None, :]
    k2 = ky**2 + kx**2
    wavelength = electron_wavelength(optics.voltage_kv)
    # dz(angle) k^2 = dz k^2 + astigmatism cos(2 (angle - its angle)) k^2, without a trigonometric function for each frequency.
    straight, slanted = np.cos(2 * optics.astigmatism_angle), np.sin(2 * optics.astigmatism_angle)
    dz_k2 = np.float32(optics.defocus_angstrom) * k2
    if optics.astigmatism_angstrom:
        turned = np.float32(straight) * (kx**2 - ky**2) + np.float32(2 * slanted) * kx * ky
        dz_k2 = dz_k2 + np.float32(optics.astigmatism_angstrom) * turned
    aberration = np.float32(0.5 * np.pi * optics.spherical_aberration_mm * 1e7 * wavelength**3)
    chi = np.float32(np.pi * wavelength) * dz_k2 - aberration * k2**2
    phase = chi + np.float32(optics.phase_shift + np.arcsin(optics.amplitude_contrast))
    return np.asarray(-np.sin(phase) * np.exp(np.float32(-optics.b_factor / 4) * k2), dtype=np.float32)


def drift_envelope(shape: tuple[int, int], shift: tuple[float, float]) -> Image:
    """Transfer function of a specimen that moves evenly by ``shift`` (x, y) pixels during the exposure: sinc(k . shift).

    Returns
    -------
    (h, w // 2 + 1) float32, to multiply a contrast transfer function with.
    """
    ky = scipy.fft.fftfreq(shape[0])[:, None]
    kx = scipy.fft.rfftfreq(shape[1])[None, :]
    return np.asarray(np.sinc(kx * shift[0] + ky * shift[1]), dtype=np.float32)


def transfer(picture: Image, ctf: Image) -> Image:
    """Apply a transfer function in Fourier space, (h, w) -> (h, w) float32."""
    spectrum = scipy.fft.rfft2(picture)
    return np.asarray(scipy.fft.irfft2(spectrum * ctf, s=picture.shape), dtype=np.float32)


def coloured_noise(shape: tuple[int, int], exponent: float, rng: np.random.Generator) -> Image:
    """Gaussian noise whose amplitude spectrum falls as frequency ** -exponent, unit variance, (h, w) float32.

    ``exponent`` 0 is white; 0.5 is a cloudy detector or ice background; negative is a counting camera's blue noise.
    """
    white = rng.standard_normal(shape, dtype=np.float32)
    if exponent == 0:
        return white
    noise = transfer(white, colour(shape, exponent))
    return noise / max(float(noise.std()), 1e-6)


def colour(shape: tuple[int, int], exponent: float) -> Image:
    """Amplitude spectrum frequency ** -exponent on the half-plane of `numpy.fft.rfft2`, (h, w // 2 + 1) float32."""
    return np.asarray(np.exp(np.float32(-exponent) * _log_frequencies(shape)), dtype=np.float32)


def root_mean_square(spectrum: Image) -> float:
    """Tell the standard deviation of white noise of unit variance after a transfer function on the half-plane."""
    return max(float(np.sqrt(np.mean(spectrum**2))), 1e-6)


@lru_cache(maxsize=GRIDS_KEPT)
def _log_frequencies(shape: tuple[int, int]) -> Image:
    ky = scipy.fft.fftfreq(shape[0])[:, None]
    kx = scipy.fft.rfftfreq(shape[1])[None, :]
    k = np.sqrt(ky**2 + kx**2)
    k[0, 0] = min(1 / shape[0], 1 / shape[1])
    return np.asarray(np.log(np.maximum(k, SLOWEST)), dtype=np.float32)
