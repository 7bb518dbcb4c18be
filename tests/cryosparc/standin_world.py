"""What the stand-in servers for CryoSPARC 5 and 4.7 share: projects, jobs, datasets, assets, states, and faults.

What tests against it prove: that the real client accepts our calls, their order and arguments, that datasets survive
the way in full, that the fields which CryoSPARC is known to require are there in their types, and that a job ends as it
should whatever goes wrong between us and the server.

What they cannot prove: how a real server validates slots and fields beyond that, its permissions, the states that it
allows (ours are those of the client's documentation), zero-row outputs, what Inspect and Extract do with the picks, the
y axis. Addresses of requests are invented for CryoSPARC 5, whose client takes them from the server.
"""

from __future__ import annotations

import io
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import numpy as np

EMAIL, LICENSE = "ada@example.org", "0a1b2c3d-1111-2222-3333-444455556666"
PASSWORD = 'Correct "Horse"/7 & \\ö%'
"""With all that forms and JSON write in their own way."""
ECHOES = (quote_plus(PASSWORD), quote(PASSWORD), json.dumps(PASSWORD), json.dumps(PASSWORD, ensure_ascii=False), PASSWORD)
GARBAGE = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
TOKEN = "tok-3f9d8c7b6a5e4d3c2b1a"
PROJECT, WORKSPACE, SOURCE = "P3", "W1", "J42"
NETWORK_KINDS = ("refuse", "drop", "lost", "slow", "garbage")

EXPOSURE_SLOTS: dict[str, list[tuple[Any, ...]]] = {
    "micrograph_blob": [
        ("path", "O"), ("idx", "<u4"), ("shape", "<u4", (2,)), ("psize_A", "<f4"), ("format", "O"),
        ("is_background_subtracted", "<u4"), ("vmin", "<f4"), ("vmax", "<f4"), ("import_sig", "<u8"),
    ],
    "mscope_params": [
        ("accel_kv", "<f4"), ("cs_mm", "<f4"), ("total_dose_e_per_A2", "<f4"), ("phase_plate", "<u4"),
        ("neg_stain", "<u4"), ("exp_group_id", "<u4"), ("defect_path", "O"),
    ],
}  # fmt: skip
REQUIRED_FIELDS: dict[str, list[tuple[Any, ...]]] = {
    "location": [
        ("micrograph_uid", "<u8"), ("exp_group_id", "<u4"), ("micrograph_path", "|O"), ("micrograph_shape", "<u4", (2,)),
        ("center_x_frac", "<f4"), ("center_y_frac", "<f4"),
    ],
    "pick_stats": [("ncc_score", "<f4"), ("power", "<f4"), ("template_idx", "<u4"), ("angle_rad", "<f4")],
}  # fmt: skip
ADDING = ("building", "running", "waiting")
STARTED = ("running", "waiting")


class RefusedError(Exception):
    """The server says no."""

    def __init__(self, code: int, detail: Any) -> None:
        super().__init__(f"{code} {detail}")
        self.code, self.detail = code, detail


@dataclass
class Fault:
    """Something that goes wrong.

    Attributes
    ----------
    operation
        Name of the request.
    kind
        "refuse" (connection closed before anything is read), "drop" (closed in the middle of the request's body), "lost"
        (done, but the answer does not arrive), "slow", "garbage" (an answer that is no HTTP), or an HTTP status.
    times
        How often; None is always.
    """

    operation: str
    kind: str | int
    times: int | None = None
    seen: int = 0

    def strikes(self, operation: str) -> bool:
        """Whether this request goes wrong."""
        if operation != self.operation or (self.times is not None and self.seen >= self.times):
            return False
        self.seen += 1
        return True


@dataclass
class Job:
    """One job."""

    uid: str
    kind: str = "snowflake"
    status: str = "building"
    title: str = ""
    description: str = ""
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    datasets: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    images: dict[str, str] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    error: str = ""

    def become(self, status: str) -> None:
        """Change the status and keep track."""
        self.status = status
        self.history.append(status)


