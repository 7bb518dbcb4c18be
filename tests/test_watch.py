"""``ganpick watch``: micrographs are picked as they arrive whole, and coordinates that were given out never change."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import starfile
import tifffile
from job_project import DIAMETER, scene_pixels, wait_for, write_mrc, write_star

from relion_ganpick.cli import main
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.settings import PickRequest, RunSettings
from relion_ganpick.formats.pick_files import write_picks
from relion_ganpick.runs import watch
from relion_ganpick.runs.arrivals import Arrivals, in_folder, in_star
from relion_ganpick.runs.request import RunRequest
from relion_ganpick.runs.waking import is_network
from relion_ganpick.runs.watch import CHOICES_FILE, Watch
from relion_ganpick.runs.watch_settings import WatchSettings

FIXED = {"working_diameter": DIAMETER}


def given(arrivals: Arrivals) -> list[str]:
    return [task.path.name for task, missing in arrivals.look() if missing is None]


def given_up(arrivals: Arrivals) -> list[str]:
    return [missing.reason for _, missing in arrivals.look() if missing is not None]


def after_settling(arrivals: Arrivals, found: Callable[[Arrivals], list[str]] = given) -> list[str]:
    at_once = found(arrivals)  # on a slow machine a file may count as old already
    threading.Event().wait(0.6)
    return at_once + found(arrivals)


def test_a_file_counts_when_its_size_agrees_with_its_header_and_rests(tmp_path: Path) -> None:
    write_mrc(tmp_path / "whole.mrc", scene_pixels(0))
    data = (tmp_path / "whole.mrc").read_bytes()
    write_mrc(tmp_path / "sub" / "deep.mrc", scene_pixels(0))
    for name in (".hidden.mrc", "notes.txt", "out/old.mrc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "half.mrc").write_bytes(data[: len(data) // 2])
    tifffile.imwrite(tmp_path / "a.tif", scene_pixels(0))
    cut = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "b.tif").write_bytes(cut[: len(cut) // 2])
    arrivals = Arrivals(in_folder(tmp_path, None, tmp_path / "out"))
    assert after_settling(arrivals) == ["a.tif", "deep.mrc", "whole.mrc"]
    assert arrivals.waiting == 2
    (tmp_path / "half.mrc").write_bytes(data)
    assert given(arrivals) == []
    assert after_settling(arrivals) == ["half.mrc"]


def test_a_file_that_stays_incomplete_is_told_once_and_tried_again_when_it_changes(tmp_path: Path) -> None:
    write_mrc(tmp_path / "mic.mrc", scene_pixels(0))
    data = (tmp_path / "mic.mrc").read_bytes()
    (tmp_path / "mic.mrc").write_bytes(data[:5000])
    arrivals = Arrivals(in_folder(tmp_path, None, tmp_path / "out"), patience=0.5)
    (reason,) = after_settling(arrivals, given_up)
    assert "mic.mrc: truncated: 5000 bytes, but its header says" in reason
    assert given_up(arrivals) == []
    (tmp_path / "mic.mrc").write_bytes(data)
    assert after_settling(arrivals) == ["mic.mrc"]
    assert after_settling(arrivals) == []


def test_rows_of_a_star_file_count_when_they_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arrivals = Arrivals(in_star(Path("mics.star"), None))
    assert given(arrivals) == []
    for k in range(3):
        write_mrc(Path(f"mic{k}.mrc"), scene_pixels(k))
    write_star(Path("mics.star"), ["mic0.mrc", "mic1.mrc", "later.mrc"])
    assert after_settling(arrivals) == ["mic0.mrc", "mic1.mrc"]
    assert arrivals.waiting == 1
    Path("mics.star").write_text("data_")
    assert given(arrivals) == []
    write_star(Path("mics.star"), ["mic0.mrc", "mic1.mrc", "mic2.mrc"])
    assert after_settling(arrivals) == ["mic2.mrc"]


class Watched:
    """A watch in a thread, and what it has told."""

    def __init__(self, folder: Path, out: Path, pick: dict[str, Any], **settings: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self.folder, self.out = folder, out
        request = RunRequest(PickRequest(diameter=DIAMETER, **pick), RunSettings(device="cpu", overlays=1))
        arrivals = Arrivals(in_folder(folder, None, out), settings.pop("patience", 60.0))
        self.watch = Watch(request, arrivals, out, self.target, WatchSettings(**settings), out / "STOP", self.told.append)

    def target(self, name: str) -> Path:
        return self.out / f"{Path(name).stem}_autopick.star"

    @contextmanager
    def running(self, renew: bool = False) -> Iterator[Watched]:
        problems: list[BaseException] = []

        def run() -> None:
            try:
                self.watch.carry_out(self.folder, renew)
            except BaseException as error:
                problems.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield self
        finally:
            self.out.mkdir(exist_ok=True)
            (self.out / "STOP").touch()
            thread.join(60)
        assert not thread.is_alive()
        assert not (self.out / "STOP").exists()
        if problems:
            raise problems[0]

    def names(self) -> list[str]:
        return [Path(each["micrograph"]).name for each in self.told if each["status"] == "picked"]


def add(folder: Path, *numbers: int) -> None:
    for k in numbers:
        write_mrc(folder / f"mic{k}.mrc", scene_pixels(k % 3))


def coordinates(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("mic*_autopick.star")}


def test_choices_wait_for_the_first_ones_and_hold_from_then_on(tmp_path: Path) -> None:
    folder, out = tmp_path / "mics", tmp_path / "out"
    add(folder, 0, 1)
    with Watched(folder, out, {}, first=3, report=0.001).running() as watched:
        wait_for(lambda: len(watched.watch._pending) == 2, "the first two")
        assert not coordinates(out)
        add(folder, 2)
        wait_for(lambda: len(watched.told) == 3, "three micrographs")
        choices = (out / CHOICES_FILE).read_bytes()
        add(folder, 3)
        wait_for(lambda: len(watched.told) == 4, "a fourth one")
    assert watched.names() == [f"mic{k}.mrc" for k in range(4)]
    listed = starfile.read(out / "autopick.star", always_dict=True)["coordinate_files"]
    assert list(listed["rlnMicrographCoordinates"]) == [str(out / f"mic{k}_autopick.star") for k in range(4)]
    summary = starfile.read(out / "summary.star", always_dict=True)[""]
    assert list(summary["rlnGroupNrParticles"]) == [each["picks"] for each in watched.told]
    assert summary["rlnGroupNrParticles"].min() > 10
    assert len(list((out / "overlays").glob("*.png"))) == 1

    before = coordinates(out)
    add(folder, 4)
    with Watched(folder, out, {}, first=3).running() as again:
        wait_for(lambda: len(again.told) == 1, "the new one")
    assert again.names() == ["mic4.mrc"]
    assert len(again.watch.rows) == 5
    assert {name: text for name, text in coordinates(out).items() if name in before} == before
    assert (out / CHOICES_FILE).read_bytes() == choices
    with pytest.raises(GanpickError, match=r"watch\.json: the picks in this folder were asked for with other options"):
        Watched(folder, out, {"threshold": 0.9}).watch.carry_out(folder)
    with Watched(folder, out, {"threshold": 0.97, **FIXED}, first=5).running(renew=True) as renewed:
        wait_for(lambda: len(renewed.told) == 5, "all of them again")
    assert coordinates(out)["mic0_autopick.star"] != before["mic0_autopick.star"]


def test_command_prints_a_line_of_json_for_each_and_ends_when_it_is_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "mics", tmp_path / "out"
    add(folder, 0)
    (folder / "bad.mrc").write_bytes(b"nothing")
    words = ["watch", str(folder), "--out", str(out), "--diameter", f"{DIAMETER:g}", "--device", "cpu", "--poll", "0.2"]
    words += ["--working_diameter", f"{DIAMETER:g}", "--patience", "1", "--quiet", "0.03"]
    assert main(words) == 0
    told = capsys.readouterr()
    bad, good = (json.loads(line) for line in told.out.splitlines())
    assert (bad["status"], good["status"]) == ("failed", "picked")
    assert "bad.mrc: not an MRC file" in bad["error"]
    assert good["coordinates"] == str(out / "mic0_autopick.star")
    assert good["picks"] == len(starfile.read(out / "mic0_autopick.star"))
    assert good["shape"] == list(scene_pixels(0).shape)
    assert "ganpick: ends: no new micrograph for 0.03 minutes" in told.err
    assert "ganpick: 1 micrographs, " in told.err.splitlines()[-1]


def test_what_cannot_be_watched_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--out", str(tmp_path / "out"), "--diameter", "180"]
    assert main(["watch", str(tmp_path / "nonesuch"), *words]) == 1
    assert capsys.readouterr().err == f"ganpick: {tmp_path}/nonesuch: no such folder; make it before the watch begins\n"
    assert main(["watch", str(tmp_path), *words, "--first", "0"]) == 1
    assert "--first 0: give a positive number" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_network_file_systems_are_told_by_the_table_of_mounts(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text(
        f"/dev/sda1 / ext4 rw 0 0\nserver:/data {tmp_path}/far\\040away nfs4 rw 0 0\nx {tmp_path}/ssh fuse.sshfs rw 0 0\n"
    )
    assert is_network(tmp_path / "far away" / "session1", table)
    assert is_network(tmp_path / "ssh", table)
    assert not is_network(tmp_path, table)


def test_coordinates_that_were_touched_are_kept_or_picked_anew_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, out = tmp_path / "mics", tmp_path / "out"
    add(folder, 0, 1, 2, 3)
    with Watched(folder, out, FIXED, first=4).running() as watched:
        wait_for(lambda: len(watched.told) == 4, "all of them")
    before = coordinates(out)
    cut, broken, emptied = (out / f"mic{k}_autopick.star" for k in (0, 1, 2))
    cut.write_bytes(before[cut.name][:-9])
    broken.write_text("hello\n")
    emptied.write_bytes(b"")
    with Watched(folder, out, FIXED, first=4).running() as again:
        wait_for(lambda: len(again.told) == 2, "the broken one and the one that is picked anew")
    failed, anew = sorted(again.told, key=lambda each: each["status"])
    assert (Path(failed["micrograph"]).name, failed["status"]) == ("mic1.mrc", "failed")
    assert f"{broken}: holds no columns _rlnCoordinateX and _rlnCoordinateY; not ours, so it is kept" in failed["error"]
    assert Path(anew["micrograph"]).name == "mic0.mrc"
    assert coordinates(out) == before | {broken.name: b"hello\n", emptied.name: b""}
    listed = starfile.read(out / "summary.star", always_dict=True)[""]
    assert [Path(name).name for name in listed["rlnMicrographName"]] == ["mic0.mrc", "mic2.mrc", "mic3.mrc"]
    assert listed["rlnGroupNrParticles"][1] == 0
    assert [each.getMessage() for each in caplog.records if "cut off" in each.getMessage()] == [
        f"{cut}: is cut off, as a crash leaves it: this micrograph is picked anew"
    ]


def test_exit_status_tells_whether_nothing_could_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mics"
    folder.mkdir()
    words = ["watch", str(folder), "--out", str(tmp_path / "out"), "--diameter", f"{DIAMETER:g}", "--device", "cpu"]
    words += ["--working_diameter", f"{DIAMETER:g}", "--poll", "0.2", "--patience", "0.6", "--quiet", "0.01"]
    assert main(words) == 0  # nothing came
    (folder / "bad.mrc").write_bytes(b"nothing")
    assert main(words) == 1
    assert "ganpick: 0 micrographs, 0 picks (0.0 each), 1 failed, 0 waiting" in capsys.readouterr().err.splitlines()[-1]


def test_damaged_record_of_the_options_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / CHOICES_FILE).write_text("{}")
    (out / "watch.json").write_text('{"pick": ')
    with pytest.raises(GanpickError, match=r"watch\.json: not a JSON file .*; delete it to go on with these options"):
        Watched(tmp_path, out, FIXED).watch.carry_out(tmp_path)


def test_micrograph_whose_coordinates_cannot_be_written_is_one_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = tmp_path / "mics", tmp_path / "out"
    add(folder, 0, 1)

    def write(path: Path, *given: Any, **more: Any) -> None:
        if path.name == "mic0_autopick.star":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        write_picks(path, *given, **more)

    monkeypatch.setattr(watch, "write_picks", write)
    with Watched(folder, out, FIXED, first=2).running() as watched:
        wait_for(lambda: len(watched.told) == 2, "both")
    assert [each["status"] for each in watched.told] == ["failed", "picked"]
    where = f"{out}/mic0_autopick.star: Input/output error"
    assert watched.told[0]["error"] == f"{folder}/mic0.mrc: its picks cannot be kept ({where})"


def test_micrograph_with_the_longest_name_is_picked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "mics", tmp_path / "out"
    write_mrc(folder / f"{'n' * 251}.mrc", scene_pixels(0))
    words = ["watch", str(folder), "--out", str(out), "--diameter", f"{DIAMETER:g}", "--device", "cpu", "--poll", "0.2"]
    assert main([*words, "--working_diameter", f"{DIAMETER:g}", "--quiet", "0.03"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(starfile.read(told["coordinates"])) == told["picks"] > 10
