"""The order of the rooms in pyproject.toml, which ``make lint`` checks: it covers every room and refuses wrong imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("relion_ganpick", "cryosparc_tool")
WRONG = {
    "relion_ganpick/core/picks.py": "relion_ganpick.model.weights",
    "relion_ganpick/formats/coordinates.py": "relion_ganpick.report.summary",
    "relion_ganpick/picking/picker.py": "relion_ganpick.adaptation.choice",
    "relion_ganpick/relion/main.py": "cryosparc_tool.api",
    "cryosparc_tool/plan.py": "relion_ganpick.relion.names",
    "cryosparc_tool/data/files.py": "cryosparc_tool.session",
}


@pytest.fixture
def empty_house(tmp_path: Path) -> Path:
    """All modules without their content, with the real rules."""
    for package in PACKAGES:
        for module in (CHECKOUT / package).rglob("*.py"):
            copied = tmp_path / module.relative_to(CHECKOUT)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.touch()
    (tmp_path / "pyproject.toml").write_text((CHECKOUT / "pyproject.toml").read_text())
    return tmp_path


def lint(house: Path) -> tuple[int, str]:
    """Exit status and output of lint-imports."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"]
    done = subprocess.run(command, cwd=house, env={"PYTHONPATH": str(house)}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_imports_that_run_the_wrong_way_are_refused(empty_house: Path) -> None:
    for module, imported in WRONG.items():
        (empty_house / imported.replace(".", "/")).with_suffix(".py").resolve(strict=True)
        (empty_house / module).resolve(strict=True).write_text(f"import {imported}\n")
    status, output = lint(empty_house)
    assert status == 1
    for module, imported in WRONG.items():
        assert f"{module.removesuffix('.py').replace('/', '.')} -> {imported}" in output


def test_imports_that_run_the_right_way_are_accepted(empty_house: Path) -> None:
    (empty_house / "relion_ganpick/model/weights.py").write_text("import relion_ganpick.core.picks\n")
    assert lint(empty_house)[0] == 0


def test_every_room_has_its_place_in_the_order() -> None:
    rules = (CHECKOUT / "pyproject.toml").read_text().partition("[tool.importlinter]")[2]
    rooms = [f"relion_ganpick.{path.parent.name}" for path in (CHECKOUT / "relion_ganpick").glob("*/__init__.py")]
    rooms += [f"cryosparc_tool.{path.parent.name}" for path in (CHECKOUT / "cryosparc_tool").glob("*/__init__.py")]
    assert len(rooms) > 10
    assert [room for room in rooms if f'"{room}"' not in rules and f"| {room}" not in rules] == []
