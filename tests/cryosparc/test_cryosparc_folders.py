"""What a run leaves on this machine while it works: one run at a time in a folder, and no cache after a kill."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryosparc_project import fake_picking, make_world
from standin5 import Server5
from standin47 import Server47
from standin_world import PROJECT, SOURCE, World

from cryosparc_tool.console import Console
from cryosparc_tool.data import files
from cryosparc_tool.data.files import LOCK, MicrographFiles, remove_abandoned
from cryosparc_tool.data.local import LocalResult
from cryosparc_tool.main import main
from cryosparc_tool.server.versions import client_version
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.locks import take_lock

pytestmark = [pytest.mark.cryosparc, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture
def world(project_folder: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    fake_picking(monkeypatch)
    monkeypatch.setattr("relion_ganpick.core.locks.PATIENCE", 0)
    return make_world(project_folder, 2)


def dry_run(world: World, *more: str) -> int:
    with (Server5 if client_version().major == 5 else Server47)(world) as server:
        words = ["--url", server.url, "--project", PROJECT, "--job", SOURCE, "--dry_run", "--overlays", "0"]
        return main([*words, "--diameter", "20", *more])


def test_a_second_run_with_the_same_out_leaves_the_first_ones_files(
    world: World, user: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert dry_run(world) == 0
    folder = user / "cryosparc_ganpick" / f"{PROJECT}_{SOURCE}_dry_run"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    half_written = folder / "scores" / ".ganpick-tmp-1-5.npy"
    half_written.write_bytes(b"half")
    with LocalResult(folder).held():
        assert dry_run(world, "--edge_margin", "0") == 1
    assert f"{folder.relative_to(user)}: another cryosparc_ganpick is at work in this folder" in capfd.readouterr().err
    assert half_written.read_bytes() == b"half"
    assert all(path.read_bytes() == content for path, content in before.items())
    assert dry_run(world, "--edge_margin", "0") == 0
    assert not half_written.exists()


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom relion_ganpick.core.locks import take_lock\n"
        "lock = take_lock(Path(sys.argv[1]))\nprint('held', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError):
            take_lock(tmp_path / "lock", 0)
        other.kill()
        take_lock(tmp_path / "lock", 5)


def test_a_cache_that_goes_while_others_are_looked_at_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / LOCK).touch()
    monkeypatch.setattr(Path, "glob", lambda folder, _: iter([folder / "gone", killed]))
    remove_abandoned(tmp_path)
    assert not list(tmp_path.iterdir())  # the one after it was looked at, and nobody held its lock


def test_a_cache_that_is_swept_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[Path] = []

    def late(path: Path, patience: float | None = None) -> int:
        if len(swept) < 2:
            swept.append(path.parent)
            if len(swept) == 1:  # before the lock is there, and after
                shutil.rmtree(path.parent)
            lock = take_lock(path, patience)
            shutil.rmtree(path.parent)
            return lock
        return take_lock(path, patience)

    monkeypatch.setattr(files, "take_lock", late)
    with MicrographFiles(None, lambda *_: None, tmp_path, 1e9, Console()):
        (mine,) = tmp_path.iterdir()
        assert (mine / LOCK).exists()
    assert len(swept) == 2
    assert not list(tmp_path.iterdir())


def test_the_cache_of_a_killed_run_is_removed_by_the_next_start(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom cryosparc_tool.console import Console\n"
        "from cryosparc_tool.data.files import MicrographFiles\n"
        "files = MicrographFiles(None, lambda *_: None, Path(sys.argv[1]), 1e9, Console())\n"
        "(files._folder / 'mic.mrc').write_bytes(b'x' * 1000)\nos.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    assert (left / "mic.mrc").exists()
    with MicrographFiles(None, lambda *_: None, tmp_path, 1e9, Console()):
        (mine,) = tmp_path.iterdir()
        assert mine != left
        with MicrographFiles(None, lambda *_: None, tmp_path, 1e9, Console()):
            assert mine.exists()
            assert len(list(tmp_path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == []


def test_other_folders_in_the_caches_place_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [tmp_path / "mine", tmp_path / "cryosparc_ganpick-othermachine-ab12"]
    made_now = tmp_path / f"{files._prefix()}ab12"
    for folder in (*others, made_now):
        folder.mkdir()
    (others[1] / LOCK).touch()
    MicrographFiles(None, lambda *_: None, tmp_path, 1e9, Console()).__exit__()
    assert all(folder.is_dir() for folder in (*others, made_now))
    now = time.time() + 2 * files.OLD_SECONDS
    monkeypatch.setattr("cryosparc_tool.data.files.time.time", lambda: now)
    MicrographFiles(None, lambda *_: None, tmp_path, 1e9, Console()).__exit__()
    assert not made_now.exists()
    assert all(folder.is_dir() for folder in others)


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GanpickError, match=r"file: cannot be written \(.*\): give another `cache`"):
        MicrographFiles(None, lambda *_: None, tmp_path / "file", 1e9, Console())
