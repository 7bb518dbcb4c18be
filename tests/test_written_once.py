"""What is written once stays in its place: a second copy would drift from the first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("what", "pattern", "place"),
    [
        ("the forward pass of a generator", r"generator\.mark\(", "relion_ganpick/model/forward.py"),
        ("the test for bfloat16", r"bf16_supported|get_cpu_capability", "relion_ganpick/core/device.py"),
        ("Dice loss", r"2 \* \(.* \* marker\)\.sum\(\)", "relion_ganpick/training/losses.py"),
    ],
)
def test_is_written_once(what: str, pattern: str, place: str) -> None:
    sources = [path for room in ("relion_ganpick", "cryosparc_tool", "benchmarks") for path in (CHECKOUT / room).rglob("*.py")]
    assert len(sources) > 50
    found = [path.relative_to(CHECKOUT).as_posix() for path in sources if re.search(pattern, path.read_text())]
    assert found == [place], what
