"""Run a program and write down what it used: `usage.py DESCRIPTOR PROGRAM [ARGUMENT...]`.

`measure.py` starts this small process between itself and the program. On Linux a new process inherits the largest memory of
the process that started it. A benchmark that holds 2 GiB would say so of every program that it starts. This one holds 10 MiB.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Start the program, wait for it, and write its status, seconds and KiB to the file descriptor."""
    descriptor, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(descriptor, False)
    process = os.posix_spawnp(command[0], command, os.environ)
    _, status, used = os.wait4(process, 0)
    code = os.waitstatus_to_exitcode(status)
    os.write(descriptor, f"{code} {used.ru_utime + used.ru_stime} {used.ru_maxrss}".encode())


if __name__ == "__main__":
    main()
