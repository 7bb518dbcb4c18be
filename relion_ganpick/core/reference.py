"""The former address of `relion_ganpick.formats.coordinates`, kept for scripts that were written for version 0.5."""

from relion_ganpick.formats.coordinates import Coordinates, micrograph_stem, read_coordinates, without_ignored

__all__ = ["Coordinates", "micrograph_stem", "read_coordinates", "without_ignored"]
