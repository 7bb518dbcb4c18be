"""The former address of `cryosparc_tool.data.coordinates`, kept for scripts that were written for version 0.5."""

from cryosparc_tool.data.coordinates import Coordinates

__all__ = ["Coordinates"]
