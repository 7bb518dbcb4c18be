"""The ccpem-pipeliner job ``ganpick.autopick``: a form over our settings, the command line, and what came out of it.

Only pipeliner imports this module, through the entry point group ``ccpem_pipeliner.jobs``, whenever it lists its jobs;
so nothing here may import torch.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeliner.data_structure import NODE_LOGFILE, NODE_MICROGRAPHCOORDSGROUP, NODE_MICROGRAPHGROUPMETADATA
from pipeliner.display_tools import create_results_display_object, make_particle_coords_thumb
from pipeliner.external_program_utils import ExternalProgram
from pipeliner.job_options import (
    EXT_STARFILE,
    BooleanJobOption,
    FileDescription,
    FloatJobOption,
    InputNodeJobOption,
    IntJobOption,
    JobOption,
    JobOptionValidationResult,
    MultipleChoiceJobOption,
    StringJobOption,
)
from pipeliner.pipeliner_job import PipelinerCommand, PipelinerJob, Ref
from pipeliner.results_display_objects import ResultsDisplayObject
from pipeliner.starfile_handler import StarFile

from relion_ganpick.adaptation.options import FOLDER, AdaptOptions, read_decision
from relion_ganpick.core.cut import CUTS
from relion_ganpick.core.errors import GanpickError, in_flags
from relion_ganpick.core.options import Option, options_of, share_of
from relion_ganpick.core.settings import PickRequest, RunSettings
from relion_ganpick.formats.pick_lists import LIST_FILE, SUMMARY_FILE
from relion_ganpick.report.names import LOGFILE, REPORT_FILE
from relion_ganpick.version import __version__

COMMAND = "relion_ganpick"
THREADS = "j"
GROUPS = {"main": "Main", "advanced": "Advanced options"}
# What finished micrographs need not be picked again for; everything else would make another job of it.
EDITABLE_ON_CONTINUE = (*CUTS, "device", "gpu", "overlays", "page", "masks", "max_failed", "max_megapixels")
SCORE_BINS = 50
KINDS: dict[type, Any] = {float: FloatJobOption, int: IntJobOption, str: StringJobOption, bool: BooleanJobOption}


class NumberOrWordJobOption(StringJobOption):  # type: ignore[misc]
    """A field for a number or a word, which may be filled in with either."""

    def _object_to_value(self, maybe_value: object) -> str:
        if maybe_value is None or isinstance(maybe_value, (int, float)):
            maybe_value = "" if maybe_value is None else str(maybe_value)
        return str(super()._object_to_value(maybe_value))


@dataclass(frozen=True)
class PickedMicrograph:
    """A micrograph and its coordinate file, relative to the project, with the figure of merit of every pick."""

    micrograph: str
    coordinates: str
    scores: list[float]


class GanpickAutopick(PipelinerJob):  # type: ignore[misc]
    """Pick particles with `relion_ganpick`; the options are those of `PickRequest`, `RunSettings` and `AdaptOptions`."""

    PROCESS_NAME = "ganpick.autopick"
    OUT_DIR = "AutoPick"
    CATEGORY_LABEL = "Automated Particle Picking"

    def __init__(self) -> None:
        super().__init__()
        self.can_continue = True
        self.always_continue_in_schedule = True
        self._describe()
        self.joboptions["in_mics"] = InputNodeJobOption(
            label="Input micrographs STAR file",
            node_type=NODE_MICROGRAPHGROUPMETADATA,
            node_kwds=["relion"],
            pattern=FileDescription("Micrographs STAR file", EXT_STARFILE),
            help_text="STAR file of the micrographs to pick, as Motion correction, CTF estimation or Import write it.",
            is_required=True,
        )
        for settings in (PickRequest, RunSettings, AdaptOptions):
            self.joboptions |= job_options(settings)
        self.get_runtab_options(mpi=False, threads=True, addtl_args=True)

    def _describe(self) -> None:
        info = self.jobinfo
        info.display_name = "Particle picking by a GAN"
        info.short_desc = "Pick particles without labels, with a network that has learned from simulated micrographs"
        info.long_desc = (
            "A network marks the particles. It has learned from simulated micrographs only, so nobody has to pick by hand."
            " Every pick has a figure of merit, the chance that it is a particle. You give the particle's diameter."
        )
        info.version = __version__
        info.job_author = "relion-ganpick"
        info.documentation = "The pages in the folder docs of relion-ganpick, and relion_ganpick --help"
        categories = {"PARTICLE SELECTION": "em_image_processing"}
        info.programs = [ExternalProgram(COMMAND, vers_com=[COMMAND, "--version"], onedep_categories=categories)]
        info.references = [
            Ref(
                authors=["Fang Kong", "Xirong Li", "Qing Liu", "Chuangye Yan", "Xinqi Gong"],
                title="An automatic particle picking method based on Generative Adversarial Network",
                journal="Communications in Information and Systems",
                year="2019",
            )
        ]

    def create_output_nodes(self) -> None:
        """Announce the list of coordinate files, the summary and the PDF, of the types that RELION's own autopicking has."""
        self.add_output_node(LIST_FILE, NODE_MICROGRAPHCOORDSGROUP, ["relion", "autopick", "ganpick"])
        self.add_output_node(SUMMARY_FILE, NODE_MICROGRAPHGROUPMETADATA, ["relion", "autopick", "ganpick"])
        if self.joboptions["page"].get_boolean():
            self.add_output_node(LOGFILE, NODE_LOGFILE, ["relion", "autopick", "ganpick"])

    def get_commands(self) -> list[PipelinerCommand]:
        """Call the executable with every option that has been filled in."""
        command = [COMMAND, "--o", self.output_dir, "--in_mics", self.joboptions["in_mics"].get_string()]
        filled_in = self._filled_in(PickRequest) | self._filled_in(RunSettings) | self._filled_in(AdaptOptions)
        for name, value in filled_in.items():
            command += [f"--{name}", str(value)]
        return [PipelinerCommand(command + self.parse_additional_args())]

    def additional_joboption_validation(self) -> list[JobOptionValidationResult]:
        """Let the settings themselves judge the values, so that form and executable never differ."""
        problems = validate(PickRequest, self._filled_in(PickRequest), stand_in={"diameter": 1.0})
        how = self._filled_in(RunSettings)
        problems |= validate(RunSettings, how, stand_in={name: how[name] for name in ("workers",) if name in how})
        problems |= validate(AdaptOptions, self._filled_in(AdaptOptions))
        return [JobOptionValidationResult("error", [self._job_option(name)], text) for name, text in problems.items()]

    def gather_metadata(self) -> dict[str, Any]:
        """Count what was picked, at which threshold, and by which model."""
        picked = self._picked()
        n_picks = sum(len(each.scores) for each in picked)
        return {
            "MicrographCount": len(picked),
            "ParticleCount": n_picks,
            "MeanParticlesPerMicrograph": n_picks / len(picked) if picked else 0.0,
            "Threshold": self._threshold(),
            "Model": self._model(),
        }

    def create_results_display(self) -> list[ResultsDisplayObject]:
        """Show figures of merit, counts, the first, middle and last micrographs with their picks, and the page."""
        picked = self._picked()
        if not picked:
            return [self._note("Nothing was picked", f"No micrograph could be used: {self.output_dir}run.err says why.")]
        shown = [picked[k] for k in sorted({0, len(picked) // 2, len(picked) - 1})]
        histograms = [self._score_histogram(picked), self._count_histogram(picked)]
        return [*histograms, *(self._thumbnail(each) for each in shown), *self._page()]

    def prepare_clean_up_lists(self, do_harsh: bool = False) -> tuple[list[str], list[str]]:
        """Name what can be made again, pictures and working files, and only for a harsh clean-up; never the picks."""
        folders = [Path(self.output_dir) / name for name in ("overlays", ".ganpick")] if do_harsh else []
        return [], [str(folder) for folder in folders if folder.is_dir()]

    @property
    def _list_file(self) -> str:
        return f"{self.output_dir}{LIST_FILE}"

    def _job_option(self, name: str) -> JobOption:
        return self.joboptions["nr_threads" if name == THREADS else name]

    def _filled_in(self, settings: type) -> dict[str, Any]:
        """Values of a settings class that the form holds, by the settings' names."""
        values = {}
        for name, option in options_of(settings).items():
            form = self._job_option(name)
            if not form.is_blank:
                values[name] = _number(form.value, option) if option.word or option.share else form.value
        return values

    def _threshold(self) -> float | None:
        """Threshold of the form, or of the model's card; None if that model is no longer there."""
        from relion_ganpick.model.weights import find_model, read_card

        if not self.joboptions["threshold"].is_blank:
            return float(self.joboptions["threshold"].value)
        try:
            return read_card(find_model(self._model())).threshold
        except GanpickError:
            return None

    def _model(self) -> str:
        """Name or path of the model that picked: the form's, or what was made of it by adaptation."""
        decision = read_decision(Path(self.output_dir) / FOLDER) if self.joboptions["adapt"].get_boolean() else None
        adapted = decision.model if decision else ""
        return f"{self.output_dir}{FOLDER}/{adapted}" if adapted else str(self.joboptions["model"].value)

    def _picked(self) -> list[PickedMicrograph]:
        if not Path(self._list_file).is_file():
            return []
        columns = ["_rlnMicrographName", "_rlnMicrographCoordinates"]
        rows = StarFile(self._list_file).loop_as_list(block="coordinate_files", columns=columns)
        return [PickedMicrograph(micrograph, coordinates, _scores(coordinates)) for micrograph, coordinates in rows]

    def _score_histogram(self, picked: list[PickedMicrograph]) -> ResultsDisplayObject:
        scores = [score for each in picked for score in each.scores]
        if not scores:
            return self._note("0 picked particles", "No pick reaches the threshold: lower it, or check the diameter.")
        return create_results_display_object(
            "histogram",
            title=f"{len(scores)} picked particles",
            data_to_bin=scores,
            bin_edges=[k / SCORE_BINS for k in range(SCORE_BINS + 1)],
            xlabel="Figure of merit",
            ylabel="Particles",
            associated_data=[self._list_file],
        )

    def _count_histogram(self, picked: list[PickedMicrograph]) -> ResultsDisplayObject:
        return create_results_display_object(
            "histogram",
            title=f"Particles on {len(picked)} micrographs",
            data_to_bin=[len(each.scores) for each in picked],
            xlabel="Particles",
            ylabel="Micrographs",
            associated_data=[self._list_file],
        )

    def _page(self) -> list[ResultsDisplayObject]:
        """Show report.html where it is there; the picks can be looked at on it."""
        path = f"{self.output_dir}{REPORT_FILE}"
        if not Path(path).is_file():
            return []
        title = "Look at the picks: slide the threshold, compare"
        page = {"title": title, "html_file": path, "associated_data": [self._list_file], "start_collapsed": True}
        return [create_results_display_object("html", **page)]

    def _thumbnail(self, picked: PickedMicrograph) -> ResultsDisplayObject:
        if Path(picked.micrograph).suffix.lower() != ".mrc":
            return self._note(picked.micrograph, "Pipeliner draws MRC files only: see the pictures in the job's overlays folder.")
        return make_particle_coords_thumb(picked.micrograph, picked.coordinates, self.output_dir)

    def _note(self, title: str, text: str) -> ResultsDisplayObject:
        return create_results_display_object("text", title=title, display_data=text, associated_data=[self._list_file])


def job_options(settings: type) -> dict[str, JobOption]:
    """Make a job option of every setting but the number of threads, which pipeliner has a place for."""
    defaults = {each.name: each.default for each in fields(settings)}
    return {name: _job_option(name, each, defaults[name]) for name, each in options_of(settings).items() if name != THREADS}


def validate(settings: type, values: Mapping[str, Any], stand_in: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Find the values that a settings class refuses, with its reasons.

    Parameters
    ----------
    settings
        The class, whose checks raise `GanpickError`.
    values
        What was filled in.
    stand_in
        Values for what the class cannot do without, so that each of the others can be judged on its own.
    """
    problems = {}
    for name, value in values.items():
        try:
            settings(**{**(stand_in or {}), name: value})
        except GanpickError as error:
            problems[name] = in_flags(str(error))
    return problems


def _job_option(name: str, each: Option, default: Any) -> JobOption:
    common: dict[str, Any] = {
        "label": each.label,
        "help_text": f"{each.text[0].upper()}{each.text[1:]}.",
        "jobop_group": GROUPS[each.group],
        "in_continue": name in EDITABLE_ON_CONTINUE,
    }
    if each.kind is not bool:  # a flag always has a value
        common["is_required"] = name == "diameter"
    if each.choices:
        return MultipleChoiceJobOption(choices=list(each.choices), default_value=default, **common)
    if each.word or each.share:
        return NumberOrWordJobOption(default_value="" if default is None else str(default), **common)
    return KINDS[each.kind](default_value="" if default is None and each.kind is str else default, **common)


def _number(value: Any, option: Option) -> Any:
    """Read a field that takes a number or a word, or a share; what is no number is left to the settings to judge."""
    try:
        return share_of(value) if option.share else float(value)
    except (ValueError, ArgumentTypeError):
        return value


def _scores(coordinates: str) -> list[float]:
    column = "_rlnAutopickFigureOfMerit"
    return [float(row[0]) for row in StarFile(coordinates).loop_as_list(columns=[column])]
