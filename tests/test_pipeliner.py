"""The pipeliner job's form, as ccpem-pipeliner sees it: listing, options, command line and checks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pipeliner_project import NODES, in_project

from relion_ganpick.adaptation.options import AdaptOptions
from relion_ganpick.core.options import options_of
from relion_ganpick.core.settings import PickRequest, RunSettings

pytest.importorskip("pipeliner")
pytestmark = pytest.mark.pipeliner


def test_job_is_found_by_its_entry_point_without_importing_torch(tmp_path: Path) -> None:
    found = in_project(
        tmp_path,
        """
        jobs = get_job_types("ganpick")
        version = jobs[0].jobinfo.programs[0].get_version(30)
        names = [[job.PROCESS_NAME, job.get_category_label(), job.jobinfo.is_available, job.can_continue] for job in jobs]
        print(json.dumps([names, jobs[0].jobinfo.version == version, "torch" in sys.modules]))
        """,
    )
    assert found == [[["ganpick.autopick", "Automated Particle Picking", True, True]], True, False]


def test_form_shows_every_setting_in_the_settings_own_words(tmp_path: Path) -> None:
    form = in_project(
        tmp_path,
        """
        options = job_from_dict({"_rlnJobTypeLabel": "ganpick.autopick"}).joboptions
        print(json.dumps({
            name: [each.label, each.help_text, each.value, getattr(each, "choices", [])] for name, each in options.items()
        }))
        """,
    )
    for settings in (PickRequest, RunSettings, AdaptOptions):
        for name, option in options_of(settings).items():
            if name == "j":
                assert form["nr_threads"][2] == 1
                continue
            label, text, value, choices = form[name]
            assert label == option.label
            assert text.lower() == option.text.lower() + "."
            assert (None if value == "" else value) == settings.__dataclass_fields__[name].default
            assert choices == list(option.choices)


def test_command_holds_what_was_filled_in_and_nothing_else(tmp_path: Path) -> None:
    words, nodes = in_project(
        tmp_path,
        """
        filled_in = {"threshold": 0.25, "gpu": "1", "nr_threads": 3, "adapt": "Yes", "adapt_steps": 99}
        filled_in |= {"best": "70%", "most": 300}
        job = job_from_dict({**FORM, **filled_in, "other_args": "--relion_version 5.0"})
        job.output_dir = "AutoPick/job007/"
        job.create_output_nodes()
        job.create_input_nodes()
        command = job.get_commands()[0].get_final_command(job.output_dir)
        print(json.dumps([command, {node.name: node.type for node in job.input_nodes + job.output_nodes}]))
        """,
    )
    assert Path(words[0]) == Path(sys.executable).parent / "relion_ganpick"
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options.pop("--o") == "AutoPick/job007/"
    assert options == {
        "--in_mics": "micrographs.star",
        "--diameter": "180.0",
        "--working_diameter": "auto",
        "--threshold": "0.25",
        "--best": "0.7",
        "--most": "300",
        "--contrast": "dark",
        "--model": "default",
        "--localization": "auto",
        "--region_threshold": "0.1",
        "--erosion": "5",
        "--area_tolerance": "0.5",
        "--device": "cpu",
        "--gpu": "1",
        "--j": "3",
        "--overlays": str(RunSettings().overlays),
        "--page": "True",
        "--masks": "no",
        "--max_failed": str(RunSettings().max_failed),
        "--max_megapixels": str(RunSettings().max_megapixels),
        "--adapt": "True",
        "--adapt_most": "24",
        "--adapt_steps": "99",
        "--relion_version": "5.0",
    }
    outputs = {name.replace("job001", "job007"): kind for name, kind in NODES.items()}
    assert nodes == {"micrographs.star": "MicrographGroupMetadata.star.relion"} | outputs


def test_unknown_diameter_is_a_word_in_the_form(tmp_path: Path) -> None:
    (tmp_path / "micrographs.star").touch()
    words, problems = in_project(
        tmp_path,
        """
        job = job_from_dict({**FORM, "diameter": "auto"})
        job.output_dir = "AutoPick/job007/"
        command = job.get_commands()[0].get_final_command(job.output_dir)
        print(json.dumps([command, [str(problem) for problem in job.validate_joboptions()]]))
        """,
    )
    assert words[words.index("--diameter") + 1] == "auto"
    assert problems == []


IMPOSSIBLE: list[tuple[dict[str, Any], str, str]] = [
    ({"diameter": ""}, "Particle diameter (A)", "This option is required"),
    ({"diameter": -5}, "Particle diameter (A)", "--diameter -5: give a positive number in Angstrom"),
    ({"diameter": "wide"}, "Particle diameter (A)", "--diameter 'wide': give a number or auto"),
    ({"threshold": 1.5}, "Score threshold", "--threshold 1.5: a figure of merit lies between 0 and 1"),
    ({"best": "170%"}, "Best picks (%)", "--best '170%': give a share, such as 70% or 0.7"),
    ({"edge_margin": -1}, "Edge margin (A)", "--edge_margin -1: give 0 or a positive number of Angstrom"),
    ({"erosion": 0}, "Erosion (px)", "--erosion 0: give a side of 1 (no erosion) to 99 pixels"),
    ({"gpu": "zero"}, "GPU", "--gpu zero: give the numbers of GPUs, such as 0, 0:1 or 0,1, or all"),
    ({"adapt_most": 1}, "Adapt: micrographs", "--adapt_most 1: give at least 2, one of them to judge the result"),
    ({"overlays": -2}, "Overlays", "--overlays -2: give 0 or a positive number of pictures"),
]


def test_impossible_values_are_refused_with_the_settings_own_message(tmp_path: Path) -> None:
    (tmp_path / "micrographs.star").touch()
    cases = [values for values, _, _ in IMPOSSIBLE]
    problems = in_project(
        tmp_path, f"print(json.dumps([[str(p) for p in job_from_dict(FORM | each).validate_joboptions()] for each in {cases}]))"
    )
    assert problems == [[f'error: job option "{label}": {message}'] for _, label, message in IMPOSSIBLE]
