"""What a RELION job leaves to look at: report.html, logfile.pdf, summary.star, picks.json, masks; and their nodes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import mrcfile
import numpy as np
import pytest
import starfile
from job_project import (
    GOLDEN,
    JOB,
    SUCCEEDED,
    Ended,
    arguments,
    log,
    make_project,
    markers,
    prepare_job,
    run_here,
    run_job,
    times,
)

from relion_ganpick.core.cut import Cut
from relion_ganpick.core.frame import ImageArea
from relion_ganpick.core.picks import THRESHOLDS, counts_above
from relion_ganpick.formats.pick_files import read_picks
from relion_ganpick.formats.picks_json import json_file
from relion_ganpick.inspect.changes import Changes, Selection
from relion_ganpick.inspect.job import find_job
from relion_ganpick.inspect.saving import save
from relion_ganpick.relion.markers import SUCCESS
from relion_ganpick.report.masks import whole_mask

N = 3
SHOWN = ("report.html", "logfile.pdf")
WORDS = ("--page", "yes", "--overlays", "2", "--masks", "mrc")
SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "picks.schema.json").read_text())


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    project = make_project(tmp_path_factory.mktemp("project"), N)
    return project, run_here(project, *arguments(*WORDS))


@pytest.fixture
def finished(first_run: tuple[Path, Ended], tmp_path: Path) -> Path:
    """Own copy of the finished project."""
    project = Path(shutil.copytree(first_run[0], tmp_path / "project"))
    (project / JOB / SUCCESS).unlink()
    return project


def no_look(*_: Any) -> Any:
    raise AssertionError("ranks need no pictures")


def coordinates(project: Path) -> list[Path]:
    return [project / JOB / f"Micrographs/mic{k:02d}_autopick.star" for k in range(N)]


def content(coordinate_file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json_file(coordinate_file).read_text())
    return found


def test_job_leaves_both_reports_and_tells_their_cost(first_run: tuple[Path, Ended]) -> None:
    project, ended = first_run
    assert (ended.status, ended.err) == (0, "")
    assert all((project / JOB / name).stat().st_size > 10_000 for name in SHOWN)
    line = next(line for line in ended.out.splitlines() if "report.html" in line)
    assert line.startswith(f"{JOB}logfile.pdf and {JOB}report.html show the picks (")
    assert ended.out.splitlines()[-1].split(" ", 1)[1].startswith("picks at threshold")  # the most important line stays last


def test_report_holds_all_micrographs_with_contamination(first_run: tuple[Path, Ended]) -> None:
    page = (first_run[0] / JOB / "report.html").read_text()
    for k in range(N):
        found = page.partition(f'id="data-micrograph-{k}"')[2].partition(">")[2].partition("</script>")[0]
        shown = json.loads(found)
        assert shown["problem"] is None
        assert set(shown["layers"]) == {"filtered", "plain", "contamination"}
        assert len(shown["picks"]["x"]) == len(read_picks(find_job(first_run[0] / JOB).scores[k]))


def test_summary_is_a_micrographs_list_with_numbers(first_run: tuple[Path, Ended]) -> None:
    project = first_run[0]
    tables = starfile.read(project / JOB / "summary.star", always_dict=True)
    table = tables["micrographs"]
    assert list(tables["optics"]["rlnMicrographPixelSize"]) == [11.0]
    assert list(table["rlnMicrographName"]) == [f"Micrographs/mic{k:02d}.mrc" for k in range(N)]
    assert set(table["rlnOpticsGroup"]) == {1}
    for row, path in zip(table.to_dict("records"), coordinates(project), strict=True):
        picks = read_picks(path)
        assert row["rlnGroupNrParticles"] == len(picks) > 0
        assert row["rlnAutopickFigureOfMerit"] == pytest.approx(picks.score.mean(), abs=1e-4)
        assert row["ganpickContaminatedShare"] == content(path)["contaminated_share"]
    shares = find_job(project / JOB).contaminated
    assert ((shares >= 0) & (shares < 0.5)).all()


def test_picks_json_follows_its_schema_and_the_coordinate_file(first_run: tuple[Path, Ended]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for path in coordinates(first_run[0]):
        found, picks = content(path), read_picks(path)
        jsonschema.Draft202012Validator(SCHEMA).validate(found)
        scored = read_picks(find_job(first_run[0] / JOB).scores[coordinates(first_run[0]).index(path)])
        assert found["picks"] == {"x": list(picks.x), "y": list(picks.y), "figure_of_merit": list(picks.score)}
        assert found["counts"] == {f"{cut:.1f}": n for cut, n in zip(THRESHOLDS, counts_above(scored.score), strict=True)}
        assert (found["pixel_size"], found["diameter"], found["shape"]) == (11.0, 180.0, [200, 256])
        assert found["seconds"].keys() == {"read", "scale", "network", "localise"}
        assert not found["edited"]


def test_schema_refuses_what_is_wrong(first_run: tuple[Path, Ended]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    right = content(coordinates(first_run[0])[0])
    for wrong in ({"threshold": 2}, {"picks": {"x": [1]}}, {"edited": "yes"}, {"more": 1}, {"counts": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(SCHEMA).validate(right | wrong)


def test_masks_cover_the_micrograph(first_run: tuple[Path, Ended]) -> None:
    for k in range(N):
        with mrcfile.open(first_run[0] / JOB / f"masks/Micrographs/mic{k:02d}.mrc") as mrc:
            assert float(mrc.voxel_size.x) * mrc.data.shape[0] == pytest.approx(11.0 * 200, rel=1e-3)
            assert mrc.data.shape[1] / mrc.data.shape[0] == pytest.approx(256 / 200, rel=0.02)
            share = content(coordinates(first_run[0])[k])["contaminated_share"]
            assert float((mrc.data >= 0.5).mean()) == pytest.approx(share, abs=1e-3)


def test_mask_has_the_frame_as_contaminated() -> None:
    mask = whole_mask(np.zeros((40, 30), np.float32), ImageArea(20, 0, 80, 80), (80, 80))
    assert mask.shape == (40, 40)
    assert mask[:, :10].all()
    assert not mask[:, 10:].any()


def test_continue_writes_nothing_anew_where_nothing_has_changed(finished: Path) -> None:
    before = times(finished)
    ended = run_here(finished, *arguments(*WORDS))
    after = times(finished)
    same = [name for name in before if name.startswith(("Micrographs", "masks", "overlays", ".ganpick/Micro")) or name in SHOWN]
    assert len(same) >= 4 * N
    assert [name for name in same if after[name] != before[name]] == []
    assert "report.html" not in ended.out


def test_continue_with_another_threshold_changes_all_that_show_picks(finished: Path) -> None:
    before = times(finished)
    run_here(finished, *arguments(*WORDS, "--threshold", "0.9"))
    after = times(finished)
    assert all(after[name] > before[name] for name in SHOWN)
    for path in coordinates(finished):
        found, picks = content(path), read_picks(path)
        assert (found["threshold"], found["n_picks"], found["picks"]["x"]) == (0.9, len(picks), list(picks.x))
        assert found["contaminated_share"] is not None
    summary = starfile.read(finished / JOB / "summary.star", always_dict=True)["micrographs"]
    assert list(summary["rlnGroupNrParticles"]) == [len(read_picks(path)) for path in coordinates(finished)]


def test_ranks_that_the_page_saves_are_those_of_continue(finished: Path) -> None:
    """Saved with the page, and continued with the same options: every file holds already, and the page says the same."""
    selection = Selection(0.3, best=0.9, most=3)
    save(find_job(finished / JOB), Changes(selection=selection), Cut(0.5), no_look)
    before = [path.read_bytes() for path in coordinates(finished)]
    assert [len(read_picks(path)) for path in coordinates(finished)] == [3] * N
    ended = run_here(finished, *arguments(*WORDS, "--threshold", "0.3", "--best", "90%", "--most", "3"))
    assert ended.status == 0
    assert "from its scores" not in ended.out
    assert [path.read_bytes() for path in coordinates(finished)] == before
    facts = find_job(finished / JOB).facts
    assert (facts.threshold, facts.best, facts.most) == (0.3, 0.9, 3)


def test_picks_json_and_summary_follow_an_edited_file(finished: Path) -> None:
    path = coordinates(finished)[1]
    lines = path.read_text().split("\n")
    path.write_text("\n".join(lines[:12] + lines[13:]))
    n_before = content(path)["n_picks"]
    run_here(finished, *arguments(*WORDS))
    found = content(path)
    assert (found["edited"], found["n_picks"]) == (True, n_before - 1)
    summary = starfile.read(finished / JOB / "summary.star", always_dict=True)["micrographs"]
    assert list(summary["rlnGroupNrParticles"])[1] == n_before - 1


def test_masks_come_on_continue_without_picking_again(finished: Path) -> None:
    shutil.rmtree(finished / JOB / "masks")
    before = times(finished)
    run_here(finished, *arguments("--page", "no", "--masks", "png"))
    assert all(times(finished)[path.relative_to(finished / JOB).as_posix()] for path in coordinates(finished))
    same = [path.relative_to(finished / JOB).as_posix() for path in coordinates(finished)]
    assert [times(finished)[name] for name in same] == [before[name] for name in same]
    picture = cv2.imread(str(finished / JOB / "masks/Micrographs/mic00.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert picture.shape[1] / picture.shape[0] == pytest.approx(256 / 200, rel=0.02)


NODES = {
    "3.1": ("rlnPipeLineNodeType", ["2", "1", "13"]),
    "4.0": (
        "rlnPipeLineNodeTypeLabel",
        ["MicrographsCoords.star.relion.autopick", "MicrographsData.star.relion", "LogFile.pdf.relion.autopick"],
    ),
    "5.0": (
        "rlnPipeLineNodeTypeLabel",
        ["MicrographCoordsGroup.star.relion.autopick", "MicrographGroupMetadata.star.relion", "LogFile.pdf.relion.autopick"],
    ),
}


@pytest.mark.parametrize("generation", NODES)
def test_each_generation_gets_its_nodes(finished: Path, generation: str) -> None:
    prepare_job(finished, generation)
    run_here(finished, *arguments(*WORDS))
    table = starfile.read(finished / JOB / "RELION_OUTPUT_NODES.star", always_dict=True)["output_nodes"]
    column, kinds = NODES[generation]
    lists = "coords_suffix_autopick.star" if generation == "3.1" else "autopick.star"
    assert list(table["rlnPipeLineNodeName"]) == [f"{JOB}{name}" for name in (lists, "summary.star", "logfile.pdf")]
    assert [str(kind) for kind in table[column]] == kinds


KILLED = """
import os, signal, sys
from pathlib import Path
package = Path(sys.path[0])
from relion_ganpick.relion import main, watching
watching.WORKER = watching.WORKER.replace(
    "main()",
    "import relion_ganpick.runs.reports as r, os; r.write_reports = lambda *_: os.kill(os.getpid(), 9); main()",
)
sys.exit(main.main())
"""


@pytest.mark.slow
def test_job_has_succeeded_even_if_the_report_kills_its_worker(tmp_path: Path) -> None:
    project = make_project(tmp_path, 1)
    ended = run_job(project, *arguments("--page", "yes", "--overlays", "0"), program=KILLED)
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    assert "report.html is not complete: the worker was killed by SIGKILL" in log(project, "run.err")
    assert (project / JOB / "autopick.star").is_file()


def test_golden_generations_are_those_of_the_nodes() -> None:
    assert sorted(os.listdir(GOLDEN)) == sorted(NODES)
