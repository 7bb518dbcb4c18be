"""What the page is told about a job as a whole, ready for JSON."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.formats.pick_files import State
from relion_ganpick.inspect.job import Job, short_names
from relion_ganpick.inspect.scores import STATES, STEPS, Scores
from relion_ganpick.version import __version__

ODD_SPREADS = 4.0
LEAST_SPREAD = 0.1
NORMAL, EDITED, REJECTED, MISSING = "normal", "edited", "rejected", "missing"


def job_payload(job: Job, scores: Scores, served: bool, text: str | None = None) -> dict[str, Any]:
    """Names, states and numbers of all micrographs, and all figures of merit, packed.

    Parameters
    ----------
    job, scores
        The job and its figures of merit.
    served
        Whether the page is served, and so can save.
    text
        The figures of merit, if they are packed already.
    """
    cut = scores.cut(job.facts)
    return {
        "folder": str(job.folder).rstrip("/"),
        "served": served,
        "version": __version__,
        "diameter": job.diameter,
        "contrast": job.facts.contrast,
        "model": job.facts.model,
        "threshold": cut.threshold,
        "best": cut.best,
        "most": cut.most,
        "names": short_names(job.names),
        "states": states(scores),
        "odd": odd_ones(scores, job.contaminated, cut.threshold).tolist(),
        "defocus": numbers(job.defocus, 3),
        "contaminated": numbers(job.contaminated, 4),
        "n_file": scores.n_file.tolist(),
        "mean_file": numbers(scores.mean_file, 4),
        "counts": np.diff(scores.starts).tolist(),
        "steps": STEPS,
        "scores": packed(scores) if text is None else text,
    }


def states(scores: Scores) -> list[str]:
    """State of each micrograph in one word; an edited one without picks is rejected."""
    names = {State.MISSING: MISSING, State.OURS: NORMAL, State.EDITED: EDITED}
    found = [names[STATES[code]] for code in scores.state]
    return [REJECTED if name == EDITED and not n else name for name, n in zip(found, scores.n_file, strict=True)]


def odd_ones(scores: Scores, contaminated: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Find micrographs that differ from the others by more than four spreads in picks, merit or contamination, (n,) bool.

    A spread is the median distance from the median, times 1.4826, and at least a tenth of the median.
    """
    n = len(scores.n_file)
    kept = scores.score >= round(threshold * STEPS)
    count = kept_counts(scores, threshold)
    merit = np.concatenate([[0.0], np.cumsum(np.where(kept, scores.score, 0), dtype=float)])
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (merit[scores.starts[1:]] - merit[scores.starts[:-1]]) / count / STEPS
    odd = np.zeros(n, bool)
    for values in (np.sqrt(count.astype(float)), mean, np.sqrt(contaminated)):
        known = np.isfinite(values)
        if known.sum() < 5:
            continue
        middle = float(np.median(values[known]))
        spread = max(1.4826 * float(np.median(np.abs(values[known] - middle))), LEAST_SPREAD * abs(middle), 1e-6)
        odd |= known & (np.abs(np.where(known, values, middle) - middle) > ODD_SPREADS * spread)
    return odd


def kept_counts(scores: Scores, threshold: float) -> NDArray[np.int64]:
    """Count each micrograph's scored picks at or above a threshold, (n,)."""
    total = np.concatenate([[0], np.cumsum(scores.score >= round(threshold * STEPS))])
    return np.asarray(total[scores.starts[1:]] - total[scores.starts[:-1]], np.int64)


def packed(scores: Scores) -> str:
    """All figures of merit in one text: differences of neighbours as 16-bit numbers, zlib, base64."""
    steps = np.diff(scores.score.astype(np.int32), prepend=0).astype("<i4").astype("<u2")
    return base64.b64encode(zlib.compress(steps.tobytes(), 6)).decode()


def numbers(values: NDArray[Any], digits: int) -> list[float | None]:
    """Numbers for JSON, which knows no not-a-number."""
    return [None if not np.isfinite(value) else round(float(value), digits) for value in values]
