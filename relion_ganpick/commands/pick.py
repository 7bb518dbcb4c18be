"""``ganpick pick``: micrographs to coordinate STAR files."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import fitted
from relion_ganpick.core.limits import check_memory
from relion_ganpick.core.options import add_options, settings_from
from relion_ganpick.core.settings import PickRequest, RunSettings

if TYPE_CHECKING:
    from relion_ganpick.core.picks import Picks
    from relion_ganpick.formats.pick_lists import Listed
    from relion_ganpick.inspect.job import Facts, Job
    from relion_ganpick.picking.picker import Picker
    from relion_ganpick.picking.stream import Result
    from relion_ganpick.runs.results import Finished


log = logging.getLogger(__name__)

MOST_HEADERS = 100  # of so many micrographs are looked at for the pixel size


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "pick",
        help="find particles in micrographs",
        description="Find particles in micrographs. Writes DIR/<micrograph>_autopick.star and _picks.json for each, "
        "lists of all, pictures into DIR/overlays, and DIR/report.html, on which the picks can be looked at.",
        allow_abbrev=False,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="micrographs")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the coordinates")
    add_options(parser, PickRequest)
    add_options(parser, RunSettings)
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class FolderDoor:
    """What a worker needs to file one micrograph in a folder; see `FolderResults`."""

    folder: Path
    micrograph: Path
    target: Path

    def results(self, picker: Picker) -> FolderResults:
        """Make the results of this one micrograph."""
        return FolderResults(self.folder, {self.micrograph: self.target}, picker)


class FolderResults:
    """One coordinate file for each micrograph in a folder; nothing is known from before.

    Parameters
    ----------
    folder
        Where pictures go, below it.
    targets
        Coordinate file by micrograph.
    picker
        What the picks come from.
    """

    def __init__(self, folder: Path, targets: Mapping[Path, Path], picker: Picker) -> None:
        self.folder, self.picker = folder, picker
        self.micrographs, self.targets = list(targets), list(targets.values())
        self._last: tuple[int, Picks, Picks] | None = None
        self._listed: dict[int, Listed] = {}

    def finished(self, index: int) -> Finished | None:
        """Pick every micrograph."""
        return None

    def refuse(self, index: int, result: Result) -> str | None:
        """Refuse nothing."""
        return None

    def keep(self, index: int, result: Result, picks: Picks) -> None:
        """Write all scores, the picks for pipelines, and the coordinate file."""
        from relion_ganpick.formats.pick_files import cut_digest, write_picks
        from relion_ganpick.formats.picks_json import json_file, write_json
        from relion_ganpick.runs.results import described

        assert result.picks is not None
        write_picks(self._scores(index), result.picks)
        about = described(self.picker, str(self.micrographs[index]), result)
        write_json(json_file(self.targets[index]), about, picks, result.picks)
        write_picks(self.targets[index], picks, cut_digest("", *self.picker.cut.key), result.picks)
        self._last = index, picks, result.picks.without(picks)
        self._list(index, picks, about.contaminated_share)

    def failed(self, index: int, reason: str) -> str:
        """Leave nothing."""
        return reason

    def place(self, index: int, folder: str, ending: str) -> Path:
        """Name a file by the micrograph's."""
        return self.folder / folder / f"{self.targets[index].name.removesuffix('_autopick.star')}{ending}"

    def picture(self, index: int) -> tuple[Path, Picks, Picks] | None:
        """Draw the picks that were just kept, and those that were not."""
        assert self._last is not None
        assert self._last[0] == index
        return self.place(index, "overlays", ".png"), *self._last[1:]

    def as_job(self, facts: Facts) -> Job | None:
        """Describe the folder by the micrographs that could be picked."""
        from relion_ganpick.inspect.job import Job

        there = sorted(self._listed)
        names = tuple(str(self.micrographs[index]) for index in there)
        coordinates, scores = (tuple(each(index) for index in there) for each in (self.targets.__getitem__, self._scores))
        shares = {name: self._listed[index].share for name, index in zip(names, there, strict=True)}
        return Job(self.folder, Path.cwd(), names, coordinates, scores, facts, None, shares) if there else None

    def write_lists(self) -> None:
        """List the micrographs that were picked, as a RELION job does."""
        from relion_ganpick.formats.pick_lists import write_lists

        write_lists(self.folder, [self._listed[index] for index in sorted(self._listed)])

    def _scores(self, index: int) -> Path:
        return self.place(index, ".ganpick", "_scores.star")

    def door(self, index: int) -> FolderDoor:
        """Say how a worker elsewhere files a micrograph."""
        self.targets[index].unlink(missing_ok=True)  # one that is there is of an earlier run
        return FolderDoor(self.folder, self.micrographs[index], self.targets[index])

    def taken(self, index: int, share: float | None) -> bool:
        """Look whether the coordinates are here, and list them."""
        from relion_ganpick.formats.pick_files import read_picks

        if not self.targets[index].is_file():
            return False
        self._list(index, read_picks(self.targets[index]), share)
        return True

    def _list(self, index: int, picks: Picks, share: float | None) -> None:
        from relion_ganpick.formats.pick_lists import Listed

        merit = round(float(picks.score.mean()), 4) if len(picks) else 0.0
        listed = Listed(str(self.micrographs[index]), str(self.targets[index]), len(picks), merit)
        self._listed[index] = listed if share is None else replace(listed, share=share)


