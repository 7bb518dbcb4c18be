"""Make the pictures of RELION's window that the tutorial shows.

    python docs/make_screenshots.py

Needed: RELION 3.1.3 with its window, Xvfb, xdotool and ImageMagick. On Debian:
apt-get install relion relion-gui xvfb xdotool imagemagick

The script simulates three micrographs, opens the real window on a virtual screen, fills in an External job with mouse and
keyboard, runs it, and shows the picks. Takes about two minutes. Places in the window are those of RELION 3.1.3.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relion_ganpick.cli import main as ganpick

OUT = Path(__file__).resolve().parent / "pictures" / "relion"
DIAMETER, PIXEL_SIZE = "170", "1.1"
SIMULATE = ["--n", "3", "--width", "3000", "--height", "2600", "--kind", "dihedral", "--particles", "160", "--seed", "3"]
NEW_PROJECT = "\n# version 30001\n\ndata_pipeline_general\n\n_rlnPipeLineJobCounter 1\n\n"
IMPORT = (
    "do_raw == Yes;do_other == No;fn_in_raw == Micrographs/*.mrc;is_multiframe == No;"
    f"angpix == {PIXEL_SIZE};kV == 300;Cs == 2.7;Q0 == 0.1;optics_group_name == opticsGroup1"
)
SCREEN = (1400, 1000)
FEW_COLOURS, GOOD_JPEG = ["+dither", "-colors", "64", "-depth", "8"], ["-quality", "88"]
UPPER_HALF = "800x366+0+0"
JOB = "External/job002"

Point = tuple[int, int]
TAB_PARAMS, TAB_RUNNING = (280, 16), (348, 16)
EXTERNAL, EXTRACTION = (40, 330), (66, 120)
EXECUTABLE, MICROGRAPHS = (578, 52), (578, 106)
THREADS, RUN = (508, 55), (740, 345)
NEWEST_JOB, DISPLAY_MENU, DISPLAY_PICKS = (110, 444), (690, 385), (700, 429)
EXTRACT_MICROGRAPHS, EXTRACT_COORDINATES = (578, 52), (578, 84)
FIRST_PICK_BUTTON = (370, 39)


def parameter(row: int) -> tuple[Point, Point]:
    """Places of label and value in one row of the Params tab."""
    return (532, 55 + 22 * row), (632, 55 + 22 * row)


class Window:
    """One window on the virtual screen, worked with mouse and keyboard."""

    def __init__(self, name: str) -> None:
        for _ in range(120):
            found = subprocess.run(
                ["xdotool", "search", "--name", name], capture_output=True, text=True, check=False
            ).stdout.split()
            if found:
                self.id = found[-1]
                time.sleep(2)
                return
            time.sleep(0.5)
        sys.exit(f"no window named {name} in a minute")

    def move_to(self, x: int, y: int) -> None:
        """Move the window to a place on the screen."""
        xdotool("windowmove", self.id, str(x), str(y))

    def click(self, place: Point) -> None:
        """Click at a place within the window."""
        xdotool("mousemove", "--window", self.id, str(place[0]), str(place[1]), "click", "1")
        time.sleep(0.7)

    def fill(self, place: Point, text: str) -> None:
        """Put a text into a field, and show its beginning."""
        self.click(place)
        xdotool("key", "ctrl+a")
        xdotool("type", "--delay", "25", text)
        xdotool("key", "Home")
        time.sleep(0.3)

    def picture(self, name: str, crop: str | None = None) -> None:
        """Save a picture of the window, or of a part, WIDTHxHEIGHT+X+Y."""
        save(self.id, name, crop)


def xdotool(*words: str) -> None:
    """Move the mouse, press keys."""
    subprocess.run(["xdotool", *words], check=True)


def save(window: str, name: str, crop: str | None) -> None:
    """Take a picture of a window, or of "root", the whole screen."""
    part = ["-crop", crop, "+repage"] if crop else []
    how = FEW_COLOURS if name.endswith(".png") else GOOD_JPEG
    subprocess.run(["import", "-window", window, *part, "-strip", *how, str(OUT / name)], check=True)
    print(OUT / name)


@contextmanager
def running(*words: str, cwd: Path | None = None) -> Iterator[None]:
    """Keep a program running; it is ended afterwards."""
    with subprocess.Popen(words, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


@contextmanager
def virtual_screen() -> Iterator[None]:
    """Start a virtual screen with a white background, on the first number that is free."""
    number = next(k for k in range(70, 200) if not Path(f"/tmp/.X11-unix/X{k}").exists())
    with running("Xvfb", f":{number}", "-screen", "0", f"{SCREEN[0]}x{SCREEN[1]}x24", "-wr"):
        os.environ["DISPLAY"] = f":{number}"
        time.sleep(2)
        yield


def make_project(folder: Path) -> Path:
    """Simulate micrographs and import them into a new RELION project."""
    project = folder / "project"
    words = ["simulate", "--out", str(project), "--angpix", PIXEL_SIZE, "--diameter", DIAMETER, *SIMULATE]
    if ganpick(words) != 0:
        sys.exit("the project could not be simulated")
    (project / "default_pipeline.star").write_text(NEW_PROJECT)
    (project / ".gui_projectdir").touch()
    for words in (
        ["relion_pipeliner", "--addJob", "Import", "--addJobOptions", IMPORT],
        ["relion_pipeliner", "--RunJobs", "Import/job001/", "--schedule", "start", "--sec_wait_after", "1"],
    ):
        subprocess.run(words, cwd=project, check=True, stdout=subprocess.DEVNULL)
    return project


def fill_in(window: Window) -> None:
    """Fill in the External job, a picture of each tab, and run it."""
    window.click(EXTERNAL)
    window.fill(EXECUTABLE, "relion_ganpick")
    window.fill(MICROGRAPHS, "Import/job001/micrographs.star")
    window.picture("input.png", UPPER_HALF)
    window.click(TAB_PARAMS)
    label, value = parameter(0)
    window.fill(label, "diameter")
    window.fill(value, DIAMETER)
    window.picture("params.png", UPPER_HALF)
    window.click(TAB_RUNNING)
    window.fill(THREADS, "2")
    xdotool("key", "Tab")
    window.picture("running.png", UPPER_HALF)
    window.click(RUN)


def wait_for(job: Path) -> None:
    """Wait until the job has ended, and for RELION to notice."""
    for _ in range(600):
        ended = [path.name for path in job.glob("RELION_JOB_EXIT_*")]
        if ended:
            if ended != ["RELION_JOB_EXIT_SUCCESS"]:
                sys.exit((job / "run.err").read_text())
            time.sleep(5)
            return
        time.sleep(0.5)
    sys.exit(f"{job}: has not ended in five minutes")


def show_result(window: Window) -> None:
    """Pictures of the finished job, of its picks, and of the job that extracts them."""
    window.click(EXTERNAL)
    window.click(NEWEST_JOB)
    time.sleep(3)
    window.picture("done.png")
    window.click(DISPLAY_MENU)
    window.click(DISPLAY_PICKS)
    listing = Window("manual-picking")
    window.move_to(0, 2 * SCREEN[1])
    listing.move_to(10, 10)
    listing.click(FIRST_PICK_BUTTON)
    micrograph = Window(re.escape("Micrographs/mic001.mrc"))
    micrograph.move_to(500, 10)
    for x, y in ((300, 300), (-100, 700), (300, 300), (590, 10)):  # circles appear when the mouse comes back into the window
        xdotool("mousemove", "--window", micrograph.id, "--", str(x), str(y))
        time.sleep(0.5)
    save("root", "display.jpg", "1110x540+5+5")
    listing.move_to(0, 2 * SCREEN[1])
    micrograph.move_to(0, 2 * SCREEN[1])
    window.move_to(0, 0)
    window.click(EXTRACTION)
    window.fill(EXTRACT_MICROGRAPHS, "Import/job001/micrographs.star")
    window.fill(EXTRACT_COORDINATES, f"{JOB}/coords_suffix_autopick.star")
    window.picture("extract.png", UPPER_HALF)


def main() -> None:
    """Make all pictures."""
    OUT.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as scratch:
        project = make_project(Path(scratch))
        with virtual_screen(), running("relion", cwd=project):
            window = Window("RELION-3.1.3")
            fill_in(window)
            wait_for(project / JOB)
            show_result(window)


if __name__ == "__main__":
    main()
