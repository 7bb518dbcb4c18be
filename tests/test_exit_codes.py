"""What the commands end with, so that other programs can tell what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from job_project import DIAMETER, PIXEL_SIZE, arguments, make_project, run_here, run_job, scene_pixels, write_mrc

from relion_ganpick.cli import main
from relion_ganpick.core.device import named_loss
from relion_ganpick.core.errors import DeviceError
from relion_ganpick.picking import network

ON_CPU = ["--device", "cpu", "--overlays", "0", "--working_diameter", f"{DIAMETER:g}"]
LOST = "CUDA error: unspecified launch failure\nCompile with `TORCH_USE_CUDA_DSA`"


def pick(folder: Path, *words: str, file: str = "mic.mrc") -> int:
    if not (folder / "mic.mrc").is_file():
        write_mrc(folder / "mic.mrc", scene_pixels(0), PIXEL_SIZE)
    return main(["pick", str(folder / file), "--out", str(folder / "out"), "--diameter", f"{DIAMETER:g}", *words])


def lose_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def mark(*_: object) -> None:
        raise RuntimeError(LOST)

    monkeypatch.setattr(network, "mark", mark)


def test_no_picks_at_all_is_a_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pick(tmp_path, *ON_CPU, "--threshold", "1") == 0
    assert "there are no picks at all" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--threshold", "2"], 1, "--threshold 2"),
        (["--model", "nonesuch"], 3, "no model 'nonesuch'"),
        (["--device", "cuda:97"], 4, "--device cuda:97: PyTorch sees"),
    ],
)
def test_codes_tell_input_model_and_device_apart(
    words: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pick(tmp_path, *words) == code
    assert message in capsys.readouterr().err
    job = run_here(make_project(tmp_path / "project", 1), *arguments(*words))
    assert job.status == code
    assert message in job.err


def test_the_watching_process_of_a_job_passes_the_code_on(tmp_path: Path) -> None:
    job = run_job(make_project(tmp_path, 1), *arguments("--model", "nonesuch"))
    assert job.status == 3
    assert job.err.startswith("relion_ganpick: no model 'nonesuch'")
    assert job.err.count("\n") == 1


def test_a_micrograph_that_cannot_be_used_is_bad_input_and_wrong_usage_is_2(tmp_path: Path) -> None:
    assert pick(tmp_path, *ON_CPU, file="nonesuch.mrc") == 1
    with pytest.raises(SystemExit, match="2"):
        pick(tmp_path, "--nonesuch")


def test_a_device_that_is_lost_on_the_way_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lose_the_device(monkeypatch)
    assert pick(tmp_path, *ON_CPU) == 4
    error = capsys.readouterr().err
    assert "cpu: the device was lost while it computed (CUDA error: unspecified launch failure); what is finished" in error
    job = run_here(make_project(tmp_path / "project", 1), *arguments(*ON_CPU))
    assert job.status == 4


def test_lack_of_memory_is_no_lost_device() -> None:
    device = torch.device("cuda:0")
    with pytest.raises(torch.OutOfMemoryError), named_loss(device):
        raise torch.OutOfMemoryError("CUDA error: out of memory")
    with pytest.raises(RuntimeError, match="sizes of tensors"), named_loss(device):
        raise RuntimeError("sizes of tensors must match")
    with pytest.raises(DeviceError, match="cuda:0: the device was lost"), named_loss(device):
        raise RuntimeError(LOST)
