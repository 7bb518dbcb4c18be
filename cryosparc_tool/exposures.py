"""The former address of `cryosparc_tool.data.exposures`, kept for scripts that were written for version 0.5."""

from cryosparc_tool.data.exposures import Exposure, choose_output, exposures_from

__all__ = ["Exposure", "choose_output", "exposures_from"]
