"""The exposures of a job as the micrographs of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from cryosparc_tool.data.exposures import Exposure
from cryosparc_tool.data.files import MicrographFiles, MissingError
from relion_ganpick.picking.stream import Task
from relion_ganpick.runs.source import Missing


class ExposureSource:
    """Exposures whose files are on this machine or are downloaded when they are needed.

    Parameters
    ----------
    exposures
        All of them, in order.
    files
        Where their files are.
    angpix
        Angstrom per pixel where an exposure has none.
    check
        Called before each exposure; raises if the run is to end.
    """

    def __init__(
        self,
        exposures: Sequence[Exposure],
        files: MicrographFiles,
        angpix: float | None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.exposures, self.files, self.angpix, self.check = exposures, files, angpix, check

    def __len__(self) -> int:
        return len(self.exposures)

    def name(self, index: int) -> str:
        """Path of an exposure in its project."""
        return self.exposures[index].path

    def pixel_size(self, index: int) -> float | None:
        """Angstrom per pixel of an exposure."""
        return self.exposures[index].pixel_size or self.angpix

    def fetch(self, indices: Iterable[int]) -> Iterator[tuple[int, Task | Missing]]:
        """Find or download files in order, some ahead."""
        order: list[int] = []

        def wanted() -> Iterator[Exposure]:
            for index in indices:
                self.check()
                order.append(index)
                yield self.exposures[index]

        for exposure, found in self.files.paths(wanted()):
            index = order.pop(0)
            yield index, self._usable(index, exposure, found)

    def release(self, index: int) -> None:
        """Delete a downloaded file."""
        self.files.release(self.exposures[index])

    def _usable(self, index: int, exposure: Exposure, found: Path | MissingError) -> Task | Missing:
        """Take only what is there, and of the format whose rows are known to run as CryoSPARC counts them."""
        if not isinstance(found, Path):
            return Missing(str(found))
        if ".mrc" not in "".join(Path(exposure.path).suffixes[-2:]).lower():
            self.release(index)
            return Missing(f"{exposure.path}: not an MRC file; convert it, or pick the output of a motion correction job")
        return Task(exposure.path, found, self.pixel_size(index))
