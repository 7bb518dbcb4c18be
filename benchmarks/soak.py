"""What a job stands: kills, tens of thousands of micrographs, a second job, RELION's Display, a full disk.

    python benchmarks/soak.py --kills 200 --many 20000 --beside --disk

All micrographs are simulated, 200 x 200 pixels; long lists are links to twenty of them. Each part prints one line, and the exit
status is 1 if one of them found a difference. The full disk needs root, as a file system of some kilobytes is mounted for it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
from jobs import JOB, command
from stage import stage

from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import read_picks, write_edited
from relion_ganpick.synthesis.scene import CLEAN, make_scene

DIAMETER, PIXEL_SIZE, SIDE, DISTINCT = 180.0, 11.0, 200, 20
NOT_COMPARED = {"run.out", "run.err", "lock", "report.html", "logfile.pdf", "inspect.npz"}
"""Logs, pages that say when they were made, and the cache of the page, which holds the dates of files."""
FIRST, WITHIN, LEEWAY = 1000, 500, 0.05
SUCCESS = "RELION_JOB_EXIT_SUCCESS"
DISK_KILOBYTES = 400


def main() -> int:
    """Carry out what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0, help="kill a job so often at random moments, with Continue after each")
    parser.add_argument("--many", type=int, default=0, help="pick so many micrographs, and Continue when all is done")
    parser.add_argument("--beside", action="store_true", help="a second job in the folder, and RELION's Display that writes")
    parser.add_argument("--disk", action="store_true", help="a disk that fills, and empties again (root only)")
    parser.add_argument("--micrographs", type=int, default=300, help="micrographs of all parts but --many")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--threads", type=int, default=1, help="--j of the jobs")
    given = parser.parse_args()
    if 0 < given.many < 2 * FIRST:
        parser.error(f"--many {given.many}: give at least {2 * FIRST}; the memory is first looked at after {FIRST}")
    with tempfile.TemporaryDirectory() as folder:
        right = []
        if given.kills or given.beside or given.disk:
            soak = Soak(Path(folder) / "project", given.micrographs, given.threads)
            right += [soak.kills(given.kills, random.Random(given.seed))] if given.kills else []
            right += [soak.second_job(), soak.display()] if given.beside else []
            right += [soak.full_disk(Path(folder) / "disk")] if given.disk else []
        if given.many:
            right.append(many(Path(folder) / "many", given.many, given.threads))
    return 0 if all(right) else 1


def make_project(folder: Path, n: int) -> None:
    """Make a project of n micrographs, which are links to twenty simulated ones."""
    settings = replace(CLEAN, diameter=(DIAMETER, DIAMETER), contrast=(3.0, 3.0), area_density=(0.2, 0.2))
    for k in range(min(n, DISTINCT)):
        scene = make_scene((SIDE, SIDE), DIAMETER / PIXEL_SIZE, np.random.default_rng(k), settings)
        path = folder / "made" / f"{k}.mrc"
        path.parent.mkdir(parents=True, exist_ok=True)
        with mrcfile.new(path) as mrc:
            mrc.set_data(scene.pixels)
            mrc.voxel_size = PIXEL_SIZE
    (folder / "linked").mkdir()
    links = [folder / "linked" / f"mic{k:05d}.mrc" for k in range(n)]
    for k, link in enumerate(links):
        link.symlink_to(folder / "made" / f"{k % DISTINCT}.mrc")
    stage(folder, links, PIXEL_SIZE)
    (folder / JOB).mkdir(parents=True)


