"""What a job loads when it starts: libraries that take long to load are left until they are needed."""

from __future__ import annotations

import subprocess
import sys

SLOW = {"pandas", "scipy", "starfile", "torch", "cv2", "mrcfile", "tifffile", "skimage", "matplotlib", "bokeh", "tqdm"}


def loaded_by(*modules: str) -> set[str]:
    """Names of the slow libraries that a new process holds after it has imported modules of ours."""
    code = f"import {', '.join(modules)}; import sys; print(*sys.modules.keys() & set({sorted(SLOW)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_watching_process_loads_no_slow_library() -> None:
    assert loaded_by("relion_ganpick.relion.main", "relion_ganpick.relion.inputs", "relion_ganpick.relion.outputs") == set()


def test_worker_loads_neither_tables_nor_figures_before_it_picks() -> None:
    assert loaded_by("relion_ganpick.relion.worker") & {"torch", "pandas", "skimage", "matplotlib", "bokeh"} == {"torch"}
