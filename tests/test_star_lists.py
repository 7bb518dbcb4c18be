"""The lists that a job writes, in the words of each generation of RELION."""

from __future__ import annotations

from pathlib import Path

import pytest
import starfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from job_project import GOLDEN, JOB

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import write_picks
from relion_ganpick.relion.generation import GENERATIONS, find_generation, star_text
from relion_ganpick.relion.names import pick_file
from relion_ganpick.relion.outputs import write_lists, write_manual_pick_settings

MANY_TIMES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
BLANKS = st.from_regex(r"[A-Za-z0-9_ .-]{1,12}", fullmatch=True).filter(lambda part: set(part) != {"."} and part.strip() == part)


@given(st.lists(st.lists(BLANKS, min_size=1, max_size=3).map("/".join).map("M/{}".format), min_size=1, max_size=8, unique=True))
@MANY_TIMES
def test_names_with_blanks_come_back_from_a_list(tmp_path: Path, names: list[str]) -> None:
    columns = {"rlnMicrographName": [f"{n}.mrc" for n in names], "rlnMicrographCoordinates": [f"J/{n}.star" for n in names]}
    path = tmp_path / "autopick.star"
    path.write_text(star_text({"coordinate_files": columns}, GENERATIONS["5.0"]))
    text = path.read_text()
    again = starfile.read(path, always_dict=True)["coordinate_files"]
    assert again["rlnMicrographName"].tolist() == columns["rlnMicrographName"]
    assert again["rlnMicrographCoordinates"].tolist() == columns["rlnMicrographCoordinates"]
    assert text.endswith("\n\n")
    assert "\r" not in text
    for name in columns["rlnMicrographName"]:
        assert (f'"{name}"\t' if " " in name else f"{name}\t") in text


@pytest.mark.parametrize(("generation", "version"), [("3.1", 30001), ("4.0", 30001), ("5.0", 50001)])
def test_lists_bear_the_generations_version_and_no_date(generation: str, version: int) -> None:
    text = star_text({"x": {"rlnA": [1], "rlnB": [2]}}, GENERATIONS[generation])
    assert text == f"\n# version {version}\n\ndata_x\n\nloop_\n_rlnA #1\n_rlnB #2\n1\t2\n\n"


@pytest.mark.parametrize("generation", GENERATIONS)
def test_generation_is_found_in_the_job_star_that_relion_wrote(generation: str) -> None:
    assert find_generation(GOLDEN / generation / "job.star") is GENERATIONS[generation]


def test_generation_without_job_star_is_the_newest_unless_told(tmp_path: Path) -> None:
    assert find_generation(tmp_path / "job.star").name == "5.0"
    assert find_generation(tmp_path / "job.star", "3.1").name == "3.1"
    assert find_generation(GOLDEN / "5.0" / "job.star", "4.0").name == "4.0"
    with pytest.raises(GanpickError, match=r"--relion_version 6: give one of 3\.1, 4\.0, 5\.0"):
        find_generation(tmp_path / "job.star", "6")


def test_later_versions_count_as_relion_5_and_early_betas_as_4(tmp_path: Path) -> None:
    path = tmp_path / "job.star"
    path.write_text("# version 60002\n\ndata_job\n\n_rlnJobTypeLabel relion.external\n")
    assert find_generation(path).name == "5.0"
    path.write_text("# version 30001\n\ndata_job\n\n_rlnJobTypeLabel relion.external\n")
    assert find_generation(path).name == "4.0"


def test_lists_name_only_micrographs_with_a_coordinate_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_picks(Path(pick_file(JOB, "M/a.mrc")), Picks.none())
    write_picks(Path(pick_file(JOB, "M/c.mrc")), Picks.none())
    assert write_lists(JOB, "mics.star", ["M/a.mrc", "M/b.mrc", "M/c.mrc"], GENERATIONS["5.0"]) == 2
    text = (tmp_path / JOB / "autopick.star").read_text()
    rows = [line for line in text.split("\n") if ".mrc" in line]
    assert rows == [f"M/{n}.mrc\t{JOB}M/{n}_autopick.star" for n in "ac"]
    assert (tmp_path / JOB / "coords_suffix_autopick.star").read_text() == "mics.star\n"


def test_nothing_is_declared_while_nothing_is_picked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / JOB).mkdir(parents=True)
    assert write_lists(JOB, "mics.star", ["M/a.mrc"], GENERATIONS["5.0"]) == 0
    assert list((tmp_path / JOB).iterdir()) == []


@pytest.mark.parametrize("generation", GENERATIONS)
def test_display_settings_are_written_once(tmp_path: Path, generation: str) -> None:
    assert write_manual_pick_settings(tmp_path, 180.0, 1.234567, GENERATIONS[generation])
    path = tmp_path / ".gui_manualpickjob.star"
    blocks = starfile.read(path, always_dict=True)
    values = dict(
        zip(blocks["joboptions_values"]["rlnJobOptionVariable"], blocks["joboptions_values"]["rlnJobOptionValue"], strict=True)
    )
    assert float(values["diameter"]) == 180
    assert float(values["angpix"]) == pytest.approx(1.23457)
    job = dict(blocks["job"])
    assert job.pop("rlnJobIsContinue") == 0
    assert job == ({"rlnJobType": 3} if generation == "3.1" else {"rlnJobTypeLabel": "relion.manualpick", "rlnJobIsTomo": 0})
    before = path.read_bytes()
    assert not write_manual_pick_settings(tmp_path, 90.0, 2.0, GENERATIONS[generation])
    assert path.read_bytes() == before
