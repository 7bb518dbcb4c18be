"""Micrographs that cannot be used, in an External job: one line and one micrograph less, whatever is wrong with them."""

from __future__ import annotations

import errno
import os
import pydoc
import re
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from job_project import (
    FAILED,
    JOB,
    MICROGRAPHS_STAR,
    PIXEL_SIZE,
    SUCCEEDED,
    arguments,
    job_words,
    listed,
    make_project,
    markers,
    run_here,
    scene_pixels,
    snapshot,
    states,
    write_mrc,
)

HEADER_BYTES = 1024


def spoil(project: Path) -> dict[str, str]:
    """Spoil eight of ten micrographs, each in its own way; returns what must be said of each."""
    names = [f"Micrographs/mic{k:02d}.mrc" for k in range(8)]
    pixels = scene_pixels(0)
    (project / names[0]).unlink()
    (project / names[1]).write_bytes(b"")
    os.truncate(project / names[2], 60000)
    write_mrc(project / names[3], np.full_like(pixels, 7))
    with (project / names[4]).open("r+b") as file:
        file.seek(HEADER_BYTES)
        file.write(np.full(5000, np.nan, np.float32).tobytes())
    with mrcfile.new(project / names[5], overwrite=True) as mrc:
        mrc.set_data(pixels.astype(np.complex64))
    (project / names[6]).write_bytes(b"<html>not found</html>" * 100)
    write_mrc(project / names[7], np.stack([pixels, pixels]))
    says = [
        "no such file",
        "empty",
        "truncated",
        "all pixels are equal",
        "NaN or infinite",
        "complex numbers",
        "not an MRC file",
        "stack",
    ]
    return dict(zip(names, says, strict=True))


def tables(project: Path) -> list[bytes]:
    """Coordinates and scores of a job without their stamps, which hold the micrographs' dates."""
    files = [content for name, content in snapshot(project).items() if re.search(r"mic.*_(autopick|scores)\.star$", name)]
    assert files
    return [content[content.index(b"data_") :] for content in files]


def test_bad_micrographs_are_skipped_with_one_line_each(tmp_path: Path) -> None:
    project = make_project(tmp_path, 10)
    says = spoil(project)
    ended = run_here(project, *job_words("--max_failed", "0.8"))
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    lines = ended.err.splitlines()
    assert len(lines) == len(says)
    for line, (name, reason) in zip(lines, says.items(), strict=True):
        assert line.startswith(name)
        assert reason in line
    good = ["Micrographs/mic08.mrc", "Micrographs/mic09.mrc"]
    assert [name for name, _ in listed(project)] == good
    assert all(state.n_picks > 10 for state in states(project).values())
    assert "2 micrographs picked, 8 failed" in ended.out


def test_more_failures_than_may_be_fail_the_job_and_keep_what_is_done(tmp_path: Path) -> None:
    project = make_project(tmp_path, 10)
    spoil(project)
    ended = run_here(project, *job_words())
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "relion_ganpick: 8 of 10 micrographs could not be used, more than --max_failed 0.5 allows" in ended.err
    assert ended.err.splitlines()[-1] == "relion_ganpick: 2 micrographs are finished and kept; press Continue to go on"
    assert [name for name, _ in listed(project)] == ["Micrographs/mic08.mrc", "Micrographs/mic09.mrc"]
    ended = run_here(project, *job_words("--max_failed", "0.8"))
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    assert "2 micrographs picked (2 of them before), 8 failed" in ended.out


