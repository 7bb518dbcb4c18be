"""``ganpick pick``: micrographs to coordinate STAR files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.options import add_options, settings_from
from relion_ganpick.core.settings import PickSettings, RunSettings

if TYPE_CHECKING:
    from tqdm import tqdm

    from relion_ganpick.core.picks import Picks
    from relion_ganpick.picking.picker import Picker
    from relion_ganpick.picking.stream import Result, Task


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "pick",
        help="find particles in micrographs",
        description="Find particles in micrographs and write DIR/<micrograph>_autopick.star for each.",
        allow_abbrev=False,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="micrographs")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the coordinates")
    add_options(parser, PickSettings)
    add_options(parser, RunSettings)
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Pick; the exit status is 1 if a micrograph could not be used."""
    settings, how = settings_from(PickSettings, namespace), settings_from(RunSettings, namespace)
    targets = _targets(namespace.files, namespace.out)

    import cv2
    import torch

    from relion_ganpick.core.picks import counts_above
    from relion_ganpick.formats.pick_files import write_picks
    from relion_ganpick.picking.auto_diameter import preferred, resolve_diameter
    from relion_ganpick.picking.picker import Picker
    from relion_ganpick.picking.stream import Task, stream
    from relion_ganpick.picking.working_diameter import with_working_diameter
    from relion_ganpick.report.overlays import which_overlays
    from relion_ganpick.report.summary import Summary

    torch.set_num_threads(how.j)
    cv2.setNumThreads(how.j)
    namespace.out.mkdir(parents=True, exist_ok=True)
    tasks = [Task(path.stem, path, how.angpix) for path in targets]
    chosen = [tasks[k] for k in preferred(len(tasks))]
    settings = resolve_diameter(settings, chosen, how.device_name, namespace.out, reuse=False)
    picker = Picker(settings, how.device_name)
    print(
        f"device {picker.device}, model {picker.model.card.name}, diameter {settings.diameter_angstrom:g} A, "
        f"threshold {picker.threshold:g}",
        flush=True,
    )
    picker = with_working_diameter(picker, chosen, namespace.out, reuse=False)
    drawn = set(which_overlays(len(tasks), how.overlays))
    summary = Summary()
    with _progress(len(tasks)) as bar:
        for index, result in enumerate(stream(tasks, picker, how.j)):
            picks = None
            if result.picks is None:
                summary.add_failure()
            else:
                picks = result.picks.above(picker.threshold)
                summary.add(len(picks), counts_above(result.picks.score))
                write_picks(targets[result.task.path], picks, scored=result.picks)
                if index in drawn:
                    _draw(result.task, picks, picker, namespace.out)
            _say(result, picks, bar)
    print("\n".join(summary.lines(picker.threshold)), flush=True)
    if summary.failures:
        print(f"ganpick: {summary.failures} of {len(tasks)} micrographs could not be used (see above)", file=sys.stderr)
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


def _draw(task: Task, picks: Picks, picker: Picker, folder: Path) -> None:
    from relion_ganpick.core.micrograph import read_micrograph
    from relion_ganpick.report.overlays import write_overlay

    micrograph = read_micrograph(task.path, task.pixel_size)
    assert micrograph.pixel_size is not None
    pixels = -micrograph.pixels if picker.settings.contrast == "bright" else micrograph.pixels
    diameter_px = picker.settings.diameter_angstrom / micrograph.pixel_size
    write_overlay(pixels, picks, diameter_px, folder / "overlays" / f"{task.name}.png")


@contextmanager
def _progress(total: int) -> Iterator[tqdm[None] | None]:
    """Show a bar to a person at a terminal, and nothing to a log file."""
    if not sys.stdout.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="pick", unit="micrograph") as bar:
        yield bar


def _say(result: Result, picks: Picks | None, bar: tqdm[None] | None) -> None:
    """Print one line about a micrograph, or move the bar; trouble always gets its line on stderr."""
    for trouble in (result.error, result.warning):
        if trouble and bar is not None:
            bar.write(f"ganpick: {trouble}", file=sys.stderr)
        elif trouble:
            print(f"ganpick: {trouble}", file=sys.stderr, flush=True)
    if bar is not None:
        bar.update()
    elif picks is not None:
        print(f"{result.task.path}: {len(picks)} picks in {sum(result.seconds.values()):.2f} s", flush=True)
    else:
        print(f"{result.task.path}: failed", flush=True)
