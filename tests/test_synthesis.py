"""Synthetic micrographs and training pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import center_of_mass, uniform_filter
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from relion_ganpick.synthesis import contamination, filaments, textures
from relion_ganpick.synthesis.imaging import (
    Image,
    Optics,
    coloured_noise,
    contrast_transfer_function,
    electron_wavelength,
    transfer,
)
from relion_ganpick.synthesis.molecules import KINDS, project, random_molecule, random_views
from relion_ganpick.synthesis.pairs import make_batch, markers
from relion_ganpick.synthesis.recording import low_pass
from relion_ganpick.synthesis.scene import CLEAN, SceneSettings, make_scene, random_centres
from relion_ganpick.synthesis.shapes import random_walk_points, random_walk_shape


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_random_walk_is_connected_and_fills_its_picture() -> None:
    shape = random_walk_shape(60, rng())
    assert set(np.unique(shape)) == {0, 255}
    assert all(line.any() for line in (shape[0], shape[-1], shape[:, 0], shape[:, -1]))
    cells = np.argwhere(shape)
    reached = {tuple(cells[0])}
    while more := {tuple(c) for c in cells for r in reached if max(abs(c - r)) <= 1} - reached:
        reached |= more
    assert len(reached) == len(cells) <= 60


def test_walk_of_one_step_is_one_cell_and_of_none_is_refused() -> None:
    assert random_walk_shape(1, rng()).tolist() == [[255]]
    with pytest.raises(ValueError, match="at least one step, not 0"):
        random_walk_shape(0, rng())


def test_walk_in_space_has_as_many_points_as_asked_for() -> None:
    assert random_walk_points(70, 30, rng()).shape == (70, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_molecules_are_centred_and_one_diameter_across(kind: str) -> None:
    for seed in range(3):
        points = random_molecule(rng(seed), 300, kind)
        assert points.shape == (300, 3)
        np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-9)
        assert 1.0 <= pdist(points).max() < 1.35


def test_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no molecules of kind 'banana'; the kinds are globule, shell"):
        random_molecule(rng(), kind="banana")


def test_views_are_rotations_in_the_number_asked_for() -> None:
    matrices = random_views(24, rng()).as_matrix()
    assert matrices.shape == (24, 3, 3)
    np.testing.assert_allclose(np.linalg.det(matrices), 1)


def test_projection_keeps_mass_and_its_centre() -> None:
    molecule = random_molecule(rng(), kind="globule")
    picture = project(molecule, Rotation.identity(), 40.0, 0.03, np.array([0.3, -0.2]))
    middle = picture.shape[0] // 2
    assert picture.shape == (2 * middle + 1, 2 * middle + 1)
    assert picture.sum() == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(center_of_mass(picture), (middle - 0.2, middle + 0.3), atol=0.02)


def test_projection_does_not_mirror() -> None:
    molecule = np.array([[0.5, 0.0, 0.0], [0.0, 0.25, 0.0], [-0.5, -0.25, 0.0]])
    picture = project(molecule, Rotation.identity(), 40.0, 0.01, np.zeros(2))
    middle = picture.shape[0] // 2
    for x, y in ((20, 0), (0, 10), (-20, -10)):
        assert picture[middle + y, middle + x] > 0.5 * picture.max()


def test_wavelengths_are_those_of_the_tables() -> None:
    assert electron_wavelength(300) == pytest.approx(0.01969, abs=1e-5)
    assert electron_wavelength(200) == pytest.approx(0.02508, abs=1e-5)


def test_transfer_function_begins_with_the_amplitude_contrast_and_has_its_first_zero_where_it_should() -> None:
    optics = Optics(amplitude_contrast=0.1, spherical_aberration_mm=1e-9, defocus_angstrom=20000, b_factor=0)
    ctf = contrast_transfer_function((1000, 1000), 2.0, optics)
    assert ctf.shape == (1000, 501)
    assert ctf[0, 0] == pytest.approx(-0.1, abs=1e-6)
    zero = int(np.argmax(ctf[0] > 0)) / 2000
    assert zero == pytest.approx(np.sqrt((np.pi - np.arcsin(0.1)) / (np.pi * electron_wavelength(300) * 20000)), abs=1 / 1000)


def test_astigmatism_turns_with_its_angle() -> None:
    ctf = contrast_transfer_function((256, 256), 2.0, Optics(astigmatism_angstrom=3000, b_factor=0))
    across = Optics(astigmatism_angstrom=3000, astigmatism_angle=np.pi / 2, b_factor=0)
    turned = contrast_transfer_function((256, 256), 2.0, across)
    np.testing.assert_allclose(ctf[0, :128], turned[:128, 0], atol=1e-4)
    assert np.abs(ctf[0, :128] - turned[0, :128]).max() > 0.5


@pytest.mark.parametrize("shape", [(33, 50), (64, 64), (41, 37)])
def test_transfer_by_one_changes_nothing(shape: tuple[int, int]) -> None:
    picture = rng().normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(transfer(picture, np.ones((shape[0], shape[1] // 2 + 1), np.float32)), picture, atol=1e-5)


@pytest.mark.parametrize("exponent", [-0.3, 0.0, 0.5])
def test_noise_has_unit_spread_and_its_colour(exponent: float) -> None:
    noise = coloured_noise((128, 160), exponent, rng(1))
    assert (noise.shape, noise.dtype) == ((128, 160), np.float32)
    assert noise.std() == pytest.approx(1, abs=0.02)
    power = np.abs(np.fft.fft2(noise)) ** 2
    k = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(160)[None])
    low, high = power[(k > 0.05) & (k < 0.1)].mean(), power[(k > 0.4) & (k < 0.5)].mean()
    assert np.log(low / high) / np.log(0.45 / 0.078) == pytest.approx(2 * exponent, abs=0.15)


LAYERS = (
    contamination.ice_crystals,
    contamination.gold_beads,
    contamination.debris,
    filaments.ridges,
    filaments.rods,
    textures.dried_film,
)
TEXTURES = (textures.mottle, textures.granular_ice, textures.crystalline_ice, textures.film_grain)


@pytest.mark.parametrize("layer", LAYERS)
def test_contamination_adds_mass_and_repeats_for_a_seed(layer: Callable[..., Image]) -> None:
    one, same, other = (layer((90, 120), 16.0, rng(seed)) for seed in (1, 1, 2))
    assert (one.shape, one.dtype) == ((90, 120), np.float32)
    assert one.max() > 0.05
    assert one.min() >= 0
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("texture", TEXTURES)
def test_textures_are_all_over_and_repeat_for_a_seed(texture: Callable[..., Image]) -> None:
    one, same = (texture((90, 120), 16.0, rng(5)) for _ in range(2))
    assert (one.shape, one.dtype) == ((90, 120), np.float32)
    np.testing.assert_array_equal(one, same)
    corners = [one[:45, :60], one[45:, :60], one[:45, 60:], one[45:, 60:]]
    assert min(float(corner.std()) for corner in corners) > 0.02


def test_rods_are_long_and_thin() -> None:
    for seed in range(6):
        layer = filaments.rods((200, 200), 16.0, rng(seed))
        assert 0.002 < (layer > 0.3 * layer.max()).mean() < 0.5
    lone = filaments.rods((400, 400), 16.0, rng(3)) > 0
    rows, columns = np.nonzero(lone)
    assert np.hypot(np.ptp(rows), np.ptp(columns)) > 1.5 * 16


def test_carbon_film_covers_a_part_of_the_picture() -> None:
    mass, edge, film = contamination.carbon_film((100, 140), 16.0, rng(2))
    assert mass.shape == edge.shape == film.shape == (100, 140)
    assert 0 <= film.min() < film.max() <= 1
    assert np.isfinite(mass).all()
    assert np.abs(mass[film < 1e-3]).max() < 0.05
    assert edge.max() > 5 * edge[(film < 1e-6) | (film > 1 - 1e-6)].mean()


def test_patches_are_cut_at_the_edges() -> None:
    layer = np.zeros((6, 8), np.float32)
    contamination.add_patch(layer, np.ones((3, 3), np.float32), np.array([0.0, 5.0]), weight=2)
    assert np.argwhere(layer == 2).tolist() == [[4, 0], [4, 1], [5, 0], [5, 1]]
    contamination.add_patch(layer, np.ones((3, 3), np.float32), np.array([50.0, 5.0]))
    assert layer.sum() == 8


def test_centres_keep_their_distance_inside_the_picture() -> None:
    for seed in range(5):
        centres = random_centres((200, 300), 16.0, 0.5, 0.9, rng(seed))
        assert len(centres) > 20
        assert pdist(centres).min() > 0.9 * 16
        assert ((centres >= -0.5) & (centres < np.array([299.5, 199.5]))).all()


def test_few_particles_are_as_many_as_the_density_says() -> None:
    counts = [len(random_centres((300, 300), 16.0, 0.05, 0.6, rng(seed))) for seed in range(8)]
    assert max(counts) == int(0.05 * 300 * 300 / (np.pi / 4 * 16**2)) + 1


def test_scene_repeats_for_a_seed_and_knows_its_scale() -> None:
    settings = SceneSettings(diameter=(200.0, 200.0))
    one, same = (make_scene((120, 150), 16.0, rng(4), settings) for _ in range(2))
    np.testing.assert_array_equal(one.pixels, same.pixels)
    np.testing.assert_array_equal(one.centres, same.centres)
    assert (one.pixels.shape, one.pixels.dtype) == ((120, 150), np.float32)
    assert (one.diameter, one.pixel_size) == (pytest.approx(200), pytest.approx(12.5))


def test_scenes_are_finite_whatever_is_in_them() -> None:
    every = SceneSettings(
        clean=0, ice=1, gold=1, carbon=1, ridges=1, debris=1, fragments=1, heaps=1, denoised=1, eight_bit=1, phase_plate=1
    )
    for seed in range(3):
        scene = make_scene((97, 130), 16.0, rng(seed), every)
        assert np.isfinite(scene.pixels).all()
        assert scene.pixels.std() > 0


def test_empty_scene_has_no_centres() -> None:
    scene = make_scene((96, 96), 16.0, rng(), SceneSettings(empty=1))
    assert scene.centres.shape == (0, 2)


def test_contamination_is_known_where_it_shows() -> None:
    settings = replace(CLEAN, clean=0, ice=1, contrast=(3.0, 3.0), area_density=(0.5, 0.5), phase_plate=0)
    dark, light, shares = [], [], []
    for seed in range(6):
        scene = make_scene((200, 260), 16.0, rng(seed), settings)
        assert (scene.contaminated.shape, scene.contaminated.dtype) == ((200, 260), np.bool_)
        shares.append(scene.contaminated.mean())
        if scene.contaminated.any():
            dark.append(scene.pixels[scene.contaminated].mean())
            light.append(scene.pixels[~scene.contaminated].mean())
    assert 0 < max(shares) < 0.6
    assert np.mean(dark) < np.mean(light) - 1
    assert not make_scene((200, 260), 16.0, rng(), CLEAN).contaminated.any()


def test_particles_under_contamination_are_not_in_the_truth() -> None:
    settings = replace(CLEAN, contrast=(3.0, 3.0), area_density=(0.6, 0.6), phase_plate=0)
    covered = 0
    for seed in range(6):
        scene = make_scene((200, 260), 16.0, rng(seed), replace(settings, clean=0, ice=1))
        columns, rows = np.clip(np.rint(scene.centres).astype(int), 0, (259, 199)).T
        share = uniform_filter(scene.contaminated.astype(float), 8)
        assert (share[rows, columns] <= 0.5).all()
        covered += int((share > 0.9).any())
    assert covered > 1


def test_eight_bit_scene_has_few_grey_values() -> None:
    scene = make_scene((150, 150), 16.0, rng(), SceneSettings(eight_bit=1, denoised=0, blank=0))
    assert len(np.unique(scene.pixels)) <= 255


def test_particles_are_dark_where_the_truth_says() -> None:
    molecule = random_molecule(rng(), kind="globule")
    settings = replace(CLEAN, contrast=(4.0, 4.0), phase_plate=0, defocus_angstrom=(15000.0, 15000.0))
    scene = make_scene((200, 260), 16.0, rng(1), settings, molecule)
    columns, rows = np.rint(scene.centres).astype(int).T
    inside = (columns >= 0) & (columns < 260) & (rows >= 0) & (rows < 200)
    assert inside.sum() > 10
    assert scene.pixels[rows[inside], columns[inside]].mean() < np.median(scene.pixels) - 1.5


def test_marker_is_a_disc_at_its_centre() -> None:
    picture = markers((40, 60), np.array([[30.0, 12.0]]), 4.0)
    assert picture[12, 30] == picture[12, 33] == picture[9, 30] == 1
    assert picture[12, 35] == picture[18, 30] == 0
    assert picture[12, 34] == pytest.approx(0.5)
    assert picture.sum() == pytest.approx(np.pi * 16, rel=0.03)


def test_markers_keep_sub_pixel_centres_and_are_cut_at_edges() -> None:
    np.testing.assert_allclose(center_of_mass(markers((40, 60), np.array([[30.4, 12.7]]), 4.0)), (12.7, 30.4), atol=0.05)
    corner = markers((40, 60), np.array([[0.0, 39.0], [80.0, 10.0]]), 4.0)
    assert corner[39, 0] == 1
    assert corner[:, 6:].sum() == 0


def test_overlapping_markers_do_not_add_up() -> None:
    assert markers((30, 30), np.array([[10.0, 10.0], [13.0, 10.0]]), 4.0).max() == 1


def test_batch_repeats_for_seed_and_step_only() -> None:
    pictures, targets = make_batch(3, 7, 3, 64)
    assert (pictures.shape, targets.shape) == ((3, 1, 64, 64), (3, 2, 64, 64))
    assert pictures.dtype == targets.dtype == np.float32
    assert 0 <= targets.min() <= targets.max() <= 1
    again = make_batch(3, 7, 3, 64)
    np.testing.assert_array_equal(pictures, again[0])
    np.testing.assert_array_equal(targets, again[1])
    assert not np.array_equal(pictures, make_batch(3, 8, 3, 64)[0])
    assert not np.array_equal(pictures, make_batch(4, 7, 3, 64)[0])


def test_pictures_are_turned_together_with_their_markers() -> None:
    settings = replace(CLEAN, contrast=(4.0, 4.0), phase_plate=0, molecule="globule")
    pictures, targets = make_batch(1, 0, 8, 96, settings)
    marked = targets[:, :1]
    on, off = pictures[marked > 0.9].mean(), pictures[marked < 0.1].mean()
    assert on < off - 0.7
    for picture, target in zip(pictures[:, 0], marked[:, 0], strict=True):
        if (target > 0.9).sum() > 100:
            assert picture[target > 0.9].mean() < picture[target < 0.1].mean() - 0.2


def test_particles_shallower_than_the_grain_around_them_are_not_in_the_truth() -> None:
    settings = replace(CLEAN, clean=0, contrast=(3.0, 3.0), area_density=(0.5, 0.5), phase_plate=0)
    counts = np.array(
        [
            [len(make_scene((200, 260), 16.0, rng(seed), replace(settings, carbon=share)).centres) for share in (0, 1)]
            for seed in range(8)
        ]
    )
    assert (counts[:, 0] > 30).all()
    assert (counts[:, 1] < 0.7 * counts[:, 0]).any()
    assert (counts[:, 1] > 0.8 * counts[:, 0]).any()


def test_low_pass_keeps_slow_waves_and_stops_fast_ones() -> None:
    x = np.arange(200, dtype=np.float32)
    slow, fast = (np.tile(np.sin(2 * np.pi * x / period), (60, 1)).astype(np.float32) for period in (10, 3.125))
    np.testing.assert_allclose(low_pass(slow + fast, 0.2), slow, atol=1e-3)


def test_clean_scenes_hold_no_contamination() -> None:
    every = SceneSettings(clean=1, ice=1, gold=1, carbon=1, ridges=1, debris=1, fragments=1, heaps=1, mottle=1)
    assert not any(make_scene((120, 140), 16.0, rng(seed), every).contaminated.any() for seed in range(4))
