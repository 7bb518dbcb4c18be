"""The former address of `relion_ganpick.formats.coordinates`, kept for scripts that were written for version 0.5."""

from relion_ganpick.formats.coordinates import Coordinates, read_coordinates, without_ignored
from relion_ganpick.formats.names import micrograph_stem

__all__ = ["Coordinates", "micrograph_stem", "read_coordinates", "without_ignored"]
