"""``ganpick merge``: join the picks of several runs or programs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relion_ganpick.commands import pick_sources
from relion_ganpick.commands.leaving_out import leaving_out
from relion_ganpick.core.errors import GanpickError

if TYPE_CHECKING:
    import pandas as pd

    from relion_ganpick.core.merge import Merged
    from relion_ganpick.formats.left_out import LeftOut
    from relion_ganpick.formats.micrograph_picks import MicrographPicks

SHARE_OF_DIAMETER = 0.5


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "merge",
        help="join picks of several runs or programs",
        description="Join picks of several runs or programs: every particle once, or those that at least so many have found. "
        "The figure of merit is that of the first that has the pick. A table beside the output says which have it, "
        "with the figure of merit of each.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "sources", nargs="+", type=Path, metavar="PICKS", help="two or more jobs' folders, files or folders of picks"
    )
    parser.add_argument("--at_least", type=int, default=1, metavar="K", help="keep what at least K have found (default: 1)")
    parser.add_argument(
        "--distance", type=float, metavar="FLOAT", help="picks so near are one particle, in Angstrom (default: half the diameter)"
    )
    pick_sources.add_output(parser)
    pick_sources.add_input(parser)
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Merge."""
    pick_sources.check(namespace)
    sources = namespace.sources
    if len(sources) < 2:
        raise GanpickError("give at least two jobs, files or folders of picks to merge")
    if not 1 <= namespace.at_least <= len(sources):
        raise GanpickError(f"--at_least {namespace.at_least}: give a number from 1 to {len(sources)}, that of the inputs")
    with leaving_out() as left_out:
        entries = _by_micrograph(namespace, left_out)
        left_out.check_some(entries)
        _merge(entries, namespace)
    return 0


def _merge(entries: list[tuple[MicrographPicks, list[MicrographPicks | None]]], namespace: argparse.Namespace) -> None:
    """Join the picks of each micrograph, and write them and who has found which."""
    from dataclasses import replace

    from relion_ganpick.core.files import write_atomic
    from relion_ganpick.core.merge import merge
    from relion_ganpick.core.picks import Picks

    tables, found, sources = [], [], namespace.sources
    if namespace.diameter is None:
        namespace.diameter = next((each for each in map(pick_sources.diameter_of, sources) if each is not None), None)
    for each, picks in entries:
        merged = merge([Picks.none() if one is None else one.picks for one in picks], _reach(namespace, each), namespace.at_least)
        box = next((one.box for one in picks if one is not None and one.box is not None), None)
        found.append(replace(each, picks=merged.picks, scored=any(one is not None and one.scored for one in picks), box=box))
        tables.append(_table(each.name, merged, sources))
    pick_sources.deliver(found, namespace)
    beside = namespace.out.with_name(f"{namespace.out.stem}_sources.csv")
    import pandas as pd

    write_atomic(beside, pd.concat(tables).to_csv(index=False))
    print(f"who has found which: {beside}")


def _by_micrograph(
    namespace: argparse.Namespace, left_out: LeftOut
) -> list[tuple[MicrographPicks, list[MicrographPicks | None]]]:
    """Put together what each source has of each micrograph."""
    from relion_ganpick.formats.exchange import in_our_rows
    from relion_ganpick.formats.micrograph_list import completed, known_micrographs
    from relion_ganpick.formats.names import find_name

    known = known_micrographs(namespace.micrographs, namespace.angpix)
    found: dict[str, tuple[MicrographPicks, list[MicrographPicks | None]]] = {}
    for number, path in enumerate(namespace.sources):
        picks = pick_sources.read_source([path], namespace.threshold, left_out=left_out)
        read = in_our_rows(completed(picks, known, namespace.angpix, left_out))
        before = set(found)
        for each in read:
            key = find_name(each.stem, before) or each.stem
            entry = found.setdefault(key, (each, [None] * len(namespace.sources)))
            if entry[1][number] is not None:
                raise GanpickError(f"{path}: {each.name} and another one are both taken for micrograph {key}: give --micrographs")
            entry[1][number] = each
    return list(found.values())


def _reach(namespace: argparse.Namespace, each: MicrographPicks) -> float:
    """How near two picks of one particle are, in pixels."""
    distance = namespace.distance
    if distance is None and namespace.diameter is not None:
        distance = SHARE_OF_DIAMETER * namespace.diameter
    if distance is None or each.pixel_size is None:
        what = "--diameter or --distance" if distance is None else "--angpix or --micrographs"
        raise GanpickError(f"{each.name}: which picks are one particle? Give {what}")
    return float(distance / each.pixel_size)


def _table(name: str, merged: Merged, sources: Sequence[Path]) -> pd.DataFrame:
    """List the picks of one micrograph with where they come from."""
    import numpy as np
    import pandas as pd

    there = np.isfinite(merged.merit)
    labels = [";".join(str(path) for path, has in zip(sources, row, strict=True) if has) for row in there]
    columns = {"micrograph": name, "x": merged.picks.x, "y": merged.picks.y, "score": merged.picks.score}
    table = pd.DataFrame(columns | {"count": merged.count, "sources": labels})
    for number, path in enumerate(sources):
        table[f"score of {path}"] = merged.merit[:, number]
    return table
