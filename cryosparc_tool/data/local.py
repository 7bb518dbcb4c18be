"""Results on this machine: written before anything is pushed, and found again by --resume."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryosparc_tool.data.exposures import Exposure
from cryosparc_tool.data.power import RatedPicks
from relion_ganpick.adaptation.options import FOLDER, RECORD
from relion_ganpick.core.cut import CUTS
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import atomic, leftovers, write_atomic
from relion_ganpick.core.locks import take_lock
from relion_ganpick.picking.diameter_record import DIAMETER_FILE, WORKING_DIAMETER_FILE

COLUMNS = ("x", "y", "score", "power")
MICROGRAPHS_AT_ONCE = 500
LOCK = ".lock"


class LocalResult:
    """A folder with everything that a run has found.

    ``run.json`` says what was run, ``diameter.json`` a diameter that was estimated, ``working_diameter.json`` the one that the
    network takes the particle's for; ``scores/`` holds x, y, score and power of everything that was found on each finished
    micrograph, and what these rest on; ``picks.csv``, ``picked_particles.cs`` and ``micrographs.csv`` come at the end: the
    picks above the threshold, and the counts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other run out of the folder, as long as the context lasts.

        Raises
        ------
        GanpickError
            If another run is at work in it, or it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = take_lock(self.folder / LOCK)
        except BlockingIOError as error:
            raise GanpickError(
                f"{self.folder}: another cryosparc_ganpick is at work in this folder; wait until it ends, or give another `out`"
            ) from error
        except OSError as error:
            raise _not_writable(self.folder, error) from error
        try:
            yield
        finally:
            os.close(lock)

    def begin(self, run: dict[str, Any], keep: bool = False) -> None:
        """Make the folder and take down what is run; scores of a run with other settings are dropped, unless ``keep``.

        Raises
        ------
        GanpickError
            If the folder cannot be written.
        """
        try:
            (self.folder / "scores").mkdir(parents=True, exist_ok=True)
            for path in list(leftovers(self.folder)):
                path.unlink(missing_ok=True)
            before = self._run()
            if not keep and (before is None or _decisive(before) != _decisive(run)):
                self._drop_scores()
                for name in (DIAMETER_FILE, WORKING_DIAMETER_FILE, f"{FOLDER}/{RECORD}"):
                    (self.folder / name).unlink(missing_ok=True)
            if before != run:
                write_atomic(self.folder / "run.json", json.dumps(run, indent=1) + "\n")
        except OSError as error:
            raise _not_writable(self.folder, error) from error

    def read_run(self) -> dict[str, Any]:
        """Read what was run.

        Raises
        ------
        GanpickError
            If there is no such result.
        """
        run = self._run()
        if run is None:
            raise GanpickError(
                f"{self.folder / 'run.json'}: not there or not readable; `resume` needs the results of the first run: give the "
                "same `out` (or change to the same folder), on a machine that sees it"
            )
        return run

    def _run(self) -> dict[str, Any] | None:
        try:
            run = json.loads((self.folder / "run.json").read_text())
        except (OSError, ValueError):
            return None
        return run if isinstance(run, dict) else None

    def keep_only(self, basis: dict[str, Any]) -> int:
        """Drop all scores unless they rest on this: the version, the model, the settings; and take it down for the next time.

        Returns
        -------
        Number of micrographs that lost their scores.

        Raises
        ------
        GanpickError
            If the folder cannot be written.
        """
        path, text = self.folder / "scores" / "basis.json", json.dumps(basis, indent=1, sort_keys=True) + "\n"
        try:
            before = path.read_text() if path.is_file() else ""
            dropped = 0 if before == text else self._drop_scores()
            if before != text:
                write_atomic(path, text)
        except OSError as error:
            raise _not_writable(path, error) from error
        return dropped

    def _drop_scores(self) -> int:
        paths = list((self.folder / "scores").glob("*.npy"))
        for path in paths:
            path.unlink(missing_ok=True)
        return len(paths)

    def write_scores(self, exposure: Exposure, picks: RatedPicks) -> None:
        """Keep everything that was found on one micrograph."""
        path = self._scores(exposure)
        try:
            with atomic(path) as temporary, open(temporary, "wb") as out:
                np.save(out, np.stack([getattr(picks, name) for name in COLUMNS], axis=1), allow_pickle=False)
        except OSError as error:
            raise _not_writable(path, error) from error

    def read_scores(self, exposure: Exposure) -> RatedPicks | None:
        """Read what was found on a micrograph; None if it has not been picked."""
        path = self._scores(exposure)
        try:
            columns = np.asarray(np.load(path, allow_pickle=False), np.float64).reshape(-1, len(COLUMNS))
        except FileNotFoundError:
            return None
        except (ValueError, EOFError) as error:
            raise GanpickError(f"{path}: damaged ({error}); delete it, and `resume` picks the micrograph again") from error
        return RatedPicks(*columns.T)

    def has_scores(self, exposure: Exposure) -> bool:
        """Whether a micrograph has been picked."""
        return self._scores(exposure).is_file()

    def write_tables(self, items: Sequence[tuple[Exposure, RatedPicks]], problems: dict[int, str], names: dict[int, str]) -> None:
        """Write ``picks.csv``, and ``micrographs.csv`` with the number of picks or the problem of each micrograph."""
        rows = [(each.uid, each.path, len(picks), "") for each, picks in items]
        rows += [(uid, names[uid], 0, problem) for uid, problem in problems.items()]
        counts = pd.DataFrame(rows, columns=["micrograph_uid", "micrograph", "picks", "problem"])
        try:
            write_atomic(self.folder / "micrographs.csv", counts.to_csv(index=False))
            temporary = self.folder / ".picks.csv.part"
            with open(temporary, "w") as out:
                for number, part in enumerate(_parts(items)):
                    part.to_csv(out, index=False, header=number == 0)
            temporary.replace(self.folder / "picks.csv")
        except OSError as error:
            raise _not_writable(self.folder, error) from error

    def write_dataset(self, dataset: Any) -> Path:
        """Write ``picked_particles.cs``, which numpy, cryosparc-tools and CryoSPARC read."""
        path = self.folder / "picked_particles.cs"
        temporary = self.folder / ".picked_particles.part"
        try:
            dataset.save(temporary)
            temporary.replace(path)
        except OSError as error:
            raise _not_writable(path, error) from error
        return path

    def _scores(self, exposure: Exposure) -> Path:
        return self.folder / "scores" / f"{exposure.uid}.npy"


