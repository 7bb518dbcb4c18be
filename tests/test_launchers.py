"""The launchers in ``bin``: one file under two names, which knows every package that the program needs."""

from __future__ import annotations

import re
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LAUNCHER = Path(__file__).resolve().parent.parent / "bin" / "launcher.sh"
BUILDS = {"opencv-python-headless": "opencv-python"}  # two builds of one package


@pytest.mark.parametrize("name", ["relion_ganpick", "cryosparc_ganpick"])
def test_both_names_are_the_same_file(name: str) -> None:
    assert LAUNCHER.with_name(name).resolve() == LAUNCHER


def test_launcher_looks_for_every_package_that_is_required() -> None:
    found = re.search(r"^packages='([^']+)'$", LAUNCHER.read_text(), re.MULTILINE)
    assert found is not None
    owners = packages_distributions()
    looked_for = {canonicalize_name(owners[module][0]) for module in found[1].split()}
    required = {each.name for each in map(Requirement, requires("relion-ganpick") or []) if each.marker is None}
    assert {BUILDS.get(name, name) for name in looked_for} == required | {"relion-ganpick"}
