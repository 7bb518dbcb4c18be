"""A stand-in for a CryoSPARC 5 server on loopback; see `standin_world` for what it proves and what it cannot.

It publishes an OpenAPI document, from which the real client builds all its calls, and answers them.
"""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from standin5_http import Handler, Request
from standin5_routes import JSON, Route
from standin_world import ECHOES, EMAIL, LICENSE, PASSWORD, PROJECT, TOKEN, WORKSPACE, Job, RefusedError, World, short_type

WHEN = "2026-01-01T00:00:00Z"
STATUSES = ("building", "queued", "launched", "started", "running", "waiting", "completed", "killed", "failed")
SECRETS = (*ECHOES, hashlib.sha256(PASSWORD.encode()).hexdigest(), TOKEN, LICENSE)


class Server5:
    """The server: a context; `url` is its address.

    Parameters
    ----------
    world
        What it holds.
    version
        What it says of itself.
    """

    def __init__(self, world: World, version: str = "v5.0.3") -> None:
        self.world, self.version = world, version
        self.tokens = {TOKEN}
        handler = type("Handler", (Handler,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Server5:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, route: Route, request: Request) -> tuple[str, bytes]:
        """Do what is asked for; mime type and body of the answer."""
        with self.world.lock:
            result = getattr(self, "_" + route.name.replace(".", "_"))(request)
        if isinstance(result, bytes):
            return str(route.answer), result
        return JSON, json.dumps(self._document(result) if isinstance(result, Job) else result).encode()

    def _job(self, request: Request) -> Job:
        return self.world.job(request.path["p"], request.path["j"])

    def _login(self, request: Request) -> Any:
        form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
        if form.get("username") != EMAIL or form.get("password") != hashlib.sha256(PASSWORD.encode()).hexdigest():
            # as FastAPI does, which sends back what it was given
            raise RefusedError(401, {"msg": "wrong user or password", "input": form})
        return {"access_token": TOKEN, "token_type": "bearer"}

    def _users_me(self, _: Request) -> Any:
        return {"name": "ada", "first_name": "Ada", "last_name": "L", "emails": [{"address": EMAIL, "verified": True}]}

    def _config_get_version(self, _: Request) -> Any:
        return self.version

    def _health(self, _: Request) -> Any:
        return "OK"

    def _projects_find_one(self, request: Request) -> Any:
        if request.path["p"] != PROJECT:
            raise RefusedError(404, f"no project {request.path['p']}")
        folder = str(self.world.folder)
        return {
            "uid": PROJECT,
            "project_dir": folder,
            "owner_user_id": "0",
            "title": "t",
            "size_last_updated": WHEN,
            "uid_num": 3,
        }

    def _projects_get_directory(self, _: Request) -> Any:
        return str(self.world.folder)

    def _projects_download_file(self, request: Request) -> bytes:
        return self.world.file(request.one("path"))

    def _jobs_create(self, request: Request) -> Job:
        if request.one("type") != "snowflake":
            raise RefusedError(422, "only external jobs")
        self.world.texts.append(request.one("description"))
        return self.world.create(request.path["p"], request.path["w"], request.one("title"), request.one("description"))

    def _jobs_find_one(self, request: Request) -> Job:
        return self._job(request)

    def _jobs_load_output(self, request: Request) -> bytes:
        return _pack(self.world.load_output(self._job(request), request.path["o"], request.query.get("slots", ["all"])))

    def _jobs_load_input(self, request: Request) -> bytes:
        return _pack(self.world.load_input(self._job(request), request.path["i"], request.query.get("slots", ["all"])))

    def _jobs_add_external_input(self, request: Request) -> Job:
        job, spec = self._job(request), json.loads(request.body)
        self.world.add_input(job, request.path["i"], spec["type"], [slot["name"] for slot in spec["slots"]])
        return job

    def _jobs_connect(self, request: Request) -> Job:
        job = self._job(request)
        self.world.connect(job, request.path["i"], request.one("source_job_uid"), request.one("source_output_name"))
        return job

    def _jobs_add_external_output(self, request: Request) -> Job:
        job, spec = self._job(request), json.loads(request.body)
        self.world.add_output(job, request.path["o"], spec["type"], [slot["name"] for slot in spec["slots"]])
        return job

    def _jobs_get_output_fields(self, request: Request) -> Any:
        return [[each[0], short_type(each)] for each in self.world.fields(self._job(request), request.path["o"])]

    def _jobs_save_output(self, request: Request) -> Job:
        job = self._job(request)
        self.world.save(job, request.path["o"], request.body)
        return job

    def _jobs_set_output_image(self, request: Request) -> Job:
        job = self._job(request)
        job.images[request.path["o"]] = self._known_asset(json.loads(request.body))
        return job

    def _jobs_set_tile_image(self, request: Request) -> Job:
        job = self._job(request)
        job.images["tile"] = self._known_asset(json.loads(request.body))
        return job

    def _known_asset(self, asset: dict[str, str]) -> str:
        if asset["fileid"] not in self.world.assets:
            raise RefusedError(422, "no such asset")
        return asset["fileid"]

    def _jobs_mark_running(self, request: Request) -> Job:
        job = self._job(request)
        self.world.start(job, request.one("status", "waiting"))
        return job

    def _jobs_mark_completed(self, request: Request) -> Job:
        job = self._job(request)
        self.world.finish(job, "completed")
        return job

    def _jobs_mark_failed(self, request: Request) -> Job:
        job = self._job(request)
        self.world.finish(job, "failed", request.one("error"))
        self.world.texts.append(request.one("error"))
        return job

    def _jobs_add_event_log(self, request: Request) -> Any:
        text, level = json.loads(request.body), request.one("type", "text")
        if level not in ("text", "warning", "error") or not isinstance(text, str):
            raise RefusedError(422, "no such kind of event")
        self.world.texts.append(text)
        return _event(self._job(request), self.world.log(self._job(request), text, level))

    def _jobs_update_event_log(self, request: Request) -> Any:
        job, text = self._job(request), json.loads(request.body)
        events = [event for event in job.events if event["id"] == request.path["e"]]
        if not events:
            raise RefusedError(404, "no such event")
        events[0]["text"] = text
        self.world.texts.append(text)
        return _event(job, events[0])

    def _jobs_add_image_log(self, request: Request) -> Any:
        job, images = self._job(request), json.loads(request.body)
        for image in images:
            self._known_asset(image)
        return _event(job, self.world.log(job, request.one("text"), "image", images))

    def _projects_upload_file(self, request: Request) -> Any:
        return self.world.keep_file(request.one("path"), request.body, request.one("overwrite").lower() == "true")

    def _assets_upload(self, request: Request) -> Any:
        self._job(request)
        return self.world.upload(request.body, request.one("filename"), request.one("format"))

    def _document(self, job: Job) -> dict[str, Any]:
        """A job as the client's model wants it."""

        def output(name: str, spec: dict[str, Any]) -> dict[str, Any]:
            rows = len(job.datasets[name]) if name in job.datasets else 0
            slots = [{"name": slot, "dtype": slot} for slot in spec["slots"]]
            return {"type": spec["type"], "title": spec["title"], "slots": slots, "results": slots, "num_items": rows}

        def group(spec: dict[str, Any]) -> dict[str, Any]:
            slots = [{"name": slot, "dtype": slot, "required": True} for slot in spec["slots"]]
            connections = [{"job_uid": uid, "output": name} for uid, name in spec["connections"]]
            return {"type": spec["type"], "title": "", "slots": slots, "connections": connections}

        return {
            "uid": job.uid, "project_uid": PROJECT, "workspace_uids": [WORKSPACE], "title": job.title, "status": job.status,
            "description": job.description, "job_dir": job.uid, "job_dir_size_last_updated": WHEN, "uid_num": int(job.uid[1:]),
            "project_uid_num": 3, "status_num": STATUSES.index(job.status), "build_errors": [],
            "spec": {
                "type": job.kind, "ui_tile_width": 1, "ui_tile_height": 1, "resource_spec": {},
                "inputs": {name: group(spec) for name, spec in job.inputs.items()},
                "outputs": {name: output(name, spec) for name, spec in job.outputs.items()},
            },
        }  # fmt: skip


def _event(job: Job, event: dict[str, Any]) -> dict[str, Any]:
    images = {"imgfiles": event["images"]} if event["type"] == "image" else {}
    return {
        "_id": event["id"],
        "project_uid": PROJECT,
        "job_uid": job.uid,
        "type": event["type"],
        "text": event["text"],
        **images,
    }


def _pack(dataset: Any) -> bytes:
    return b"".join(dataset.stream(compression="lz4"))
