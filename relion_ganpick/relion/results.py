"""Results of an External job: coordinate files for RELION, scores for *Continue*, and what of both still holds."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from relion_ganpick.core.cut import CUTS
from relion_ganpick.core.picks import Picks, counts_above
from relion_ganpick.formats.micrographs_star import MicrographEntry
from relion_ganpick.formats.pick_files import (
    FileState,
    State,
    can_be_read,
    cut_digest,
    digest,
    inspect_picks,
    read_picks,
    write_picks,
)
from relion_ganpick.formats.picks_json import follow_edited, json_file, read_head, refresh_json, write_json
from relion_ganpick.inspect.job import Facts, Job
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Result
from relion_ganpick.relion.names import inside_stem, pick_file, scores_file
from relion_ganpick.runs.repeated import Repeated
from relion_ganpick.runs.results import Finished, described
from relion_ganpick.version import __version__

FEW = 3  # files that were touched are named, so that they can be mended; thousands of them are counted


@dataclass(frozen=True)
class JobDoor:
    """What a worker needs to file one micrograph of a job; see `JobResults`."""

    output: str
    keep_inside: bool
    entry: MicrographEntry

    def results(self, picker: Picker) -> JobResults:
        """Make the results of this one micrograph."""
        return JobResults(self.output, [self.entry], self.keep_inside, picker)


class JobResults:
    """Files of a job's folder.

    Parameters
    ----------
    output
        The folder with its final slash.
    entries
        The job's micrographs.
    keep_inside
        Whether coordinate files must stay in the folder; see `pick_file`.
    picker
        What the picks come from.
    in_mics
        The micrographs STAR file.
    """

    def __init__(
        self, output: str, entries: Sequence[MicrographEntry], keep_inside: bool, picker: Picker, in_mics: Path | None = None
    ) -> None:
        self.output, self.entries, self.keep_inside, self.picker, self.in_mics = output, entries, keep_inside, picker, in_mics
        self._fingerprints: dict[int, str | None] = {}
        self._shares: dict[int, float | None] = {}
        self._warnings = Repeated(FEW)

    def finished(self, index: int) -> Finished | None:
        """Find a micrograph whose coordinates still hold or were edited, or choose anew among its scores."""
        path = self._pick_file(index)
        found = inspect_picks(path)
        fingerprint = self._fingerprints[index] = self._fingerprint(index)
        if found.state is State.EDITED:
            if found.reason:
                self._warnings.warn(f"{path}: {found.reason}: kept; delete it to have this micrograph picked anew", kind="kept")
            follow_edited(path, partial(self._warnings.warn, kind="picks.json"))
            return _as_before(found, ", edited since: kept")
        if found.state is State.UNREADABLE:
            self._warnings.warn(
                f"{path}: {found.reason}; not ours, so it is kept, but left out of the list; mend it, "
                "or delete it to have this micrograph picked anew",
                kind="unreadable",
            )
            return _as_before(found, ", cannot be read: kept")
        if found.state is State.DAMAGED:
            self._warnings.warn(f"{path}: {found.reason}: this micrograph is picked anew", kind="damaged")
        if fingerprint is None:
            return None
        if found.state is State.OURS and found.settings == self._settings_digest(fingerprint):
            del self._fingerprints[index]  # nothing more is to be known of it, and there may be tens of thousands
            return _as_before(found)
        return self._cut_again(index, path, fingerprint)

    def end(self) -> None:
        """Say how many more files were touched than those that were named."""
        self._warnings.end()

    def refuse(self, index: int, result: Result) -> str | None:
        """Refuse nothing: RELION's micrographs are the files themselves."""
        return None

    def keep(self, index: int, result: Result, picks: Picks) -> None:
        """Write the picks for pipelines, then all scores, then the picks that RELION reads, by which it is finished.

        Wherever a kill comes between: scores that hold have their picks for pipelines beside them.
        """
        assert result.picks is not None
        # taken before the file was read: should it change meanwhile, the next run picks it again
        fingerprint = self._fingerprints.pop(index) or digest("")
        self._shares[index] = result.contaminated_share
        about = described(self.picker, self._name(index), result)
        write_json(json_file(self._pick_file(index)), about, picks, result.picks)
        write_picks(Path(scores_file(self.output, self._name(index))), result.picks, fingerprint)
        write_picks(self._pick_file(index), picks, self._settings_digest(fingerprint), result.picks)

    def failed(self, index: int, reason: str) -> str:
        """Take back picks of other settings, or of what the file was before; a file that has gone may come back."""
        path = self._pick_file(index)
        if self._fingerprints.pop(index, None) and inspect_picks(path).state in (State.OURS, State.DAMAGED):
            path.unlink()
            json_file(path).unlink(missing_ok=True)
        return reason

    def place(self, index: int, folder: str, ending: str) -> Path:
        """Name a file by the micrograph's, without its job's folder."""
        return Path(f"{self.output}{folder}/{inside_stem(self._name(index))}{ending}")

    def picture(self, index: int) -> tuple[Path, Picks, Picks] | None:
        """Draw what is in the coordinate file and what is not, unless the picture is newer."""
        picks = self._pick_file(index)
        picture = self.place(index, "overlays", ".png")
        if not picks.is_file() or (picture.is_file() and picture.stat().st_mtime_ns >= picks.stat().st_mtime_ns):
            return None
        if inspect_picks(picks).state is State.UNREADABLE:
            return None
        kept, scores = read_picks(picks), Path(scores_file(self.output, self._name(index)))
        return picture, kept, (read_picks(scores) if scores.is_file() else Picks.none()).without(kept)

    def as_job(self, facts: Facts) -> Job | None:
        """Describe the job by the coordinate files that are there."""
        there = [index for index in range(len(self.entries)) if can_be_read(self._pick_file(index))]
        if not there:
            return None
        shares = [self._share(index) for index in there]
        return Job(
            Path(self.output),
            Path.cwd(),
            tuple(self._name(index) for index in there),
            tuple(self._pick_file(index) for index in there),
            tuple(Path(scores_file(self.output, self._name(index))) for index in there),
            facts,
            self.in_mics,
            {self._name(index): np.nan if share is None else share for index, share in zip(there, shares, strict=True)},
        )

    def _share(self, index: int) -> float | None:
        """Contaminated share of a micrograph, from this run or from an earlier one."""
        if index not in self._shares:
            head = read_head(json_file(self._pick_file(index)))
            self._shares[index] = None if head is None else head.contaminated_share
        return self._shares[index]

    def door(self, index: int) -> JobDoor:
        """Say how a worker elsewhere files a micrograph: names, as the run's own process has them."""
        return JobDoor(self.output, self.keep_inside, self.entries[index])

    def taken(self, index: int, share: float | None) -> bool:
        """Look whether the coordinates are here."""
        self._fingerprints.pop(index, None)
        self._shares[index] = share
        return self._pick_file(index).is_file()

    def _cut_again(self, index: int, path: Path, fingerprint: str) -> Finished | None:
        """Choose anew among scores that are still good; no network is needed."""
        scores = Path(scores_file(self.output, self._name(index)))
        found = inspect_picks(scores)
        if found.state is not State.OURS or found.settings != fingerprint or not json_file(path).is_file():
            return None
        scored = read_picks(scores)
        picks = self.picker.cut.keep(scored)
        refresh_json(json_file(path), picks, self.picker.threshold)
        write_picks(path, picks, self._settings_digest(fingerprint), scored)
        return Finished(len(picks), counts_above(scored.score), " (from its scores)", before=False)

    def _name(self, index: int) -> str:
        return self.entries[index].name

    def _pick_file(self, index: int) -> Path:
        return Path(pick_file(self.output, self._name(index), self.keep_inside))

    def _fingerprint(self, index: int) -> str | None:
        """Digest of all that a micrograph's scores depend on; None if there is no such file."""
        entry = self.entries[index]
        try:
            status = os.stat(entry.name)
        except OSError:
            return None
        own = json.dumps([entry.pixel_size, status.st_size, status.st_mtime_ns])
        return digest(f"{self._same_for_all[:-1]}, {own[1:]}")

    @cached_property
    def _same_for_all(self) -> str:
        """What scores depend on and no micrograph changes, as JSON; written once, as there may be tens of thousands of them."""
        settings = {k: v for k, v in asdict(self.picker.settings).items() if k not in (*CUTS, "model")}
        card = self.picker.model.card
        evidence = self.picker.evidence
        known = None if evidence is None else evidence.fingerprint
        facts: list[Any] = [__version__, card.sha256, card.calibration, settings, known]
        return json.dumps(facts, sort_keys=True)

    def _settings_digest(self, fingerprint: str) -> str:
        return cut_digest(fingerprint, *self.picker.cut.key)


def _as_before(found: FileState, note: str = "") -> Finished:
    return Finished(found.n_picks, found.above, note)
