"""``ganpick check-orientation`` on simulated micrographs, whose coordinates are turned in all eight ways."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from relion_ganpick.commands import check_orientation
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.orientation import ORIENTATIONS, Fit, verdict
from relion_ganpick.formats.any_coordinates import read_any
from relion_ganpick.relion.project import ProjectSettings, write_project

SETTINGS = ProjectSettings(n=2, width=400, height=400, angpix=5.0, diameter=120.0, seed=2, clean=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("orientation") / "project"
    assert len(list(write_project(SETTINGS, folder))) == 2
    return folder


def run(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    check_orientation.add_command(parser.add_subparsers())
    namespace = parser.parse_args(["check-orientation", *map(str, words)])
    return int(namespace.run(namespace))


def truth(project: Path) -> Iterator[tuple[Path, NDArray[np.float64]]]:
    for path in sorted((project / "Micrographs").glob("*.mrc")):
        yield path, pd.read_csv(project / "truth" / f"{path.stem}.csv").to_numpy(float)


def inverse(name: str) -> str:
    """The orientation that undoes another one; only the quarter turns are not their own."""
    pairs = {"turned by 90 degrees": "turned by 270 degrees", "turned by 270 degrees": "turned by 90 degrees"}
    return pairs.get(name, name)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_each_orientation_is_found(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    size = (SETTINGS.height, SETTINGS.width)
    for path, points in truth(project):
        turned = ORIENTATIONS[inverse(name)][1](points, size)
        assert np.allclose(ORIENTATIONS[name][1](turned, size), points)
        pd.DataFrame(turned, columns=["x", "y"]).to_csv(tmp_path / f"{path.stem}.csv", index=False)
    files = [path for path, _ in truth(project)]
    status = run(*files, "--coordinates", tmp_path, "--diameter", "120")
    output = capsys.readouterr().out
    assert output.splitlines()[0].startswith(name)
    assert status == (0 if name == "as they are" else 1)
    assert ("they fit as they are" in output) == (name == "as they are")
    assert ("--flip_y" in output) == (name == "y flipped")


def test_star_files_of_a_project_are_read(project: Path) -> None:
    assert run(*(path for path, _ in truth(project)), "--coordinates", project / "truth", "--diameter", "120") == 0


def test_random_coordinates_fit_nowhere(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for path, points in truth(project):
        pd.DataFrame(rng.uniform(0, 399, points.shape), columns=["x", "y"]).to_csv(tmp_path / f"{path.stem}.csv", index=False)
    assert run(*(path for path, _ in truth(project)), "--coordinates", tmp_path, "--diameter", "120") == 1
    assert "no orientation fits" in capsys.readouterr().out


def test_picks_table_and_dataset_of_cryosparc_ganpick_are_read(project: Path, tmp_path: Path) -> None:
    tables, rows = [], []
    for path, points in truth(project):
        name = f"J1/motioncorrected/007_{path.stem}_patch_aligned.mrc"
        tables.append(pd.DataFrame({"micrograph": name, "x": points[:, 0].round(), "y": points[:, 1].round()}))
        for x, y in points.round():
            rows.append((name, (SETTINGS.height, SETTINGS.width), x / SETTINGS.width, y / SETTINGS.height))
    pd.concat(tables).to_csv(tmp_path / "picks.csv", index=False)
    kind = [("location/micrograph_path", "S80"), ("location/micrograph_shape", "<u4", (2,))]
    kind += [("location/center_x_frac", "<f4"), ("location/center_y_frac", "<f4")]  # type: ignore[list-item]
    with open(tmp_path / "picks.cs", "wb") as out:
        np.save(out, np.array(rows, kind))
    by_table, by_dataset = read_any([tmp_path / "picks.csv"]), read_any([tmp_path / "picks.cs"])
    assert set(by_table) == set(by_dataset) == {"007_mic001_patch_aligned", "007_mic002_patch_aligned"}
    for stem, found in by_table.items():
        assert np.allclose(by_dataset[stem].picks.xy, found.picks.xy, atol=0.01)
    for file in ("picks.csv", "picks.cs"):
        assert run(*(path for path, _ in truth(project)), "--coordinates", tmp_path / file, "--diameter", "120") == 0


@pytest.mark.cryosparc
def test_dataset_in_the_stream_format_is_read(project: Path, tmp_path: Path) -> None:
    from cryosparc.dataset import CSDAT_FORMAT, Dataset

    path, points = next(truth(project))
    dataset = Dataset(
        {
            "location/micrograph_path": np.array([f"J1/{path.name}"] * len(points), object),
            "location/micrograph_shape": np.full((len(points), 2), 400, np.uint32),
            "location/center_x_frac": (points[:, 0] / 400).astype(np.float32),
            "location/center_y_frac": (points[:, 1] / 400).astype(np.float32),
        }
    )
    dataset.save(tmp_path / "a.cs", format=CSDAT_FORMAT)
    assert np.allclose(read_any([tmp_path / "a.cs"])[path.stem].picks.xy, points, atol=0.01)


def test_coordinates_of_other_micrographs_are_an_error(project: Path, tmp_path: Path) -> None:
    (tmp_path / "else.csv").write_text("x,y\n1,1\n")
    with pytest.raises(GanpickError, match="none of the micrographs has coordinates"):
        run(next(truth(project))[0], "--coordinates", tmp_path, "--diameter", "120")


def test_file_that_is_no_dataset_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.cs").write_bytes(b"nothing of the kind")
    with pytest.raises(GanpickError, match=r"a\.cs"):
        read_any([tmp_path / "a.cs"])


@pytest.mark.parametrize(
    ("deviations", "best"),
    [((9.0, 1.0), "as they are"), ((1.0, 9.0), "y flipped"), ((4.0, 0.0), None), ((9.0, 8.0), None), ((None, 9.0), "y flipped")],
)
def test_verdict_needs_a_clear_lead(deviations: tuple[float | None, ...], best: str | None) -> None:
    names = ("as they are", "y flipped")
    assert verdict([Fit(name, each) for name, each in zip(names, deviations, strict=True)])[0] == best
