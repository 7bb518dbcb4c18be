"""Model files: which weights a name or a path means, and which cards are read."""

from __future__ import annotations

import json
import resource
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.model.card import Card
from relion_ganpick.model.weights import SHIPPED, find_model, load_model, read_card

CARD = Card(
    "mine", "default", {"kind": "unet", "width": 4}, {"seed": 1}, "none", 7, {"f1": 0.5}, 0.25, {"raw": [0, 1], "score": [0, 1.0]}
)


@pytest.mark.parametrize("given", ["mine.v2", "mine.v2.safetensors", "mine.v2.json"])
def test_a_dot_in_a_models_name_is_part_of_it(tmp_path: Path, given: str) -> None:
    for name in ("mine.safetensors", "mine.v2.safetensors"):
        (tmp_path / name).touch()
    assert find_model(str(tmp_path / given)) == tmp_path / "mine.v2.safetensors"


def test_another_model_is_not_taken_in_place_of_one_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").touch()
    with pytest.raises(GanpickError, match=r"no model '.*mine\.v2'"):
        find_model(str(tmp_path / "mine.v2"))


def read(folder: Path, **changes: Any) -> Card:
    """Write a card with some fields changed, and read it again."""
    (folder / "mine.json").write_text(json.dumps(asdict(CARD) | changes))
    return read_card(folder / "mine.safetensors")


def test_card_is_read_as_it_was_written(tmp_path: Path) -> None:
    full = replace(
        CARD, heights={"context": [1.5]}, rescorer={"members": 3}, reliability=[[0.5, 0.4, 12]], localization="regions"
    )
    assert read(tmp_path, **asdict(full)) == full


def test_fields_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, colour="blue") == CARD


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", 7, "name is 7; a text is wanted"),
        ("preset", None, "preset is null; a text is wanted"),
        ("network", ["unet"], 'network is ["unet"]; a table of names and values is wanted'),
        ("training", "long", 'training is "long"; a table'),
        ("data", {}, "data is {}; a text is wanted"),
        ("steps", 1.5, "steps is 1.5; a whole number is wanted"),
        ("steps", True, "steps is true; a whole number is wanted"),
        ("metrics", {"f1": "good"}, 'metrics.f1 is "good"; a number is wanted'),
        ("threshold", "high", 'threshold is "high"; a number is wanted'),
        ("threshold", float("nan"), "threshold is NaN; a number is wanted"),
        ("threshold", 1.5, "threshold is 1.5; a figure of merit lies between 0 and 1"),
        ("calibration", {"raw": 1}, "calibration.raw is 1; a list is wanted"),
        ("calibration", {"raw": [0, "1"]}, 'calibration.raw[1] is "1"; a number is wanted'),
        ("localization", "guess", "localization is 'guess'; it is one of peaks, regions"),
        ("heights", [], "heights is []; a table"),
        ("rescorer", {"members": 2.5}, "rescorer.members is 2.5; a whole number is wanted"),
        ("reliability", [0.5], "reliability[0] is 0.5; a list is wanted"),
        ("sha256", 0, "sha256 is 0; a text is wanted"),
        ("code_version", 0.5, "code_version is 0.5; a text is wanted"),
    ],
)
def test_card_with_a_value_of_another_kind_is_refused(tmp_path: Path, field: str, value: Any, message: str) -> None:
    with pytest.raises(GanpickError) as caught:
        read(tmp_path, **{field: value})
    assert str(caught.value).startswith(f"{tmp_path / 'mine.json'}: not a model card: {message}")


def test_card_without_a_field_is_refused(tmp_path: Path) -> None:
    card = asdict(CARD)
    del card["threshold"]
    (tmp_path / "mine.json").write_text(json.dumps(card))
    with pytest.raises(GanpickError, match="threshold is missing"):
        read_card(tmp_path / "mine.safetensors")
    (tmp_path / "mine.json").write_text("[]")
    with pytest.raises(GanpickError, match="a table of names and values is wanted"):
        read_card(tmp_path / "mine.safetensors")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"network": {"kind": "unet", "width": 4096, "levels": 4, "outputs": 1}}, "in the file and"),
        ({"network": {"kind": "unet", "width": 10**9, "levels": 1, "outputs": 1}}, "at most 4096 are known to make sense"),
        ({"network": {"kind": "unet", "width": 4, "levels": 10**9, "outputs": 1}}, "at most 16 are known to make sense"),
    ],
)
def test_a_card_cannot_make_the_network_eat_the_memory(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    for suffix in (".safetensors", ".json"):
        shutil.copy(SHIPPED / f"default{suffix}", tmp_path / f"mine{suffix}")
    card = tmp_path / "mine.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(GanpickError, match=reason):
        load_model(str(tmp_path / "mine.safetensors"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024  # the first network would take 31 GiB
