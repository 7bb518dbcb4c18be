"""What holds for every file of a micrograph, whatever its format: how large it may be, and what is said of damage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from relion_ganpick.core.errors import GanpickError

MOST_MEGAPIXELS = 16384**2 / 1e6  # of the largest detectors: a Falcon 4 at four times its resolution
IMPOSSIBLE = 2**30  # pixels; a header that says more is damaged
AGAIN = "copy or write the file again"


@dataclass
class Limits:
    """What files may ask for in this process."""

    megapixels: float = MOST_MEGAPIXELS


LIMITS = Limits()


def check_shape(height: int, width: int, path: Path) -> None:
    """Refuse a size that no micrograph has, before any memory is taken for it.

    Raises
    ------
    GanpickError
        If a side is not positive, or there are more pixels than allowed.
    """
    if height <= 0 or width <= 0 or height * width > IMPOSSIBLE:
        raise GanpickError(f"{path}: its header says {width} x {height} pixels, which no micrograph has: it is damaged; {AGAIN}")
    if height * width > LIMITS.megapixels * 1e6:
        raise GanpickError(
            f"{path}: its header says {width} x {height} pixels, more than the largest detectors have: it is damaged or no "
            f"micrograph. If it is one, give `max_megapixels` {-(-height * width // 10**6)}"
        )


def truncated(path: Path, needed: int, found: int) -> GanpickError:
    """Say that a file is shorter than its header says."""
    return GanpickError(f"{path}: truncated: {found} bytes, but its header says {needed}; {AGAIN}")


def stack(path: Path, sections: int) -> GanpickError:
    """Say that a file holds more than one picture."""
    return GanpickError(f"{path}: a stack or movie of {sections} sections; give the motion-corrected micrograph")
