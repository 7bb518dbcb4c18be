"""STAR files that nobody thought of: ours reads in them what RELION 3.1.3 itself reads, or both refuse the file.

GANPICK_STAR_FILES=5000 tries more files than the usual number.
"""

from __future__ import annotations

import math
import os
import random

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from relion_reader import ONLY_OPTICS, relion_reads
from test_star_rules import OLD, OPTICS, TWO

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.formats.micrographs_star import read_micrographs

FILES = int(os.environ.get("GANPICK_STAR_FILES", "500"))
# What we refuse although RELION reads on: it takes a word for the number 0, or for what its first characters say.
STRICTER = (
    "holds no micrographs",  # the file was cut off within the names of columns, and RELION takes the last of them for a row
    "is not a number",
    "has a pixel size of",
    "name is empty",
    "stands there twice",
    "NUL bytes",
    "holds particles",
)

BLANK = st.sampled_from([" ", "  ", "\t", " \t ", "    "])
LEAD = st.sampled_from(["", "", "", " ", "\t", "   "])
TRAIL = st.sampled_from(["", "", "", " ", "  ", "\t", " # x", "\r"])
BETWEEN = st.sampled_from(["", "", "", "", "\n", "# comment\n", "#\n", " \n", "; note\n", "\n\n"])
NAME_PART = st.text(st.sampled_from("ab1._-#'\"+@%é粒/ ;"), min_size=1, max_size=8)
NAMES = st.one_of(
    st.from_regex(r"[a-z]{1,6}/mic_[0-9]{1,3}\.mrc", fullmatch=True),
    NAME_PART,
    st.tuples(st.sampled_from(["data_", "loop_", "_", "#", "data_optics", "'", '"', "data_micrographs"]), NAME_PART).map("".join),
)
GROUPS = st.sampled_from(["1", "1.000000", "+1", "01", "1.9"] * 8 + ["2", "x", "3", ""])
SIZES = st.sampled_from(["1.5", "3", "3.000000", "2.5e0", ".75", "+1.25", "1E1", "4.", "0.8"] * 3 + ["1,5", "x", "12abc"])
BEHIND_NAME = st.sampled_from([""] * 30 + [" ", "  ", "\t", " text", "\r"])
OTHER_PARTS = st.sampled_from(["data_general\n\n", "data_general\n\n_rlnFoo 1\n\n", "# a comment\n", "\n\n", "data_\n"])
DAMAGE = (" ", "\t", "\n", "#", "'", '"', "_", "1", "x", "", "data_", "loop_", ";", "\x0b", "\x07")
FITTING = "fitting"
MARKS = [FITTING] * 9 + ["", '"', "'"]
STYLES = ("3.1", "3.1", "5", "3.0", "none")


def word(name: str, mark: str) -> str:
    """A name in these quotation marks, which need not fit it, or in those that do."""
    if mark != FITTING:
        return f"{mark}{name}{mark}"
    bare = name[0] not in "\"'#_;" and not any(blank in name for blank in " \t")
    return name if bare else next((f"{each}{name}{each}" for each in "\"'" if each not in name), name)


@st.composite
def tables(draw: st.DrawFn, name: str, columns: list[str], rows: list[list[str]]) -> str:
    """A table in one of the many ways in which people and programs write it."""
    text = (
        draw(LEAD.filter(lambda lead: True)) + f"data_{name}" + draw(st.sampled_from(["", "", "", "", " ", "\t", " text", "\r"]))
    )
    text += "\n" + draw(BETWEEN) + draw(LEAD) + "loop_" + draw(TRAIL) + "\n"
    numbered = draw(st.booleans())
    for number, column in enumerate(columns, 1):
        text += draw(BETWEEN) + draw(LEAD) + f"_{column}" + (f"{draw(BLANK)}#{number}" if numbered else "") + "\n"
    rare = draw(st.integers(0, 9)) == 0
    text += draw(BETWEEN)
    for row in rows:
        text += draw(LEAD) + draw(BLANK).join(row) + draw(TRAIL) + "\n" + (draw(BETWEEN) if rare else "")
    return text + draw(st.sampled_from(["\n", " \n", "\n\n", ""]))


