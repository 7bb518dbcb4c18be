"""What a program costs: seconds of the processor, seconds on the clock, and memory.

Seconds of the processor are user plus system time of the program and of all its children. They hardly change when other
programs run beside it. Seconds on the clock do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAST_LINES = 15
USAGE = Path(__file__).with_name("usage.py")


@dataclass(frozen=True)
class Cost:
    """What one or several runs of a program took.

    Attributes
    ----------
    cpu
        User and system seconds of the process and its children.
    wall
        Seconds on the clock.
    peak
        Largest resident memory of any one of its processes, in GiB.
    """

    cpu: float
    wall: float
    peak: float

    def __add__(self, other: Cost) -> Cost:
        """Cost of one run after the other."""
        return Cost(self.cpu + other.cpu, self.wall + other.wall, max(self.peak, other.peak))


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> tuple[Cost, str]:
    """Run a program to its end and measure it.

    Parameters
    ----------
    command
        Program and arguments.
    folder
        Where it runs.
    environment
        Variables to set beside those of this process.

    Returns
    -------
    What it took, and what it printed.

    Raises
    ------
    SystemExit
        If the program is missing or fails; the message ends with the last lines that it printed.
    """
    if shutil.which(command[0]) is None:
        raise SystemExit(f"{command[0]}: there is no such program")
    with tempfile.TemporaryFile() as log, tempfile.TemporaryFile() as report:
        between = [sys.executable, "-I", "-S", str(USAGE), str(report.fileno())]
        began = time.perf_counter()
        subprocess.run(
            [*between, *command],
            cwd=folder,
            env=os.environ | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[report.fileno()],
            check=False,
        )
        wall = time.perf_counter() - began
        log.seek(0)
        text = log.read().decode(errors="replace")
        report.seek(0)
        code, cpu, peak = (report.read() or b"1 0 0").split()
    if int(code):
        last = "\n".join(text.splitlines()[-LAST_LINES:])
        raise SystemExit(f"{' '.join(command[:3])} ... ended with {int(code)} in {folder}; its last lines:\n{last}")
    return Cost(float(cpu), wall, int(peak) / 2**20), text


def machine() -> str:
    """Name the processor and how many cores of it this process may use."""
    return f"{processor_name()}, {len(os.sched_getaffinity(0))} cores"


def processor_name() -> str:
    """Name of the processor, as `lscpu` gives it in the line "Model name"."""
    try:
        listed = subprocess.run(["lscpu"], capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}).stdout
    except (OSError, subprocess.CalledProcessError):
        listed = ""
    found = re.search(r"^Model name:\s*(.+?)\s*$", listed, re.MULTILINE)
    return found[1] if found else "unknown processor"
