"""What all tests share: programs that a test may need, and the benchmark of real micrographs."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine than about us.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

os.environ.setdefault("MPLBACKEND", "Agg")
BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ  # one of several processes that share the tests
# A job with --j 2 has two threads whatever OMP_NUM_THREADS says. Where cores are busy, a thread that waits for the other would
# by default take a core for it, which makes the job five times as expensive.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if IS_WORKER:
    # Each takes one core: with as many threads as cores in each of them, all would be slower.
    # Of its own, as a CryoSPARC run removes what killed runs have left there.
    tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="ganpick-tests-")
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
# Under nohup SIGHUP is ignored, and SIGINT in a shell's background; so it would be in the jobs that tests send them to.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
LONGEST = (
    "test_cryosparc_package",  # all tests again with another client
    "test_real_relion",
    "test_benchmark",
    "test_job_kills",
    "test_job_stops",
    "test_job_faults",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left alone with one of them at the end."""
    if IS_WORKER:
        items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests of programs that are not installed; with GANPICK_REQUIRE_RELION set, missing RELION is a failure."""
    if item.get_closest_marker("relion") and shutil.which("relion_preprocess") is None:
        missing = "RELION is not installed (relion_preprocess is not on PATH; Debian: apt-get install relion relion-gui)"
        if os.environ.get("GANPICK_REQUIRE_RELION"):
            pytest.fail(missing)
        pytest.skip(missing)
    if item.get_closest_marker("pipeliner") and importlib.util.find_spec("pipeliner") is None:
        pytest.skip("ccpem-pipeliner is not installed (pip install 'relion-ganpick[pipeliner]')")


@pytest.fixture(scope="session")
def benchmark_root() -> Path:
    """Folder of the expanded benchmark, named by GANPICK_BENCHMARK."""
    root = os.environ.get("GANPICK_BENCHMARK")
    if not root:
        pytest.skip("GANPICK_BENCHMARK does not name a folder with the benchmark")
    assert Path(root).is_dir(), f"GANPICK_BENCHMARK={root} is not a folder"
    return Path(root)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a module of the benchmarks as a script there does."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module
