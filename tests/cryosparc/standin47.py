"""A stand-in for a CryoSPARC 4.7 server: JSON-RPC and plain requests on three ports of loopback; see `standin_world`.

The addresses are those of the real client, which has them built in.
"""

from __future__ import annotations

import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from standin_http import PlainHandler
from standin_world import EMAIL, LICENSE, PASSWORD, PROJECT, REQUIRED_FIELDS, Job, RefusedError, World, short_type

SERVICES = {"core": 2, "vis": 3, "rtp": 5}
CORE = (
    "system.describe", "get_id_by_email_password", "get_running_version", "get_project", "get_project_dir_abs", "get_job",
    "run_external_job", "set_job_status", "job_send_streamlog", "test_connection",
)  # fmt: skip
VIS = ("system.describe", "create_external_job", "add_external_job_input", "connect_external_job", "add_external_job_output")
USER_ID = "65a000000000000000000001"


class Server47:
    """The server: a context; `url` is the address of its web interface.

    Parameters
    ----------
    world
        What it holds.
    version
        What it says of itself.
    """

    def __init__(self, world: World, version: str = "v4.7.1") -> None:
        self.world, self.version = world, version
        self._http: list[ThreadingHTTPServer] = []
        base = self._bind()
        self.url = f"http://127.0.0.1:{base}"
        self._threads = [
            threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True) for each in self._http
        ]

    def _bind(self) -> int:
        """Find three ports at the distances that the client expects."""
        for _ in range(100):
            base = random.randrange(20000, 60000, 10)
            try:
                for service, offset in SERVICES.items():
                    handler = type("Handler", (_Handler,), {"owner": self, "service": service})
                    self._http.append(ThreadingHTTPServer(("127.0.0.1", base + offset), handler))
            except OSError:
                for each in self._http:
                    each.server_close()
                self._http.clear()
                continue
            return base
        raise OSError("no three ports are free")

    def __enter__(self) -> Server47:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._http:
            each.shutdown()
            each.server_close()
        for thread in self._threads:
            thread.join()

    def call(self, method: str, given: Any) -> Any:
        """Answer a JSON-RPC call."""
        with self.world.lock:
            handler = getattr(self, "_" + method.replace(".", "_"))
            return handler(**given) if isinstance(given, dict) else handler(*given)

    def _get_id_by_email_password(self, email: str, password: str) -> str:
        if (email, password) != (EMAIL, PASSWORD):
            raise RefusedError(400, "wrong user or password")
        return USER_ID

    def _get_running_version(self) -> str:
        return self.version

    def _get_project(self, project_uid: str) -> Any:
        if project_uid != PROJECT:
            raise RefusedError(404, f"no project {project_uid}")
        return {"uid": PROJECT}

    def _get_project_dir_abs(self, _: str) -> str:
        return str(self.world.folder)

    def _get_job(self, project_uid: str, job_uid: str) -> Any:
        return self._document(self.world.job(project_uid, job_uid))

    def _run_external_job(self, project_uid: str, job_uid: str, status: str) -> None:
        self.world.start(self.world.job(project_uid, job_uid), status)

    def _set_job_status(self, project_uid: str, job_uid: str, status: str) -> None:
        if status not in ("completed", "failed"):
            raise RefusedError(422, f"{status} is not known")
        self.world.finish(self.world.job(project_uid, job_uid), status)

    def _job_send_streamlog(
        self, project_uid: str, job_uid: str, message: str, error: bool = False, flags: Any = None, imgfiles: Any = None
    ) -> str:
        job = self.world.job(project_uid, job_uid)
        self.world.texts.append(message)
        level = "image" if imgfiles else "error" if error else "text"
        return str(self.world.log(job, message, level, imgfiles)["id"])

    def _create_external_job(self, project_uid: str, workspace_uid: str, user: str, title: str, desc: str) -> str:
        if user != USER_ID:
            raise RefusedError(403, "unknown user")
        return self.world.create(project_uid, workspace_uid, title, desc).uid

    def _connect_external_job(
        self, project_uid: str, source_job_uid: str, source_output: str, target_job_uid: str, target_input: str,
        slots: list[str], title: str, desc: str,
    ) -> None:  # fmt: skip
        job = self.world.job(project_uid, target_job_uid)
        source = self.world.job(project_uid, source_job_uid)
        if source_output not in source.outputs:
            raise RefusedError(404, f"no output {source_output}")
        if target_input not in job.inputs:
            self.world.add_input(job, target_input, source.outputs[source_output]["type"], slots)
        self.world.connect(job, target_input, source_job_uid, source_output)

    def _add_external_job_output(
        self, project_uid: str, job_uid: str, type: str, name: str, slots: list[str], passthrough: Any, title: str
    ) -> None:
        self.world.add_output(self.world.job(project_uid, job_uid), name, type, slots)

    def _document(self, job: Job) -> dict[str, Any]:
        """A job as version 4.7 keeps it."""
        groups, results = [], []
        for name, spec in job.outputs.items():
            rows = len(job.datasets[name]) if name in job.datasets else 0
            contains = [{"name": slot, "group_name": name, "type": slot, "passthrough": False} for slot in spec["slots"]]
            groups.append({"name": name, "type": spec["type"], "contains": contains, "num_items": rows})
            for slot in spec["slots"]:
                files = [f"{job.uid}/{name}.cs"] if name in job.datasets else []
                minimum = [[each[0], short_type(each)] for each in REQUIRED_FIELDS.get(slot, [])]
                results.append(
                    {"name": slot, "group_name": name, "type": slot, "metafiles": files, "versions": [0], "passthrough": False,
                     "min_fields": minimum}
                )  # fmt: skip
        inputs = [
            {"name": name, "type": spec["type"], "slots": spec["slots"],
             "connections": [{"job_uid": uid, "group_name": output} for uid, output in spec["connections"]]}
            for name, spec in job.inputs.items()
        ]  # fmt: skip
        return {
            "uid": job.uid, "project_uid": PROJECT, "job_type": job.kind, "status": job.status, "title": job.title,
            "input_slot_groups": inputs, "output_result_groups": groups, "output_results": results,
        }  # fmt: skip