@dataclass
class World:
    """One project with a source job, as both servers see it."""

    folder: Path
    jobs: dict[str, Job] = field(default_factory=dict)
    assets: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    restart_allowed: bool = True
    slow_seconds: float = 1.0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def fault(self, operation: str) -> Fault | None:
        """Take down a request; the fault that strikes it, or None."""
        with self.lock:
            self.requests.append(operation)
            return next((fault for fault in self.faults if fault.strikes(operation)), None)

    def job(self, project: str, uid: str) -> Job:
        """Find a job."""
        if project != PROJECT:
            raise RefusedError(404, f"no project {project}")
        if uid not in self.jobs:
            raise RefusedError(404, f"no job {uid}")
        return self.jobs[uid]

    def external_jobs(self) -> list[Job]:
        """All jobs that were made from outside, oldest first."""
        return [job for job in self.jobs.values() if job.kind == "snowflake"]

    def add_source(self, dataset: Any, output: str = "exposures_accepted", kind: str = "exposure", uid: str = SOURCE) -> Job:
        """Give the source job an output."""
        job = self.jobs.setdefault(uid, Job(uid, "curate_exposures_v2", "completed"))
        slots = sorted({name.split("/")[0] for name in dataset.fields(exclude_uid=True)})
        job.outputs[output] = {"type": kind, "title": output, "slots": slots}
        job.datasets[output] = dataset
        return job

    def create(self, project: str, workspace: str, title: str | None, description: str | None) -> Job:
        """Make an external job."""
        if project != PROJECT or workspace != WORKSPACE:
            raise RefusedError(404, f"no workspace {workspace} in {project}")
        number = max((int(uid[1:]) for uid in self.jobs), default=0) + 1
        job = Job(f"J{number}", title=title or "", description=description or "")
        job.history.append("building")
        self.jobs[job.uid] = job
        return job

    def add_input(self, job: Job, name: str, kind: str, slots: list[str]) -> None:
        """Declare an input."""
        self._allow(job, ADDING, "inputs cannot be added")
        if not slots:
            raise RefusedError(422, "an input needs slots")
        if name in job.inputs:
            raise RefusedError(422, f"input {name} exists")
        job.inputs[name] = {"type": kind, "slots": slots, "connections": []}

    def connect(self, job: Job, name: str, source_uid: str, output: str) -> None:
        """Connect an output to an input."""
        self._allow(job, ADDING, "inputs cannot be connected")
        source = self.job(PROJECT, source_uid)
        if name not in job.inputs or output not in source.outputs:
            raise RefusedError(422, f"cannot connect {source_uid}.{output} to {name}")
        given, wanted = source.outputs[output], job.inputs[name]
        missing = [slot for slot in wanted["slots"] if slot not in given["slots"]]
        if given["type"] != wanted["type"] or missing:
            raise RefusedError(422, f"{output} does not fit {name}: {given['type']}, lacks {missing}")
        wanted["connections"].append((source_uid, output))

    def add_output(self, job: Job, name: str, kind: str, slots: list[str]) -> None:
        """Declare an output."""
        self._allow(job, ADDING, "outputs cannot be added")
        if kind != "particle" or not slots or any(slot not in REQUIRED_FIELDS for slot in slots):
            raise RefusedError(422, f"invalid slots {slots} of {kind}")
        if name in job.outputs:
            raise RefusedError(422, f"output {name} exists")
        job.outputs[name] = {"type": kind, "title": name, "slots": slots}

    def start(self, job: Job, status: str) -> None:
        """Mark as running or waiting."""
        allowed = ("building", "waiting", *(("failed", "killed") if self.restart_allowed else ()))
        if status not in STARTED:
            raise RefusedError(422, f"{status} is no status to start with")
        self._allow(job, allowed, "it cannot be started")
        if any(not each["connections"] for each in job.inputs.values()):
            raise RefusedError(422, "an input is not connected")
        job.become(status)

    def finish(self, job: Job, status: str, error: str = "") -> None:
        """Mark as completed or failed."""
        self._allow(job, STARTED if status == "completed" else ADDING, f"it cannot be {status}")
        job.error = error
        job.become(status)

    def load_input(self, job: Job, name: str, slots: list[str]) -> Any:
        """Rows of all connections of an input."""
        if name not in job.inputs or not job.inputs[name]["connections"]:
            raise RefusedError(422, f"{name} is not connected")
        parts = [self.load_output(self.jobs[uid], output, slots) for uid, output in job.inputs[name]["connections"]]
        return parts[0] if len(parts) == 1 else type(parts[0]).append_many(*parts, repeat_allowed=True)

    def load_output(self, job: Job, name: str, slots: list[str]) -> Any:
        """Rows of an output."""
        if name not in job.datasets:
            raise RefusedError(404, f"{job.uid} has no output {name} with data")
        dataset = job.datasets[name]
        return dataset if slots in (["all"], []) else dataset.filter_prefixes(slots, copy=True)

    def fields(self, job: Job, name: str) -> list[tuple[Any, ...]]:
        """Columns of an output."""
        if name not in job.outputs:
            raise RefusedError(404, f"{job.uid} has no output {name}")
        return [(f"{slot}/{each[0]}", *each[1:]) for slot in job.outputs[name]["slots"] for each in REQUIRED_FIELDS[slot]]

    def save(self, job: Job, name: str, body: bytes) -> None:
        """Take a dataset, if it is one and holds what is required."""
        from cryosparc.dataset import Dataset

        self._allow(job, STARTED, "nothing can be saved")
        if name not in job.outputs:
            raise RefusedError(404, f"{job.uid} has no output {name}")
        try:
            dataset = Dataset.load(io.BytesIO(body))
        except Exception as error:
            raise RefusedError(422, f"not a dataset ({type(error).__name__})") from error
        there = {each[0]: tuple(each[1:]) for each in dataset.descr()}
        wanted = {each[0]: tuple(each[1:]) for each in self.fields(job, name)}
        missing = {key: value for key, value in wanted.items() if there.get(key) != value}
        if missing:
            raise RefusedError(422, f"Invalid dataset; missing the following required fields: {missing}")
        self._check_rows(job, dataset)
        job.datasets[name] = dataset

    def _check_rows(self, job: Job, dataset: Any) -> None:
        if len(np.unique(dataset["uid"])) != len(dataset):
            raise RefusedError(422, "uids are not unique")
        for axis in "xy":
            values = np.asarray(dataset[f"location/center_{axis}_frac"])
            if not (np.isfinite(values).all() and ((values >= 0) & (values < 1)).all()):
                raise RefusedError(422, f"center_{axis}_frac is out of range")
        known = [uid for group in job.inputs.values() for uid in self._uids(group)]
        if not np.isin(np.asarray(dataset["location/micrograph_uid"]), known).all():
            raise RefusedError(422, "picks on micrographs that are not connected")

    def _uids(self, group: dict[str, Any]) -> list[int]:
        return [int(uid) for source, output in group["connections"] for uid in self.jobs[source].datasets[output]["uid"]]

    def file(self, path: str) -> bytes:
        """Read a file of the project."""
        target = (self.folder / path).resolve()
        if not target.is_file():
            raise RefusedError(404, f"no file {path}")
        return target.read_bytes()

    def upload(self, data: bytes, filename: str, form: str) -> dict[str, str]:
        """Keep an asset."""
        magic = {"png": b"\x89PNG", "pdf": b"%PDF"}
        if not data or not data.startswith(magic.get(form, b"")):
            raise RefusedError(422, f"{filename} is no {form}")
        fileid = f"{len(self.assets):024x}"
        self.assets[fileid] = data
        return {"fileid": fileid, "filename": filename, "filetype": form}

    def keep_file(self, path: str, data: bytes, overwrite: bool) -> str:
        """Put a file into the folder of one of the project's jobs."""
        self.job(PROJECT, path.partition("/")[0])
        target = self.folder / path
        if target.exists() and not overwrite:
            raise RefusedError(422, f"{path} is there already")
        if not data:
            raise RefusedError(422, f"{path} is empty")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return path

    def log(self, job: Job, text: str, level: str, images: list[Any] | None = None) -> dict[str, Any]:
        """Add an event."""
        event = {"id": f"{len(job.events):024x}", "text": text, "type": level, "images": images or []}
        job.events.append(event)
        return event

    def _allow(self, job: Job, statuses: tuple[str, ...], what: str) -> None:
        if job.status not in statuses:
            raise RefusedError(422, f"{job.uid} is {job.status}: {what}")


def short_type(field: tuple[Any, ...]) -> str:
    """Write a column's type as servers do, such as "2u4"."""
    return "".join(str(length) for each in field[2:] for length in each) + field[1].lstrip("<|")


def exposure_dataset(rows: list[dict[str, Any]]) -> Any:
    """Make exposures as CryoSPARC has them; each row names uid, path, shape (ny, nx), psize_A and group."""
    from cryosparc.dataset import Dataset

    fields = [(f"{slot}/{each[0]}", *each[1:]) for slot, columns in EXPOSURE_SLOTS.items() for each in columns]
    dataset = Dataset.allocate(len(rows), fields)
    if rows:
        dataset["uid"] = [row["uid"] for row in rows]
        dataset["micrograph_blob/path"] = [row["path"] for row in rows]
        dataset["micrograph_blob/shape"] = np.array([row["shape"] for row in rows], np.uint32)
        dataset["micrograph_blob/psize_A"] = [row["psize_A"] for row in rows]
        dataset["micrograph_blob/format"] = ["MRC/2"] * len(rows)
        dataset["mscope_params/exp_group_id"] = [row["group"] for row in rows]
    return dataset
