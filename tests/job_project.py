"""A tiny RELION project of simulated micrographs, and the External job run in it as RELION runs it."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile
from machine import patience
from numpy.typing import NDArray

import relion_ganpick
from relion_ganpick.formats.pick_files import FileState, inspect_picks
from relion_ganpick.relion import main as executable
from relion_ganpick.relion import signals, watching
from relion_ganpick.relion.markers import ABORTED, FAILURE, SUCCESS, JobFolder
from relion_ganpick.synthesis.scene import CLEAN, make_scene

DIAMETER, PIXEL_SIZE = 180.0, 11.0
SHAPE = (200, 256)
JOB = "External/job002/"
MICROGRAPHS_STAR = "micrographs.star"
GOLDEN = Path(__file__).parent / "golden"
PROGRAM = "import sys; from relion_ganpick.relion.main import main; sys.exit(main())"
SUCCEEDED, FAILED, WAS_ABORTED = [SUCCESS], [FAILURE], [ABORTED]
SECONDS = re.compile(rb'"seconds":\{[^}]*\},')
STARTS_ANEW = {"run.out", "run.err", "lock"}


@dataclass(frozen=True)
class Ended:
    """How a job ended: exit status, and what it wrote to run.out and run.err."""

    status: int
    out: str
    err: str


@functools.cache
def scene_pixels(seed: int) -> NDArray[np.float32]:
    """(200, 256) float32, dark particles of 180 A at 11 A per pixel."""
    settings = replace(CLEAN, diameter=(DIAMETER, DIAMETER), contrast=(3.0, 3.0), area_density=(0.2, 0.2))
    return make_scene(SHAPE, DIAMETER / PIXEL_SIZE, np.random.default_rng(seed), settings).pixels


def write_mrc(path: Path, pixels: NDArray[np.float32], pixel_size: float = PIXEL_SIZE) -> None:
    """Write a micrograph; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(pixels)
        mrc.voxel_size = pixel_size


def write_star(path: Path, names: Sequence[str], pixel_size: float = PIXEL_SIZE) -> None:
    """Write a micrographs STAR file with one optics group, as RELION 3.1 and 4 do."""
    rows = "\n".join(f"{name} 1" for name in names)
    path.write_text(
        "\n# version 30001\n\ndata_optics\n\nloop_ \n_rlnOpticsGroupName #1 \n_rlnOpticsGroup #2 \n_rlnMicrographPixelSize #3 \n"
        f"opticsGroup1            1     {pixel_size:.6f} \n \n\n# version 30001\n\ndata_micrographs\n\nloop_ \n"
        f"_rlnMicrographName #1 \n_rlnOpticsGroup #2 \n{rows}\n \n"
    )