def run(namespace: argparse.Namespace) -> int:
    """Pick; the exit status is 1 if a micrograph could not be used."""
    check_memory()
    pick, how = settings_from(PickRequest, namespace), settings_from(RunSettings, namespace)
    targets = _targets(namespace.files, namespace.out)

    from relion_ganpick.picking.picker import Picker
    from relion_ganpick.picking.stream import Task
    from relion_ganpick.runs.prepare import make_picker
    from relion_ganpick.runs.request import RunRequest
    from relion_ganpick.runs.run import make_run
    from relion_ganpick.runs.source import FileSource
    from relion_ganpick.runs.terminal import Terminal

    namespace.out.mkdir(parents=True, exist_ok=True)
    source = FileSource([Task(str(path), path, how.angpix) for path in targets])
    terminal = Terminal("ganpick: ", "pick")
    with terminal.listening():
        _say_pixel_size(list(targets), how.angpix)
        picker = make_picker(RunRequest(pick, how), source, Picker, "ganpick", namespace.out, reuse=False)
        results = FolderResults(namespace.out, targets, picker)
        try:
            with terminal.bar(len(source)):
                summary = make_run(source, picker, results, how, namespace.out, terminal.advance).carry_out()
        finally:
            results.write_lists()
    if summary.failures:
        print(f"ganpick: {summary.failures} of {len(source)} micrographs could not be used (see above)", file=sys.stderr)
    return 1 if summary.failures else 0


def _say_pixel_size(files: Sequence[Path], given: float | None) -> None:
    """Say which pixel size is used and where it is from; files that cannot be read have lines of their own later."""
    from relion_ganpick.core.micrograph import read_header

    if given is not None:
        log.info(f"pixel size {given:g} A, as given")
        return
    sizes: dict[float, Path] = {}
    for path in files[:MOST_HEADERS]:
        with suppress(GanpickError):
            size = read_header(path)[1]
            if size is not None:
                sizes.setdefault(round(size, 4), path)
    if sizes:
        low, high = min(sizes), max(sizes)
        log.info(f"pixel size {low:g}{'' if low == high else f' to {high:g}'} A, from the headers of the micrographs")
    if 1.0 in sizes:
        log.warning(
            f"{sizes[1.0]}: its header says exactly 1 A per pixel, which many programs write when they do not know: "
            "give `angpix` if it is not true"
        )


def _targets(files: list[Path], folder: Path) -> dict[Path, Path]:
    """Coordinate file of each micrograph.

    Raises
    ------
    GanpickError
        If two micrographs would write the same one.
    """
    sources: dict[Path, Path] = {}
    for path in files:
        target = folder / f"{fitted(path.stem)}_autopick.star"
        if target in sources:
            raise GanpickError(f"{sources[target]} and {path} would both write {target}: pick them into different --out folders")
        sources[target] = path
    return {path: target for target, path in sources.items()}
