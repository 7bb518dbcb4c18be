"""What follows picking in the benchmarks: orientations, maps, correlation, pairs, good classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import mrcfile
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from relion_ganpick.core.picks import Picks
from relion_ganpick.synthesis.molecules import project

Load = Callable[[str], ModuleType]


def test_shell_correlation_falls_from_one_where_noise_begins(load: Load) -> None:
    runs = load("relion_runs")
    rng = np.random.default_rng(0)
    side = 32
    mask = np.ones((side,) * 3, np.float32)
    steps = np.fft.fftfreq(side, 1 / side)
    radius = np.sqrt(steps[:, None, None] ** 2 + steps[None, :, None] ** 2 + steps[None, None, :] ** 2)
    one, other = (np.fft.fftn(rng.normal(size=(side,) * 3)) for _ in range(2))
    mixed = np.fft.ifftn(np.where(radius < 8.5, one, other)).real.astype(np.float32)
    curve = runs.shell_correlation(np.fft.ifftn(one).real.astype(np.float32), mixed, mask)
    assert curve[:8] == pytest.approx(1, abs=1e-5)
    assert np.abs(curve[10:]).max() < 0.2
    assert 2.0 * side / 10 < runs.resolution(curve, 0.5, 2.0) < 2.0 * side / 8
    assert runs.resolution(np.ones(16), 0.5, 2.0) == 4.0


def test_a_mask_is_one_inside_and_zero_outside(load: Load) -> None:
    mask = load("relion_runs").ball(32, 8.0)
    assert mask[16, 16, 16 + 7] == 1
    assert mask[16, 16, 16 + 13] == 0


@pytest.mark.relion
def test_angles_mean_the_same_to_relion(load: Load, tmp_path: Path) -> None:
    phantom, runs = load("phantom"), load("relion_runs")
    settings = phantom.PhantomSettings(pixel_size=9.0, diameter=180.0)
    turns = Rotation.from_quat(np.random.default_rng(1).normal(size=(300, 4)))
    middle = np.zeros(2)
    molecule = phantom.structure(settings)
    views = [project(molecule, turns[k], settings.diameter_px, phantom.SOFTNESS, middle) for k in range(len(turns))]
    box = 32
    stack = np.zeros((len(views), box, box), np.float32)
    for picture, view in zip(stack, views, strict=True):
        first = box // 2 - len(view) // 2
        picture[first : first + len(view), first : first + len(view)] = view
    mrcfile.write(tmp_path / "particles.mrcs", stack, voxel_size=9.0)
    optics = {"rlnOpticsGroupName": "o", "rlnOpticsGroup": 1, "rlnImagePixelSize": 9.0, "rlnImageSize": box}
    optics |= {"rlnImageDimensionality": 2, "rlnVoltage": 300.0, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1}
    table = pd.DataFrame(phantom.relion_angles(turns), columns=["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"])
    table["rlnImageName"] = [f"{k + 1:06d}@{tmp_path}/particles.mrcs" for k in range(len(views))]
    table["rlnOpticsGroup"] = 1
    runs.write_particles(tmp_path / "particles.star", {"optics": pd.DataFrame([optics]), "particles": table})
    found = runs.reconstruct(tmp_path / "particles.star", False, tmp_path / "map.mrc")
    curve = runs.shell_correlation(found, phantom.density(settings, box), runs.ball(box, 12))
    assert curve[1:10].min() > 0.9


def test_particles_of_a_phantom_are_dark_where_they_are_said_to_be(load: Load) -> None:
    phantom = load("phantom")
    settings = phantom.PhantomSettings(n=1, side=512, contrast=30.0, particles=8, kind="globule")
    made = phantom.make(settings, 0)
    assert len(made.centres) == len(made.angles) == 8
    column, row = np.rint(made.centres).astype(int).T
    depth = [made.pixels[y - 5 : y + 6, x - 5 : x + 6].mean() for x, y in zip(column, row, strict=True)]
    assert np.median(depth) < np.percentile(made.pixels, 10)
    away = np.hypot(*(made.centres[:, None] - made.centres[None]).transpose(2, 0, 1))
    assert away[away > 0].min() >= settings.spacing * settings.diameter_px


def test_picks_are_paired_with_the_closest_centres_once(load: Load) -> None:
    truth = np.array([[10.0, 10.0], [30.0, 10.0], [90.0, 90.0]])
    picks = np.array([[12.0, 10.0], [11.0, 10.0], [30.0, 14.0], [60.0, 60.0]])
    assert sorted(load("downstream_map").pairs(picks, truth, 5.0)) == [(1, 0), (2, 1)]
    assert load("downstream_map").pairs(picks, np.empty((0, 2)), 5.0) == []


def test_the_same_number_of_picks_is_drawn_over_all_micrographs(load: Load) -> None:
    places = np.arange(50.0)
    picks = {"a": Picks(places, places, places), "b": Picks.none(), "c": Picks(places, places, places)}
    drawn = load("downstream_classes").drawn(picks, 30)
    assert sum(map(len, drawn.values())) == 30
    assert 5 < len(drawn["a"]) < 25
    assert set(drawn["a"].x) <= set(places)
    assert drawn["c"].x.tolist() == load("downstream_classes").drawn(picks, 30)["c"].x.tolist()


def test_a_good_class_is_large_and_finely_resolved(load: Load, tmp_path: Path) -> None:
    classes = pd.DataFrame(
        {
            "rlnReferenceImage": [f"{k:06d}@run_it003_classes.mrcs" for k in (1, 2, 3, 4)],
            "rlnClassDistribution": [0.5, 0.3, 0.15, 0.05],
            "rlnEstimatedResolution": [20.0, 40.0, np.inf, 20.0],
        }
    )
    model = tmp_path / "run_it003_model.star"
    load("relion_runs").write_particles(model, {"model_classes": classes})
    assert load("downstream_classes").good_classes(model, 180.0) == [1]
