"""The External job's worker: picks the micrographs that are not finished, writes their files, reports.

It may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from relion_ganpick.adaptation.options import FOLDER, AdaptOptions
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.picks import Picks, counts_above
from relion_ganpick.core.settings import PickSettings, RunSettings
from relion_ganpick.formats.pick_files import FileState, State, digest, inspect_picks, read_picks, write_picks
from relion_ganpick.picking.auto_diameter import preferred, resolve_diameter
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Result, Task, stream
from relion_ganpick.picking.working_diameter import with_working_diameter
from relion_ganpick.relion.names import inside_stem, pick_file, scores_file
from relion_ganpick.report.overlays import which_overlays, write_overlay
from relion_ganpick.report.summary import Summary
from relion_ganpick.version import __version__


class Worker:
    """One run over the micrographs of a job.

    Parameters
    ----------
    plan
        Folder, settings and micrographs, as the executable sends them.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self.output: str = plan["output"]
        self.keep_inside: bool = plan["keep_inside"]
        self.run_settings = RunSettings(**plan["run"])
        self.adapt_options = AdaptOptions(**plan["adapt"])
        self.threshold: float | None = plan["pick"]["threshold"]
        self.pixel_sizes: dict[str, float | None] = dict(plan["micrographs"])
        self.names = list(self.pixel_sizes)
        torch.set_num_threads(self.run_settings.j)
        cv2.setNumThreads(self.run_settings.j)
        device = self.run_settings.device_name
        self.first_pixel_size = self.pixel_sizes[self.names[0]]
        settings = resolve_diameter(
            PickSettings(**plan["pick"]),
            self._preferred(),
            device,
            Path(self.output),
            announce,
            pixel_size=self.first_pixel_size,
        )
        self.picker = Picker(settings, device)
        self.summary = Summary()
        self.fingerprints: dict[str, str | None] = {}
        self.bar = tqdm(total=len(self.names), disable=not sys.stdout.isatty(), file=sys.stdout, desc="pick")

    def run(self) -> int:
        """Pick everything that is missing.

        Returns
        -------
        Exit status: 0, or 1 if no micrograph could be used.
        """
        picker = self.picker
        card, precision = picker.model.card, str(picker.dtype).removeprefix("torch.")
        self.say(
            f"relion_ganpick {__version__} on {picker.device} ({precision}), {self.run_settings.j} threads, "
            f"model {card.name} {card.sha256[:12]}, diameter {picker.settings.diameter_angstrom:g} A"
        )
        folder = Path(self.output)
        picker = with_working_diameter(picker, self._preferred(), folder, self.say, pixel_size=self.first_pixel_size)
        self.picker = picker
        if self.adapt_options.adapt:
            picker = self.picker = self._adapted(picker)
        for result in stream(self._tasks(), picker, self.run_settings.j):
            self._record(result)
        self.bar.close()
        self._write_overlays()
        for line in self.summary.lines(picker.threshold, picker.model.card.name):
            self.say(line)
        if not self.summary.micrographs:
            complain("no micrograph could be used: the lines above say why for each of them")
            return 1
        if not self.summary.picks:
            complain("WARNING: not one pick in all micrographs: check --diameter, the pixel size, --contrast and --threshold")
        return 0

    def _adapted(self, picker: Picker) -> Picker:
        """Adapt the model to some of the job's micrographs, or find what was decided before; returns the picker that picks.

        Micrographs that cannot be read are left out without a word here: picking has a line for each of them.
        """
        from relion_ganpick.adaptation.choice import JobMicrographs, choose_model, prepared_pictures

        def read(chosen: Sequence[int]) -> Iterator[NDArray[np.float32]]:
            micrographs = [(Path(self.names[k]), self.pixel_sizes[self.names[k]]) for k in chosen]
            return prepared_pictures(picker, micrographs, lambda _: None)

        candidates = JobMicrographs(self.names, self.first_pixel_size, read)
        model = choose_model(picker, candidates, self.adapt_options, Path(self.output + FOLDER), self.say, complain)
        if model is not picker.model:
            settings = replace(picker.settings, threshold=self.threshold)  # each model has a threshold of its own
            picker = Picker(settings, self.run_settings.device_name, model)
        self.say(f"picking with model {model.card.name} {model.card.sha256[:12]}, threshold {picker.threshold:g}")
        return picker

    def _preferred(self) -> Iterator[Task]:
        """Micrographs in the order in which diameters are found from them."""
        for index in preferred(len(self.names)):
            name = self.names[index]
            yield Task(name, Path(name), self.pixel_sizes[name])

    def _tasks(self) -> Iterator[Task]:
        """Micrographs that must go through the network; the others are settled on the way."""
        for name in self.names:
            path = Path(pick_file(self.output, name, self.keep_inside))
            found = inspect_picks(path)
            fingerprint = self.fingerprints[name] = self._fingerprint(name)
            if found.state is State.EDITED:
                self.say(f"{name}: {found.n_picks} picks, edited since they were written: kept")
                self._count(found)
            elif fingerprint is None:
                yield Task(name, Path(name), self.pixel_sizes[name])
            elif found.state is State.OURS and found.settings == self._settings_digest(fingerprint):
                self._count(found)
            elif not self._cut_again(name, path, fingerprint):
                yield Task(name, Path(name), self.pixel_sizes[name])

    def _count(self, found: FileState) -> None:
        self.summary.add(found.n_picks, found.above, finished_before=True)
        self.bar.update()

    def _cut_again(self, name: str, path: Path, fingerprint: str) -> bool:
        """Apply a new threshold to scores that are still good; no network is needed."""
        scores = Path(scores_file(self.output, name))
        found = inspect_picks(scores)
        if found.state is not State.OURS or found.settings != fingerprint:
            return False
        scored = read_picks(scores)
        self._write(name, path, scored, fingerprint)
        return True

    def _record(self, result: Result) -> None:
        """File one micrograph's picks: first all scores, then the picks that RELION reads."""
        name = result.task.name
        if result.warning:
            complain(f"WARNING: {result.warning}")
        if self.pixel_sizes[name] is None and result.picks is not None:
            complain(f"WARNING: {name}: the STAR file gives no pixel size, so that of its header is used; --angpix overrides it")
        if result.picks is None:
            complain(result.error or f"{name}: failed")
            self._drop_outdated(name)
            self.summary.add_failure()
            self.bar.update()
            return
        # taken before the file was read: should it change meanwhile, the next run picks it again
        fingerprint = self.fingerprints.pop(name) or digest("")
        write_picks(Path(scores_file(self.output, name)), result.picks, fingerprint)
        self._write(
            name, Path(pick_file(self.output, name, self.keep_inside)), result.picks, fingerprint, sum(result.seconds.values())
        )

    def _drop_outdated(self, name: str) -> None:
        """Take back picks of other settings, or of what the file was before; a file that has gone may come back."""
        path = Path(pick_file(self.output, name, self.keep_inside))
        if self.fingerprints.pop(name) and inspect_picks(path).state is State.OURS:
            path.unlink()

    def _write(self, name: str, path: Path, scored: Picks, fingerprint: str, seconds: float = 0.0) -> None:
        picks = scored.above(self.picker.threshold)
        write_picks(path, picks, self._settings_digest(fingerprint), scored)
        self.summary.add(len(picks), counts_above(scored.score))
        self.bar.update()
        done = self.summary.micrographs + self.summary.failures
        how = f"{seconds:.2f} s" if seconds else "from its scores"
        self.say(f"[{done:{len(str(len(self.names)))}d}/{len(self.names)}] {name}: {len(picks)} picks ({how})")

    def _fingerprint(self, name: str) -> str | None:
        """Digest of all that a micrograph's scores depend on; None if there is no such file."""
        try:
            status = os.stat(name)
        except OSError:
            return None
        settings = {k: v for k, v in asdict(self.picker.settings).items() if k not in ("threshold", "model")}
        card = self.picker.model.card
        facts = [__version__, card.sha256, card.calibration, settings, self.pixel_sizes[name], status.st_size, status.st_mtime_ns]
        return digest(json.dumps(facts, sort_keys=True))

    def _settings_digest(self, fingerprint: str) -> str:
        return digest(f"{fingerprint} {self.picker.threshold!r}")

    def _write_overlays(self) -> None:
        """Draw the first, middle and last micrographs whose picks are newer than their picture; no job fails for a picture."""
        for index in which_overlays(len(self.names), self.run_settings.overlays):
            name = self.names[index]
            picks = Path(pick_file(self.output, name, self.keep_inside))
            picture = Path(f"{self.output}overlays/{inside_stem(name)}.png")
            if not picks.is_file() or (picture.is_file() and picture.stat().st_mtime_ns >= picks.stat().st_mtime_ns):
                continue
            try:
                micrograph = read_micrograph(name, self.pixel_sizes[name])
                diameter_px = self.picker.settings.diameter_angstrom / (micrograph.pixel_size or 1.0)
                write_overlay(micrograph.pixels, read_picks(picks), diameter_px, picture)
            except GanpickError as error:
                complain(f"WARNING: {error}; the picks are not affected")

    def say(self, text: str) -> None:
        """Write one line to run.out at once; that it cannot be written there must not stop the work."""
        try:
            if self.bar.disable:
                print(text, flush=True)
            else:
                tqdm.write(text, file=sys.stdout)
        except OSError:
            return


def announce(text: str) -> None:
    """Write one line to run.out before the worker is ready to."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def complain(text: str) -> None:
    """Write one line to run.err at once."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        return


def work(plan: dict[str, Any]) -> int:
    """Carry out a plan.

    Returns
    -------
    Exit status for the watching process: 0 if the job succeeded.
    """
    status = 1
    try:
        status = Worker(plan).run()
    except GanpickError as error:
        complain(f"relion_ganpick: {error}")
    except OSError as error:
        where = error.filename or plan["output"]
        complain(f"relion_ganpick: {where}: {error.strerror}; what was finished is kept: Continue takes up from there")
    except Exception:
        complain(traceback.format_exc())
        complain("relion_ganpick: unexpected error; please report it with the lines above")
    return status
