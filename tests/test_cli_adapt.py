"""What the command ``ganpick adapt`` refuses before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from relion_ganpick.cli import main


@pytest.mark.parametrize(
    ("option", "value", "least"), [("seed", "-1", 0), ("rounds", "0", 1), ("steps", "0", 1), ("most", "0", 1)]
)
def test_adapt_names_the_least_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, least: int
) -> None:
    words = ["adapt", "--in_mics", "a.star", "--out", str(tmp_path / "x"), "--diameter", "180", f"--{option}", value]
    assert main(words) == 1
    assert capsys.readouterr().err == f"ganpick: --{option} {value}: give at least {least}\n"
