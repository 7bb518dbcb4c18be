"""Where a micrograph is contaminated, by the network that picked it."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.inspect.job import Job
from relion_ganpick.inspect.pictures import Looks

if TYPE_CHECKING:
    from relion_ganpick.picking.picker import Picker


class ContaminationFinder:
    """Asks a job's model where contamination is; the model is loaded when it is first asked.

    Parameters
    ----------
    job
        Says which model picked; where it does not, the default one is asked.
    device
        "auto", "cpu", "cuda" or "cuda:N".
    """

    def __init__(self, job: Job, device: str = "auto") -> None:
        self._job, self._device = job, device
        self._lock = threading.Lock()

    def __call__(self, looks: Looks) -> NDArray[np.float32]:
        """Chance of contamination at each place of the picture at the working scale, (h, w) float32.

        Raises
        ------
        GanpickError
            If the model does not know contamination.
        """
        with self._lock:
            marked = self._picker.mark(looks.picture)
        if len(marked) < 2:
            raise GanpickError(f"model {self._picker.model.card.name} does not tell contamination")
        return np.asarray(marked[1], np.float32)

    @cached_property
    def _picker(self) -> Picker:
        from relion_ganpick.picking.picker import Picker

        facts = self._job.facts
        return Picker(PickSettings(diameter=self._job.diameter, model=facts.model or "default"), self._device)
