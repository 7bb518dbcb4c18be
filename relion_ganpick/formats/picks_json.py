"""``<micrograph>_picks.json``: what was found on one micrograph, for pipelines; docs/picks.schema.json describes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.core.picks import THRESHOLDS, Picks, counts_above
from relion_ganpick.formats.pick_files import read_picks
from relion_ganpick.version import __version__

FORMAT, FORMAT_VERSION = "ganpick picks", 1
SUFFIX = "_picks.json"
COLUMNS = ("x", "y", "figure_of_merit")
_PICKS = '"picks":{'


@dataclass(frozen=True)
class PickedMicrograph:
    """What is known of a micrograph beside its picks.

    Attributes
    ----------
    name
        As the run's input has it.
    shape
        (h, w) in pixels; None where it is not known.
    pixel_size
        Angstrom per pixel.
    diameter
        Of the particle in Angstrom.
    threshold
        Smallest figure of merit of a pick.
    contaminated_share
        Share of the image that is contaminated; None where the model does not say.
    seconds
        Time by stage: read, scale, network, localise.
    model
        Its name and sha256.
    """

    name: str
    shape: tuple[int, int] | None
    pixel_size: float | None
    diameter: float
    threshold: float
    contaminated_share: float | None
    seconds: Mapping[str, float] = field(default_factory=dict)
    model: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Head:
    """The numbers of a file without its coordinates.

    Attributes
    ----------
    n_picks
        Number of picks.
    mean
        Their mean figure of merit, picks by hand left out; None without any.
    contaminated_share
        Share of the image that is contaminated; None where it is not known.
    """

    n_picks: int
    mean: float | None
    contaminated_share: float | None

    @property
    def numbers(self) -> tuple[int, float | None, float | None]:
        """All three."""
        return self.n_picks, self.mean, self.contaminated_share


def json_file(coordinates: Path) -> Path:
    """Name of the file beside a coordinate file."""
    return coordinates.with_name(coordinates.name.removesuffix(".star").removesuffix("_autopick") + SUFFIX)


def write_json(path: Path, about: PickedMicrograph, picks: Picks, scored: Picks) -> None:
    """Write picks under another name first.

    Parameters
    ----------
    path
        Where to; its folder is made.
    about
        What is known of the micrograph.
    picks
        Those that are kept, in pixels of the micrograph.
    scored
        All that were scored, for the counts at each threshold.
    """
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "program": {"name": "relion-ganpick", "version": __version__},
        "model": dict(about.model),
        "micrograph": about.name,
        "shape": None if about.shape is None else list(about.shape),
        "pixel_size": about.pixel_size,
        "diameter": about.diameter,
        "threshold": about.threshold,
        "edited": False,
        "counts": {f"{cut:.1f}": count for cut, count in zip(THRESHOLDS, counts_above(scored.score), strict=True)},
        "contaminated_share": None if about.contaminated_share is None else round(about.contaminated_share, 4),
        "seconds": {stage: round(value, 3) for stage, value in about.seconds.items()},
    }
    _write(path, content, picks)


def refresh_json(path: Path, picks: Picks, threshold: float | None = None, edited: bool = False) -> None:
    """Put other picks into a file; where there is none, nothing is known to write.

    Parameters
    ----------
    path
        The file.
    picks
        What is kept now; a figure of merit below 0 is that of a pick by hand.
    threshold
        The one that they were cut at; None leaves it.
    edited
        Whether a person has changed them.
    """
    content = _read(path)
    if content is not None:
        content["threshold"] = content["threshold"] if threshold is None else threshold
        content["edited"] = edited
        _write(path, content, picks)


def follow_edited(coordinates: Path, warn: Callable[[str], None]) -> None:
    """Let the file beside a coordinate file, if there is one, say what a person has made of that since.

    Parameters
    ----------
    coordinates
        The file that was edited.
    warn
        Is told if one of them is damaged.
    """
    beside = json_file(coordinates)
    try:
        if beside.is_file() and beside.stat().st_mtime_ns < coordinates.stat().st_mtime_ns:
            refresh_json(beside, read_picks(coordinates), edited=True)
    except GanpickError as error:
        warn(f"{error}; the picks are not affected")


def read_head(path: Path) -> Head | None:
    """Read the numbers of a file without its coordinates; None if there is no such file."""
    content = _read(path)
    if content is None:
        return None
    return Head(content["n_picks"], content["mean_figure_of_merit"], content["contaminated_share"])


def _read(path: Path) -> dict[str, Any] | None:
    """Read all but the coordinates, which come last and are most of it."""
    try:
        head, found, _ = path.read_text().partition(_PICKS)
        content = json.loads(head + _PICKS + "}}") if found else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise GanpickError(f"{path}: damaged ({error}); delete it, and pick the micrograph again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise GanpickError(f"{path}: holds no picks of this program; delete it, and pick the micrograph again")
    return content


def _write(path: Path, content: dict[str, Any], picks: Picks) -> None:
    merits = picks.score[(picks.score >= 0) & (picks.score <= 1)]
    numbers = {"n_picks": len(picks), "mean_figure_of_merit": round(float(merits.mean()), 4) if len(merits) else None}
    values = (picks.x.tolist(), picks.y.tolist(), [score if 0 <= score <= 1 else None for score in picks.score.tolist()])
    columns = dict(zip(COLUMNS, values, strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = {name: value for name, value in content.items() if name not in (*numbers, "picks")}
    write_atomic(path, json.dumps(rest | numbers | {"picks": columns}, separators=(",", ":")) + "\n")
