"""How fast the inspection page is with many micrographs: time to open, time to the next one, size of the report.

    python benchmarks/inspection.py --micrographs 10000 --picks 500

Needs Chromium with its driver, and selenium. The micrographs are links to a few of 4096 x 4096 pixels. Beside the seconds on the
clock stand those of the processors, of server and browser together: other work on the machine makes only the first longer.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np

from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import cut_digest, write_picks
from relion_ganpick.inspect.job import Facts, find_job, write_facts
from relion_ganpick.inspect.report import write_reports

N_DIFFERENT, N_DIFFERENT_SCORES = 8, 400
SIDE, PIXEL_SIZE, DIAMETER, THRESHOLD = 4096, 1.0, 180.0, 0.5
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
N_STEPS = 20


def main() -> None:
    """Make a job, open its page, step through it, and print what that takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--micrographs", type=int, default=10000)
    parser.add_argument("--picks", type=int, default=500)
    parser.add_argument("--only_report", action="store_true", help="no browser: only what a job writes at its end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_job(Path(scratch), options.micrographs, options.picks)
        print(f"{options.micrographs} micrographs of {SIDE} x {SIDE}, {options.picks} picks each")
        print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
        for what in () if options.only_report else ("first", "second"):
            with Browser(Path(scratch) / f"profile-{what}") as driver:
                print(f"{what} start: ", measure(driver, folder))
        begin, used = time.perf_counter(), time.process_time()
        for path in write_reports(find_job(folder)):
            print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
        print(f"both: {time.perf_counter() - begin:.1f} s, of the processor {time.process_time() - used:.1f} s")


def make_job(project: Path, n: int, n_picks: int) -> Path:
    """Write a few micrographs and coordinate files, and a job of many links to them."""
    folder = project / "External" / "job007"
    for name in ("Micrographs", "External/job007/Micrographs", "External/job007/.ganpick/Micrographs", "few"):
        (project / name).mkdir(parents=True)
    rng = np.random.default_rng(1)
    for k in range(N_DIFFERENT):
        with mrcfile.new(project / "few" / f"{k}.mrc") as mrc:
            mrc.set_data(rng.normal(size=(SIDE, SIDE)).astype(np.float32))
            mrc.voxel_size = PIXEL_SIZE
    for k in range(N_DIFFERENT_SCORES):
        xy = rng.integers(0, SIDE, (n_picks, 2)).astype(float)
        scored = Picks(xy[:, 0], xy[:, 1], np.sort(rng.uniform(0.05, 1, n_picks).round(4))[::-1])
        write_picks(project / "few" / f"{k}_scores.star", scored, f"{k:016x}")
        write_picks(project / "few" / f"{k}.star", scored.above(THRESHOLD), cut_digest(f"{k:016x}", THRESHOLD), scored)
    rows, lists = [], []
    for k in range(n):
        name, few = f"Micrographs/mic{k:05d}", project / "few" / str(k % N_DIFFERENT_SCORES)
        os.link(project / "few" / f"{k % N_DIFFERENT}.mrc", project / f"{name}.mrc")
        os.link(f"{few}.star", folder / f"{name}_autopick.star")
        os.link(f"{few}_scores.star", folder / ".ganpick" / f"{name}_scores.star")
        rows.append(f"{name}.mrc 1 {10000 + k % 97 * 100} {10000 + k % 97 * 100}")
        lists.append(f"{name}.mrc External/job007/{name}_autopick.star")
    optics = "\n# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnMicrographPixelSize #2\n1 1.0\n"
    columns = ("rlnMicrographName", "rlnOpticsGroup", "rlnDefocusU", "rlnDefocusV")
    (project / "micrographs.star").write_text(optics + table("micrographs", columns, rows))
    (folder / "autopick.star").write_text(table("coordinate_files", ("rlnMicrographName", "rlnMicrographCoordinates"), lists))
    (folder / "coords_suffix_autopick.star").write_text("micrographs.star\n")
    write_facts(folder, Facts(diameter=DIAMETER))
    return folder


def table(name: str, columns: tuple[str, ...], rows: list[str]) -> str:
    """Block of a STAR file."""
    heads = "\n".join(f"_{column} #{k}" for k, column in enumerate(columns, 1))
    return f"\n# version 30001\n\ndata_{name}\n\nloop_\n{heads}\n" + "\n".join(rows) + "\n\n"


def measure(driver: Any, folder: Path) -> str:
    """Start the server, open the page, and step; returns a line of seconds."""
    words = [sys.executable, "-m", "relion_ganpick.cli", "inspect", str(folder), "--port", "0"]
    begin = time.perf_counter()
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().split()[-1]
    both = (server.pid, driver.service.process.pid)
    started = (time.perf_counter() - begin, used(server.pid))
    try:
        watch = Watch(both)
        driver.get(address)
        wait(driver, "typeof ganpick !== 'undefined' && ganpick.ready")
        opened = (float(driver.execute_script("return ganpick.ready")) / 1000, watch.read()[1])
        wait(driver, "ganpick.averages")
        script = """
          const done = arguments[0];
          const from = performance.now();
          ganpick.go(arguments[1]).then(() => requestAnimationFrame(() => done(performance.now() - from)));"""
        walked = [step(driver, both, script.replace("arguments[1]", str(k))) for k in range(1, N_STEPS)]
        jumped = [step(driver, both, script.replace("arguments[1]", str(100 + 37 * k))) for k in range(N_STEPS)]
        slid = [step(driver, both, SLIDE.replace("VALUE", str(0.3 + 0.02 * k))) for k in range(N_STEPS)]
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
    parts = {"server": started, "open": opened, "next": median(walked), "jump": median(jumped), "slide": median(slid)}
    return "".join(f"\n  {name:7s} {clock:6.2f} s, of the processors {spent:6.2f} s" for name, (clock, spent) in parts.items())


SLIDE = """
  const done = arguments[0];
  const from = performance.now();
  ganpick.choose({threshold: VALUE});
  const drawn = () => (ganpick.will_draw ? requestAnimationFrame(drawn) : done(performance.now() - from));
  requestAnimationFrame(drawn);"""


def step(driver: Any, processes: tuple[int, ...], script: str) -> tuple[float, float]:
    """Seconds that something takes, on the clock and of the processors, with a pause behind it as a person makes."""
    watch = Watch(processes)
    seconds = float(driver.execute_async_script(script)) / 1000
    spent = watch.read()[1]
    time.sleep(1.0)
    return seconds, spent


class Watch:
    """Seconds since it was started, on the clock and of the processors."""

    def __init__(self, processes: tuple[int, ...]) -> None:
        self.processes = processes
        self.begin, self.before = time.perf_counter(), self._used()

    def read(self) -> tuple[float, float]:
        """Look at it."""
        return time.perf_counter() - self.begin, self._used() - self.before

    def _used(self) -> float:
        return sum(map(used, self.processes))


def used(process: int) -> float:
    """Seconds of the processors that a process and all below it have used so far."""
    below: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        number = int(path.parent.name)
        below.setdefault(int(words[1]), []).append(number)
        ticks[number] = sum(map(int, words[11:15]))
    todo, total = [process], 0
    while todo:
        number = todo.pop()
        total += ticks.get(number, 0)
        todo += below.get(number, [])
    return total / os.sysconf("SC_CLK_TCK")


def wait(driver: Any, expression: str, patience: float = 300) -> None:
    """Wait until the page says so."""
    end = time.perf_counter() + patience
    while not driver.execute_script(f"return Boolean({expression})"):
        if time.perf_counter() > end:
            raise SystemExit(f"not within {patience:g} s: {expression}")
        time.sleep(0.01)


def median(values: list[tuple[float, float]]) -> tuple[float, float]:
    """Middle values."""
    clock, spent = np.median(values, axis=0)
    return float(clock), float(spent)


def processor() -> str:
    """Name of the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


class Browser:
    """Chromium without a window."""

    def __init__(self, profile: Path) -> None:
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1920,1080"):
            options.add_argument(flag)
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        self.driver.set_script_timeout(120)

    def __enter__(self) -> Any:
        """Give the driver."""
        return self.driver

    def __exit__(self, *_: object) -> None:
        """End the browser."""
        self.driver.quit()


if __name__ == "__main__":
    main()
