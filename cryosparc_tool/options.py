"""The command line of cryosparc_ganpick, and the settings that it fills."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from relion_ganpick.adaptation.options import AdaptOptions
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.options import RaisingParser, add_options
from relion_ganpick.core.settings import PickRequest, RunSettings
from relion_ganpick.version import __version__

SECRETS = ("password", "license", "license_id", "token", "passwd", "email", "auth")
UIDS = {"project": "P", "workspace": "W", "job": "J", "resume": "J"}
TITLE = "relion-ganpick picks"
SMALLEST_CACHE = 0.01
SHORTEST_TIMEOUT = 0.1


@dataclass(frozen=True)
class JobSettings:
    """Where exposures come from, where picks go, and how files travel.

    Attributes
    ----------
    project, workspace, job
        Uids, such as P3, W1, J42.
    output
        Name of the job's exposure output; None finds it by type.
    resume
        Uid of an external job of ours to push to or finish.
    dry_run
        Pick, write the result locally, push nothing.
    coordinates
        Files or folders with coordinates to push in place of picking.
    flip_y
        Count the rows of ``coordinates`` from the other end.
    title
        Title of the external job.
    out
        Folder for local results; each job gets a folder in it.
    local_root
        The project's folder as this machine sees it; None takes the server's path, where it exists here.
    cache
        Folder for downloaded micrographs; None takes a temporary one.
    cache_gb
        Most gigabytes of downloaded micrographs at a time.
    timeout
        Seconds that a request to the server may take.
    """

    project: str
    workspace: str | None = None
    job: str | None = None
    output: str | None = None
    resume: str | None = None
    dry_run: bool = False
    coordinates: tuple[str, ...] = ()
    flip_y: bool = False
    title: str = TITLE
    out: str = "cryosparc_ganpick"
    local_root: str | None = None
    cache: str | None = None
    cache_gb: float = 8.0
    timeout: float = 300.0

    def __post_init__(self) -> None:
        """Check the values."""
        for name, letter in UIDS.items():
            uid = getattr(self, name)
            if uid is not None and not re.fullmatch(rf"{letter}[1-9]\d*", uid):
                raise GanpickError(f"`{name}` {uid}: give a uid such as {letter}12")
        if self.resume and self.dry_run:
            raise GanpickError("`resume` and `dry_run` cannot be given together: a dry run pushes nothing")
        if not self.resume and self.job is None:
            raise GanpickError("`job` is missing: give the uid of the job with the exposures, such as J42")
        if not self.resume and not self.dry_run and self.workspace is None:
            raise GanpickError("`workspace` is missing: give the uid of the workspace for the new job, such as W1")
        if self.flip_y and not self.coordinates:
            raise GanpickError(
                "`flip_y` is for `coordinates` from another program's motion correction; our own picks need no flip"
            )
        if self.cache_gb < SMALLEST_CACHE:
            raise GanpickError(f"`cache_gb` {self.cache_gb:g}: give at least {SMALLEST_CACHE:g}")
        if not self.timeout >= SHORTEST_TIMEOUT:
            raise GanpickError(f"`timeout` {self.timeout:g}: give at least {SHORTEST_TIMEOUT:g} seconds")

    @property
    def folder_name(self) -> str:
        """Name of the folder for what is known before an external job exists."""
        return f"{self.project}_{self.resume}" if self.resume else f"{self.project}_{self.job}_dry_run"


def make_parser() -> RaisingParser:
    """Describe all options; nothing heavy is imported."""
    parser = RaisingParser(
        prog="cryosparc_ganpick",
        description="Picks particles in the exposures of a CryoSPARC job and pushes them back as an external job.",
        epilog="Never give a password as an option. CryoSPARC 5: run 'python -m cryosparc.tools login --url URL' once, or set "
        "CRYOSPARC_EMAIL and CRYOSPARC_PASSWORD. CryoSPARC 4.7: set these two and CRYOSPARC_LICENSE_ID.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"cryosparc_ganpick {__version__}")
    group = parser.add_argument_group("CryoSPARC")

    def add(name: str, text: str, **more: object) -> None:
        group.add_argument(f"--{name}", default=argparse.SUPPRESS, help=text, **more)  # type: ignore[arg-type]

    add(
        "url",
        "the server's address as the browser shows it, such as http://cryoem1:39000 (default: CRYOSPARC_BASE_URL)",
        metavar="URL",
    )
    add("project", "the project, such as P3", metavar="P")
    add("workspace", "the workspace for the new job, such as W1", metavar="W")
    add("job", "the job whose exposures are picked, such as J42", metavar="J")
    add("output", "which of its outputs (default: the one with exposures)", metavar="NAME")
    add("resume", "finish this external job of an earlier run, with the results on this machine", metavar="J")
    add("dry_run", "only pick; push nothing to CryoSPARC", action="store_true")
    add("title", f"title of the external job (default: {TITLE})", metavar="TEXT")
    add("coordinates", "do not pick, but push these coordinates: files of any program, or folders", nargs="+", metavar="PATH")
    add("flip_y", "turn --coordinates upside down; see ganpick check-orientation", action="store_true")
    add("out", "folder on this machine for the results (default: cryosparc_ganpick)", metavar="DIR")
    add("local_root", "path of the project's folder on this machine (default: as on the server)", metavar="DIR")
    add("cache", "folder for downloaded micrographs (default: a temporary one)", metavar="DIR")
    add("cache_gb", "keep at most so many gigabytes of downloaded micrographs (default: 8)", type=float, metavar="GB")
    add("timeout", "seconds that the server may take to answer (default: 300)", type=float, metavar="SECONDS")
    add_options(parser, PickRequest)
    add_options(parser, RunSettings)
    add_options(parser, AdaptOptions)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Raises
    ------
    GanpickError
        For unknown options, with the nearest known one, and for credentials; no value is repeated.
    """
    parser = make_parser()
    for word in argv:
        name = word.lstrip("-").split("=")[0].replace("-", "_").lower()
        if word.startswith("--") and name in SECRETS:
            raise GanpickError(
                f"`{name}`: never give a password as an option, where others can see it: run "
                "'python -m cryosparc.tools login --url URL', or set CRYOSPARC_EMAIL and CRYOSPARC_PASSWORD"
            )
    namespace, rest = parser.parse_known_args(list(argv))
    if rest:
        raise GanpickError(parser.about_unknown(rest[0]))
    return namespace


def check_url(url: str) -> str:
    """Bring a server's address to the form under which logins are stored.

    Raises
    ------
    GanpickError
        If it is no address of a web server, or holds a password.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise GanpickError("`url` holds a user name or password; give the address alone, and never a password as an option")
    try:
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise GanpickError(f"`url` {url}: give the address that the browser shows, such as http://cryoem1:39000")
    return url.rstrip("/")


def existing_folder(option: str, path: str) -> Path:
    """Check that a folder which the user names is there.

    Raises
    ------
    GanpickError
        If it is not.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise GanpickError(f"`{option}` {path}: no such folder")
    return folder
