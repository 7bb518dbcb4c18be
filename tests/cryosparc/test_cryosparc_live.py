"""On a real server, for those who have one: set the variables, and look at the job that is made.

    CRYOSPARC_BASE_URL       http://cryoem1:39000
    CRYOSPARC_EMAIL, CRYOSPARC_PASSWORD (or a login by ``python -m cryosparc.tools login``)
    GANPICK_LIVE_PROJECT     P3
    GANPICK_LIVE_WORKSPACE   W1
    GANPICK_LIVE_JOB         J42, a small job with exposures
    GANPICK_LIVE_DIAMETER    180

An external job is created and stays in the project.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cryosparc_tool import pick_exposures

NAMES = ("CRYOSPARC_BASE_URL", "GANPICK_LIVE_PROJECT", "GANPICK_LIVE_WORKSPACE", "GANPICK_LIVE_JOB", "GANPICK_LIVE_DIAMETER")
MISSING = [name for name in NAMES if not os.environ.get(name)]

pytestmark = [
    pytest.mark.cryosparc,
    pytest.mark.skipif(bool(MISSING), reason=f"needs a CryoSPARC server: {', '.join(MISSING)} not set"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def test_real_job_ends_as_completed_and_holds_all_picks(tmp_path: Path) -> None:
    url, project, workspace, source, diameter = (os.environ[name] for name in NAMES)
    options = {"job": source, "diameter": float(diameter), "out": str(tmp_path)}
    dry = pick_exposures(url=url, project=project, dry_run=True, **options)
    outcome = pick_exposures(url=url, project=project, workspace=workspace, title="relion-ganpick live test", **options)
    assert outcome.n_picks == dry.n_picks
    from cryosparc.tools import CryoSPARC

    email, password = os.environ.get("CRYOSPARC_EMAIL"), os.environ.get("CRYOSPARC_PASSWORD")
    client = CryoSPARC(url, host=None, base_port=None, email=email, password=password)
    assert outcome.job is not None
    job = client.find_job(project, outcome.job)
    assert job.status == "completed"
    saved = job.load_output("picked_particles", slots=["location", "pick_stats"])
    local = np.load(outcome.folder / "picked_particles.cs")
    assert len(saved) == len(local) == outcome.n_picks
    assert np.allclose(np.sort(saved["location/center_y_frac"]), np.sort(local["location/center_y_frac"]))
