"""What the benchmarks compute themselves: columns of the table, causes of failures, simulated physics, spectra, variants."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.synthesis.imaging import Optics
from relion_ganpick.synthesis.scene import make_scene

TRUTH = np.array([[20.0, 20.0], [60.0, 20.0], [60.0, 60.0]])


def picks(xy: list[tuple[float, float]], score: float = 0.9) -> Picks:
    x, y = np.array(xy, float).reshape(-1, 2).T
    return Picks(x, y, np.full(len(x), score))


def test_picks_near_the_outline_are_told_by_their_distance_to_it(load: Any) -> None:
    places = np.array([[7.0, 30.0], [7.6, 30.0], [30.0, 90.0], [30.0, 91.6], [150.0, 50.0]])
    assert load("scoring").near_edge(places, (100, 200), 8.0).tolist() == [True, False, False, True, False]


def test_a_second_pick_on_a_particle_is_a_duplicate_and_a_stray_one_is_not(load: Any) -> None:
    found = np.array([[20.0, 20.0], [24.0, 20.0], [60.0, 23.0], [90.0, 90.0]])
    assert load("scoring").duplicates(found, TRUTH, 8.0).sum() == 1
    assert not load("scoring").duplicates(found, TRUTH, 8.0)[2:].any()
    assert load("scoring").duplicates(found, np.empty((0, 2)), 8.0).tolist() == [False] * 4


def test_a_line_of_the_table_counts_at_its_threshold(load: Any) -> None:
    scoring = load("scoring")
    found = picks([(20, 20), (66, 20), (5, 90), (60, 60)])
    found = replace(found, score=np.array([0.9, 0.8, 0.7, 0.1]))
    values = scoring.figures(scoring.Row("set", "ganpick", [(found, TRUTH, 4.0)], [(100, 100)], 0.5))
    assert (values["picks"], values["truth"], values["/mic"]) == (3, 3, 3.0)
    assert values["exp"] == pytest.approx(2.4)
    assert values["P"] == values["R"] == pytest.approx(1 / 3)
    assert values["d/2"] == pytest.approx(2 / 3)
    assert values["edge"] == pytest.approx(1 / 3)
    assert values["dup"] == 0


def test_picks_by_default_may_be_others_than_those_above_a_threshold(load: Any) -> None:
    scoring = load("scoring")
    scored = replace(picks([(20, 20), (60, 20), (60, 60), (5, 90)]), score=np.array([-1.0, -2.0, -3.0, 2.0]))
    row = scoring.Row("set", "Topaz", [(scored, TRUTH, 4.0)], [(100, 100)], None, [scored.above(0)], probabilities=False)
    values = scoring.figures(row)
    assert (values["picks"], values["P"], values["F1"]) == (1, 0, 0)
    assert values["best"] == pytest.approx(6 / 7)
    assert np.isnan(values["exp"])
    assert scoring.line("set", "Topaz", values).split()[5] == "-"


def test_a_set_without_particles_shows_its_picks_per_micrograph_and_no_f1(load: Any) -> None:
    scoring = load("scoring")
    nothing = np.empty((0, 2))
    items = [(picks([(20, 20), (50, 50), (70, 30)]), nothing, 4.0), (Picks.none(), nothing, 4.0)]
    text = scoring.line("empty", "ganpick", scoring.figures(scoring.Row("empty", "ganpick", items, [(100, 100)] * 2, 0.5)))
    assert text.split() == ["empty", "ganpick", "3", "1.5", "0", "3", "-", "-", "-", "-", "-", "-", "0.000", "-"]
    assert len(text) == len(scoring.HEADER)


def test_away_from_the_edge_partners_may_lie_nearer_to_it(load: Any) -> None:
    scoring = load("scoring")
    truth = np.array([[7.0, 50.0], [50.0, 50.0], [50.0, 70.0], [50.0, 96.0]])
    found = picks([(9, 50), (50, 51), (30, 30), (50, 96)])  # half a diameter is 8 pixels
    values = scoring.away_from_edge(scoring.Row("set", "ganpick", [(found, truth, 4.0)], [(100, 100)], 0.5))
    assert values == pytest.approx((2 / 3, 1 / 2, 4 / 7))


def test_spread_is_the_standard_deviation_over_the_runs(load: Any) -> None:
    scoring = load("scoring")
    means, deviations = scoring.spread([dict.fromkeys(scoring.COLUMNS, value) for value in (0.5, 0.7)])
    assert means["F1"] == pytest.approx(0.6)
    assert deviations["F1"] == pytest.approx(np.sqrt(0.02))
    assert scoring.spread([means])[1]["F1"] == 0


def test_every_missed_particle_gets_the_first_cause_that_applies(load: Any) -> None:
    causes = load("failure_causes")
    truth = np.array([[50.0, 50.0], [56.0, 150.0], [100.0, 100.0], [110.0, 100.0], [4.0, 60.0], [150.0, 40.0], [150.0, 80.0]])
    truth = np.concatenate([truth, [[150.0, 150.0]]])
    found = np.array([[50.0, 51.0], [50.0, 150.0], [100.0, 100.0]])
    dirt = np.zeros((200, 200), bool)
    dirt[38:42, 144:147] = True
    depth = np.array([2, 2, 2, 2, 2, 2, 0.3, 2.0])
    seen = causes.Field(found, truth, 16.0, (200, 200), dirt, depth)
    assert causes.why_missed(seen) == ["", "off centre", "", "neighbour", "edge", "dirt", "weak", "other"]
    around = np.array([0, 0, 0, 0, 0, 0, 0.5, 1.5])
    assert causes.why_missed(replace(seen, around=around))[-2:] == ["weak", "drowned"]
    unknown = replace(seen, contaminated=None, depth=None)
    assert causes.why_missed(unknown)[-3:] == ["other", "other", "other"]


def test_every_wrong_pick_gets_the_first_cause_that_applies(load: Any) -> None:
    causes = load("failure_causes")
    truth = np.array([[50.0, 50.0], [100.0, 100.0]])
    found = np.array([[50.0, 50.0], [57.0, 50.0], [106.0, 100.0], [150.0, 150.0], [150.0, 4.0], [150.0, 80.0]])
    dirt = np.zeros((200, 200), bool)
    dirt[148:152, 148:152] = True
    seen = causes.Field(found, truth, 16.0, (200, 200), dirt)
    assert causes.why_false(seen) == ["", "second", "off centre", "dirt", "edge", "other"]
    tally = causes.Tally()
    tally.add(seen)
    tally.add(causes.Field(np.empty((0, 2)), np.empty((0, 2)), 16.0, (200, 200)))
    assert (tally.micrographs, tally.picks, tally.truth, tally.missed.total(), tally.false.total()) == (2, 6, 2, 1, 5)


def test_contrast_follows_dose_and_defocus(load: Any) -> None:
    simulated = load("simulated")
    drawn = simulated.molecules()
    assert len(drawn) == 2 * len({kind for kind, _ in drawn}) >= 10
    molecule, optics = drawn[0][1], Optics(defocus_angstrom=8000.0)
    near = simulated.physical_contrast(molecule, optics, 10.0)
    assert simulated.physical_contrast(molecule, optics, 40.0) == pytest.approx(2 * near)
    assert simulated.physical_contrast(molecule, replace(optics, defocus_angstrom=16000.0), 10.0) > 1.2 * near


def test_the_signal_of_a_scene_is_what_its_contrast_scales(load: Any) -> None:
    simulated = load("simulated")
    settings = replace(simulated.UNCROWDED, contrast=(1.0, 1.0))
    molecule = simulated.molecules()[0][1]
    scene, signal = simulated.with_signal((128, 128), (5, 1), settings, molecule)
    strong, signal_of_strong = simulated.with_signal((128, 128), (5, 1), replace(settings, contrast=(2.0, 2.0)), molecule)
    np.testing.assert_allclose(signal_of_strong, 2 * signal, atol=2e-3)
    np.testing.assert_allclose(strong.pixels - scene.pixels, signal, atol=2e-3)
    ratios = [simulated.signal_to_noise(each, part) for each, part in ((scene, signal), (strong, signal_of_strong))]
    assert ratios[1] == pytest.approx(4 * ratios[0], rel=1e-3)
    assert 0.05 < ratios[0] < 5


def test_optics_of_a_scene_do_not_depend_on_its_size_and_contrast(load: Any) -> None:
    settings = load("simulated").UNCROWDED
    small, large = (
        make_scene(shape, PARTICLE_PX, np.random.default_rng(3), replace(settings, contrast=(contrast, contrast)))
        for shape, contrast in (((64, 64), 1.0), ((128, 96), 2.0))
    )
    assert small.optics == large.optics


def test_a_wave_is_found_at_its_frequency(load: Any) -> None:
    spectra = load("spectra")
    x = np.arange(192)
    wave = np.sin(2 * np.pi * x / 8)[None, :].repeat(192, axis=0).astype(np.float32)
    spectrum = spectra.radial_spectrum(wave)
    assert spectra.frequencies()[np.argmax(spectrum)] == pytest.approx(PARTICLE_PX / 8, abs=0.2)
    assert spectrum.mean() == pytest.approx(1)


def test_white_noise_has_a_flat_spectrum_and_even_contrast(load: Any) -> None:
    spectra = load("spectra")
    noise = np.random.default_rng(0).normal(size=(384, 384)).astype(np.float32)
    looks = spectra.look(noise)
    assert np.abs(np.log10(looks.spectrum[3:])).max() < 0.15
    half = noise.copy()
    half[:, 192:] *= 3
    assert spectra.look(half).figures["local contrast"] > 3 * looks.figures["local contrast"]
    assert abs(looks.figures["neighbours"]) < 0.02


def test_percentile_counts_ties_half(load: Any) -> None:
    assert load("spectra").percentile(2.0, [1.0, 2.0, 2.0, 3.0]) == 50.0
    assert load("spectra").percentile(0.0, [1.0, 2.0]) == 0.0


def test_every_variant_but_the_full_one_changes_the_recipe(load: Any) -> None:
    ablation = load("ablation")
    full = ablation.settings_of("full", 100, 2)
    assert full == replace(ablation.default(), steps=100, seed=2)
    others = [ablation.settings_of(name, 100, 2) for name in ablation.VARIANTS if name != "full"]
    assert full not in others
    assert len({json.dumps(repr(each)) for each in others}) == len(others)
    assert ablation.settings_of("no_contamination", 100, 2).scene.clean == 1
    assert ablation.settings_of("no_second_output", 100, 2).network["outputs"] == 1


def test_denoised_scenes_of_the_failures_have_the_particles_and_the_signal_of_the_clean_ones(load: Any) -> None:
    failures = load("failures")
    picker = load("simulated").simulated_picker("default", "cpu")
    (picture, clean), (smooth, denoised) = (
        next(failures.scenes(picker, failures.DIFFICULTIES[name], 1)) for name in ("clean", "denoised")
    )
    np.testing.assert_array_equal(clean.truth, denoised.truth)
    np.testing.assert_array_equal(clean.depth, denoised.depth)
    assert clean.depth.min() > 0
    assert np.median(clean.around) < 0.5
    assert np.abs(np.diff(smooth)).mean() < 0.9 * np.abs(np.diff(picture)).mean()