@st.composite
def files(draw: st.DrawFn) -> str:
    """A micrographs STAR file: any style, order, comments, quotation marks and numbers, now and then damaged."""
    style = draw(st.sampled_from(STYLES))
    names = draw(st.lists(NAMES, min_size=1, max_size=4))
    quoted = [word(name, draw(st.sampled_from(MARKS))) for name in names]
    extra = draw(st.lists(st.sampled_from(["rlnDefocusU", "rlnCtfMaxResolution", "wrpSomething"]), max_size=2, unique=True))
    if style == "3.0":
        columns = [
            "rlnMicrographName",
            "rlnVoltage",
            "rlnSphericalAberration",
            "rlnDetectorPixelSize",
            "rlnMagnification",
            *extra,
        ]
        size = draw(SIZES)
        rows = [[each, "300", "2.7", size, "10000", *("1" for _ in extra)] for each in quoted]
        parts = [_shuffled(draw, columns, rows, draw(st.sampled_from(["", "", "images", "micrographs", " # x"])))]
    else:
        columns = ["rlnMicrographName", "rlnOpticsGroup", *extra]
        rows = [[each, draw(GROUPS), *("7.5" for _ in extra)] for each in quoted]
        size = draw(st.sampled_from(["rlnMicrographPixelSize"] * 3 + ["rlnImagePixelSize"]))
        optics = ["rlnOpticsGroup", "rlnOpticsGroupName", size, "rlnVoltage", "rlnSphericalAberration"]
        ids = draw(st.sampled_from([["1", "2"], ["2", "1"], ["1"], ["1.0", "2.000"]]))
        groups = [[each, "g", draw(SIZES), "300", "2.7"] for each in ids]
        parts = [_shuffled(draw, optics, groups, "optics"), _shuffled(draw, columns, rows, "micrographs")]
        if draw(st.integers(0, 4)) == 0:
            more = [[word(name, FITTING), "1", *("1" for _ in extra)] for name in draw(st.lists(NAMES, min_size=1, max_size=2))]
            parts.append(_shuffled(draw, columns, more, draw(st.sampled_from(["micrographs", "general", "x"]))))
    for _ in range(draw(st.integers(0, 2))):
        parts.append(
            draw(st.sampled_from(["data_general\n\n", "data_general\n\n_rlnFoo 1\n\n", "# a comment\n", "\n\n", "data_\n"]))
        )
    parts = draw(st.permutations(parts))
    version = {"3.1": "\n# version 30001\n\n", "5": "\n# version 50001\n\n"}.get(style, "\n")
    text = "".join(version + part for part in parts) if style in ("3.1", "5") else version + "\n".join(parts)
    return _damaged(text, draw(st.integers(0, 2**20))) if draw(st.integers(0, 3)) == 0 else text


def _shuffled(draw: st.DrawFn, columns: list[str], rows: list[list[str]], name: str) -> str:
    order = draw(st.permutations(range(len(columns))))
    return draw(tables(name, [columns[k] for k in order], [[row[k] for k in order] for row in rows]))


def _damaged(text: str, seed: int) -> str:
    """Cut the file off, or change some characters."""
    chance = random.Random(seed)
    if chance.random() < 0.3:
        return text[: chance.randrange(len(text))]
    characters = list(text)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(characters))
        characters[place] = chance.choice(
            [" ", "\t", "\n", "#", "'", '"', "_", "1", "x", "", "data_", "loop_", ";", "\x0b", "\x07"]
        )
    return "".join(characters)


def first_of_each(found: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Leave out names that stand there again, as they are picked once."""
    kept: dict[str, float] = {}
    for name, size in found:
        kept.setdefault(name, size)
    return list(kept.items())


@pytest.mark.relion
@pytest.mark.slow
@settings(
    max_examples=FILES,
    deadline=None,
    derandomize="GANPICK_STAR_FILES" not in os.environ,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(text=files())
@example(OPTICS + TWO.replace("a.mrc", "'\"\"'"))
@example(OPTICS + TWO.replace("b.mrc", "a.mrc"))
@example(OPTICS + "\n# version 500\n1\n" + TWO)
@example(OPTICS + TWO.replace("_rlnOpticsGroup #2", "_\tlnOpticsGroup #2"))
@example(OPTICS.replace("data_optics", "data_optics#") + TWO)
@example(OLD.replace("20000", "0"))
@example((OPTICS + TWO)[: (OPTICS + TWO).index("a.mrc")].rstrip("\n"))
def test_ours_reads_what_relion_reads_or_both_refuse(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    path = folder / "generated.star"
    path.write_bytes(text.encode())
    relion = relion_reads(path, folder / "relion.star")
    try:
        ours: list[tuple[str, float | None]] | str = [(each.name, each.pixel_size) for each in read_micrographs(path)]
    except GanpickError as error:
        ours = str(error)
    if isinstance(ours, str) and any(reason in ours for reason in STRICTER):
        return
    if isinstance(relion, str) and any(reason in relion for reason in ONLY_OPTICS):
        return
    if not isinstance(relion, str) and any(name == "" for name, _ in relion):
        relion = "rows without names"
    once = relion if isinstance(relion, str) else first_of_each(relion)
    if isinstance(once, str) or isinstance(ours, str):
        assert isinstance(once, str), f"RELION reads {once}, we refuse: {ours}"
        assert isinstance(ours, str), f"we read {ours}, RELION refuses: {once}"
        return
    assert [name for name, _ in ours] == [name for name, _ in once]
    for (name, size), (_, known) in zip(ours, once, strict=True):
        told = known if math.isfinite(known) else 0.0  # RELION divides by a magnification of 0
        assert (size or 0.0) == pytest.approx(told, rel=1e-5, abs=1e-6), name
