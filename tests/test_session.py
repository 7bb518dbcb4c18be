"""`Session`: a warm model for services, asked by many threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from job_project import DIAMETER, PIXEL_SIZE, scene_pixels, write_mrc

from relion_ganpick import Micrograph, Picker, PickSettings, Session, read_micrograph, tuned
from relion_ganpick.core.errors import DeviceError, GanpickError, ModelError


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("micrographs")
    for seed in range(3):
        write_mrc(folder / f"mic{seed}.mrc", scene_pixels(seed))
    return sorted(folder.glob("*.mrc"))


def test_session_gives_the_picks_of_a_picker(files: list[Path]) -> None:
    session = Session(DIAMETER, device="cpu")
    picker = Picker(PickSettings(DIAMETER), "cpu")
    picks = session.pick(files[0])
    assert len(picks) > 10
    assert picks == picker.pick(read_micrograph(files[0]))
    assert session.threshold == (None if picker.weighs_sets else picker.threshold)  # before `learn` each has a cut of its own
    strict = Session(DIAMETER, device="cpu", threshold=float(picks.score[2]))
    assert 3 <= len(strict.pick(files[0])) < len(strict.score(files[0]))


def test_pixels_and_pixel_sizes_may_be_given_in_place_of_files(files: list[Path], tmp_path: Path) -> None:
    write_mrc(tmp_path / "without.mrc", scene_pixels(0), 0.0)
    wanted = Session(DIAMETER, device="cpu").pick(files[0])
    session = Session(DIAMETER, device="cpu", angpix=PIXEL_SIZE)
    assert session.pick(tmp_path / "without.mrc") == wanted
    assert session.pick(Micrograph(scene_pixels(0), PIXEL_SIZE, "camera")) == wanted
    assert len(session.pick(files[0], pixel_size=2 * PIXEL_SIZE)) < len(wanted)


def test_many_threads_get_the_picks_of_one(files: list[Path]) -> None:
    session = Session(DIAMETER, device="cpu")
    alone = [session.pick(path) for path in files]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(session.pick, files * 2))
    assert together == alone * 2


def test_learning_holds_until_it_is_renewed(files: list[Path], tmp_path: Path) -> None:
    session = Session(DIAMETER * 1.25, device="cpu", folder=tmp_path / "kept")
    before = session.settings
    session.learn(files)
    wanted = tuned(Picker(before, "cpu"), [read_micrograph(path) for path in files])
    assert session.settings.working_diameter == wanted.settings.working_diameter != before.working_diameter
    again = Session(DIAMETER * 1.25, device="cpu", folder=tmp_path / "kept")
    again.learn(files[:1])
    assert again.settings == session.settings
    assert (tmp_path / "kept" / "working_diameter.json").is_file()
    again.learn(files[:1], renew=True)
    assert not (tmp_path / "kept" / "working_diameter.json").is_file() or again.settings != session.settings


def test_an_unknown_diameter_has_to_be_learned(files: list[Path]) -> None:
    session = Session("auto", device="cpu")
    with pytest.raises(GanpickError, match=r"`diameter` auto: the diameter is not known yet; call learn\(\)"):
        session.pick(files[0])
    with pytest.raises(GanpickError, match="was given no micrographs"):
        session.learn([])


def test_what_is_wrong_can_be_told_by_the_kind_of_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model 'nonesuch'"):
        Session(DIAMETER, device="cpu", model="nonesuch")
    with pytest.raises(DeviceError, match="PyTorch sees"):
        Session(DIAMETER, device="cuda:97")
    with pytest.raises(GanpickError, match="`threshold` 2"):
        Session(DIAMETER, device="cpu", threshold=2.0)
    with pytest.raises(TypeError, match="knows no option nonesuch"):
        Session(DIAMETER, nonesuch=1)
    with pytest.raises(GanpickError, match="no such file"):
        Session(DIAMETER, device="cpu").pick(tmp_path / "nonesuch.mrc")
