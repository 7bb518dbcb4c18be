"""Too little memory to start, as `ulimit -v` and the queues of a cluster give it: one line that says so, and the marker."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import pytest
from job_project import FAILED, JOB, arguments, make_project, markers, run_job

from relion_ganpick.core.limits import LEAST_TO_START, memory_limit, no_memory_to_start

LAUNCHER = Path(__file__).resolve().parent.parent / "bin" / "relion_ganpick"
START_ALL_THE_SAME = """
import resource, sys
from relion_ganpick.core import limits
limits.LEAST_TO_START = 0
resource.setrlimit(resource.RLIMIT_AS, (500_000_000, 500_000_000))
from relion_ganpick.relion.main import main
sys.exit(main())
"""


@pytest.mark.parametrize("kilobytes", [12_000, 100_000, int(LEAST_TO_START / 1024) - 1])
def test_launcher_says_that_memory_is_too_little(tmp_path: Path, kilobytes: int) -> None:
    command = f"ulimit -v {kilobytes} && exec '{LAUNCHER}' --o {JOB} --in_mics none.star --diameter 180"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, markers(tmp_path)) == (1, FAILED)
    (line,) = done.stderr.splitlines()
    assert line.startswith("relion_ganpick: no memory to start: at most ")
    assert "(ulimit -v, or h_vmem of SGE)" in line
    assert "ask for 4 GB or more" in line


def test_libraries_that_cannot_be_loaded_are_one_line(tmp_path: Path) -> None:
    project = make_project(tmp_path, 1)
    ended = run_job(project, *arguments(), program=START_ALL_THE_SAME)
    assert (ended.status, markers(project)) == (1, FAILED)
    (line,) = ended.err.splitlines()
    assert line.startswith("relion_ganpick: no memory to start: at most 0.50 GB are allowed (ulimit -v")


def test_an_import_error_is_one_of_memory_only_under_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ImportError("libtorch_cpu.so: failed to map segment from shared object")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert memory_limit() is None
    assert no_memory_to_start(error) is None
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (2 * 10**9 if kind == resource.RLIMIT_AS else 3 * 10**9, 0))
    assert memory_limit() == (2 * 10**9, "ulimit -v, or h_vmem of SGE")
    assert "at most 2.00 GB are allowed" in str(no_memory_to_start(error))
    assert no_memory_to_start(ImportError("No module named 'torch'")) is None
