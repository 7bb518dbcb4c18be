"""The checks before a commit are those of ``make lint``, and the oldest versions come from pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def test_pre_commit_runs_what_make_lint_runs() -> None:
    hooks = re.findall(r"^ +entry: (.+)$", (CHECKOUT / ".pre-commit-config.yaml").read_text(), re.MULTILINE)
    done = subprocess.run(["make", "-n", "lint"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    checks = re.findall(r"^((?:\w+=\S+ )?\.venv/bin/(?:ruff|mypy|lint-imports)\b.*?) *$", done.stdout, re.MULTILINE)
    assert [hook.removeprefix("env ") for hook in hooks] == checks
    assert len(hooks) == 5


def test_oldest_versions_are_those_of_pyproject() -> None:
    command = [sys.executable, str(CHECKOUT / ".ci" / "lowest.py")]
    oldest = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    bounds = [each for each in requires("relion-ganpick") or [] if "extra ==" not in each]
    assert oldest == [each.replace(">=", "==") for each in bounds if not each.startswith("torch")]
    with_extra = subprocess.run([*command, "cryosparc"], capture_output=True, text=True, check=True).stdout.split()
    assert set(with_extra) - set(oldest) == {"cryosparc-tools==5.0"}
