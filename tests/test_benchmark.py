"""The shipped model on real micrographs, run as RELION runs it; only where GANPICK_BENCHMARK names the sets."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from relion_ganpick.cli import main

PROGRAM = "import sys; from relion_ganpick.relion.main import main; sys.exit(main())"

pytestmark = pytest.mark.slow


def figures(root: Path, project: Path) -> dict[str, Any]:
    """Run the External job at its defaults on links to a set's files; returns the pooled figures at a quarter diameter."""
    project.mkdir()
    (project / "Micrographs").symlink_to(root / "Micrographs")
    shutil.copy(root / "micrographs.star", project)
    facts = json.loads((root / "set.json").read_text())
    words = ["--o", "External/job001/", "--in_mics", "micrographs.star", "--diameter", str(facts["diameter"]), "--j", "2"]
    subprocess.run([sys.executable, "-c", PROGRAM, *words, "--overlays", "0"], cwd=project, check=True, stdin=subprocess.DEVNULL)
    compared = ["--picks", str(project / "External/job001"), "--truth", str(root / "truth"), "--json", str(project / "f.json")]
    assert main(["evaluate", *compared, "--diameter", str(facts["diameter"]), "--angpix", str(facts["angpix"])]) == 0
    report: dict[str, Any] = json.loads((project / "f.json").read_text())
    return report


@pytest.mark.parametrize(("name", "least"), [("bgal", 0.80), ("apof", 0.95)])
def test_real_particles_are_found_at_default_settings(benchmark_root: Path, tmp_path: Path, name: str, least: float) -> None:
    assert figures(benchmark_root / name, tmp_path / name)["pooled"]["f1"] >= least


def test_empty_micrographs_yield_few_picks(benchmark_root: Path, tmp_path: Path) -> None:
    report = figures(benchmark_root / "empty", tmp_path / "empty")
    assert len(report["micrographs"]) == 4
    assert report["pooled"]["picks"] <= 2 * 4
