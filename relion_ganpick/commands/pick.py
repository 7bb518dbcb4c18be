"""``ganpick pick``: micrographs to coordinate STAR files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.options import add_options, settings_from
from relion_ganpick.core.settings import PickRequest, RunSettings

if TYPE_CHECKING:
    from relion_ganpick.core.picks import Picks
    from relion_ganpick.picking.stream import Result
    from relion_ganpick.runs.results import Finished


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "pick",
        help="find particles in micrographs",
        description="Find particles in micrographs. Writes DIR/<micrograph>_autopick.star for each, "
        "and pictures into DIR/overlays.",
        allow_abbrev=False,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="micrographs")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the coordinates")
    add_options(parser, PickRequest)
    add_options(parser, RunSettings)
    parser.set_defaults(run=run)


class FolderResults:
    """One coordinate file for each micrograph in a folder; nothing is known from before.

    Parameters
    ----------
    folder
        Where pictures go, below it.
    targets
        Coordinate file of each micrograph.
    """

    def __init__(self, folder: Path, targets: Sequence[Path]) -> None:
        self.folder, self.targets = folder, targets
        self._last: tuple[int, Picks] | None = None

    def finished(self, index: int) -> Finished | None:
        """Pick every micrograph."""
        return None

    def refuse(self, index: int, result: Result) -> str | None:
        """Refuse nothing."""
        return None

    def keep(self, index: int, result: Result, picks: Picks) -> None:
        """Write the coordinate file."""
        from relion_ganpick.formats.pick_files import write_picks

        write_picks(self.targets[index], picks, scored=result.picks)
        self._last = index, picks

    def failed(self, index: int, reason: str) -> str:
        """Leave nothing."""
        return reason

    def picture(self, index: int) -> tuple[Path, Picks] | None:
        """Draw the picks that were just kept."""
        assert self._last is not None
        assert self._last[0] == index
        name = self.targets[index].name.removesuffix("_autopick.star")
        return self.folder / "overlays" / f"{name}.png", self._last[1]


def run(namespace: argparse.Namespace) -> int:
    """Pick; the exit status is 1 if a micrograph could not be used."""
    pick, how = settings_from(PickRequest, namespace), settings_from(RunSettings, namespace)
    targets = _targets(namespace.files, namespace.out)

    from relion_ganpick.picking.picker import Picker
    from relion_ganpick.picking.stream import Task
    from relion_ganpick.runs.prepare import make_picker
    from relion_ganpick.runs.request import RunRequest
    from relion_ganpick.runs.run import Run
    from relion_ganpick.runs.source import FileSource
    from relion_ganpick.runs.terminal import Terminal

    namespace.out.mkdir(parents=True, exist_ok=True)
    source = FileSource([Task(str(path), path, how.angpix) for path in targets])
    terminal = Terminal("ganpick: ", "pick")
    with terminal.listening():
        picker = make_picker(RunRequest(pick, how), source, Picker, "ganpick", namespace.out, reuse=False)
        results = FolderResults(namespace.out, list(targets.values()))
        with terminal.bar(len(source)):
            summary = Run(source, picker, results, how, terminal.advance).carry_out()
    if summary.failures:
        print(f"ganpick: {summary.failures} of {len(source)} micrographs could not be used (see above)", file=sys.stderr)
    return 1 if summary.failures else 0


def _targets(files: list[Path], folder: Path) -> dict[Path, Path]:
    """Coordinate file of each micrograph.

    Raises
    ------
    GanpickError
        If two micrographs would write the same one.
    """
    sources: dict[Path, Path] = {}
    for path in files:
        target = folder / f"{path.stem}_autopick.star"
        if target in sources:
            raise GanpickError(f"{sources[target]} and {path} would both write {target}: pick them into different --out folders")
        sources[target] = path
    return {path: target for target, path in sources.items()}