def make_project(folder: Path, n: int = 2, shape: tuple[int, int] = SHAPE, names: Sequence[str] | None = None) -> Path:
    """Make a project of n micrographs (three different scenes, shifted), with the job's folder as RELION prepares it."""
    names = names or [f"Micrographs/mic{index:02d}.mrc" for index in range(n)]
    for index, name in enumerate(names):
        pixels = np.roll(scene_pixels(index % 3), 17 * (index // 3), axis=1)
        write_mrc(folder / name, np.ascontiguousarray(pixels[: shape[0], : shape[1]]))
    write_star(folder / MICROGRAPHS_STAR, names)
    prepare_job(folder)
    return folder


def prepare_job(project: Path, generation: str = "5.0") -> None:
    """Make the job's folder with the job.star that RELION of a generation writes, dated now."""
    (project / JOB).mkdir(parents=True, exist_ok=True)
    (project / JOB / "job.star").write_text((GOLDEN / generation / "job.star").read_text())


def arguments(*words: str, diameter: float | None = DIAMETER, in_mics: str = MICROGRAPHS_STAR) -> list[str]:
    """What follows the executable, in RELION's order; reports, which take a second, only where they are asked for."""
    parameters = [] if diameter is None else ["--diameter", f"{diameter:g}"]
    return ["--o", JOB, "--in_mics", in_mics, *parameters, "--page", "no", *words, "--j", "1"]


def environment() -> dict[str, str]:
    """Environment in which the package is found and takes one core."""
    package = str(Path(relion_ganpick.__file__).parents[1])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


@contextlib.contextmanager
def started_job(project: Path, words: Sequence[str], program: str = PROGRAM) -> Iterator[subprocess.Popen[bytes]]:
    """Start the executable as RELION does: in the project, logs appended, no standard input, own process group."""
    (project / JOB).mkdir(parents=True, exist_ok=True)
    with (project / JOB / "run.out").open("ab") as out, (project / JOB / "run.err").open("ab") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *words],
            cwd=project,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def end_of(process: subprocess.Popen[bytes], project: Path, seconds: float = 120) -> Ended:
    """Wait for a job and read its logs."""
    return Ended(process.wait(patience(seconds)), log(project, "run.out"), log(project, "run.err"))


def run_job(project: Path, *words: str, program: str = PROGRAM) -> Ended:
    """Run the executable with exactly these words in a process of its own."""
    with started_job(project, words, program) as process:
        return end_of(process, project)


def run_here(project: Path, *words: str) -> Ended:
    """Run the executable with exactly these words in this process, which has torch already; signals are left alone."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(project)
        patch.setattr(signals, "SIGNALS", ())
        patch.setattr(watching, "watch", _work_here)
        status = executable.main(list(words))
    return Ended(status, out.getvalue(), err.getvalue())


def _work_here(_: JobFolder, plan: str) -> str:
    from relion_ganpick.relion.worker import work

    status = work(json.loads(plan))
    if status:
        raise watching.WorkerEndedError(status)
    return SUCCESS


def log(project: Path, name: str) -> str:
    """Read run.out or run.err."""
    return (project / JOB / name).read_text()


def markers(project: Path) -> list[str]:
    """Markers and requests in the job's folder."""
    return sorted(path.name for path in (project / JOB).glob("RELION_JOB_*"))


def picks_of(micrograph: str) -> str:
    """Name of a micrograph's coordinate file, spelled out for names without a job's folder."""
    return f"{JOB}{micrograph.rpartition('.')[0]}_autopick.star"


def states(project: Path) -> dict[str, FileState]:
    """State of every coordinate file of the job, by its path in the job's folder."""
    job = project / JOB
    files = [path for path in sorted(job.rglob("*_autopick.star")) if not path.name.startswith("coords_suffix")]
    return {path.relative_to(job).as_posix(): inspect_picks(path) for path in files}


def listed(project: Path) -> list[tuple[str, str]]:
    """Rows of the job's autopick.star: micrograph and coordinate file."""
    table = starfile.read(project / JOB / "autopick.star", always_dict=True)["coordinate_files"]
    return list(zip(table["rlnMicrographName"], table["rlnMicrographCoordinates"], strict=True))


def snapshot(project: Path) -> dict[str, bytes]:
    """All files of the job but logs and lock, by path; the seconds that a micrograph took are left out."""
    job = project / JOB
    files = [path for path in sorted(job.rglob("*")) if path.is_file() and path.name not in STARTS_ANEW]
    return {path.relative_to(job).as_posix(): SECONDS.sub(b"", path.read_bytes()) for path in files}


def times(project: Path) -> dict[str, int]:
    """Time of the last change of every file below the job's folder, in nanoseconds."""
    job = project / JOB
    return {path.relative_to(job).as_posix(): path.stat().st_mtime_ns for path in sorted(job.rglob("*")) if path.is_file()}


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until something becomes true."""
    allowed = patience(seconds)
    deadline = time.monotonic() + allowed
    while not condition():
        assert time.monotonic() < deadline, f"waited {allowed:.0f} s for {what}"
        time.sleep(0.005)


def child_of(pid: int) -> int | None:
    """Process number of the only child; None if there is none."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found = re.match(r"(\d+) \(.*\) (\S) (\d+)", stat.read_text())
            if found and int(found[3]) == pid and found[2] != "Z":
                return int(found[1])
    return None


def job_words(*more: str) -> list[str]:
    """Words of a job that draws no pictures."""
    return arguments("--overlays", "0", *more)
