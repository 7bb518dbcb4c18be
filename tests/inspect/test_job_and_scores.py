"""What the page reads from a job's folder."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from inspect_job import DIAMETER, PER_MICROGRAPH, PIXEL_SIZE, THRESHOLD, N, particles

from relion_ganpick.core.cut import Cut
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import write_picks
from relion_ganpick.inspect import report as report_module
from relion_ganpick.inspect.job import Facts, find_job, short_names, write_facts
from relion_ganpick.inspect.logfile import write_logfile
from relion_ganpick.inspect.material import gather
from relion_ganpick.inspect.payload import job_payload, odd_ones, states
from relion_ganpick.inspect.pictures import details, look_at
from relion_ganpick.inspect.report import write_report, write_reports
from relion_ganpick.inspect.scores import CACHE_FILE, Scores, read_scores


def scores_of(merits: list[list[float]], kept: list[int] | None = None) -> Scores:
    """Scores of micrographs without files."""
    starts = np.concatenate([[0], np.cumsum([len(each) for each in merits])]).astype(np.int64)
    flat = np.array([value for each in merits for value in each]) * 10000
    n_file = np.array(kept or [len(each) for each in merits], np.int32)
    unknown = np.full(len(merits), np.nan, np.float32)
    return Scores(starts, flat.round().astype(np.uint16), np.ones(len(merits), np.uint8), n_file, unknown, unknown)


def test_folder_says_what_it_was_run_with(job_folder: Path) -> None:
    job = find_job(job_folder)
    assert len(job.names) == N
    assert job.diameter == DIAMETER
    assert job.pixel_sizes[job.names[0]] == PIXEL_SIZE
    assert job.defocus[3] == pytest.approx(1.3)
    assert all(path.is_file() for path in (*job.scores, *job.coordinates))


def test_diameter_is_that_of_the_working_diameter_record(job_folder: Path) -> None:
    (job_folder / ".ganpick" / "run.json").unlink()
    with pytest.raises(GanpickError, match="give `diameter`"):
        _ = find_job(job_folder).diameter
    (job_folder / "working_diameter.json").write_text('{"diameter": 150.0, "angstrom": 140.0, "contrast": "bright"}')
    facts = find_job(job_folder).facts
    assert (facts.diameter, facts.working_diameter, facts.contrast) == (150.0, 140.0, "bright")
    assert find_job(job_folder, Facts(diameter=99.0)).diameter == 99.0


def test_folder_without_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GanpickError, match=r"autopick\.star: no such file"):
        find_job(tmp_path)


def test_scores_come_from_the_cache_until_a_file_changes(job_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = find_job(job_folder)
    first = read_scores(job)
    assert (job_folder / CACHE_FILE).is_file()
    read: list[int] = []
    monkeypatch.setattr("relion_ganpick.inspect.scores._read_one", lambda _, k: read.append(k) or pytest.fail("read anew"))
    again = read_scores(job)
    assert read == []
    np.testing.assert_array_equal(first.score, again.score)
    np.testing.assert_array_equal(first.starts, again.starts)
    monkeypatch.undo()
    write_picks(job.scores[2], particles(2)[1].above(0.9), "2" * 16)
    changed = read_scores(job)
    assert len(changed.of(2)) == len(particles(2)[1].above(0.9))
    np.testing.assert_array_equal(changed.of(3), first.of(3))


def test_damaged_cache_is_read_over(job_folder: Path) -> None:
    job = find_job(job_folder)
    first = read_scores(job)
    (job_folder / CACHE_FILE).write_bytes(b"PK\x03\x04 damaged")
    np.testing.assert_array_equal(read_scores(job).score, first.score)


def test_threshold_is_found_from_what_was_kept(job_folder: Path) -> None:
    assert read_scores(find_job(job_folder)).threshold() == THRESHOLD
    assert scores_of([[0.9, 0.6, 0.44], [0.58, 0.562]], kept=[2, 1]).threshold() == 0.57


@pytest.mark.parametrize(("known", "is_right"), [(0.45, True), (0.6, True), (0.44, False), (0.601, False), (0.59996, True)])
def test_threshold_that_was_taken_down_holds_if_the_files_agree(known: float, is_right: bool) -> None:
    """A run without a page does not take it down, so that an older one may be there."""
    scores = scores_of([[0.9, 0.6, 0.4399], [0.7, 0.44]], kept=[2, 1])
    assert scores.cut(Facts(threshold=known)) == Cut(known if is_right else 0.5)
    assert scores.cut(Facts(threshold=known, most=2)) == Cut(known, most=2)


def test_report_that_is_written_anew_keeps_what_the_job_was_run_with(job_folder: Path) -> None:
    write_facts(job_folder, Facts(diameter=DIAMETER, threshold=0.55, most=8, model="default"))
    write_report(job_folder, Facts(contrast="bright"))
    facts = Facts(diameter=DIAMETER, threshold=0.55, most=8, model="default", contrast="bright")
    assert find_job(job_folder).facts == facts


def test_edited_and_rejected_micrographs_are_told(job_folder: Path) -> None:
    job = find_job(job_folder)
    job.coordinates[1].write_text("\ndata_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n10 20\n")
    job.coordinates[2].write_text("\ndata_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n")
    job.coordinates[3].unlink()
    assert states(read_scores(job))[:5] == ["normal", "edited", "rejected", "missing", "normal"]


def test_micrographs_unlike_the_others_are_odd() -> None:
    scores = scores_of([[0.9] * n for n in (50, 52, 49, 51, 48, 50, 3, 53)])
    assert np.nonzero(odd_ones(scores, np.full(8, np.nan), 0.5))[0].tolist() == [6]
    dirty = np.array([0.01, 0.02, 0.01, 0.015, 0.01, 0.02, 0.01, 0.6])
    assert np.nonzero(odd_ones(scores_of([[0.9] * 50] * 8), dirty, 0.5))[0].tolist() == [7]


def test_names_are_short_unless_they_would_be_the_same() -> None:
    assert short_names(("a/mic1.mrc", "a/mic2.mrc", "b/mic2.mrc")) == ["mic1", "a/mic2", "b/mic2"]


def test_details_hold_picture_power_and_edited_picks(job_folder: Path) -> None:
    job = find_job(job_folder)
    job.coordinates[0].write_text(
        "\ndata_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n_rlnAutopickFigureOfMerit #3\n10 20 -999\n30 40 0.8\n"
    )
    looks = look_at(job.micrograph(0), PIXEL_SIZE, DIAMETER)
    content = details(job, 0, looks)
    assert content["size"] == [320, 240]
    assert content["diameter_px"] == pytest.approx(18)
    assert content["file"] == {"x": [10, 30], "y": [20, 40], "score": [-1, 0.8]}
    assert len(content["picks"]["power"]) == PER_MICROGRAPH
    assert min(content["picks"]["power"]) > 1  # particles vary more than the rest
    assert content["layers"]["plain"]["box"] == [0, 0, 320, 240]


def test_power_is_high_where_the_picture_varies(job_folder: Path) -> None:
    looks = look_at(find_job(job_folder).micrograph(0), PIXEL_SIZE, DIAMETER)
    on, between = looks.power(Picks(np.array([30.0, 53.0]), np.array([30.0, 55.0]), np.ones(2)), DIAMETER)
    assert on > 2 * between


def test_report_of_a_job_with_unreadable_micrographs_says_so(job_folder: Path) -> None:
    job = find_job(job_folder)
    os.truncate(job.micrograph(1), 100)
    text = write_report(job_folder).read_text()
    assert "mic001.mrc: not an MRC file" in text
    assert "https://" not in text.split('id="data-job"')[1].split("</script>")[0]


def test_names_cannot_end_a_script(job_folder: Path) -> None:
    job = find_job(job_folder)
    payload = job_payload(job, read_scores(job), served=False) | {"folder": "</script><script>alert(1)</script>"}
    from relion_ganpick.inspect.page import page_html

    assert "</script><script>alert(1)" not in page_html("x", {"job": payload})


def test_run_without_bokeh_says_how_to_get_the_report(
    job_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(report_module, "can_report", lambda: False)
    caplog.set_level("INFO")
    job = find_job(job_folder, Facts(diameter=200.0))
    assert write_reports(job) == (job_folder / "logfile.pdf",)
    assert report_module.HINT in caplog.messages
    assert not (job_folder / "report.html").exists()
    assert json.loads((job_folder / ".ganpick" / "run.json").read_text())["diameter"] == 200.0


def test_reports_tell_their_processor_time(job_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert write_reports(find_job(job_folder)) == (job_folder / "logfile.pdf", job_folder / "report.html")
    assert re.search(r"report\.html show the picks \(\d+\.\d s of processor time\)", caplog.messages[-1])


def test_report_that_cannot_be_written_fails_no_run(
    job_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(report_module, "gather", broken)
    assert write_reports(find_job(job_folder)) == ()
    assert "ZeroDivisionError('by chance'); the picks are not affected" in caplog.messages[-1]


def test_logfile_has_histograms_numbers_pictures_and_averages(job_folder: Path) -> None:
    """Two pages of plots, three of pictures, one of averages; the same picks give the same file."""
    material = gather(find_job(job_folder))
    first = write_logfile(material).read_bytes()
    assert first.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", first)) == 6
    assert write_logfile(material).read_bytes() == first


def test_logfile_of_micrographs_that_cannot_be_read_has_the_numbers(job_folder: Path) -> None:
    for path in (job_folder.parents[1] / "Micrographs").iterdir():
        path.unlink()
    material = gather(find_job(job_folder))
    assert len(material.problems) == N
    assert len(re.findall(rb"/Type /Page\b", write_logfile(material).read_bytes())) == 2


def test_page_begins_with_the_ranks_that_the_job_was_run_with(job_folder: Path) -> None:
    """Where ranks are kept, the threshold cannot be found from the picks, so all are taken down."""
    write_facts(job_folder, Facts(diameter=DIAMETER, threshold=0.25, best=0.7, most=8))
    job = find_job(job_folder)
    payload = job_payload(job, read_scores(job), served=True)
    assert (payload["threshold"], payload["best"], payload["most"]) == (0.25, 0.7, 8)


def test_reports_show_the_ranks_that_the_job_was_run_with(job_folder: Path) -> None:
    write_facts(job_folder, Facts(diameter=DIAMETER, threshold=0.25, best=0.7, most=8))
    material = gather(find_job(job_folder))
    assert material.cut == Cut(0.25, 0.7, 8)
    assert material.averages is not None
    assert sum(material.averages.counts) == 8 * (N - 1)


def test_files_that_have_not_changed_are_not_read_again(job_folder: Path) -> None:
    job = find_job(job_folder)
    first = read_scores(job)
    assert read_scores(job, last=first) is first
    write_picks(job.coordinates[2], particles(2)[1].above(0.9), "2" * 16)
    assert read_scores(job, last=first).n_file[2] == len(particles(2)[1].above(0.9))
