"""How real do the synthetic micrographs look to the network: spectra, grey values and local contrast, real against synthetic.

    python benchmarks/spectra.py --sets FOLDER --plot docs/spectra.png

Everything is measured at the working scale after `core.preprocess.normalise`, as the generator sees it. For every figure the
median of a real set is put among the synthetic scenes: a percentile near 0 or 100 says that training hardly ever shows such
pictures. The picture holds curves only.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import kurtosis, skew, wasserstein_distance
from sets import real_sets

from relion_ganpick.core.preprocess import CLIP, PARTICLE_PX
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.picking.picker import Picker
from relion_ganpick.synthesis.pairs import prepared, random_scene
from relion_ganpick.training.presets import PRESETS, TrainSettings

Image = NDArray[np.float32]
Values = NDArray[np.float64]

STREAM = 77_001
CROP = 256
TILE = 96
GREY = np.linspace(-CLIP, CLIP, 121)
BANDS = ((0.15, 0.6), (0.6, 1.2), (1.2, 2.5), (2.5, 5.0), (5.0, 8.0))


@dataclass(frozen=True)
class Look:
    """What a picture looks like at the working scale.

    Attributes
    ----------
    spectrum
        (n,) float64, share of the variance per ring of `frequencies`, as power density over its mean.
    histogram
        (120,) float64, share of the pixels per bin of `GREY`.
    figures
        Numbers by name.
    """

    spectrum: Values
    histogram: Values
    figures: dict[str, float]


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, default=os.environ.get("GANPICK_BENCHMARK"), help="folder of real sets")
    parser.add_argument("--scenes", type=int, default=300, help="synthetic scenes (default: 300)")
    parser.add_argument("--most", type=int, default=24, help="micrographs of each real set (default: 24)")
    parser.add_argument("--plot", type=Path, help="write the curves as a picture")
    args = parser.parse_args()
    if not args.sets:
        parser.error("give --sets, or set GANPICK_BENCHMARK")
    synthetic = [look(picture) for picture in synthetic_pictures(args.scenes)]
    real = {}
    for each in real_sets(args.sets):
        picker = Picker(PickSettings(diameter=each.diameter), "cpu")
        real[each.name] = [look(picture) for picture in each.pictures(picker, args.most)]
    report(synthetic, real)
    if args.plot:
        plot(synthetic, real, args.plot)


def synthetic_pictures(n: int) -> list[Image]:
    """Make pictures as the default preset is trained on."""
    preset = PRESETS["default"]
    assert isinstance(preset, TrainSettings)
    scenes = (random_scene(np.random.default_rng((STREAM, index)), CROP, preset.scene) for index in range(n))
    return [prepared(scene) for scene in scenes]


def look(picture: Image) -> Look:
    """Measure one prepared picture, (h, w) float32."""
    spectrum = radial_spectrum(picture)
    share = spectrum * frequencies()
    share = share / share.sum()
    values = {f"{low:g}-{high:g} / d": float(share[(frequencies() >= low) & (frequencies() < high)].sum()) for low, high in BANDS}
    flat = picture.ravel().astype(np.float64)
    values |= {
        "standard deviation": float(flat.std()),
        "skewness": float(skew(flat)),
        "kurtosis": float(kurtosis(flat)),
        "below -4": float((flat < -4).mean()),
        "above 4": float((flat > 4).mean()),
        "neighbours": float(np.corrcoef(picture[:, 1:].ravel(), picture[:, :-1].ravel())[0, 1]),
        "local contrast": local_contrast(picture),
    }
    histogram = np.histogram(flat, GREY)[0] / flat.size
    return Look(spectrum, histogram, values)


def frequencies() -> Values:
    """Centres of the rings of `radial_spectrum` in cycles per diameter."""
    return np.arange(1, TILE // 2) / TILE * PARTICLE_PX


def radial_spectrum(picture: Image) -> Values:
    """Average the power over rings and over tiles of `TILE` pixels that overlap by half.

    Parameters
    ----------
    picture
        (h, w) float32; a side shorter than a tile is continued by reflection.

    Returns
    -------
    (TILE / 2 - 1,) float64, power density over its mean.
    """
    height, width = picture.shape
    picture = np.pad(picture, ((0, max(TILE - height, 0)), (0, max(TILE - width, 0))), "symmetric")
    window = np.outer(np.hanning(TILE), np.hanning(TILE))
    power = np.zeros((TILE, TILE))
    for top in range(0, picture.shape[0] - TILE + 1, TILE // 2):
        for left in range(0, picture.shape[1] - TILE + 1, TILE // 2):
            tile = picture[top : top + TILE, left : left + TILE].astype(np.float64)
            power += np.abs(np.fft.fft2((tile - tile.mean()) * window)) ** 2
    k = np.fft.fftfreq(TILE, 1 / TILE)
    ring = np.rint(np.hypot(k[:, None], k[None, :])).astype(int)
    density = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    kept = density[1 : TILE // 2]
    return np.asarray(kept / max(float(kept.mean()), 1e-12))


def local_contrast(picture: Image) -> float:
    """Tell how unevenly contrast is spread: spread over mean of the standard deviation in windows of two diameters."""
    sigma = PARTICLE_PX
    mean = cv2.GaussianBlur(picture, (0, 0), sigma)
    variance = cv2.GaussianBlur(picture * picture, (0, 0), sigma) - mean * mean
    deviation = np.sqrt(np.maximum(variance, 0))
    return float(deviation.std() / max(float(deviation.mean()), 1e-9))


def percentile(value: float, among: Sequence[float]) -> float:
    """Tell which percentage of ``among`` lies below a value; ties count half."""
    others = np.asarray(among)
    return float(100 * ((others < value).mean() + 0.5 * (others == value).mean()))


def distance(looks: Sequence[Look], synthetic: Sequence[Look]) -> tuple[float, float, float]:
    """Compare a set's mean curves with the synthetic ones.

    Returns
    -------
    spectrum
        Root mean square, over the rings, of log10 power against the synthetic median, in standard deviations of the scenes.
    ring
        The ring, in cycles per diameter, where they differ most.
    grey
        Wasserstein distance of the mean histograms, in units of the noise's spread.
    """
    theirs = np.log10(np.stack([each.spectrum for each in synthetic]))
    ours = np.log10(np.stack([each.spectrum for each in looks])).mean(axis=0)
    away = (ours - np.median(theirs, axis=0)) / theirs.std(axis=0)
    middle = (GREY[1:] + GREY[:-1]) / 2
    means = [np.mean([each.histogram for each in part], axis=0) for part in (looks, synthetic)]
    grey = wasserstein_distance(middle, middle, *means)
    return float(np.sqrt(np.mean(away**2))), float(frequencies()[np.argmax(np.abs(away))]), float(grey)


def report(synthetic: Sequence[Look], real: dict[str, list[Look]]) -> None:
    """Print the table: medians of the sets and their percentiles among the synthetic scenes."""
    print(f"{len(synthetic)} synthetic scenes; of each real set its median, and its percentile among the scenes")
    print(f"{'':20s} {'synthetic 5, 50, 95 %':>24s} " + " ".join(f"{name:>14s}" for name in real))
    for name in synthetic[0].figures:
        among = [each.figures[name] for each in synthetic]
        bounds = " ".join(f"{value:7.3f}" for value in np.percentile(among, (5, 50, 95)))
        medians = [float(np.median([each.figures[name] for each in looks])) for looks in real.values()]
        print(f"{name:20s} {bounds:>24s} " + " ".join(f"{value:8.3f} {percentile(value, among):4.0f}%" for value in medians))
    for name, looks in real.items():
        spectrum, ring, grey = distance(looks, synthetic)
        print(f"{name}: spectrum {spectrum:.2f} sd off, most at {ring:.1f} cycles per diameter; grey values {grey:.3f} off")


def plot(synthetic: Sequence[Look], real: dict[str, list[Look]], path: Path) -> None:
    """Draw spectra and histograms: the synthetic scenes as a band of 5 to 95 per cent, the sets as lines."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    middle = (GREY[1:] + GREY[:-1]) / 2
    for axis, x, name in ((axes[0], frequencies(), "spectrum"), (axes[1], middle, "histogram")):
        curves = np.stack([getattr(each, name) for each in synthetic])
        low, half, high = np.percentile(curves, (5, 50, 95), axis=0)
        axis.fill_between(x, low, high, color="0.85", label="synthetic, 5 to 95 %")
        axis.plot(x, half, color="0.4", label="synthetic, median")
        for label, looks in real.items():
            axis.plot(x, np.median([getattr(each, name) for each in looks], axis=0), label=label)
        axis.set(yscale="log")
    axes[0].set(xlabel="cycles per diameter", ylabel="power density over its mean", xscale="log")
    axes[0].set_xticks((0.2, 0.5, 1, 2, 5), ("0.2", "0.5", "1", "2", "5"), minor=False)
    axes[0].minorticks_off()
    axes[1].set(xlabel="grey value after preprocessing", ylabel="share of pixels", ylim=(1e-6, None))
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
