"""What goes wrong with the disk under an External job: things in its place, files too large, no room."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from job_project import (
    FAILED,
    JOB,
    SUCCEEDED,
    job_words,
    make_project,
    markers,
    run_here,
    run_job,
    snapshot,
    states,
)

from relion_ganpick.formats.pick_files import State

LIMITED = """
import sys
from relion_ganpick.relion import main, watching
# in the worker, once Python has started: the limit must not cut short what Python itself keeps of packages
limit = "import resource, sys; sys.dont_write_bytecode = True; resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)); "
watching.WORKER = limit + watching.WORKER
sys.exit(main.main())
"""


def test_file_size_limit_fails_the_job_without_half_files(tmp_path: Path) -> None:
    project = make_project(tmp_path, 2)
    ended = run_job(project, *job_words(), program=LIMITED)
    assert (ended.status != 0, markers(project)) == (True, FAILED)
    assert "File too large" in ended.err
    assert "Traceback" not in ended.err
    assert states(project) == {}
    assert not list((project / JOB).rglob(".ganpick-tmp-*"))
    assert run_here(project, *job_words()).status == 0
    assert markers(project) == SUCCEEDED


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 KiB, on which even run.err has no room in the end."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "none", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_full_disk_fails_the_job_and_continue_finishes_it(tmp_path: Path, small_disk: Path) -> None:
    whole, project = make_project(tmp_path / "whole", 12), make_project(tmp_path / "project", 12)
    shutil.copytree(project / JOB, small_disk / "job002")
    shutil.rmtree(project / JOB)
    (project / JOB.rstrip("/")).symlink_to(small_disk / "job002")
    ended = run_job(project, *job_words())
    assert (ended.status != 0, markers(project)) == (True, FAILED)
    assert "Traceback" not in ended.err
    finished = states(project)
    assert 0 < len(finished) < 12
    assert {state.state for state in finished.values()} == {State.OURS}
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert run_here(project, *job_words()).status == 0
    run_here(whole, *job_words())
    assert len(states(project)) == 12
    # the micrographs of the two projects differ in their dates, so only what follows the stamps can be compared
    tables = [
        [s[s.index(b"data_") :] for name, s in snapshot(p).items() if re.search("mic.*_.*star$", name)] for p in (project, whole)
    ]
    assert tables[0] == tables[1]
