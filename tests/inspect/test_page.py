"""The page in a real browser: look, slide, add, delete, undo, compare, save."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from inspect_job import PER_MICROGRAPH, THRESHOLD, N, Page, particles

from relion_ganpick.core.cut import Cut
from relion_ganpick.formats.pick_files import State, cut_digest, inspect_picks, read_picks
from relion_ganpick.inspect.report import write_report

pytestmark = pytest.mark.slow

Serve = Callable[..., str]


def kept(index: int, threshold: float = THRESHOLD) -> list[tuple[int, int, float]]:
    """Picks of a micrograph of the job that was made by hand."""
    picks = particles(index)[1].above(threshold)
    return [(int(x), int(y), float(s)) for x, y, s in zip(picks.x, picks.y, picks.score, strict=True)]


def file_of(folder: Path, index: int) -> Path:
    return folder / "Micrographs" / f"mic{index:03d}_autopick.star"


def save(page: Page) -> None:
    """Press Save, agree, and wait for the answer."""
    from selenium.webdriver.common.by import By

    page.click("save")
    page.driver.find_element(By.CSS_SELECTOR, "#ask button.main").click()
    page.wait("/Saved|Not saved/.test(document.getElementById('message').textContent)")
    page.settle()
    assert page.text("message").startswith("Saved"), page.text("message")


def test_report_opens_from_a_file_and_asks_nobody(job_folder: Path, page: Page) -> None:
    path = write_report(job_folder)
    page.open(path.as_uri())
    assert page.picks() == kept(0)
    events = [json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    assert {address.split(":")[0] for address in asked} <= {"file", "data", "blob", "chrome"}
    assert page.log() == []
    assert page.get("document.getElementById('save').hidden")


def test_looking_changes_nothing(job_folder: Path, page: Page, serve: Serve) -> None:
    page.open(serve(job_folder))
    for index in (3, 5, 0):
        page.go(index)
    page.press("hhffgg")
    assert not page.get("ganpick.unsaved()")
    assert page.get("document.getElementById('save').disabled")
    assert not (job_folder / "edits.json").exists()


def test_report_shows_numbers_of_all_and_pictures_of_a_spread(job_folder: Path, page: Page) -> None:
    page.open(write_report(job_folder, n=3).as_uri())
    assert page.text("kept") == str(sum(len(kept(k)) for k in range(N - 1)))
    assert page.text("all") == str((N - 1) * PER_MICROGRAPH)
    page.run("ganpick.go(1)")
    page.wait("!document.getElementById('no_picture').hidden")
    assert "ganpick inspect" in page.text("no_picture")
    assert page.get("ganpick.model('rows').data.defocus[2]") == pytest.approx(1.2)


def test_circles_lie_on_the_particles(report: str, page: Page) -> None:
    page.open(report)
    for x, y, _ in page.picks():
        script = """
          const image = ganpick.model('image').data;
          const [shape, box] = [image.image[0].shape, [image.x[0], image.y[0], image.dw[0], image.dh[0]]];
          const column = Math.floor((arguments[0] - box[0]) / box[2] * shape[1]);
          const row = Math.floor((arguments[1] - box[1]) / box[3] * shape[0]);
          return image.image[0][row * shape[1] + column];"""
        assert page.run(script, x, y) < 70  # particles are dark; 127 is the median


def test_threshold_follows_slider_handle_and_keys(report: str, page: Page) -> None:
    page.open(report)
    page.run("const s = document.getElementById('threshold'); s.value = 0.8; s.dispatchEvent(new Event('input'))")
    page.settle()
    assert page.picks() == kept(0, 0.8)
    page.press("[[")
    assert page.get("ganpick.selection.threshold") == pytest.approx(0.78)
    assert page.picks() == kept(0, 0.78)
    page.mouse("histogram", 0.78, 0.5).click_and_hold().perform()
    page.mouse("histogram", 0.6, 0.5).perform()
    page.mouse("histogram", 0.3, 0.5).release().perform()
    page.wait("ganpick.selection.threshold < 0.35")  # a busy browser notices the drag later
    page.settle()
    assert page.get("ganpick.selection.threshold") == pytest.approx(0.3, abs=0.02)
    assert page.text("kept") == str(sum(len(kept(k, page.get("ganpick.selection.threshold"))) for k in range(N - 1)))
    assert page.picks() == kept(0, page.get("ganpick.selection.threshold"))


def test_list_shows_new_numbers(report: str, page: Page) -> None:
    page.open(report)
    page.run("ganpick.choose({threshold: 0.9})")
    page.settle()
    first = page.get(
        "Bokeh.index.find_one(ganpick.model('table')).shadow_el.querySelector('.slick-row .slick-cell:nth-child(2)').textContent"
    )
    assert first == str(len(kept(0, 0.9)))


def test_best_share_counts_on_every_micrograph(report: str, page: Page) -> None:
    page.open(report)
    page.run("const s = document.getElementById('best'); s.value = 50; s.dispatchEvent(new Event('input'))")
    page.settle()
    half = -(-len(kept(0)) // 2)
    assert page.picks() == kept(0)[:half]
    assert page.text("kept") == str((N - 1) * half)


def test_most_counts_on_every_micrograph_and_is_taken_back(report: str, page: Page) -> None:
    page.open(report)
    assert page.get("document.getElementById('most').max") == str(PER_MICROGRAPH)
    for value in (9, 7, 5):  # one slide
        page.run(f"const s = document.getElementById('most'); s.value = {value}; s.dispatchEvent(new Event('input'))")
    page.settle()
    assert page.picks() == kept(0)[:5]
    assert page.text("kept") == str(5 * (N - 1))
    assert page.get("document.getElementById('most').parentElement.querySelector('output').textContent") == "5"
    assert page.get("ganpick.model('rows').data.picks[0]") == 5
    page.run("ganpick.done.at(-1).time = 0; ganpick.choose({best: 0.25})")  # a while later
    page.settle()
    assert page.picks() == kept(0)[:4]  # the best quarter of 13 is less than 5
    page.press("z")
    assert page.picks() == kept(0)[:5]
    page.click("undo")
    assert page.picks() == kept(0)
    assert page.get("document.getElementById('most').parentElement.querySelector('output').textContent") == "all"
    assert not page.get("ganpick.rule_changed()")
    page.press("y")
    assert page.picks() == kept(0)[:5]


def test_x_takes_back_a_rejection_and_nothing_else(report: str, page: Page) -> None:
    page.open(report)
    page.press("x")
    assert page.text("state") == "rejected"
    page.run("ganpick.choose({threshold: 0.7})")
    page.settle()
    page.press("x")
    assert page.get("ganpick.selection.threshold") == 0.7
    assert page.picks() == kept(0, 0.7)
    assert page.text("state") == ""


def test_keys_walk_and_switch(report: str, page: Page) -> None:
    page.open(report)
    from selenium.webdriver.common.keys import Keys

    page.press(Keys.ARROW_RIGHT)
    assert page.text("name") == "mic001"
    page.press("n")
    assert page.text("name") == f"mic{N - 1:03d}"  # the one without picks
    assert page.text("state") == "odd"
    page.press("f")
    assert page.get("ganpick.layer") == "plain"
    page.press("h")
    assert not page.get("ganpick.model('picks_circles').visible")
    page.press("?")
    assert page.get("document.getElementById('keys').open")


def test_click_adds_drag_moves_delete_removes_and_undo_takes_back(report: str, page: Page) -> None:
    page.open(report)
    before = kept(0)
    page.press("e")
    page.mouse("picture", 7, 100).click().perform()
    page.wait("ganpick.done.length === 1")
    assert sorted(page.picks()) == sorted([*before, (7, 100, -1.0)])
    assert page.text("state") == "edited"
    x, y, _ = before[0]
    page.mouse("picture", x, y).click_and_hold().perform()
    page.mouse("picture", x + 5, y + 5).perform()
    page.mouse("picture", x + 8, y + 9).release().perform()
    page.wait("ganpick.done.length === 2")
    moved = next(pick for pick in page.picks() if abs(pick[0] - x) < 15 and abs(pick[1] - y) < 15)
    # Bokeh takes it for a drag after some pixels only: how many depends on how busy the browser is.
    assert moved[0] == pytest.approx(x + 8, abs=5)
    assert moved[1] == pytest.approx(y + 9, abs=5)
    assert moved[2] == -1
    page.press("e")
    x, y, score = before[3]
    page.mouse("picture", x, y).perform()
    page.press("d")
    assert (x, y, score) not in page.picks()
    assert len(page.picks()) == len(before)
    page.press("zzz")
    assert page.picks() == before
    assert page.text("state") == ""
    page.press("y")
    assert sorted(page.picks()) == sorted([*before, (7, 100, -1.0)])
    assert page.log() == []


def test_compare_counts_what_a_threshold_adds_and_removes(report: str, page: Page) -> None:
    page.open(report)
    page.run("const s = document.getElementById('compare'); s.value = 'saved'; s.dispatchEvent(new Event('change'))")
    page.settle()
    assert page.text("difference") == "+0 added, -0 removed on this micrograph"
    page.run("ganpick.choose({threshold: 0.3})")
    page.settle()
    more = len(kept(0, 0.3)) - len(kept(0))
    assert page.text("difference").startswith(f"+{more} added, -0 removed")
    page.run("ganpick.choose({threshold: 0.9})")
    page.settle()
    assert page.text("difference").startswith(f"+0 added, -{len(kept(0)) - len(kept(0, 0.9))} removed")


def test_click_on_a_point_goes_there_and_a_drag_lists_some(report: str, page: Page) -> None:
    page.open(report)
    page.run("document.getElementById('below').scrollIntoView()")
    page.wait("ganpick.model('points_picks').data.x.length > 0")
    page.settle()
    page.mouse("series_picks", 4, len(kept(3))).click().perform()
    page.wait("ganpick.current === 3")
    page.mouse("series_picks", 1.6, 0.9 * len(kept(0))).click_and_hold().perform()
    page.mouse("series_picks", 3, 1.0 * len(kept(0))).perform()
    page.mouse("series_picks", 4.4, 1.04 * len(kept(0))).release().perform()
    page.settle()
    assert page.get("ganpick.order") == [1, 2, 3]
    page.run("document.getElementById('everything').click()")
    page.settle()
    assert len(page.get("ganpick.order")) == N


def test_edits_are_saved_as_display_would_and_kept_in_a_log(job_folder: Path, page: Page, serve: Serve) -> None:
    page.open(serve(job_folder))
    page.go(2)
    x, y, _ = kept(2)[0]
    page.mouse("picture", x, y).perform()
    page.press("d")
    page.press("e")
    page.mouse("picture", 7, 100).click().perform()
    page.wait("ganpick.done.length === 2")
    page.press("e")
    page.go(4)
    page.press("x")
    assert page.text("state") == "rejected"
    save(page)
    written = read_picks(file_of(job_folder, 2))
    assert inspect_picks(file_of(job_folder, 2)).state is State.EDITED
    assert {(int(a), int(b)) for a, b in written.xy} == {(a, b) for a, b, _ in kept(2)[1:]} | {(7, 100)}
    assert written.score.min() == -999
    assert inspect_picks(file_of(job_folder, 4)).state is State.EDITED
    assert len(read_picks(file_of(job_folder, 4))) == 0
    assert inspect_picks(file_of(job_folder, 0)).state is State.OURS
    log = json.loads((job_folder / "edits.json").read_text())
    assert [(entry["micrograph"], entry["what"]) for entry in log] == [
        ("Micrographs/mic002.mrc", "edit"),
        ("Micrographs/mic004.mrc", "reject"),
    ]
    assert len(log[0]["old"]["x"]) == len(kept(2))
    assert page.get("ganpick.job.states[4]") == "rejected"
    assert page.get("document.getElementById('save').disabled")
    assert page.log() == []


@pytest.mark.parametrize(
    ("choice", "cut"), [("{threshold: 0.7}", Cut(0.7)), ("{most: 5}", Cut(THRESHOLD, most=5))], ids=["threshold", "most"]
)
def test_choice_is_saved_as_continue_would_and_shown_again(
    job_folder: Path, page: Page, serve: Serve, choice: str, cut: Cut
) -> None:
    page.open(serve(job_folder))
    usual = page.get("document.getElementById('most').value")
    page.run(f"ganpick.choose({choice})")
    page.settle()
    save(page)
    for index in range(N - 1):
        found = inspect_picks(file_of(job_folder, index))
        assert (found.state, found.settings) == (State.OURS, cut_digest(f"{index:016x}", *cut.key))
        assert found.n_picks == len(kept(index, cut.threshold)[: cut.most])
    page.run("location.reload()")
    page.wait("typeof ganpick !== 'undefined' && ganpick.ready")
    assert page.picks() == kept(0, cut.threshold)[: cut.most]
    assert page.get("document.getElementById('most').value") == (usual if cut.most is None else str(cut.most))
    assert page.get("document.getElementById('save').disabled")


def test_automatic_picks_come_back(job_folder: Path, page: Page, serve: Serve) -> None:
    page.open(serve(job_folder))
    page.press("x")
    save(page)
    assert len(read_picks(file_of(job_folder, 0))) == 0
    page.press("r")
    assert page.picks() == kept(0)
    save(page)
    found = inspect_picks(file_of(job_folder, 0))
    assert (found.state, found.settings) == (State.OURS, cut_digest(f"{0:016x}", THRESHOLD))


def test_power_is_saved_for_micrographs_that_nobody_has_seen(job_folder: Path, page: Page, serve: Serve) -> None:
    page.open(serve(job_folder))
    power = np.array(page.get("ganpick.held(0).picks.power"))
    limit = round(float(np.median(power[: len(kept(0))])), 2)
    page.run("ganpick.choose({power_low: arguments[0]})", limit)
    page.settle()
    n = len(page.picks())
    assert n == int((power[: len(kept(0))] >= limit).sum())
    save(page)
    assert len(read_picks(file_of(job_folder, 0))) == n
    assert inspect_picks(file_of(job_folder, 6)).state is State.EDITED


def test_picks_of_another_job_are_compared(job_folder: Path, page: Page, serve: Serve, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    x, y, _ = kept(0)[0]
    (other / "mic000.csv").write_text(f"x,y\n{x + 2},{y - 2}\n300,8\n")
    page.open(serve(job_folder, "--compare", str(other)))
    page.run("const s = document.getElementById('compare'); s.value = '0'; s.dispatchEvent(new Event('change'))")
    page.settle()
    assert page.text("difference").startswith(f"+{len(kept(0)) - 1} added, -1 removed")


def test_class_averages_show_their_members_and_can_be_dropped(job_folder: Path, page: Page, serve: Serve) -> None:
    page.open(serve(job_folder))
    page.wait("document.querySelectorAll('#averages figure').length > 0")
    counts = page.get("ganpick.averages.classes.map((each) => each.count)")
    assert sum(counts) == (N - 1) * len(kept(0))
    page.run("ganpick.choose_class(0)")
    page.wait("ganpick.held(0).classes")
    page.settle()
    members = page.get("ganpick.held(0).classes.filter((k) => k === 0).length")
    assert page.get("ganpick.model('members').data.x.length") == members
    dropped = page.get(f"ganpick.held(0).classes.slice(0, {len(kept(0))}).filter((k) => k === 0).length")
    page.run("ganpick.drop_class()")
    page.settle()
    assert len(page.picks()) == len(kept(0)) - dropped
