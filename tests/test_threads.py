"""Threads that wait sleep, in whatever program picking is called from."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

DOORS = {
    "relion_ganpick": "relion_ganpick.relion.main",
    "ganpick": "relion_ganpick.cli",
    "cryosparc_ganpick": "cryosparc_tool.main",
}
PROGRAM = """
import contextlib, importlib, os, sys
main = importlib.import_module(sys.argv[1]).main
with contextlib.suppress(SystemExit):
    main(["--version"])
print(os.environ["OMP_WAIT_POLICY"], "torch" in sys.modules)
"""


@pytest.mark.parametrize("module", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize(("given", "used"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")], ids=["", "given"])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(module: str, given: dict[str, str], used: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
    done = subprocess.run([sys.executable, "-c", PROGRAM, module], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"{used} False"
