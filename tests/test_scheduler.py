"""The examples that pick while micrographs arrive: run by RELION 3.1's own scheduler, and checked for RELION 4 and 5."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import starfile
from job_project import DIAMETER, PIXEL_SIZE, scene_pixels, wait_for, write_mrc
from relion_project import EMPTY_PIPELINE, _environment, executable

EXAMPLES = Path(__file__).parents[1] / "examples"
GOLDEN = Path(__file__).parent / "golden"
PATIENCE = 900.0


def set_option(path: Path, name: str, value: object) -> None:
    """Fill in a field of a job.star, which must be there."""
    text, n = re.subn(rf"^( *{name} +).*$", rf"\g<1>{value} ", path.read_text(), flags=re.MULTILINE)
    assert n == 1, f"{path}: {name}"
    path.write_text(text)


def options(path: Path) -> dict[str, str]:
    table = starfile.read(path, always_dict=True, parse_as_string=["rlnJobOptionValue"])["joboptions_values"]
    return dict(zip(table["rlnJobOptionVariable"], table["rlnJobOptionValue"], strict=True))


@pytest.mark.relion
@pytest.mark.slow
def test_relions_scheduler_continues_the_job_and_what_was_picked_stays(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "relion_3.1" / "Schedules", tmp_path / "Schedules")
    (tmp_path / "default_pipeline.star").write_text(EMPTY_PIPELINE)
    live = tmp_path / "Schedules" / "live"
    set_option(live / "import" / "job.star", "angpix", PIXEL_SIZE)
    for name, value in {
        "fn_exe": executable(),
        "param1_value": f"{DIAMETER:g}",
        "param2_label": "device",
        "param2_value": "cpu",
    }.items():
        set_option(live / "pick" / "job.star", name, value)
    schedule = live / "schedule.star"
    schedule.write_text(schedule.read_text().replace("60.000000", " 1.000000"))
    for k in range(2):
        write_mrc(tmp_path / "Micrographs" / f"mic{k}.mrc", scene_pixels(k))

    def picks(k: int) -> Path:
        return tmp_path / "External" / "job002" / "Micrographs" / f"mic{k}_autopick.star"

    with (tmp_path / "scheduler.log").open("w") as log:
        command = ["relion_scheduler", "--schedule", "live", "--run", "--verb", "2"]
        scheduler = subprocess.Popen(command, cwd=tmp_path, env=_environment(), stdout=log, stderr=log)
    try:
        wait_for(picks(1).is_file, "the first round", PATIENCE)
        before = [picks(k).read_bytes() for k in range(2)]
        write_mrc(tmp_path / "Micrographs" / "mic2.mrc", scene_pixels(2))
        wait_for(picks(2).is_file, "another round", PATIENCE)
        (tmp_path / "STOP").touch()
        assert scheduler.wait(PATIENCE) == 0
    finally:
        scheduler.kill()
    assert [picks(k).read_bytes() for k in range(2)] == before
    rows = starfile.read(tmp_path / "External" / "job002" / "autopick.star", always_dict=True)["coordinate_files"]
    assert list(rows["rlnMicrographName"]) == [f"Micrographs/mic{k}.mrc" for k in range(3)]
    assert sorted(path.name for path in (tmp_path / "External").iterdir()) == ["job002"]


def test_scheme_for_relion_4_and_5_is_complete() -> None:
    live = EXAMPLES / "relion_4_and_5" / "Schemes" / "live"
    scheme = starfile.read(live / "scheme.star", always_dict=True)
    jobs = set(scheme["scheme_jobs"]["rlnSchemeJobName"])
    operators = set(scheme["scheme_operators"]["rlnSchemeOperatorName"])
    assert set(scheme["scheme_jobs"]["rlnSchemeJobMode"]) == {"continue"}
    assert jobs == {path.parent.name for path in live.glob("*/job.star")}
    edges = scheme["scheme_edges"]
    reached = set(edges["rlnSchemeEdgeOutputNodeName"]) | set(edges["rlnSchemeEdgeOutputNodeNameIfTrue"]) - {"undefined"}
    assert reached == jobs | operators
    assert set(edges["rlnSchemeEdgeInputNodeName"]) == reached - {"EXIT"}
    names = {name for kind in ("float", "bool", "string") for name in variables(scheme, kind)}
    inputs = set(scheme["scheme_operators"]["rlnSchemeOperatorInput1"]) - {"undefined"}
    assert inputs <= names
    pick = options(live / "pick" / "job.star")
    assert pick.keys() == options(GOLDEN / "5.0" / "job.star").keys()
    assert pick["in_mic"] == "Schemes/live/import/micrographs.star"
    same = options(EXAMPLES / "relion_3.1" / "Schedules" / "live" / "pick" / "job.star")
    assert {name: pick[name] for name in ("fn_exe", "param1_label", "param1_value", "nr_threads")} == {
        name: same[name] for name in ("fn_exe", "param1_label", "param1_value", "nr_threads")
    }
    assert "relion.import.movies" in (live / "import" / "job.star").read_text()


def variables(scheme: dict[str, object], kind: str) -> list[str]:
    long = {"float": "Float", "bool": "Boolean", "string": "String"}[kind]
    block = scheme[f"scheme_{kind}s"]
    found = block[f"rlnScheme{long}VariableName"]  # type: ignore[index]
    return [found] if isinstance(found, str) else list(found)
