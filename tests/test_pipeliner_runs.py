"""The pipeliner job, run by ccpem-pipeliner itself: picks, results, Continue, clean-up and failure, and other ways to run us."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pipeliner_project import (
    DIAMETER,
    MICROGRAPHS,
    NODES,
    PIXEL_SIZE,
    SIDE,
    Project,
    coordinates_of,
    in_project,
    log,
    our_picks,
    write_micrographs,
)

from relion_ganpick.adaptation.options import Decision, write_decision
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import write_picks
from relion_ganpick.relion.generation import GENERATIONS
from relion_ganpick.relion.names import pick_file, scores_file
from relion_ganpick.relion.outputs import write_lists

pytest.importorskip("pipeliner")
pytestmark = pytest.mark.pipeliner


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Project in which one job has picked both micrographs."""
    project = tmp_path_factory.mktemp("project")
    truth = write_micrographs(project)
    first = in_project(
        project,
        """
        project = PipelinerProject(make_new_project=True)
        job = project.run_job({**FORM, "nr_threads": 2}, run_in_foreground=True)
        print(json.dumps(state(job)))
        """,
    )
    return Project(project, truth, first)


@pytest.fixture
def copy(finished: Project, tmp_path: Path) -> Project:
    """Own copy of the finished project, to change at will."""
    return replace(finished, path=Path(shutil.copytree(finished.path, tmp_path / "project", symlinks=True)))


def test_every_bad_value_is_told_at_once_and_none_runs(copy: Project) -> None:
    problem, jobs = in_project(
        copy.path,
        """
        try:
            PipelinerProject().run_job({**FORM, "diameter": -5, "threshold": 2.0}, run_in_foreground=True)
        except ValueError as error:
            print(json.dumps([str(error), len(ProjectGraph(name="default").process_list)]))
        """,
    )
    assert "--diameter -5" in problem
    assert "--threshold 2" in problem
    assert jobs == 1


def test_pipeliner_reads_back_the_coordinates_that_we_wrote(finished: Project) -> None:
    first = finished.first
    assert first["status"] == "Succeeded"
    assert first["inputs"] == {"micrographs.star": "MicrographGroupMetadata.star.relion"}
    assert first["outputs"] == NODES
    assert first["coordinates"] == coordinates_of(our_picks(finished))
    for name, truth in finished.truth.items():
        picks = np.array(first["coordinates"][name])
        margin = DIAMETER / PIXEL_SIZE / 2
        inside = truth[(truth > margin).all(axis=1) & (truth < SIDE - 1 - margin).all(axis=1)]
        distance = np.hypot(*(inside[:, None] - picks[None]).transpose(2, 0, 1)).min(axis=1)
        assert (distance < 4).mean() > 0.7


def test_results_show_scores_counts_and_pictures(copy: Project) -> None:
    metadata, shown = in_project(
        copy.path,
        """
        job = PipelinerProject().get_job("AutoPick/job001/")
        shown = [vars(each) for each in job.save_results_display_files()]
        print(json.dumps([job.gather_metadata(), shown], default=str))
        """,
    )
    picks = list(our_picks(copy).values())
    counts = [len(each) for each in picks]
    scores = np.concatenate([each.score for each in picks])
    threshold = metadata.pop("Threshold")
    assert 0 < threshold <= scores.min()
    assert metadata.pop("Model") == "default"
    assert metadata == {"MicrographCount": 2, "ParticleCount": sum(counts), "MeanParticlesPerMicrograph": sum(counts) / 2}
    assert [each["dobj_type"] for each in shown] == ["histogram", "histogram", "image", "image", "html"]
    assert shown[4]["html_file"] == "AutoPick/job001/report.html"
    assert shown[0]["bins"] == np.histogram(scores, bins=[k / 50 for k in range(51)])[0].tolist()
    assert shown[0]["title"] == f"{sum(counts)} picked particles"
    assert sum(shown[1]["bins"]) == 2
    for name, count, image in zip(MICROGRAPHS, counts, shown[2:4], strict=True):
        assert image["image_desc"] == f"{name}: {count} particles"
        assert (copy.path / image["image_path"]).stat().st_size > 0


