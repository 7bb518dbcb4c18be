"""The requests that the stand-in for a CryoSPARC 5 server knows, and the OpenAPI document that tells the client of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PREFIX = "/api/cmd"
JOB, TEXT_EVENT, IMAGE_EVENT, ASSET = (
    {"$ref": f"#/components/schemas/{name}"} for name in ("Job", "TextEvent", "ImageEvent", "GridFSAsset")
)
DATASET, STREAM, JSON, FORM = (
    "application/x-cryosparc-dataset", "application/octet-stream", "application/json", "application/x-www-form-urlencoded",
)  # fmt: skip


@dataclass(frozen=True)
class Route:
    """One request that the server knows.

    Attributes
    ----------
    name
        Operation, such as "jobs.save_output".
    method, path
        Invented, as the client takes them from our document.
    answer
        Schema of a JSON answer, or the mime type of a stream.
    query
        Names of parameters; "!" before a name marks it as required.
    body
        Mime type and title of the body.
    """

    name: str
    method: str
    path: str
    answer: Any
    query: tuple[str, ...] = ()
    body: tuple[str, str] | None = None


ANY: dict[str, Any] = {}
IN_JOB = "/projects/{p}/jobs/{j}"
ROUTES = (
    Route("login", "post", "/login", {"$ref": "#/components/schemas/Token"}, ("expires_in",), (FORM, "login")),
    Route("users.me", "get", "/users/me", {"$ref": "#/components/schemas/User"}),
    Route("config.get_version", "get", "/version", {"type": "string"}),
    Route("health", "get", "/health", {"type": "string"}),
    Route("projects.find_one", "get", "/projects/{p}", {"$ref": "#/components/schemas/Project"}),
    Route("projects.get_directory", "get", "/projects/{p}/directory", {"type": "string"}),
    Route("projects.download_file", "get", "/projects/{p}/file", STREAM, ("!path",)),
    Route("projects.upload_file", "post", "/projects/{p}/file", {"type": "string"}, ("!path", "overwrite"), (STREAM, "stream")),
    Route("jobs.create", "post", "/projects/{p}/workspaces/{w}/jobs", JOB, ("!type", "title", "description"), (JSON, "params")),
    Route("jobs.find_one", "get", IN_JOB, JOB),
    Route("jobs.load_output", "get", IN_JOB + "/outputs/{o}", DATASET, ("slots", "version")),
    Route("jobs.load_input", "get", IN_JOB + "/inputs/{i}", DATASET, ("slots",)),
    Route("jobs.add_external_input", "post", IN_JOB + "/inputs/{i}", JOB, (), (JSON, "spec")),
    Route(
        "jobs.connect", "post", IN_JOB + "/inputs/{i}/connections", JOB, ("!source_job_uid", "!source_output_name")
    ),
    Route("jobs.add_external_output", "post", IN_JOB + "/outputs/{o}", JOB, (), (JSON, "spec")),
    Route("jobs.get_output_fields", "post", IN_JOB + "/outputs/{o}/fields", ANY, (), (JSON, "params")),
    Route("jobs.save_output", "post", IN_JOB + "/outputs/{o}/dataset", JOB, ("version",), (DATASET, "dataset")),
    Route("jobs.set_output_image", "put", IN_JOB + "/outputs/{o}/image", JOB, (), (JSON, "image")),
    Route("jobs.set_tile_image", "put", IN_JOB + "/tile", JOB, (), (JSON, "image")),
    Route("jobs.mark_running", "post", IN_JOB + "/running", JOB, ("status",)),
    Route("jobs.mark_completed", "post", IN_JOB + "/completed", JOB),
    Route("jobs.mark_failed", "post", IN_JOB + "/failed", JOB, ("error",)),
    Route("jobs.add_event_log", "post", IN_JOB + "/events", TEXT_EVENT, ("type",), (JSON, "text")),
    Route(
        "jobs.update_event_log", "put", IN_JOB + "/events/{e}", TEXT_EVENT, ("type",), (JSON, "text")
    ),
    Route(
        "jobs.add_image_log", "post", IN_JOB + "/images", IMAGE_EVENT, ("!text", "flags"), (JSON, "images")
    ),
    Route("assets.upload", "post", IN_JOB + "/assets", ASSET, ("filename", "format"), (STREAM, "stream")),
)  # fmt: skip


def openapi() -> dict[str, Any]:
    """The document from which the client learns every call."""
    paths: dict[str, Any] = {}
    for route in ROUTES:
        names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
        parameters = [{"name": name, "in": "path", "required": True} for name in names]
        parameters += [{"name": name.lstrip("!"), "in": "query", "required": name.startswith("!")} for name in route.query]
        content = (
            {route.answer: {"schema": {"type": "string"}}} if isinstance(route.answer, str) else {JSON: {"schema": route.answer}}
        )
        errors = {str(code): {"content": {JSON: {"schema": {}}}} for code in (401, 404, 422)}
        entry: dict[str, Any] = {
            "summary": route.name,
            "parameters": parameters,
            "responses": {"200": {"content": content}, **errors},
        }
        if route.body:
            entry["requestBody"] = {"content": {route.body[0]: {"schema": {"title": route.body[1]}}}}
        paths.setdefault(route.path, {})[route.method] = entry
    return {"openapi": "3.1.0", "info": {"title": "stand-in", "version": "0"}, "paths": paths, "components": {"schemas": {}}}
