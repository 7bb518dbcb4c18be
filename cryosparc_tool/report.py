"""What the job's event log shows: a histogram of scores, a table of counts, pictures of picks."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from cryosparc_tool.data.exposures import Exposure
from relion_ganpick.core.files import fitted
from relion_ganpick.core.picks import THRESHOLDS

BINS = 40
MOST_PROBLEMS = 20


def score_counts(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count scores in bins of 1/40 from 0 to 1."""
    return np.histogram(np.clip(scores, 0, 1), BINS, (0, 1))[0]


def histogram(counts: NDArray[np.int64], threshold: float) -> tuple[bytes, str]:
    """Draw counts of scores with the threshold.

    Returns
    -------
    A PNG, and the numbers as CSV.
    """
    from matplotlib.figure import Figure

    edges = np.linspace(0, 1, BINS + 1)
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    colours = ["#1f77b4" if low >= threshold else "#c7c7c7" for low in edges[:-1]]
    axes.bar(edges[:-1], counts, width=1 / BINS, align="edge", color=colours)
    axes.axvline(threshold, color="#d62728", label=f"threshold {threshold:g}")
    axes.set(xlabel="figure of merit (NCC score)", ylabel="picks", xlim=(0, 1))
    axes.legend(frameon=False)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=120)
    lines = [f"{low:.3f},{high:.3f},{count}" for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)]
    return png.getvalue(), "from,to,picks\n" + "\n".join(lines) + "\n"


def table(numbers: Sequence[int], above: Sequence[int], threshold: float, problems: Mapping[int, str], model: str = "") -> str:
    """Put counts in a few lines, and the micrographs that were skipped, with their reasons.

    Parameters
    ----------
    numbers
        Number of picks of each micrograph.
    above
        How many picks survive at thresholds of 0.1, 0.2 ... 0.9.
    threshold
        The one that was applied.
    problems
        Reason by exposure, for those without a result.
    model
        Name of the model, if it was chosen by adaptation.
    """
    counts = np.array(numbers, int) if len(numbers) else np.zeros(1, int)
    low, middle, high = (round(float(value)) for value in np.percentile(counts, (0, 50, 100)))
    rows = [
        ("micrographs picked", str(len(numbers))),
        ("micrographs without picks", str(int((counts == 0).sum()) if len(numbers) else 0)),
        ("micrographs skipped", str(len(problems))),
        (f"picks at threshold {threshold:g}", str(int(counts.sum()))),
        ("picks per micrograph, least / median / most", f"{low} / {middle} / {high}"),
        *((f"picks at threshold {cut:.1f}", str(count)) for cut, count in zip(THRESHOLDS, above, strict=True)),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value:>10}" for name, value in rows]
    lines += [f"picked with model {model}"] if model else []
    shown = list(problems.values())[:MOST_PROBLEMS]
    lines += [f"skipped: {problem}" for problem in shown]
    if len(problems) > len(shown):
        lines.append(f"skipped: {len(problems) - len(shown)} more, see micrographs.csv")
    return "\n".join(lines)


def picture_path(folder: Path, exposure: Exposure) -> Path:
    """Where the picture of an exposure lies."""
    return exposure_path(folder / "overlays", exposure, ".png")


def exposure_path(folder: Path, exposure: Exposure, ending: str) -> Path:
    """Name a file of an exposure in a folder."""
    return folder / (fitted(f"{exposure.uid}_{PurePosixPath(exposure.path).stem}") + ending)
