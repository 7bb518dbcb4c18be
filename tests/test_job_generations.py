"""The External job under RELION 3.1, 4.0 and 5.0: what each generation finds in the job's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import starfile
from job_project import (
    DIAMETER,
    JOB,
    MICROGRAPHS_STAR,
    PIXEL_SIZE,
    SUCCEEDED,
    Ended,
    arguments,
    listed,
    make_project,
    markers,
    prepare_job,
    run_here,
    snapshot,
)

NAMES = ["MotionCorr/job025/Movies/day1/movA.mrc", "MotionCorr/job025/Movies/day2/movA.mrc", "Micrographs/mic.mrc"]
COORDINATES = ["Movies/day1/movA_autopick.star", "Movies/day2/movA_autopick.star", "Micrographs/mic_autopick.star"]
NODES: dict[str, dict[str, object]] = {
    "3.1": {"coords_suffix_autopick.star": 2, "summary.star": 1},
    "4.0": {"autopick.star": "MicrographsCoords.star.relion.autopick", "summary.star": "MicrographsData.star.relion"},
    "5.0": {
        "autopick.star": "MicrographCoordsGroup.star.relion.autopick",
        "summary.star": "MicrographGroupMetadata.star.relion",
    },
}


@dataclass(frozen=True)
class Finished:
    """A finished job of one generation."""

    generation: str
    project: Path
    ended: Ended


@pytest.fixture(scope="module", params=list(NODES))
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    project = make_project(tmp_path_factory.mktemp("project"), names=NAMES)
    prepare_job(project, request.param)
    return Finished(request.param, project, run_here(project, *arguments("--overlays", "0")))


def test_job_succeeds(finished: Finished) -> None:
    assert finished.ended.status == 0
    assert finished.ended.err == ""
    assert markers(finished.project) == SUCCEEDED


def test_nodes_are_declared_with_the_generations_own_types(finished: Finished) -> None:
    path = finished.project / JOB / "RELION_OUTPUT_NODES.star"
    ((name, table),) = starfile.read(path, always_dict=True).items()
    assert name == "output_nodes"
    types = table["rlnPipeLineNodeType" if finished.generation == "3.1" else "rlnPipeLineNodeTypeLabel"]
    assert len(table.columns) == 2
    declared = {f"{JOB}{file}": kind for file, kind in NODES[finished.generation].items()}
    assert dict(zip(table["rlnPipeLineNodeName"], types, strict=True)) == declared
    assert "data_output_nodes\n" in path.read_text()


def test_declared_files_exist(finished: Finished) -> None:
    assert all((finished.project / JOB / file).is_file() for file in NODES[finished.generation])


def test_both_lists_are_there(finished: Finished) -> None:
    project = finished.project
    assert listed(project) == [(name, JOB + path) for name, path in zip(NAMES, COORDINATES, strict=True)]
    assert list(starfile.read(project / JOB / "autopick.star", always_dict=True)) == ["coordinate_files"]
    assert (project / JOB / "coords_suffix_autopick.star").read_text().split() == [MICROGRAPHS_STAR]


def test_folders_of_the_micrographs_are_kept(finished: Finished) -> None:
    files = {name for name in snapshot(finished.project) if name.endswith("_autopick.star")}
    assert files == {*COORDINATES, "coords_suffix_autopick.star"}


def test_every_list_is_safe_for_relions_reader(finished: Finished) -> None:
    version = "50001" if finished.generation == "5.0" else "30001"
    for name in ("autopick.star", "RELION_OUTPUT_NODES.star"):
        text = (finished.project / JOB / name).read_bytes().decode()
        assert text.startswith(f"\n# version {version}\n\ndata_")
        assert text.endswith("\n\n")
        assert "\r" not in text


def test_display_is_told_how_large_to_draw_circles(finished: Finished) -> None:
    blocks = starfile.read(finished.project / ".gui_manualpickjob.star", always_dict=True)
    options = blocks["joboptions_values"].set_index("rlnJobOptionVariable")["rlnJobOptionValue"]
    assert float(options["diameter"]) == DIAMETER
    assert float(options["angpix"]) == PIXEL_SIZE
    assert ("rlnJobType" if finished.generation == "3.1" else "rlnJobTypeLabel") in blocks["job"]


def test_relions_own_files_are_left_alone(finished: Finished) -> None:
    golden = Path(__file__).parent / "golden" / finished.generation / "job.star"
    assert (finished.project / JOB / "job.star").read_bytes() == golden.read_bytes()


@pytest.mark.parametrize(
    ("generation", "coordinates"),
    [("3.1", f"{JOB}../outside/Micrographs/mic00_autopick.star"), ("5.0", f"{JOB}__/outside/Micrographs/mic00_autopick.star")],
)
def test_micrograph_outside_the_project_is_filed_where_relion_looks(tmp_path: Path, generation: str, coordinates: str) -> None:
    project = make_project(tmp_path / "project")
    make_project(tmp_path / "outside")
    name = "../outside/Micrographs/mic00.mrc"
    text = (project / MICROGRAPHS_STAR).read_text()
    (project / MICROGRAPHS_STAR).write_text(text.replace("Micrographs/mic00.mrc", name))
    prepare_job(project, generation)
    assert run_here(project, *arguments("--overlays", "1")).status == 0
    assert listed(project)[0] == (name, coordinates)
    assert (project / coordinates).is_file()
    assert (project / JOB / "overlays/__/outside/Micrographs/mic00.png").is_file()


def test_absolute_micrograph_name_stays_in_the_jobs_folder(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    name = f"{tmp_path}/Micrographs/mic00.mrc"
    text = (project / MICROGRAPHS_STAR).read_text()
    (project / MICROGRAPHS_STAR).write_text(text.replace("Micrographs/mic00.mrc", name))
    assert run_here(project, *arguments("--overlays", "0")).status == 0
    assert listed(project)[0] == (name, f"{JOB}{tmp_path}/Micrographs/mic00_autopick.star")
    assert (project / f"{JOB}{tmp_path}/Micrographs/mic00_autopick.star").is_file()


def test_version_given_by_hand_counts_more_than_job_star(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert run_here(project, *arguments("--relion_version", "4.0", "--overlays", "0")).status == 0
    assert "MicrographsCoords.star.relion.autopick" in (project / JOB / "RELION_OUTPUT_NODES.star").read_text()


def test_run_by_hand_without_a_project_writes_no_display_settings(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (project / JOB / "job.star").unlink()
    assert run_here(project, *arguments("--overlays", "0")).status == 0
    assert not (project / ".gui_manualpickjob.star").exists()
    assert "MicrographCoordsGroup" in (project / JOB / "RELION_OUTPUT_NODES.star").read_text()


def test_display_settings_of_the_user_are_left_alone(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (project / ".gui_manualpickjob.star").write_text("the user's own\n")
    assert run_here(project, *arguments("--overlays", "0")).status == 0
    assert (project / ".gui_manualpickjob.star").read_text() == "the user's own\n"


def test_open_window_is_told_to_look(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (project / ".gui_projectdir").touch()
    assert run_here(project, *arguments("--overlays", "0")).status == 0
    assert (project / ".pipeline_has_changed").exists()
