"""Fixtures of the CryoSPARC tests: they run with the client that is installed, 5.0 or 4.7."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from standin5 import Server5
    from standin_world import World


def client_major() -> int:
    """Major version of the installed client; 0 if there is none."""
    try:
        return int(version("cryosparc-tools").split(".")[0])
    except PackageNotFoundError:
        return 0


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that need another client than is installed."""
    for marker in item.iter_markers("cryosparc"):
        wanted = marker.args[0] if marker.args else None
        if client_major() == 0:
            pytest.skip("cryosparc-tools is not installed (pip install 'relion-ganpick[cryosparc]')")
        if wanted is not None and client_major() != wanted:
            pytest.skip(f"needs cryosparc-tools {wanted}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The clients leave sockets of failed requests to the garbage collector, whose warning is no failure of ours."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(
                pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
            )


@pytest.fixture(autouse=True)
def sockets_left_behind() -> Iterator[None]:
    """Collect them here, not in whichever later test the collector comes to run in."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(autouse=True)
def reports(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports take a second, so they are written only where a test is marked to be about them."""
    if request.node.get_closest_marker("reports") is None:
        monkeypatch.setattr("relion_ganpick.runs.reports.Reports.write", lambda *_: None)


@pytest.fixture
def project_folder(tmp_path: Path) -> Path:
    """Folder of the project on the file system that server and tool share."""
    return tmp_path / "project"


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working directory of a user who may log in."""
    from cryosparc_project import login

    login(monkeypatch, tmp_path / "config")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def world(project_folder: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A server's content: exposures, on which picking is faked."""
    from cryosparc_project import fake_picking, make_world

    fake_picking(monkeypatch)
    return make_world(project_folder)


@pytest.fixture
def server(world: World) -> Iterator[Server5]:
    """A running server of version 5 with this content."""
    from standin5 import Server5

    with Server5(world) as server:
        yield server
