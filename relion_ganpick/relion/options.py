"""The command line that RELION builds for an External job, and how we read it."""

from __future__ import annotations

import argparse
import os.path
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relion_ganpick.adaptation.options import AdaptOptions
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.options import RaisingParser, add_options, settings_from
from relion_ganpick.core.settings import PickRequest, RunSettings

IGNORED = ("in_movies", "in_parts", "in_coords", "in_3dref", "in_mask", "pipeline_control")
WITHOUT_VALUE = {"gpu": "0"}


@dataclass(frozen=True)
class JobOptions:
    """All options of one External job.

    Attributes
    ----------
    output
        The job's folder with its final slash.
    in_mics
        The micrographs STAR file.
    pick
        What decides which picks come out.
    run
        How the run is carried out.
    adapt
        Whether and how the model is adapted before.
    relion_version
        Generation given by hand; None finds it in job.star.
    notes
        What the user should know about the command line.
    """

    output: str
    in_mics: str
    pick: PickRequest
    run: RunSettings
    adapt: AdaptOptions
    relion_version: str | None
    notes: tuple[str, ...]


def make_parser() -> RaisingParser:
    """Describe the External job's options."""
    parser = RaisingParser(
        prog="relion_ganpick",
        description="Picks particles in cryo-EM micrographs as an External job of RELION 3.1, 4 and 5.",
        epilog="On the External job's Params tab, each option is a parameter: its label without the dashes, and its value.",
        allow_abbrev=False,
        add_help=False,
    )
    job = parser.add_argument_group("job")
    job.add_argument("--o", metavar="DIR/", help="the job's folder; RELION fills it in")
    job.add_argument("--in_mics", metavar="STAR", help="micrographs STAR file: Input tab, 'Input micrographs'")
    add_options(parser, PickRequest)
    add_options(parser, RunSettings)
    add_options(parser, AdaptOptions)
    job.add_argument("--relion_version", metavar="N", help="3.1, 4.0 or 5.0 (default: found in job.star)")
    job.add_argument("--project_dir", metavar="DIR", help="folder of the RELION project (default: found)")
    job.add_argument("--version", action="store_true", help="print the version and end")
    job.add_argument("--help", action="store_true", help="print this help and end")
    for name in IGNORED:
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    for action in parser._actions:
        if action.nargs is None and action.option_strings != ["--o"]:
            action.nargs = "?"
    return parser


def find_value(argv: Sequence[str], option: str) -> str | None:
    """Find an option's value before anything is parsed, and so before anything can fail."""
    for index, word in enumerate(argv):
        if word == option and index + 1 < len(argv) and not argv[index + 1].startswith("--"):
            return argv[index + 1]
        if word.startswith(option + "="):
            return word[len(option) + 1 :]
    return None


def parse(argv: Sequence[str], output: str, in_mics: str | None) -> JobOptions:
    """Read the command line.

    Parameters
    ----------
    argv
        Words after the executable.
    output, in_mics
        Folder and input file, made relative to the project.

    Raises
    ------
    GanpickError
        For unknown options (with the nearest known one), stray words, values of the wrong kind or out of range, and
        for a missing diameter or input.
    """
    parser = make_parser()
    namespace, rest = parser.parse_known_args(_with_gpus_together(argv))
    if rest:
        if not rest[0].startswith("-"):
            raise GanpickError(f"unexpected word {rest[0]!r}: a value must not contain blanks")
        raise GanpickError(parser.about_unknown(rest[0]))
    notes = _fill_missing_values(namespace)
    if in_mics is None:
        raise GanpickError(
            "the input is missing: fill in 'Input micrographs' on the Input tab, or give --in_mics a micrographs STAR file"
        )
    return JobOptions(
        output,
        in_mics,
        settings_from(PickRequest, namespace),
        settings_from(RunSettings, namespace),
        settings_from(AdaptOptions, namespace),
        namespace.relion_version,
        tuple(notes),
    )


def _with_gpus_together(argv: Sequence[str]) -> list[str]:
    """Make one word of the numbers behind --gpu: RELION's users put blanks between them."""
    words: list[str] = []
    in_gpus = False
    for word in argv:
        in_gpus = word == "--gpu" or (in_gpus and word.isdigit())
        if in_gpus and word != "--gpu" and words[-1] != "--gpu":
            words[-1] += f" {word}"
        else:
            words.append(word)
    return words


def _fill_missing_values(namespace: argparse.Namespace) -> list[str]:
    """Give an option without a value, as an empty field of RELION's window leaves it, its default, and mention it."""
    notes = []
    for settings in (PickRequest, RunSettings, AdaptOptions):
        for name in settings.__dataclass_fields__:
            if name in namespace and getattr(namespace, name) is None:
                delattr(namespace, name)
                if name in WITHOUT_VALUE:
                    setattr(namespace, name, WITHOUT_VALUE[name])
                else:
                    notes.append(f"--{name} has no value: its default is used")
    return notes


def find_project(output: str, in_mics: str | None, given: str | None) -> tuple[Path, str, str | None]:
    """Find the project's folder, and make both paths relative to it.

    RELION and pipeliner run us in the project's folder. When the working directory is the job's own folder
    (pipeliner.run_external_program), the project is the nearest folder above it that holds a pipeline.

    Returns
    -------
    project
        Folder to work in.
    output
        The job's folder, with a final slash.
    in_mics
        The input file.

    Raises
    ------
    GanpickError
        If ``given`` is no folder.
    """
    here = Path.cwd()
    folder = Path(output)
    if given is not None:
        project = Path(given).resolve()
        if not project.is_dir():
            raise GanpickError(f"--project_dir {given}: no such folder")
    elif (here / folder).resolve() == here.resolve():
        marks = ("default_pipeline.star", ".CCPEM_pipeliner_project", ".gui_projectdir")
        project = next((p for p in here.parents if any((p / mark).exists() for mark in marks)), here)
    else:
        project = here
    if in_mics is not None and (project != here or Path(in_mics).is_absolute()):
        in_mics = _relative(Path(in_mics) if (here / in_mics).exists() else project / in_mics, here, project)
    return project, _relative(folder, here, project).rstrip("/") + "/", in_mics


def _relative(path: Path, here: Path, project: Path) -> str:
    """Name a path below the project in the project's terms, any other by its whole path."""
    whole = os.path.normpath(here / path)
    below = os.path.relpath(whole, project)
    return whole if below.startswith("..") else below
