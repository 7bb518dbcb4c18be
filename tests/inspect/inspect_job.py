"""A job's folder made by hand, and a person at the page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import starfile
from numpy.typing import NDArray

from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import cut_digest, write_picks
from relion_ganpick.inspect.job import Facts, write_facts

DIAMETER, PIXEL_SIZE, SHAPE, THRESHOLD = 180.0, 10.0, (240, 320), 0.5
N, PER_MICROGRAPH = 8, 24
PATIENCE = 300.0


def particles(seed: int) -> tuple[NDArray[np.float32], Picks]:
    """A micrograph with dark blobs, and one scored pick on each of them, best first."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(size=SHAPE).astype(np.float32)
    columns, rows = np.meshgrid(np.arange(30, 310, 46), np.arange(30, 230, 50))
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1)[:PER_MICROGRAPH]
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for cx, cy in centres:
        pixels -= 4 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 40).astype(np.float32)
    score = np.linspace(0.98, 0.06, len(centres)).round(4)
    order = rng.permutation(len(centres))
    return pixels, Picks(centres[order, 0].astype(float), centres[order, 1].astype(float), score)


def make_job(project: Path, n: int = N) -> Path:
    """Write a project with a job that has ended, as a run leaves it; returns the job's folder."""
    import mrcfile

    folder = project / "External" / "job007"
    (project / "Micrographs").mkdir(parents=True)
    names = [f"Micrographs/mic{k:03d}.mrc" for k in range(n)]
    for k, name in enumerate(names):
        pixels, scored = particles(k)
        if k == n - 1:
            scored = Picks.none()
        with mrcfile.new(project / name) as mrc:
            mrc.set_data(pixels)
            mrc.voxel_size = PIXEL_SIZE
        stem = f"Micrographs/mic{k:03d}"
        fingerprint = f"{k:016x}"
        (folder / ".ganpick" / "Micrographs").mkdir(parents=True, exist_ok=True)
        write_picks(folder / ".ganpick" / f"{stem}_scores.star", scored, fingerprint)
        write_picks(folder / f"{stem}_autopick.star", scored.above(THRESHOLD), cut_digest(fingerprint, THRESHOLD), scored)
    optics = pd.DataFrame({"rlnOpticsGroupName": ["g"], "rlnOpticsGroup": [1], "rlnMicrographPixelSize": [PIXEL_SIZE]})
    defocus = [10000.0 + 1000 * k for k in range(n)]
    table = pd.DataFrame({"rlnMicrographName": names, "rlnOpticsGroup": 1, "rlnDefocusU": defocus, "rlnDefocusV": defocus})
    starfile.write({"optics": optics, "micrographs": table}, project / "micrographs.star")
    files = [f"External/job007/Micrographs/mic{k:03d}_autopick.star" for k in range(n)]
    lists = pd.DataFrame({"rlnMicrographName": names, "rlnMicrographCoordinates": files})
    starfile.write({"coordinate_files": lists}, folder / "autopick.star")
    (folder / "coords_suffix_autopick.star").write_text("micrographs.star\n")
    write_facts(folder, Facts(diameter=DIAMETER))
    return folder


class Page:
    """The page in a browser, and what a person can do there."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        self.driver.get(address)
        self.wait("typeof ganpick !== 'undefined' && ganpick.ready")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def get(self, expression: str) -> Any:
        return self.driver.execute_script(f"return {expression}")

    def wait(self, expression: str, seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not self.get(expression):
            assert time.monotonic() < end, f"not within {seconds} s: {expression}\n{self.log()}"
            time.sleep(0.05)

    def settle(self) -> None:
        """Wait until everything that has changed is drawn."""
        self.wait("!ganpick.will_draw")
        time.sleep(0.3)

    def log(self) -> list[str]:
        """Complaints of the browser."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def click(self, identity: str) -> None:
        from selenium.webdriver.common.by import By

        self.driver.find_element(By.ID, identity).click()
        self.settle()

    def press(self, keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(keys).perform()
        self.settle()

    def go(self, index: int) -> None:
        self.run("ganpick.go(arguments[0])", index)
        self.wait(f"ganpick.current === {index} && ganpick.held({index}) && ganpick.model('picks').data.x.length >= 0")
        self.settle()

    def text(self, identity: str) -> str:
        return str(self.get(f"document.getElementById('{identity}').textContent"))

    def picks(self) -> list[tuple[int, int, float]]:
        """Circles that are shown: x, y and figure of merit."""
        data = self.get("(({x, y, score}) => [Array.from(x), Array.from(y), Array.from(score)])(ganpick.model('picks').data)")
        return [(round(x), round(y), round(score, 4)) for x, y, score in zip(*data, strict=True)]

    def mouse(self, plot: str, x: float, y: float) -> Any:
        """Move the mouse to a place of a plot, in the plot's own coordinates; more can be added to the answer."""
        from selenium.webdriver.common.action_chains import ActionChains

        place = self.get(
            f"((plot) => {{ const view = Bokeh.index.find_one(plot); const rect = view.el.getBoundingClientRect();"
            f" return [rect.left + view.frame.x_scale.compute({x}), rect.top + view.frame.y_scale.compute({y})]; }})"
            f"(ganpick.model('{plot}'))"
        )
        chain = ActionChains(self.driver, duration=20)
        chain.w3c_actions.pointer_action.move_to_location(round(place[0]), round(place[1]))
        return chain