class _Handler(PlainHandler, BaseHTTPRequestHandler):
    """Checks the license, strikes with faults, and answers."""

    owner: Server47
    service: str

    def do_GET(self) -> None:
        """Answer a request for a version 5 server, which this is not."""
        self._send(404, "text/plain", b"not found")

    def do_POST(self) -> None:
        """Answer."""
        parts = urlsplit(self.path)
        # the method of a call is in its body, which must be read before we know whose it is
        body = self._body(None) if parts.path == "/api" else b""
        data = json.loads(body) if parts.path == "/api" else {}
        name = f"{self.service}.{data['method']}" if data else parts.path.split("/")[-1]
        fault = self.owner.world.fault(name)
        kind = None if fault is None else fault.kind
        if kind in ("refuse", "drop"):
            if kind == "drop" and not data:
                self._body(64)
            return self._hang_up()
        body = body or self._body(None)
        if self._is_struck(kind, self.owner.world.slow_seconds):
            return None
        try:
            if self.headers.get("License-ID") != LICENSE or self.headers.get("Originator") != "client":
                raise RefusedError(401, "no license")
            self._check_fault(kind, body)
            mime, answer = self._answer(parts.path, parse_qs(parts.query), data, body)
        except RefusedError as error:
            return self._refuse(error, data)
        if kind == "lost":
            return self._hang_up()
        return self._send(200, mime, answer)

    def _refuse(self, error: RefusedError, data: dict[str, Any]) -> None:
        """Refuse as the real server does: calls by an error in the answer, plain requests by their status."""
        if data and error.code not in (401, 500):
            answer = {"id": data["id"], "error": {"name": "ServerError", "message": str(error.detail), "code": error.code}}
            return self._send(200, "application/json", json.dumps(answer).encode())
        return self._send(error.code, "application/json", json.dumps({"message": str(error.detail)}).encode())

    def _answer(self, path: str, query: dict[str, list[str]], data: dict[str, Any], body: bytes) -> tuple[str, bytes]:
        world = self.owner.world
        if path == "/api":
            known = {"core": CORE, "vis": VIS, "rtp": ("system.describe",)}[self.service]
            if data["method"] not in known:
                raise RefusedError(404, f"no method {data['method']} in {self.service}")
            procs = {"procs": [{"name": name} for name in known]}
            result = procs if data["method"] == "system.describe" else self.owner.call(data["method"], data["params"])
            return "application/json", json.dumps({"id": data["id"], "result": result}).encode()
        if self.service != "vis":
            raise RefusedError(404, path)
        if path == "/get_project_file":
            given = json.loads(body)
            return self._file(given["path"])
        if path == "/load_job_input":
            given = json.loads(body)
            job = world.job(given["project_uid"], given["job_uid"])
            return "application/x-cryosparc-dataset", _pack(world.load_input(job, given["input_name"], given["slots"]))
        words = path.strip("/").split("/")
        if words[0] == "external" and words[-1] == "dataset":
            world.save(world.job(words[2], words[4]), words[6], body)
            return "application/json", b"{}"
        if words[-1] == "files" and len(words) == 3:
            return "application/json", json.dumps(world.keep_file(query["path"][0], body, "overwrite" in query)).encode()
        if words[-1] == "files":
            world.job(words[1], words[3])
            return "application/json", json.dumps(world.upload(body, query["filename"][0], query["format"][0])).encode()
        raise RefusedError(404, path)

    def _file(self, path: str) -> tuple[str, bytes]:
        """Micrographs as they are, and outputs of jobs by the files that the document names."""
        uid, _, name = path.partition("/")
        job = self.owner.world.jobs.get(uid)
        if job is not None and name.endswith(".cs"):
            return "application/x-cryosparc-dataset", _pack(job.datasets[name.removesuffix(".cs")])
        return "application/octet-stream", self.owner.world.file(path)


def _pack(dataset: Any) -> bytes:
    return b"".join(dataset.stream(compression="lz4"))
