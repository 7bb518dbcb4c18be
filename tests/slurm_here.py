"""A real SLURM on this machine for the length of a test: munged, slurmctld and slurmd on the loopback interface."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
CPUS = 8  # as many jobs of one core may run; the machine may have fewer cores
UP_SECONDS = 120

CONFIGURATION = """
ClusterName=here
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
ReturnToService=2
KillWait=2
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4096 State=UNKNOWN
PartitionName=here Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Programs of SLURM that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None]


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start SLURM, with everything that it writes in a folder; gives the environment in which its commands reach it."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o400)
    ports = dict(zip(("controller", "daemon"), _free_ports(2), strict=True))
    (folder / "slurm.conf").write_text(CONFIGURATION.format(folder=folder, cpus=CPUS, **ports))
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log"}
    files["seed-file"] = "munge.seed"
    with ExitStack() as running:
        _start(running, ["munged", "--foreground", "--force", *(f"--{k}={folder / v}" for k, v in files.items())], environment)
        _wait((folder / "munge.socket").exists, folder)
        _start(running, ["slurmctld", "-D"], environment)
        _start(running, ["slurmd", "-D", "-N", "localhost"], environment)
        _wait(lambda: "idle" in _answer(["sinfo", "-h", "-o", "%t"], environment), folder)
        try:
            yield environment
        finally:
            subprocess.run(["scancel", "--user=root"], env=environment, check=False, capture_output=True)
            time.sleep(1)


def jobs(environment: dict[str, str]) -> list[str]:
    """Numbers of the jobs that run, in order."""
    return _answer(["squeue", "-h", "-t", "R", "-o", "%A", "-S", "i"], environment).split()


def _start(running: ExitStack, command: list[str], environment: dict[str, str]) -> None:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end() -> None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    running.callback(end)


def _answer(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def _wait(condition: object, folder: Path) -> None:
    deadline = time.monotonic() + UP_SECONDS
    while not condition():  # type: ignore[operator]
        logs = {path.name: path.read_text()[-800:] for path in folder.glob("*.log")}
        assert time.monotonic() < deadline, f"SLURM did not come up: {logs}"
        time.sleep(0.2)


def _free_ports(n: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
