"""The package as it is installed and started: version, light imports, data files, and the script in ``bin``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

import pytest

from relion_ganpick.version import __version__

CHECKOUT = Path(__file__).resolve().parent.parent
SCRIPT = CHECKOUT / "bin" / "relion_ganpick"
FAILURE = "RELION_JOB_EXIT_FAILURE"
DEPENDENCIES = re.search(r"packages=.(.*) relion_ganpick", SCRIPT.read_text())[1].split()  # type: ignore[index]
HOSTILE = "raise SystemExit('a file of the project was imported')\n"


def script_environment(**changes: str) -> dict[str, str]:
    """Environment of the tests without variables that choose a Python, and with some changes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GANPICK"))}
    return {**kept, "GANPICK_PYTHON": sys.executable, **changes}


def run_script(script: Path, *words: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script), *words],
        cwd=cwd,
        env=script_environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def markers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("RELION_JOB_*"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Empty RELION project."""
    path = tmp_path / "project"
    path.mkdir()
    return path


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Checkout that holds no more than the script and its package, without a .venv; in a folder with a blank in its name."""
    checkout = tmp_path / "a checkout"
    (checkout / "bin").mkdir(parents=True)
    shutil.copy(SCRIPT, checkout / "bin")
    (checkout / "relion_ganpick").symlink_to(CHECKOUT / "relion_ganpick")
    return checkout


def fake_python(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_installed_version_is_that_of_the_module() -> None:
    try:
        assert version("relion-ganpick") == __version__
    except PackageNotFoundError:
        pytest.skip("the package is not installed, only on the path")


def test_commands_and_pipeliner_job_are_declared() -> None:
    if not any(entry.value.startswith("relion_ganpick.") for entry in entry_points(group="console_scripts")):
        pytest.skip("the package is not installed, only on the path")
    scripts = {entry.name: entry.value for entry in entry_points(group="console_scripts")}
    assert scripts["relion_ganpick"] == "relion_ganpick.relion.main:main"
    assert scripts["ganpick"] == "relion_ganpick.cli:main"
    (job,) = entry_points(group="ccpem_pipeliner.jobs", name="ganpick.autopick")
    assert job.value == "relion_ganpick.relion.pipeliner_job:GanpickAutopick"


@pytest.mark.parametrize("module", ["relion_ganpick", "relion_ganpick.relion.main", "relion_ganpick.cli"])
def test_import_leaves_torch_alone(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'cv2', 'scipy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("words", "status"), [(["--version"], 0), (["sing"], 2)])
def test_package_runs_as_a_module(words: list[str], status: int) -> None:
    command = [sys.executable, "-m", "relion_ganpick", *words]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stdout == ("" if status else f"ganpick {__version__}\n")
    assert ("usage: ganpick" in done.stderr) == (status == 2)


def test_package_is_marked_as_typed() -> None:
    assert (CHECKOUT / "relion_ganpick" / "py.typed").read_bytes() == b""


def test_script_runs_from_another_directory(layout: Path, project: Path) -> None:
    done = run_script(layout / "bin" / "relion_ganpick", "--version", cwd=project)
    assert (done.returncode, done.stdout) == (0, f"relion_ganpick {__version__}\n"), done.stderr


def test_script_runs_through_symbolic_links(layout: Path, project: Path) -> None:
    (project / "first").symlink_to(os.path.relpath(layout / "bin" / "relion_ganpick", project))
    (project / "deeper").mkdir()
    (project / "deeper" / "second").symlink_to("../first")
    done = run_script(Path("deeper/second"), "--version", cwd=project)
    assert (done.returncode, done.stdout) == (0, f"relion_ganpick {__version__}\n"), done.stderr


def test_script_is_found_on_path(layout: Path, project: Path) -> None:
    done = run_script(Path("relion_ganpick"), "--version", cwd=project, PATH=f"{layout / 'bin'}:{os.environ['PATH']}")
    assert (done.returncode, done.stdout) == (0, f"relion_ganpick {__version__}\n"), done.stderr


def test_script_ignores_the_environment_of_relion(layout: Path, project: Path, tmp_path: Path) -> None:
    poison = tmp_path / "poison"
    poison.mkdir()
    for name in ("json", "numpy", "relion_ganpick"):
        (poison / f"{name}.py").write_text(HOSTILE)
    done = run_script(
        layout / "bin" / "relion_ganpick",
        "--version",
        cwd=project,
        PYTHONPATH=str(poison),
        PYTHONHOME=str(poison),
        PYTHONSTARTUP=str(poison / "json.py"),
    )
    assert (done.returncode, done.stdout) == (0, f"relion_ganpick {__version__}\n"), done.stderr


def test_script_imports_nothing_from_the_project(layout: Path, project: Path) -> None:
    for name in ("json", "numpy", "torch", "relion_ganpick"):
        (project / f"{name}.py").write_text(HOSTILE)
    done = run_script(layout / "bin" / "relion_ganpick", "--version", cwd=project)
    assert (done.returncode, done.stdout) == (0, f"relion_ganpick {__version__}\n"), done.stderr


def test_job_with_hostile_files_in_the_project_fails_for_its_own_reason(layout: Path, project: Path) -> None:
    for name in ("numpy", "torch", "starfile"):
        (project / f"{name}.py").write_text(HOSTILE)
    words = ["--o", "External/job001/", "--in_mics", "absent.star", "--diameter", "100", "--j", "1"]
    done = run_script(layout / "bin" / "relion_ganpick", *words, cwd=project)
    assert done.returncode == 1
    assert "absent.star" in done.stderr
    assert "a file of the project was imported" not in done.stdout + done.stderr
    assert markers(project / "External" / "job001") == [FAILURE]


def test_python_that_is_named_comes_before_that_of_the_checkout(layout: Path, project: Path, tmp_path: Path) -> None:
    fake_python(layout / ".venv" / "bin" / "python", 'echo "python of the checkout"')
    fake_python(tmp_path / "named", 'echo "python that is named"')
    script = layout / "bin" / "relion_ganpick"
    done = run_script(script, "--version", cwd=project, GANPICK_PYTHON="")
    assert (done.returncode, done.stdout) == (0, "python of the checkout\n")
    done = run_script(script, "--version", cwd=project, GANPICK_PYTHON=str(tmp_path / "named"))
    assert (done.returncode, done.stdout) == (0, "python that is named\n")


def test_python_beside_an_installed_command_is_found(layout: Path, project: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    fake_python(installed / "relion_ganpick", "exit 1")
    fake_python(installed / "python3", 'echo "python of the installation"')
    done = run_script(
        layout / "bin" / "relion_ganpick",
        "--version",
        cwd=project,
        GANPICK_PYTHON="",
        PATH=f"{layout / 'bin'}:{installed}:/usr/bin:/bin",
    )
    assert (done.returncode, done.stdout) == (0, "python of the installation\n"), done.stderr


@pytest.mark.parametrize("words", [["--o", "External/job007/"], ["--j", "2", "--o=External/job007"]])
@pytest.mark.parametrize("broken", ["exits", "absent", "unpacked"])
def test_broken_python_leaves_the_failure_marker(layout: Path, project: Path, words: list[str], broken: str) -> None:
    job = project / "External" / "job007"
    job.mkdir(parents=True)
    (job / "RELION_JOB_EXIT_SUCCESS").touch()
    python = layout / ".venv" / "bin" / "python"
    if broken == "exits":
        fake_python(python, 'echo "error while loading shared libraries" >&2; exit 127')
    elif broken == "unpacked":
        fake_python(python, "").write_text("#!/no/such/interpreter\n")
    changes = {"GANPICK_PYTHON": "/no/such/python" if broken == "absent" else ""}
    done = run_script(layout / "bin" / "relion_ganpick", *words, "--in_mics", "a.star", cwd=project, **changes)
    assert done.returncode == 1
    assert markers(job) == [FAILURE]
    assert "make venv" in done.stderr
    assert str(python if broken != "absent" else "/no/such/python") in done.stderr


def test_python_without_the_dependencies_is_told_what_is_missing(layout: Path, project: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    done = run_script(
        layout / "bin" / "relion_ganpick", "--o", "External/job001/", cwd=project, GANPICK_PYTHON=str(bare / "bin" / "python")
    )
    assert done.returncode == 1
    assert "missing Python packages: cv2, imagecodecs, matplotlib, mrcfile, numpy" in done.stderr
    assert markers(project / "External" / "job001") == [FAILURE]


def test_signal_before_python_has_started_leaves_the_failure_marker(layout: Path, project: Path) -> None:
    fake_python(layout / ".venv" / "bin" / "python", "touch started; sleep 1")
    words = [str(layout / "bin" / "relion_ganpick"), "--o", "External/job001/"]
    with subprocess.Popen(words, cwd=project, env=script_environment(GANPICK_PYTHON=""), stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while not (project / "started").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.terminate()
        assert process.wait(120) == 1
    assert markers(project / "External" / "job001") == [FAILURE]


def test_signal_reaches_python_after_the_start(layout: Path, project: Path) -> None:
    """The script is replaced by Python: a job that RELION or a queue kills by its process number ends."""
    body = (
        'case "$*" in *"sys.exit(main())"*) trap "echo stopped; exit 3" TERM; touch started; while :; do sleep 0.05; done ;; esac'
    )
    fake_python(layout / ".venv" / "bin" / "python", body)
    words = [str(layout / "bin" / "relion_ganpick"), "--o", "External/job001/"]
    with subprocess.Popen(
        words, cwd=project, env=script_environment(GANPICK_PYTHON=""), stdout=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while not (project / "started").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.terminate()
        assert process.communicate(timeout=120)[0] == "stopped\n"
        assert process.returncode == 3


def test_script_copied_out_of_the_checkout_runs_the_installed_package(project: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    (site_packages,) = bare.glob("lib/python3*/site-packages")
    for name in DEPENDENCIES:
        (site_packages / f"{name}.py").write_text(HOSTILE)
    shutil.copytree(
        CHECKOUT / "relion_ganpick", site_packages / "relion_ganpick", ignore=shutil.ignore_patterns("weights", "__pycache__")
    )
    copied = Path(shutil.copy(SCRIPT, tmp_path))
    done = run_script(copied, "--version", cwd=project, GANPICK_PYTHON=str(bare / "bin" / "python"))
    assert (done.returncode, done.stdout) == (0, f"relion_ganpick {__version__}\n"), done.stderr