@contextmanager
def started(project: Path, threads: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start the job as RELION does, in a process group of its own."""
    job = project / JOB
    with (job / "run.out").open("ab") as out, (job / "run.err").open("ab") as err:
        words = command(DIAMETER, threads, ["--overlays", "2"])
        process = subprocess.Popen(words, cwd=project, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def results(project: Path) -> dict[str, bytes]:
    """All files that must not depend on what happened, by their path in the job's folder."""
    job = project / JOB
    found = [path for path in sorted(job.rglob("*")) if path.is_file() and path.name not in NOT_COMPARED]
    return {path.relative_to(job).as_posix(): _lasting(path) for path in found}


def _lasting(path: Path) -> bytes:
    """Content of a file, less the seconds that a micrograph took."""
    if not path.name.endswith("_picks.json"):
        return path.read_bytes()
    content = json.loads(path.read_text())
    del content["seconds"]
    return json.dumps(content).encode()


def told(what: str, expected: dict[str, bytes], found: dict[str, bytes]) -> bool:
    """Print whether two sets of files are the same."""
    differ = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    same = f"{len(expected)} files are byte-identical to an undisturbed run's"
    print(f"{what}: {f'{len(differ)} files differ: {differ[:5]}' if differ else same}", flush=True)
    return not differ


class Soak:
    """One project, what an undisturbed job leaves in it, and what else may happen to a job.

    Parameters
    ----------
    project
        Its folder, which is made.
    n
        Number of micrographs.
    threads
        Of the jobs.
    """

    def __init__(self, project: Path, n: int, threads: int) -> None:
        make_project(project, n)
        self.project, self.n, self.threads = project, n, threads
        began = time.monotonic()
        assert self.finish() == 0, "the undisturbed run failed"
        self.seconds = time.monotonic() - began
        self.undisturbed = results(project)

    def start_anew(self) -> None:
        """Empty the job's folder."""
        shutil.rmtree(self.project / JOB)
        (self.project / JOB).mkdir()

    def finish(self) -> int:
        """Run, or continue, the job to its end."""
        with started(self.project, self.threads) as process:
            return process.wait()

    def kills(self, n: int, random_numbers: random.Random) -> bool:
        """Kill the job at random moments, with Continue after each kill; whenever it ends all the same, begin again."""
        ways: list[Callable[[subprocess.Popen[bytes]], None]] = [
            lambda process: os.killpg(process.pid, signal.SIGKILL),
            lambda process: process.kill(),
            lambda process: process.terminate(),
        ]
        self.start_anew()
        killed, in_picking, rounds, right = 0, 0, 0, True
        while killed < n:
            before = self.n_done()
            with started(self.project, self.threads) as process:
                if random_numbers.random() < 0.5:
                    time.sleep(random_numbers.uniform(0, self.seconds))
                else:  # picking is a small part of a short job's time
                    self.wait_for(random_numbers.randint(before, self.n), process)
                ended = process.poll() is not None
                if not ended:
                    random_numbers.choice(ways)(process)
                    process.wait()
                    killed += 1
                    in_picking += before < self.n_done() < self.n
            if ended:
                rounds += 1
                right &= told(f"round {rounds}, after {killed} kills", self.undisturbed, results(self.project))
                self.start_anew()
        right &= self.finish() == 0
        return told(f"{n} kills, {in_picking} of them while it picked", self.undisturbed, results(self.project)) and right

    def second_job(self) -> bool:
        """Start a second job in the folder while the first picks."""
        self.start_anew()
        with started(self.project, self.threads) as first:
            self.wait_for(self.n // 4, first)
            refused = self.finish() == 1
            ended = first.wait() == 0
        return told("two jobs in one folder, the second refused", self.undisturbed, results(self.project)) and refused and ended

    def display(self) -> bool:
        """Let RELION's Display take away a pick of micrographs that are done, while others are picked."""
        self.start_anew()
        edited: dict[str, bytes] = {}
        with started(self.project, self.threads) as process:
            while process.poll() is None:
                done = [path for path in self.coordinates() if self.name(path) not in edited]
                if done:
                    picks = read_picks(done[0])
                    write_edited(done[0], Picks(picks.x[1:], picks.y[1:], picks.score[1:]))
                    edited[self.name(done[0])] = done[0].read_bytes()
                time.sleep(0.05)
        found = results(self.project)
        kept = all(found[name] == content for name, content in edited.items())
        files = [name for name in self.undisturbed if name.endswith("_autopick.star") and name not in edited]
        others = {name: self.undisturbed[name] for name in files}
        print(f"Display wrote {len(edited)} files while the job picked: {'all kept' if kept else 'some were lost'}", flush=True)
        return told("the others", others, {name: found.get(name, b"") for name in others}) and kept and process.returncode == 0

    def full_disk(self, disk: Path) -> bool:
        """Run on a disk that is too small, and go on when there is room."""
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_KILOBYTES}k", "none", str(disk)]
        if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
            print("a full disk: left out, as mounting needs root", flush=True)
            return True
        shutil.rmtree(self.project / JOB)
        (self.project / JOB.rstrip("/")).symlink_to(disk / "job")
        try:
            (disk / "job").mkdir()
            failed, done = self.finish() == 1, self.n_done()
            subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
            ended = self.finish() == 0
            what = f"a disk that was full after {done} of {self.n} micrographs, and Continue when it was not"
            return told(what, self.undisturbed, results(self.project)) and failed and ended and done < self.n
        finally:
            (self.project / JOB.rstrip("/")).unlink()
            (self.project / JOB).mkdir()
            subprocess.run(["umount", str(disk)], check=True)

    def coordinates(self) -> list[Path]:
        """Coordinate files of finished micrographs."""
        return sorted((self.project / JOB).rglob("mic*_autopick.star"))

    def name(self, path: Path) -> str:
        """Name of a file in the job's folder."""
        return path.relative_to(self.project / JOB).as_posix()

    def n_done(self) -> int:
        """Count finished micrographs."""
        return len(self.coordinates())

    def wait_for(self, n: int, process: subprocess.Popen[bytes]) -> None:
        """Wait until so many micrographs are finished."""
        while self.n_done() < n and process.poll() is None:
            time.sleep(0.02)


def many(project: Path, n: int, threads: int) -> bool:
    """Pick n micrographs and watch the memory; then Continue over them."""
    make_project(project, n)
    log = project / JOB / "run.out"
    seen: dict[int, float] = {}  # the most memory, by the number of micrographs done
    with started(project, threads) as process:
        while process.poll() is None:
            done = log.read_bytes().count(b" picks (")
            memory = max((megabytes(each) for each in group(process.pid)), default=0.0)
            if memory and done >= FIRST:
                seen[done] = max(memory, seen.get(done, 0.0))
            time.sleep(1)
    first = max(memory for done, memory in seen.items() if done <= min(seen) + WITHIN)
    last = max(memory for done, memory in seen.items() if n - WITHIN <= done < n)
    pages = max((memory for done, memory in seen.items() if done >= n), default=last)
    grows = last / first - 1
    print(
        f"{n} micrographs: {first:.0f} MB after {min(seen)}, {last:.0f} MB at the last ones ({100 * grows:+.1f} %), "
        f"{pages:.0f} MB while the pages are written",
        flush=True,
    )
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with started(project, threads) as again:
        status = again.wait()
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"Continue over {n} when all is done: {seconds:.1f} s, {processor:.1f} s of the processor", flush=True)
    return process.returncode == status == 0 and grows <= LEEWAY and (project / JOB / SUCCESS).exists()


def group(leader: int) -> list[int]:
    """Find the processes of a group."""
    listed = subprocess.run(["ps", "-o", "pid=", "-g", str(leader)], capture_output=True, text=True, check=False)
    return [int(each) for each in listed.stdout.split()]


def megabytes(pid: int) -> float:
    """Memory that a process holds; 0 if it has gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)


if __name__ == "__main__":
    sys.exit(main())
