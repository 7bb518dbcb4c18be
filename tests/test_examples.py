"""The notebooks in ``examples`` run as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_notebook_picks_most_particles_of_its_micrograph(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(EXAMPLES / "pick.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    found = re.search(r"(\d+) particles, (\d+) picks, (\d+) right", printed)
    assert found is not None, printed
    particles, picks, right = map(int, found.groups())
    assert right > 0.7 * particles
    assert right > 0.7 * picks


def test_notebooks_are_committed_without_outputs() -> None:
    for path in EXAMPLES.glob("*.ipynb"):
        assert '"outputs": []' in path.read_text()
        assert '"image/png"' not in path.read_text()
