"""Adapt the model to some of a job's exposures before they are picked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryosparc_tool.console import Console
from cryosparc_tool.data.exposures import Exposure
from cryosparc_tool.data.files import MicrographFiles
from cryosparc_tool.data.power import RatingPicker
from relion_ganpick.adaptation.options import FOLDER, AdaptOptions
from relion_ganpick.core.settings import PickSettings, RunSettings


def adapted_picker(
    pick: PickSettings,
    how: RunSettings,
    adapt: AdaptOptions,
    exposures: Sequence[Exposure],
    files: MicrographFiles,
    folder: Path,
    console: Console,
) -> RatingPicker:
    """Make the picker whose model is the better one, the given or the adapted; see `adaptation.choice.choose_model`.

    Micrographs that are not there or cannot be read are left out without a word here: picking has a line for each of them.

    Parameters
    ----------
    pick, how, adapt
        What to pick, how, and how to adapt.
    exposures, files
        The job's micrographs; those that must be downloaded are released at once.
    folder
        Results on this machine; the adapted model goes into a folder in it.
    """
    from relion_ganpick.adaptation.choice import JobMicrographs, choose_model, prepared_pictures

    picker = RatingPicker(pick, how.device_name)

    def read(chosen: Sequence[int]) -> Iterator[NDArray[np.float32]]:
        for exposure, path in files.paths([exposures[k] for k in chosen]):
            if isinstance(path, Path):
                yield from prepared_pictures(picker, [(path, exposure.pixel_size or how.angpix)], lambda _: None)
            files.release(exposure)

    names = [exposure.path for exposure in exposures]
    candidates = JobMicrographs(names, exposures[0].pixel_size or how.angpix, read)
    model = choose_model(picker, candidates, adapt, folder / FOLDER, console.say, console.complain)
    if model is picker.model:
        return picker
    settings = replace(picker.settings, threshold=pick.threshold)  # each model has a threshold of its own
    return RatingPicker(settings, how.device_name, model)
