"""Damage micrographs at random and pick them: each must give a pick file or one line, in a minute and 2 GiB.

    python benchmarks/fuzz.py --n 2000 --seed 1
    python benchmarks/fuzz.py --n 500 --first 500    # the second quarter of it

Valid MRC and TIFF files of every mode and compression get bytes, lengths and fields of their headers changed. Up to a hundred
at a time go to one `ganpick pick`, whose time and memory are bounded. The last line is the result; the exit status is 1 if a file
broke a rule, and such files are kept.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
import tifffile

SIDE = 192
DIAMETER, ANGPIX = 60.0, 4.0
TOGETHER = 100
SECONDS = 60.0  # for one file; a run of many has this for each that may hang, and its start
MEMORY = 2 * 2**30
TYPES = ("i1", "u1", "i2", "u2", "f2", "f4")
COMPRESSIONS = (None, "zlib", "lzw", "zstd", "packbits")
HEADER = 1024
EDGES = (0, 1, -1, 2, 127, 128, 255, 256, 32767, 65535, 65536, 2**20, 2**28, 2**31 - 1, -(2**31), 101, 3)


@dataclass(frozen=True)
class Fault:
    """A file that broke a rule, and which."""

    path: Path
    reason: str


def valid(folder: Path, number: int, rng: np.random.Generator) -> Path:
    """Write a valid MRC or TIFF file of a random kind."""
    picture = rng.normal(100, 20, (SIDE, SIDE))
    code = str(rng.choice(TYPES))
    pixels = np.clip(picture, 0, 120).astype(code) if code != "f4" else picture.astype(code)
    if rng.random() < 0.5:
        path = folder / f"m{number:05d}.tif"
        kind = COMPRESSIONS[int(rng.integers(len(COMPRESSIONS)))]
        layout = {"tile": (64, 64)} if rng.random() < 0.3 else {"rowsperstrip": int(rng.integers(1, SIDE))}
        kind = None if code == "f2" else kind
        tifffile.imwrite(path, pixels, compression=kind, byteorder="<" if rng.random() < 0.5 else ">", metadata=None, **layout)
        return path
    path = folder / f"m{number:05d}.mrc"
    stored = pixels.astype("i2") if code == "u1" else pixels
    with mrcfile.new(path, stored) as mrc:
        mrc.voxel_size = ANGPIX
    chosen = rng.random()
    if chosen < 0.3:
        packed = path.with_name(path.name + (".gz" if chosen < 0.15 else ".bz2"))
        packed.write_bytes((gzip.compress if chosen < 0.15 else bz2.compress)(path.read_bytes()))
        path.unlink()
        return packed
    return path


def with_bytes(content: bytearray, rng: np.random.Generator) -> None:
    """Change some bytes anywhere, mostly at the beginning or the end, where the fields are."""
    for _ in range(int(rng.integers(1, 9))):
        part = rng.random()
        reach = min(len(content), HEADER)
        at = int(rng.integers(reach)) if part < 0.5 else int(rng.integers(len(content)))
        at = len(content) - 1 - int(rng.integers(reach)) if part > 0.8 else at
        content[at] = int(rng.integers(256))


def with_length(content: bytearray, rng: np.random.Generator) -> None:
    """Cut the file off, or let something follow."""
    if rng.random() < 0.7:
        del content[int(rng.integers(len(content))) :]
    else:
        content += rng.bytes(int(rng.integers(1, 5000)))


def with_field(content: bytearray, rng: np.random.Generator) -> None:
    """Write a number from the edges of its kind over an aligned word of the header."""
    at = 4 * int(rng.integers(min(len(content), HEADER) // 4))
    value = EDGES[int(rng.integers(len(EDGES)))]
    content[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little" if rng.random() < 0.5 else "big")


def with_zeros(content: bytearray, rng: np.random.Generator) -> None:
    """Put zeros in place of a piece, as a crash of the file system does."""
    begin = int(rng.integers(len(content)))
    end = min(begin + int(rng.integers(1, 20000)), len(content))
    content[begin:end] = bytes(end - begin)


CHANGES: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (with_bytes, with_length, with_field, with_zeros)


def damaged(folder: Path, number: int, seed: int) -> Path:
    """Write file ``number`` of a seed: the same one each time."""
    rng = np.random.default_rng((seed, number))
    path = valid(folder, number, rng)
    content = bytearray(path.read_bytes())
    for _ in range(int(rng.integers(1, 4))):
        if len(content) > 4:
            CHANGES[int(rng.integers(len(CHANGES)))](content, rng)
    path.write_bytes(content)
    return path


def faults_of(paths: Sequence[Path], out: Path) -> list[Fault]:
    """Pick files in one run and list those that broke a rule; a run that breaks one as a whole is taken apart."""
    command = [sys.executable, "-m", "relion_ganpick.cli", "pick", *map(str, paths), "--diameter", f"{DIAMETER:g}"]
    command += ["--working_diameter", f"{DIAMETER:g}", "--angpix", f"{ANGPIX:g}", "--overlays", "0", "--max_failed", "1"]
    command += ["--device", "cpu", "--out", str(out)]
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS * (1 + len(paths) / 4),
            preexec_fn=_bound_memory,
            check=False,
        )
        reason = f"exit status {ended.returncode}" if ended.returncode not in (0, 1) or "Traceback" in ended.stderr else ""
    except subprocess.TimeoutExpired:
        reason = "no end"
    if reason:
        if len(paths) == 1:
            return [Fault(paths[0], reason)]
        half = len(paths) // 2
        return faults_of(paths[:half], out) + faults_of(paths[half:], out)
    lines = ended.stderr.splitlines()
    found = []
    for path in paths:
        said = [line for line in lines if str(path) in line]
        picked = (out / f"{path.stem}_autopick.star").is_file()
        if not picked and len(said) != 1:
            found.append(Fault(path, f"no pick file and {len(said)} lines"))
    return found


def _bound_memory() -> None:
    """Bound what the run may take: 2 GiB beyond what libraries only reserve; more ends in a MemoryError that is seen."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def main() -> int:
    """Make, pick, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=2000, help="number of files (default: 2000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first file, to try them in parts (default: 0)")
    parser.add_argument("--seed", type=int, default=1, help="names the files (default: 1)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz_faults"), help="where files that broke a rule are kept")
    options = parser.parse_args()
    began, faults = time.monotonic(), 0
    end = options.first + options.n
    for first in range(options.first, end, TOGETHER):
        with tempfile.TemporaryDirectory() as place:
            numbers = range(first, min(first + TOGETHER, end))
            paths = [damaged(Path(place), number, options.seed) for number in numbers]
            for fault in faults_of(paths, Path(place) / "out"):
                faults += 1
                options.keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(fault.path, options.keep)
                print(f"{fault.path.name}: {fault.reason}", flush=True)
    print(f"{options.n} damaged files, {faults} broke a rule, {time.monotonic() - began:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
