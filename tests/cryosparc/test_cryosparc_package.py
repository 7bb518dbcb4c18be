"""The package as it is installed and started, and the tests of the 4.7 client in an environment of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from relion_ganpick.version import __version__

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = CHECKOUT / "bin" / "cryosparc_ganpick"
PYTHON_47 = "GANPICK_CRYOSPARC47_PYTHON"


def run_script(script: Path, *words: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GANPICK"))}
    environment = {**kept, "GANPICK_PYTHON": sys.executable, **changes}
    return subprocess.run(
        [str(script), *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_command_is_declared() -> None:
    scripts = {entry.name: entry.value for entry in entry_points(group="console_scripts")}
    if "relion_ganpick" not in scripts:
        pytest.skip("the package is not installed, only on the path")
    assert scripts["cryosparc_ganpick"] == "cryosparc_tool.main:main"


def test_package_is_marked_as_typed() -> None:
    assert (CHECKOUT / "cryosparc_tool" / "py.typed").read_bytes() == b""


def test_nothing_of_the_relion_side_is_imported() -> None:
    """The house's arrows: cryosparc_tool stands beside relion/, not upon it."""
    for path in (CHECKOUT / "cryosparc_tool").glob("*.py"):
        assert not re.search(r"relion_ganpick\.relion\b", path.read_text()), path


def test_script_runs_through_a_symbolic_link_from_another_directory(tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(SCRIPT)
    done = run_script(tmp_path / "linked", "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"cryosparc_ganpick {__version__}\n"), done.stderr


def test_script_imports_nothing_from_the_working_directory(tmp_path: Path) -> None:
    for name in ("json", "numpy", "cryosparc_tool"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the working directory was imported')\n")
    done = run_script(SCRIPT, "--version", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, f"cryosparc_ganpick {__version__}\n"), done.stderr


def test_copied_script_names_the_missing_packages(tmp_path: Path) -> None:
    copied = Path(shutil.copy(SCRIPT, tmp_path))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    done = run_script(copied, "--version", cwd=tmp_path, GANPICK_PYTHON=str(tmp_path / "bare" / "bin" / "python"))
    assert done.returncode == 1
    assert "missing Python packages: cv2, imagecodecs, matplotlib" in done.stderr
    assert "make venv" in done.stderr


def test_missing_client_names_the_command_that_installs_it(tmp_path: Path) -> None:
    """Without cryosparc-tools the option page works, and a run says what to do."""
    code = (
        "from importlib.metadata import PackageNotFoundError\n"
        "from cryosparc_tool import main\nfrom cryosparc_tool.server import versions\n"
        "def missing(name): raise PackageNotFoundError(name)\n"
        "versions.version = missing\n"
        "words = '--url http://localhost:1 --project P1 --job J1 --diameter 9 --dry_run'\n"
        "raise SystemExit(main.main(words.split()))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    assert "cryosparc-tools is not installed: python -m pip install 'cryosparc-tools~=5.0.0'" in done.stderr


@pytest.mark.slow
def test_runs_and_faults_with_the_client_4_7() -> None:
    """The 4.7 client cannot be installed beside the 5.0 one: its tests run in the environment that the variable names."""
    python = os.environ.get(PYTHON_47)
    if not python:
        pytest.skip(f"{PYTHON_47} names no Python with cryosparc-tools 4.7.1 and what relion-ganpick needs")
    environment = {name: value for name, value in os.environ.items() if name != PYTHON_47} | {"PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CHECKOUT / "tests" / "cryosparc")],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=2400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 60
