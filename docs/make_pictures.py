"""Make the picture of picks that the README and the first page show.

    python docs/make_pictures.py

The micrograph comes from our own simulator and the circles from our own picker. Left half: the micrograph. Right half: the
same with its picks, drawn by the program. Takes about ten seconds.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from relion_ganpick.cli import main as ganpick

OUT = Path(__file__).resolve().parent / "pictures" / "picks.jpg"
DIAMETER, PIXEL_SIZE = "170", "1.6"
SIZE = ["--width", "2000", "--height", "900"]
MOLECULE = ["--kind", "dihedral", "--particles", "90", "--seed", "3"]
NOTHING = "1"
"""A threshold that no pick reaches: the program then draws the micrograph without circles."""

QUALITY = 88


def picture(folder: Path, name: str, *words: str) -> np.ndarray:
    """Pick the simulated micrograph; returns the picture that the program draws, (h, w, 3) uint8."""
    micrograph = str(folder / "project" / "Micrographs" / "mic001.mrc")
    out = folder / name
    run("pick", micrograph, "--diameter", DIAMETER, "--angpix", PIXEL_SIZE, "--out", str(out), "--j", "2", *words)
    return np.asarray(cv2.imread(str(out / "overlays" / "mic001.png")))


def run(*words: str) -> None:
    """Run ``ganpick``; stops this program where it fails."""
    if ganpick(list(words)) != 0:
        sys.exit(f"ganpick {' '.join(words)}: failed")


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run(
            "simulate",
            "--out",
            str(folder / "project"),
            "--n",
            "1",
            "--angpix",
            PIXEL_SIZE,
            "--diameter",
            DIAMETER,
            *SIZE,
            *MOLECULE,
        )
        plain = picture(folder, "plain", "--threshold", NOTHING)
        both = picture(folder, "picks")
    middle = both.shape[1] // 2
    both[:, :middle] = plain[:, :middle]
    both[:, middle - 1 : middle + 1] = 255
    OUT.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(OUT), both, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    print(OUT)


if __name__ == "__main__":
    main()
