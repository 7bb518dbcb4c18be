"""For services: a model that stays warm, takes one micrograph at a time, and gives its picks."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import Micrograph, read_micrograph
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.settings import PickRequest, PickSettings, RunSettings
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Task
from relion_ganpick.picking.threads import bound_threads
from relion_ganpick.runs.prepare import make_picker
from relion_ganpick.runs.request import RunRequest
from relion_ganpick.runs.source import FileSource

PROGRAM = "session"


class Session:
    """A warm model that any number of threads may ask for picks at the same time.

    A micrograph gets the same picks whenever and by whichever thread it is given, until `learn` is called again.

    Parameters
    ----------
    diameter
        Longest extent of the particle in Angstrom, or "auto" to estimate it in `learn`.
    device
        "auto", "cpu", "cuda" or "cuda:N".
    j
        Number of threads that one micrograph may take; it holds for the whole process.
    angpix
        Angstrom per pixel where neither the call nor the file says.
    folder
        Where `learn` takes down what it has chosen. A new session with the same folder and options goes on with that.
    **options
        As on the command line: ``threshold``, ``model``, ``contrast``, ``working_diameter`` and all others of `PickRequest`.

    Raises
    ------
    GanpickError
        If a value is out of range. A missing model raises `ModelError`, a missing device `DeviceError`.
    TypeError
        If an option is not known.

    Examples
    --------
    >>> from relion_ganpick import Session
    >>> session = Session(diameter=180, device="cpu")
    >>> session.learn(["mic001.mrc", "mic002.mrc", "mic003.mrc"])  # doctest: +SKIP
    >>> picks = session.pick("mic004.mrc")  # doctest: +SKIP
    """

    def __init__(
        self,
        diameter: float | str,
        *,
        device: str = "auto",
        j: int = 1,
        angpix: float | None = None,
        folder: str | Path | None = None,
        **options: Any,
    ) -> None:
        unknown = sorted(set(options) - {each.name for each in fields(PickRequest)})
        if unknown:
            raise TypeError(f"Session() knows no option {', '.join(unknown)}")
        self._request = RunRequest(PickRequest(diameter=diameter, **options), RunSettings(angpix=angpix, device=device, j=j))
        self._folder = None if folder is None else Path(folder)
        self._learning = threading.Lock()
        self._picker: Picker | None = None
        bound_threads(j)
        if not isinstance(diameter, str):
            self._picker = Picker(self._request.pick.settings(diameter), device)

    @property
    def picker(self) -> Picker:
        """The picker as it is now.

        Raises
        ------
        GanpickError
            If the diameter is "auto" and `learn` has not estimated it yet.
        """
        picker = self._picker
        if picker is None:
            raise GanpickError("`diameter` auto: the diameter is not known yet; call learn() with some micrographs first")
        return picker

    @property
    def settings(self) -> PickSettings:
        """Settings that hold now, with the diameters as numbers."""
        return self.picker.settings

    @property
    def threshold(self) -> float | None:
        """Smallest figure of merit of a pick; None while each micrograph has a cut of its own, before `learn`."""
        picker = self.picker
        of_its_own = picker.weighs_sets and picker.evidence is None and picker.asked_threshold is None
        return None if of_its_own else picker.threshold

    def learn(self, micrographs: Iterable[str | Path], renew: bool = False) -> None:
        """Choose what holds for a whole set: the diameter if it is "auto", the working diameter, the evidence.

        Threads that pick meanwhile go on with what was chosen before.

        Parameters
        ----------
        micrographs
            Files of one kind of particle, up to 24 of which are looked at. Six are enough for the working diameter.
        renew
            Choose anew what was taken down in ``folder``.

        Raises
        ------
        GanpickError
            If there are none, or they cannot tell the diameter.
        """
        with self._learning:
            tasks = [Task(str(path), Path(path), self._request.how.angpix) for path in micrographs]
            if not tasks:
                raise GanpickError("learn() was given no micrographs; give some of one kind of particle")
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            self._picker = make_picker(self._request, FileSource(tasks), Picker, PROGRAM, self._folder, not renew)

    def pick(self, micrograph: str | Path | Micrograph, pixel_size: float | None = None) -> Picks:
        """Pick one micrograph.

        Parameters
        ----------
        micrograph
            A file, or pixels with their pixel size.
        pixel_size
            Angstrom per pixel of a file; None takes ``angpix``, or else the file's own.

        Returns
        -------
        Picks in pixels of the file, best first. None at all is an answer too, and no error.

        Raises
        ------
        GanpickError
            If the micrograph cannot be read, or has no usable image at this diameter. A device that is lost raises
            `DeviceError`; the session is of no use then.
        """
        return self.picker.pick(self._read(micrograph, pixel_size))

    def score(self, micrograph: str | Path | Micrograph, pixel_size: float | None = None) -> Picks:
        """Pick one micrograph as `pick` does, and keep everything above a low floor."""
        return self.picker.score(self._read(micrograph, pixel_size))

    def _read(self, micrograph: str | Path | Micrograph, pixel_size: float | None) -> Micrograph:
        if isinstance(micrograph, Micrograph):
            return micrograph
        return read_micrograph(micrograph, self._request.how.angpix if pixel_size is None else pixel_size)