@pytest.mark.parametrize(
    ("where", "error", "says"),
    [
        ("relion_ganpick.picking.task.read_micrograph", OSError(5, "Input/output error", "x.mrc"), "x.mrc: Input/output error"),
        ("relion_ganpick.picking.task.read_micrograph", MemoryError(), "no memory (MemoryError): give fewer threads"),
        ("relion_ganpick.picking.picker.Picker.mark", RuntimeError("a tensor\nof\npages"), "cannot be picked (a tensor)"),
        ("relion_ganpick.picking.picker.Picker.mark", RuntimeError("CUDA out of memory."), "no memory (CUDA out of memory.)"),
        ("relion_ganpick.picking.picker.Picker.locate", IndexError("nobody thought of it"), "unexpected IndexError in test_job_"),
        (
            "relion_ganpick.relion.results.write_picks",
            PermissionError(13, "Permission denied", "y"),
            "cannot be kept (y: Permission denied)",
        ),
        ("relion_ganpick.relion.results.write_picks", KeyError("k"), "its picks cannot be kept (unexpected KeyError in"),
    ],
)
def test_whatever_goes_wrong_with_one_micrograph_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception, says: str
) -> None:
    project = make_project(tmp_path, 3)
    run_here(project, *job_words())  # what is found of all of them lasts
    for path in (project / JOB).rglob("mic*.star"):
        path.unlink()
    name = where.rpartition(".")[2]
    right = pydoc.locate(where)
    assert callable(right)
    seen = []

    def fails(*words: Any) -> Any:
        seen.append(words)
        if any("mic01" in str(word) for word in words) or (name == "mark" and len(seen) == 2):
            raise error
        return right(*words)

    monkeypatch.setattr(where, fails)
    ended = run_here(project, *job_words())
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    (line,) = ended.err.splitlines()
    assert line.startswith("Micrographs/mic01.mrc: ")
    assert says in line
    assert [name for name, _ in listed(project)] == ["Micrographs/mic00.mrc", "Micrographs/mic02.mrc"]


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("relion_ganpick.relion.results.write_picks", OSError(errno.ENOSPC, "No space left on device", "z")),
        ("relion_ganpick.picking.picker.Picker.mark", RuntimeError("CUDA error: an illegal memory access was encountered")),
    ],
)
def test_what_must_hit_all_others_too_ends_the_job_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    project = make_project(tmp_path, 3)
    run_here(project, *job_words())
    (project / JOB / "Micrographs/mic01_autopick.star").unlink()
    (project / JOB / ".ganpick/Micrographs/mic01_scores.star").unlink()

    def fails(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(where, fails)
    ended = run_here(project, *job_words())
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "Traceback" not in ended.err
    assert str(error.args[-1] if isinstance(error, RuntimeError) else "z: No space left on device") in ended.err
    assert "2 micrographs are finished and kept" in ended.err


def test_a_picture_that_cannot_be_drawn_costs_no_picks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no ink")

    project = make_project(tmp_path, 3)
    monkeypatch.setattr("relion_ganpick.runs.run.write_overlay", fails)
    ended = run_here(project, *arguments("--overlays", "3"))
    assert (ended.status, markers(project), len(listed(project))) == (0, SUCCEEDED, 3)
    assert ended.err.splitlines() == [
        "WARNING: Micrographs/mic00.mrc: no ink; the picks are not affected",
        "WARNING: 2 more micrographs with the same warning: Micrographs/mic00.mrc: no ink; the picks are not affected",
    ]


def test_a_warning_for_every_micrograph_comes_once_with_a_count(tmp_path: Path) -> None:
    project = make_project(tmp_path, 4)
    for k in range(4):
        write_mrc(project / f"Micrographs/mic{k:02d}.mrc", scene_pixels(k % 3), PIXEL_SIZE * (1.1 + k / 100))
    ended = run_here(project, *job_words())
    first, more = ended.err.splitlines()
    assert first.startswith("WARNING: Micrographs/mic00.mrc: its header says 12.1 A per pixel, but 11 is used")
    assert more.startswith("WARNING: 3 more micrographs with the same warning: Micrographs/mic00.mrc: its header says")


def test_coordinate_files_that_were_touched_are_named_few_times_and_counted(tmp_path: Path) -> None:
    project = make_project(tmp_path, 16)
    without_pixel_size(project)
    assert run_here(project, *job_words()).err.splitlines() == [
        "relion_ganpick: WARNING: micrographs.star gives no pixel size for 16 micrographs: that in their headers is used; "
        "give --angpix to change it"
    ]
    files = sorted((project / JOB / "Micrographs").glob("*_autopick.star"))
    for k, path in enumerate(files[:15]):
        if k % 3 == 0:
            path.write_bytes(b"")
        elif k % 3 == 1:
            path.write_text(f"data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 {'abcde'[k // 3]}\n\n")
        else:
            path.write_bytes(path.read_bytes()[:-7])
    ended = run_here(project, *job_words())
    assert ended.status == 0
    lines = [line.removeprefix(f"WARNING: {JOB}Micrographs/") for line in ended.err.splitlines()[1:]]
    unreadable = "; not ours, so it is kept, but left out of the list; mend it, or delete it to have this micrograph picked anew"
    emptied = "is empty, as RELION's Display leaves it where all picks were deleted: kept; delete it to have"
    cut = "is cut off, as a crash leaves it: this micrograph is picked anew"
    for k in range(3):
        assert lines[3 * k].startswith(f"mic{3 * k:02d}_autopick.star: {emptied}")
        assert lines[3 * k + 1].startswith(f"mic{3 * k + 1:02d}_autopick.star: line 6: column _rlnCoordinateY holds something")
        assert lines[3 * k + 1].endswith(f"('{'abcde'[k]}'); correct it{unreadable}")
        assert lines[3 * k + 2] == f"mic{3 * k + 2:02d}_autopick.star: {cut}"
    more = "WARNING: 2 more micrographs with the same warning: "
    assert [line.partition("_autopick")[0] for line in lines[9:]] == [f"{more}{JOB}Micrographs/mic0{k}" for k in range(3)]
    assert len(lines) == 12
    assert len(listed(project)) == 11
    assert [state.state.name for state in states(project).values()] == [*["EDITED", "UNREADABLE", "OURS"] * 5, "OURS"]


def test_job_without_a_usable_micrograph_fails(tmp_path: Path) -> None:
    project = make_project(tmp_path, 8)
    spoil(project)
    ended = run_here(project, *job_words())
    assert (ended.status, markers(project)) == (1, FAILED)
    assert ended.err.splitlines()[-1] == "relion_ganpick: no micrograph could be used: the lines above say why"
    assert not (project / JOB / "autopick.star").exists()


@pytest.mark.parametrize(
    ("diameter", "reason"),
    [
        (5000.0, r"a diameter of 5000 A \(455 pixels of 11 A\) is larger than the micrograph of 256 x 200 pixels"),
        (
            700.0,
            r"a diameter of 700 A \(63\.6 pixels of 11 A\) leaves only 3\.1 diameters across the image; at least 3\.7",
        ),
        (1.8, r"a diameter of 1\.8 A \(0\.164 pixels of 11 A\) is too small to be seen; at least 4\.3 pixels are needed"),
    ],
)
def test_diameter_that_does_not_fit_the_micrographs_fails(tmp_path: Path, diameter: float, reason: str) -> None:
    project = make_project(tmp_path, 2)
    ended = run_here(project, *arguments("--overlays", "0", diameter=diameter))
    assert (ended.status, markers(project)) == (1, FAILED)
    assert re.match(rf"Micrographs/mic00\.mrc: {reason}", ended.err)


def test_micrograph_as_small_as_can_be_is_picked(tmp_path: Path) -> None:
    project = make_project(tmp_path, 1, shape=(70, 90))
    assert run_here(project, *job_words()).status == 0


@pytest.mark.parametrize(("in_header", "warns"), [(PIXEL_SIZE * 1.06, True), (PIXEL_SIZE * 1.04, False), (0.0, False)])
def test_header_with_another_pixel_size_warns(tmp_path: Path, in_header: float, warns: bool) -> None:
    project = make_project(tmp_path, 1)
    write_mrc(project / "Micrographs/mic00.mrc", scene_pixels(0), in_header)
    ended = run_here(project, *job_words())
    assert ended.status == 0
    expected = "WARNING: Micrographs/mic00.mrc: its header says 11.66 A per pixel, but 11 is used: check it"
    assert ended.err.startswith(expected) if warns else ended.err == ""


def without_pixel_size(project: Path) -> None:
    path = project / MICROGRAPHS_STAR
    path.write_text(path.read_text().replace("_rlnMicrographPixelSize", "_rlnMicrographOriginalPixelSize"))


def test_pixel_size_of_the_header_is_used_with_a_warning(tmp_path: Path) -> None:
    right, project = make_project(tmp_path / "right", 2), make_project(tmp_path / "project", 2)
    run_here(right, *job_words())
    without_pixel_size(project)
    ended = run_here(project, *job_words())
    assert ended.status == 0
    assert "WARNING: micrographs.star gives no pixel size for 2 micrographs: that in their headers is used" in ended.err
    rows = [
        [files.decode().partition("data_")[2] for name, files in snapshot(p).items() if re.search("mic.*_.*star$", name)]
        for p in (right, project)
    ]
    assert rows[0] == rows[1]


def test_pixel_size_given_by_hand_counts_where_the_input_has_none(tmp_path: Path) -> None:
    project = make_project(tmp_path, 1)
    without_pixel_size(project)
    write_mrc(project / "Micrographs/mic00.mrc", scene_pixels(0), 0.0)
    ended = run_here(project, *job_words())
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "Micrographs/mic00.mrc: its pixel size is not known: give --angpix" in ended.err
    ended = run_here(project, *job_words("--angpix", "11"))
    assert (ended.status, ended.err) == (0, "")
    assert states(project)["Micrographs/mic00_autopick.star"].n_picks > 10
