"""Make the pictures of the inspection page that the tutorial shows.

    python docs/make_page_pictures.py

Needed: Chromium with its driver, and selenium. On Debian: apt-get install chromium chromium-driver. The script simulates twelve
micrographs, picks them, and takes pictures of the page. Takes about two minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2

from relion_ganpick.cli import main as ganpick

OUT = Path(__file__).resolve().parent / "pictures" / "inspect"
DIAMETER, PIXEL_SIZE = "170", "1.7"
SIMULATE = ["--n", "12", "--width", "2000", "--height", "1700", "--kind", "dihedral", "--particles", "120", "--seed", "3"]
JOB = Path("External/job001")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--hide-scrollbars",
)
QUALITY = 82

SHOWN, ODD = 6, 10  # a faint micrograph, and a contaminated one
BY_HAND = (1690, 640)  # a free place on it
PICTURES: dict[str, tuple[tuple[int, int], str, str]] = {
    "page.jpg": ((1280, 940), f"ganpick.go({SHOWN})", f"ganpick.held({SHOWN})"),
    "dirt.jpg": (
        (1280, 940),
        f"ganpick.go({ODD}).then(() => {{ ganpick.toggle('veil'); ganpick.toggle('left_out') }})",
        f"ganpick.held({ODD}) && ganpick.held({ODD}).layers.contamination",
    ),
    "compare.jpg": (
        (1280, 940),
        f"ganpick.go({SHOWN}); ganpick.toggle('veil'); ganpick.toggle('left_out'); ganpick.choose({{threshold: 0.85}});"
        "const s = document.getElementById('compare'); s.value = 'saved'; s.dispatchEvent(new Event('change'))",
        "ganpick.model('removed').data.x.length",
    ),
    "below.jpg": (
        (1280, 940),
        "ganpick.choose({threshold: 0.5}); ganpick.choose_class(1); window.scrollTo(0, 10000)",
        f"ganpick.held({SHOWN}).classes",
    ),
    "edit.jpg": (
        (1280, 940),
        "window.scrollTo(0, 0); ganpick.choose_class(1); const s = document.getElementById('compare'); s.value = 'off';"
        "s.dispatchEvent(new Event('change')); ganpick.set_editing(true);"
        f"const kept = ganpick.kept(ganpick.held({SHOWN}));"
        f"ganpick.edit({SHOWN}, {{x: [...kept.x, {BY_HAND[0]}], y: [...kept.y, {BY_HAND[1]}], score: [...kept.score, -1]}})",
        "ganpick.done.length && !ganpick.will_draw",
    ),
    "wide.jpg": ((1920, 1080), f"ganpick.undo(); ganpick.set_editing(false); ganpick.go({SHOWN})", "true"),
}


def main() -> None:
    """Make all pictures."""
    from selenium import webdriver

    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch) / "project"
        if ganpick(["simulate", "--out", str(project), "--angpix", PIXEL_SIZE, "--diameter", DIAMETER, *SIMULATE]):
            sys.exit("the project could not be simulated")
        (project / JOB).mkdir(parents=True)
        program = Path(sys.executable).with_name("relion_ganpick")
        words = [str(program), "--o", f"{JOB}/", "--in_mics", "micrographs.star", "--diameter", DIAMETER]
        subprocess.run(words, cwd=project, check=True, stdout=subprocess.DEVNULL)
        os.chdir(project)
        server = subprocess.Popen(
            [sys.executable, "-m", "relion_ganpick.cli", "inspect", str(JOB), "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in (*FLAGS, f"--user-data-dir={scratch}/profile"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        try:
            driver.get(server.stdout.readline().split()[-1])
            wait(driver, "typeof ganpick !== 'undefined' && ganpick.ready && ganpick.averages")
            for name, (size, script, shown) in PICTURES.items():
                take(driver, name, size, script, shown)
        finally:
            driver.quit()
            server.terminate()
            server.wait()
            os.chdir("/")


def take(driver: Any, name: str, size: tuple[int, int], script: str, shown: str) -> None:
    """Bring the page to where a script says, and take a picture."""
    driver.set_window_size(*size)
    time.sleep(1)
    driver.execute_script(script)
    wait(driver, shown)
    time.sleep(2)
    driver.save_screenshot(str(OUT / "shot.png"))
    cv2.imwrite(str(OUT / name), cv2.imread(str(OUT / "shot.png")), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    (OUT / "shot.png").unlink()
    print(OUT / name)


def wait(driver: Any, expression: str) -> None:
    """Wait until the page says so, for two minutes at most."""
    for _ in range(600):
        if driver.execute_script(f"return Boolean({expression})"):
            return
        time.sleep(0.2)
    sys.exit(f"not within two minutes: {expression}")


if __name__ == "__main__":
    main()