def _decisive(run: dict[str, Any]) -> dict[str, Any]:
    """Select what scores depend on: all but what chooses among them, and where the results are pushed to."""
    rest = {name: value for name, value in run.items() if name not in ("workspace", "title", "external_job")}
    return rest | {"pick": {name: value for name, value in dict(rest.get("pick") or {}).items() if name not in CUTS}}


def _parts(items: Sequence[tuple[Exposure, RatedPicks]]) -> Iterator[pd.DataFrame]:
    """Rows of ``picks.csv``, some hundred micrographs at a time."""
    for begin in range(0, max(len(items), 1), MICROGRAPHS_AT_ONCE):
        part = items[begin : begin + MICROGRAPHS_AT_ONCE]
        counts = [len(picks) for _, picks in part]
        table = {
            "micrograph_uid": np.repeat(np.array([each.uid for each, _ in part], np.uint64), counts),
            "micrograph": np.repeat(np.array([each.path for each, _ in part], object), counts),
        }
        for name in COLUMNS:
            values = [getattr(picks, name) for _, picks in part]
            table[name] = np.concatenate(values) if values else np.empty(0)
        yield pd.DataFrame(table)


def _not_writable(path: Path, error: OSError) -> GanpickError:
    return GanpickError(f"{path}: cannot be written ({error.strerror or error}); free space or give another `out`, then `resume`")
