"""What synthetic scenes can show: contrast, density, areas without image, stain, other pixel grids, real structures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from relion_ganpick.core.preprocess import PARTICLE_PX, normalise
from relion_ganpick.synthesis.crowd import flattened, project_views, stained, typical_mass
from relion_ganpick.synthesis.edges import beyond_edge, blank_area, fill_smoothly, foil
from relion_ganpick.synthesis.grid import left_out, resized
from relion_ganpick.synthesis.imaging import drift_envelope, transfer
from relion_ganpick.synthesis.molecules import project, project_all, random_molecule, random_views
from relion_ganpick.synthesis.pairs import make_batch, prepared, prepared_with_blank, random_scene
from relion_ganpick.synthesis.recording import shrunken, wiener
from relion_ganpick.synthesis.scene import CLEAN, SceneSettings, make_scene
from relion_ganpick.synthesis.scene_settings import RANGES, SHARES
from relion_ganpick.synthesis.structures import (
    random_structure_name,
    structure,
    structure_names,
    structure_points,
)

PLAIN = replace(CLEAN, contrast=(3.0, 3.0), area_density=(0.3, 0.3), diameter=(200.0, 200.0), molecule="globule")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_clean_has_no_share_of_anything() -> None:
    assert {name for name in SHARES if getattr(CLEAN, name)} == {"clean"}
    assert all(getattr(CLEAN, name) == getattr(SceneSettings(), name) for name in RANGES)


@pytest.mark.parametrize("contrast", [0.3, 1.0, 8.0, 30.0])
def test_particles_are_as_deep_as_the_contrast_says(contrast: float) -> None:
    scene = make_scene((256, 256), 16.0, rng(2), replace(PLAIN, contrast=(contrast, contrast)))
    assert scene.contrast == contrast
    columns, rows = np.clip(np.rint(scene.centres).astype(int), 0, 255).T
    depth = np.median(scene.pixels) - scene.pixels[rows, columns].mean()
    assert 0.5 * contrast - 0.3 < depth < 2.5 * contrast + 0.3


def test_share_of_strong_and_faint_scenes_decides_contrast_and_density() -> None:
    strong = [random_scene(rng(seed), 64, replace(SceneSettings(), strong=1, faint=0)).contrast for seed in range(20)]
    faint = [random_scene(rng(seed), 64, replace(SceneSettings(), strong=0, faint=1, empty=0)) for seed in range(20)]
    assert min(strong) >= 5
    assert max(strong) > 15
    assert max(scene.contrast for scene in faint) <= 0.8
    covered = [len(scene.centres) * 200 / scene.pixels.size for scene in faint]
    assert np.mean(covered) > 0.1


def test_scenes_may_hold_a_single_particle() -> None:
    counts = [len(make_scene((192, 192), 16.0, rng(k), replace(PLAIN, area_density=(0.005, 0.005))).centres) for k in range(5)]
    assert counts == [1] * 5


def test_texture_does_not_tell_whether_there_are_particles() -> None:
    for name in ("granular", "crystalline", "mottle", "carbon", "ice", "dried", "rods", "foil"):
        settings = replace(PLAIN, clean=0, **{name: 1.0})
        full, empty = (make_scene((200, 200), 16.0, rng(3), replace(settings, empty=share)) for share in (0.0, 1.0))
        assert not len(empty.centres)
        assert len(full.centres) > 3, name


def test_contamination_beside_faint_particles_may_be_heavy() -> None:
    faint = replace(PLAIN, clean=0, ice=1, contrast=(0.3, 0.3))
    dirty, clean = (
        [prepared(make_scene((160, 160), 16.0, rng(k), settings)).min() for k in range(8)]
        for settings in (faint, replace(faint, ice=0, clean=1))
    )
    assert min(dirty) < min(clean) - 0.8
    assert np.mean(dirty) < np.mean(clean) - 0.2


def test_areas_without_image_hold_no_particles_and_are_found_by_the_picker() -> None:
    found, levels = 0, []
    for seed in range(10):
        scene = make_scene((200, 220), 16.0, rng(seed), replace(PLAIN, blank=1))
        if not 0.05 < scene.blank.mean() < 0.9:
            continue
        found += 1
        columns, rows = np.clip(np.rint(scene.centres).astype(int), 0, (219, 199)).T
        assert scene.blank[rows, columns].mean() < 0.1
        assert scene.pixels[scene.blank].std() < 6 * scene.pixels[~scene.blank].std()
        picture, blank = prepared_with_blank(scene)
        assert blank is not None
        assert (picture[blank] == 0).all()
        assert (blank & scene.blank).sum() > 0.9 * scene.blank.sum()
        assert (blank & ~scene.blank).sum() < 0.15 * (~scene.blank).sum()
        spread = 1.4826 * np.median(np.abs(picture[~blank] - np.median(picture[~blank])))
        assert spread == pytest.approx(1, abs=0.15)
        levels.append(float(np.median(scene.pixels[scene.blank]) - scene.pixels[~scene.blank].mean()))
    assert found >= 5
    assert min(levels) < -15  # some are dark
    assert np.median(np.abs(levels)) < 200


def test_scenes_with_image_everywhere_do_not_depend_on_how_often_others_are_blank_in_part() -> None:
    with_blank, without = (make_scene((160, 160), 16.0, rng(3), replace(PLAIN, blank=share)) for share in (1e-9, 0))
    np.testing.assert_array_equal(with_blank.pixels, without.pixels)


def test_pictures_without_blank_area_are_prepared_as_the_picker_does() -> None:
    scene = make_scene((100, 120), 16.0, rng(1), PLAIN)
    np.testing.assert_array_equal(prepared(scene), normalise(scene.pixels))
    assert prepared_with_blank(scene)[1] is None


def test_filling_keeps_the_image_and_continues_its_level() -> None:
    _, x = np.mgrid[:120, :160].astype(np.float32)
    ramp = 0.1 * x
    blank = x > 110
    filled = fill_smoothly(ramp + 50 * blank, blank, 16.0)
    np.testing.assert_array_equal(filled[~blank], ramp[~blank])
    assert 9 < filled[:, 111:125].min() <= filled[:, 111:125].max() < 12
    assert filled[blank].min() > 6
    assert fill_smoothly(ramp, np.ones_like(blank), 16.0) is ramp


def test_edges_cut_off_at_most_about_half() -> None:
    shares = [float((beyond_edge((200, 260), 16.0, rng(seed), 0.5) > 0).mean()) for seed in range(30)]
    assert max(shares) < 0.75
    assert np.mean(np.array(shares) > 0.05) > 0.4
    assert all(0 <= blank_area((100, 100), 16.0, rng(seed)).mean() < 0.95 for seed in range(20))
    mass, cover = foil((200, 260), 16.0, rng(1))
    assert mass[cover > 0].mean() > 2 > mass[cover == 0].mean()


def test_stain_puts_a_bright_halo_around_dark_particles() -> None:
    views, _ = project_views(random_molecule(rng(), kind="globule"), 16.0, rng())
    views = [view / np.float32(typical_mass(views)) for view in views]
    stain = stained(views, 16.0, 0.6, 0.15)
    assert max(float(view.min()) for view in stain) < -0.1
    assert min(float(view.max()) for view in stain) > 0.8
    assert all(view.shape[0] % 2 == 1 for view in stain)


def test_flat_particles_are_cut_off_at_one_depth() -> None:
    views, _ = project_views(random_molecule(rng(), kind="globule"), 16.0, rng())
    views = [view / np.float32(typical_mass(views)) for view in views]
    flat = flattened(views, 0.3)
    assert all(view.max() == 1 for view in flat)
    assert np.mean([(view == 1).sum() for view in flat]) > 50


def test_drift_blurs_along_its_direction_only() -> None:
    noise = rng().standard_normal((128, 128), dtype=np.float32)
    blurred = transfer(noise, drift_envelope((128, 128), (8.0, 0.0)))
    assert np.abs(np.diff(blurred, axis=1)).mean() < 0.4 * np.abs(np.diff(blurred, axis=0)).mean()


def test_denoising_keeps_strong_features_and_weakens_noise() -> None:
    y, x = np.mgrid[:128, :128]
    disc = -20.0 * (np.hypot(x - 64, y - 64) < 8)
    picture = (disc + rng().standard_normal((128, 128))).astype(np.float32)
    for smooth in (shrunken(picture, 0.8, 1.0), wiener(picture, 0.15, 2.0)):
        assert smooth[60:68, 60:68].mean() < -12
        assert smooth[:32, :32].std() < 0.5


def test_centres_stay_on_particles_on_another_grid() -> None:
    scene = make_scene((200, 240), 16.0, rng(1), replace(PLAIN, contrast=(8.0, 8.0)))
    for other, factor in ((resized(scene, (300, 360)), 1.5), (left_out(scene), 0.5)):
        assert other.pixels.shape == (200 * factor, 240 * factor)
        assert other.contaminated.shape == other.blank.shape == other.pixels.shape
        assert other.pixel_size == pytest.approx(scene.pixel_size / factor)
        height, width = other.pixels.shape
        inside = ((other.centres > 2) & (other.centres < np.array([width - 3, height - 3]))).all(axis=1)
        columns, rows = np.rint(other.centres[inside]).astype(int).T
        assert other.pixels[rows, columns].mean() < np.median(other.pixels) - 4
    assert resized(scene, (300, 360)).centres[0] == pytest.approx((scene.centres[0] + 0.5) * 1.5 - 0.5)


def test_random_scenes_have_the_working_scale_whatever_grid_they_were_recorded_on() -> None:
    settings = replace(PLAIN, spacing=(1.1, 1.1), area_density=(0.5, 0.5))
    for change in ({}, {"regridded": 1.0}, {"aliased": 1.0}):
        scene = random_scene(rng(4), 96, replace(settings, **change))
        assert all(96 <= side <= 144 for side in scene.pixels.shape)
        assert scene.diameter / scene.pixel_size == pytest.approx(PARTICLE_PX, rel=0.3)
        assert pdist(scene.centres).min() > 0.75 * PARTICLE_PX


def test_aliased_noise_is_not_averaged() -> None:
    spread = {}
    for name in ("aliased", "regridded"):
        scene = random_scene(rng(6), 128, replace(PLAIN, empty=1, **{name: 1.0}))
        spread[name] = float(np.abs(np.diff(scene.pixels, axis=0)).mean())
    assert spread["aliased"] > spread["regridded"]


def test_views_projected_together_are_those_projected_one_by_one() -> None:
    molecule, views = random_molecule(rng(), kind="chain"), random_views(5, rng(1))
    offsets = rng(2).uniform(-0.5, 0.5, (5, 2))
    together = project_all(molecule, views, 20.0, 0.03, offsets)
    for k in range(5):
        np.testing.assert_allclose(together[k], project(molecule, views[k], 20.0, 0.03, offsets[k]), atol=1e-6)


@pytest.mark.parametrize("name", structure_names())
def test_structures_are_centred_and_one_diameter_long(name: str) -> None:
    found = structure(name)
    assert 80 < found.diameter < 330
    assert found.title
    assert found.authors
    np.testing.assert_allclose(found.points.mean(axis=0), 0, atol=1e-3)
    assert np.linalg.norm(found.points, axis=1).max() < 0.8


def test_some_structures_are_kept_out_of_training() -> None:
    trained, kept = structure_names(held_out=False), structure_names(held_out=True)
    assert len(kept) >= 3
    assert len(trained) >= 10
    assert not {name[:4] for name in trained} & {name[:4] for name in kept}
    assert {random_structure_name(rng(seed)) for seed in range(60)} <= set(trained)
    assert random_structure_name(rng(), held_out=True) in kept


def test_unknown_structure_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no structure '9zzz'; there are 6zu5, "):
        structure("9zzz")


def test_points_of_a_structure_are_as_many_as_asked_for_or_all() -> None:
    assert structure_points("6zu5", 500, rng()).shape == (500, 3)
    assert structure_points("6wg6", 10_000, rng()).shape == structure("6wg6").points.shape


def test_scene_of_a_structure_has_its_diameter() -> None:
    scene = make_scene((120, 120), 16.0, rng(), replace(CLEAN, molecule="7pbl"))
    assert scene.diameter == pytest.approx(structure("7pbl").diameter)
    assert scene.pixel_size == pytest.approx(scene.diameter / 16)
    real = [make_scene((64, 64), 16.0, rng(seed), replace(CLEAN, real=1)).diameter for seed in range(12)]
    known = [np.clip(structure(name).diameter, 70, 420) for name in structure_names(held_out=False)]
    assert all(min(abs(each - k) for k in known) < 1e-6 for each in real)


def test_batches_of_every_kind_are_finite() -> None:
    everything = replace(SceneSettings(), **dict.fromkeys(SHARES, 0.5))
    pictures, targets = make_batch(1, 0, 12, 96, everything)
    assert np.isfinite(pictures).all()
    assert np.abs(pictures).max() <= 6
    assert 0 <= targets.min() <= targets.max() <= 1