def test_job_that_found_no_particles_still_has_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_micrographs(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = [*MICROGRAPHS, "Micrographs/mic2.tiff"]
    for name in names:
        write_picks(Path(pick_file("AutoPick/job001/", name)), Picks.none())
    write_lists("AutoPick/job001/", "micrographs.star", names, GENERATIONS["5.0"])
    (tmp_path / "AutoPick/job001/adapted").mkdir()
    write_decision(Path("AutoPick/job001/adapted"), Decision("adapted", "", {}, model="default-adapted.safetensors"))
    metadata, shown = in_project(
        tmp_path,
        """
        job = job_from_dict({**FORM, "threshold": 0.5, "adapt": "Yes"})
        job.output_dir = "AutoPick/job001/"
        print(json.dumps([job.gather_metadata(), [[each.dobj_type, each.title] for each in job.create_results_display()]]))
        """,
    )
    assert metadata.pop("Model") == "AutoPick/job001/adapted/default-adapted.safetensors"
    assert metadata == {"MicrographCount": 3, "ParticleCount": 0, "MeanParticlesPerMicrograph": 0.0, "Threshold": 0.5}
    kinds, titles = zip(*shown, strict=True)
    assert kinds == ("text", "histogram", "image", "image", "text")
    assert titles[0] == "0 picked particles"
    assert titles[-1] == "Micrographs/mic2.tiff"


def test_continue_with_a_higher_threshold_only_filters(copy: Project) -> None:
    before = our_picks(copy)
    scores = {
        path: path.stat().st_mtime_ns for path in (copy.path / scores_file("AutoPick/job001/", name) for name in MICROGRAPHS)
    }
    threshold = float(np.median(np.concatenate([each.score for each in before.values()])))
    form = copy.path / "AutoPick/job001/continue_job.star"
    text, n_changed = re.subn(r'(?m)^( *threshold +)""', rf"\g<1>{threshold}", form.read_text())
    assert n_changed == 1
    form.write_text(text)
    after = in_project(
        copy.path, 'print(json.dumps(state(PipelinerProject().continue_job("AutoPick/job001/", run_in_foreground=True))))'
    )
    assert after["status"] == "Succeeded"
    assert after["outputs"] == NODES
    assert after["coordinates"] == coordinates_of({name: picks.above(threshold) for name, picks in before.items()})
    assert sum(map(len, after["coordinates"].values())) < sum(map(len, before.values()))
    assert {path: path.stat().st_mtime_ns for path in scores} == scores


def test_only_a_harsh_clean_up_removes_anything_and_picks_stay(copy: Project) -> None:
    job = copy.path / "AutoPick/job001"
    script = 'PipelinerProject().run_cleanup(["AutoPick/job001/"], harsh={harsh}); print("null")'
    in_project(copy.path, script.format(harsh=False))
    assert (job / "overlays").is_dir()
    assert (job / ".ganpick").is_dir()
    in_project(copy.path, script.format(harsh=True))
    assert not (job / "overlays").exists()
    assert not (job / ".ganpick").exists()
    assert coordinates_of(our_picks(copy)) == copy.first["coordinates"]


def test_micrographs_that_cannot_be_picked_fail_the_job(copy: Project) -> None:
    after, shown, n_picks = in_project(
        copy.path,
        """
        job = PipelinerProject().run_job({**FORM, "diameter": 5000}, run_in_foreground=True)
        shown = [each.title for each in job.create_results_display()]
        print(json.dumps([state(job), shown, job.gather_metadata()["ParticleCount"]]))
        """,
    )
    assert after["status"] == "Failed"
    assert shown == ["Nothing was picked"]
    assert n_picks == 0
    assert "a diameter of 5000 A" in log(copy, after["job"], "run.err")
    assert not (copy.path / after["job"] / "RELION_JOB_EXIT_SUCCESS").exists()


def test_relion_external_job_gives_the_same_picks(copy: Project) -> None:
    after = in_project(
        copy.path,
        """
        job = PipelinerProject().run_job({
            "_rlnJobTypeLabel": "relion.external", "fn_exe": "relion_ganpick", "in_mic": "micrographs.star",
            "param1_label": "diameter", "param1_value": "180", "param2_label": "device", "param2_value": "cpu",
            "nr_threads": 2, "fn_output": "autopick.star", "output_nodetype": "MicrographCoordsGroup",
            "output_kwds": "relion:::autopick",
        }, run_in_foreground=True)
        print(json.dumps(state(job)))
        """,
    )
    assert after["status"] == "Succeeded"
    assert after["outputs"] == {f"{after['job']}autopick.star": "MicrographCoordsGroup.star.relion.autopick"}
    assert after["coordinates"] == copy.first["coordinates"]


def test_run_external_program_works_from_the_jobs_own_folder(copy: Project) -> None:
    after = in_project(
        copy.path,
        """
        job = PipelinerProject().run_job({
            "_rlnJobTypeLabel": "pipeliner.run_external_program", "in_micrographs": "micrographs.star",
            "commands": "relion_ganpick --o . --in_mics XXXmicrographs_1XXX --diameter 180 --device cpu",
            "do_outputs": True, "fn_output": "autopick.star", "output_nodetype": "MicrographCoordsGroup",
            "output_kwds": "relion:::autopick",
        }, run_in_foreground=True)
        print(json.dumps(state(job)))
        """,
    )
    assert after["status"] == "Succeeded"
    assert after["coordinates"] == copy.first["coordinates"]
    listed = re.findall(r"^(\S+\.mrc)\s+(\S+\.star)", log(copy, after["job"], "autopick.star"), re.MULTILINE)
    assert listed == [(name, pick_file(after["job"], name)) for name in MICROGRAPHS]
