"""Settings of a picking run, each in one place: command lines, cards and the pipeliner job are filled from here.

What a user asks for (`PickRequest`: a diameter may be "auto") and what a picker needs (`PickSettings`: numbers) are two types.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass, fields
from typing import Any

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.file_checks import MOST_MEGAPIXELS
from relion_ganpick.core.options import check_kinds, option
from relion_ganpick.core.workers import EVERY_GPU, gpu_numbers, parse_workers

MIN_DISTANCE_DIAMETERS = 0.5
EDGE_MARGIN_DIAMETERS = 0.125
LARGEST_EROSION = 99
AUTO = "auto"
MASKS = ("no", "png", "mrc")


@dataclass(frozen=True, kw_only=True)
class PickOptions:
    """What is the same in a user's request and in a picker's settings.

    Attributes
    ----------
    threshold
        Smallest figure of merit of a pick, in [0, 1]; None takes the one on the model's card.
    best
        Share of a micrograph's picks from the threshold on that is kept, the best ones, in (0, 1]; None keeps all.
    most
        Largest number of picks on a micrograph, the best ones; None keeps all.
    min_distance
        Smallest distance between two picks in Angstrom; None is half a diameter.
    edge_margin
        Smallest distance of a pick from the edge of the image area in Angstrom; None is an eighth of the diameter.
    contrast
        "dark" or "bright" particles.
    model
        Name of a shipped model, or path of a .safetensors file with its card beside it.
    localization
        How markers become picks: "peaks", "regions" (the paper's Algorithm 3), or "auto", as the model's card says.
    region_threshold, erosion, area_tolerance, region_area
        The four quantities of Algorithm 3, see `core.localize.RegionSettings`; without effect on peaks.
    """

    threshold: float | None = option(
        None, "Score threshold", "keep picks with at least this figure of merit, 0 to 1 (default: the model's own)", float, "main"
    )
    best: float | None = option(
        None,
        "Best picks (%)",
        "keep only the best picks of each micrograph, as a share of those above the threshold, such as 70% (default: all)",
        float,
        share=True,
    )
    most: int | None = option(
        None, "Most picks", "keep at most so many picks of each micrograph, the best ones (default: all)", int
    )
    min_distance: float | None = option(
        None, "Minimum distance (A)", "smallest distance between two picks in Angstrom (default: half the diameter)", float
    )
    edge_margin: float | None = option(
        None,
        "Edge margin (A)",
        "smallest distance of a pick from the image's edge in Angstrom (default: an eighth of the diameter)",
        float,
    )
    contrast: str = option(
        "dark", "Particle contrast", "are particles darker or brighter than the ice?", str, "advanced", ("dark", "bright")
    )
    model: str = option("default", "Model", "a model of the package, or the path of a .safetensors file", str, "main")
    localization: str = option(
        "auto",
        "Localisation",
        "how markers become picks: by their peaks, or by regions as in the paper (Algorithm 3). auto: as the model prefers",
        str,
        "advanced",
        ("auto", "peaks", "regions"),
    )
    region_threshold: float = option(
        0.1,
        "Region threshold",
        "for regions: how dark a marker must be, as a share of the grey range (threshold1 of Algorithm 3)",
        float,
    )
    erosion: int = option(
        5,
        "Erosion (px)",
        "for regions: side of the square that erodes them, in pixels of the working scale (kernel of Algorithm 3)",
        int,
    )
    area_tolerance: float = option(
        0.5,
        "Area tolerance",
        "for regions: how far their area may be from the mean, as a share of it (threshold2 of Algorithm 3)",
        float,
    )
    region_area: float | None = option(
        None,
        "Region area (px)",
        "for regions: their mean area in pixels of the working scale (AA of Algorithm 3; default: measured on each micrograph)",
        float,
    )

    def __post_init__(self) -> None:
        """Check the values."""
        check_kinds(self)
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise GanpickError(f"`threshold` {self.threshold:g}: a figure of merit lies between 0 and 1")
        if self.best is not None and not 0 < self.best <= 1:
            raise GanpickError(f"`best` {self.best:g}: give a share above 0 and up to 1, such as 0.7 for 70 %")
        if self.most is not None and self.most < 1:
            raise GanpickError(f"`most` {self.most}: give at least 1 pick for each micrograph")
        if self.min_distance is not None:
            _positive("min_distance", self.min_distance, "in Angstrom")
        if self.edge_margin is not None and not 0 <= self.edge_margin < 1e6:
            raise GanpickError(f"`edge_margin` {self.edge_margin:g}: give 0 or a positive number of Angstrom")
        if not 0 < self.region_threshold < 1:
            raise GanpickError(f"`region_threshold` {self.region_threshold:g}: give a share of the grey range between 0 and 1")
        if not 1 <= self.erosion <= LARGEST_EROSION:
            raise GanpickError(f"`erosion` {self.erosion}: give a side of 1 (no erosion) to {LARGEST_EROSION} pixels")
        if not 0 <= self.area_tolerance < 1e6:
            raise GanpickError(f"`area_tolerance` {self.area_tolerance:g}: give 0 or a positive share of the mean area")
        if self.region_area is not None:
            _positive("region_area", self.region_area, "of square pixels")


@dataclass(frozen=True)
class PickRequest(PickOptions):
    """What a user asks for.

    Attributes
    ----------
    diameter
        Longest extent of the particle in Angstrom, or "auto" to estimate it (`picking.auto_diameter`).
    working_diameter
        Diameter in Angstrom at which the network looks at the particle, or "auto" to choose it (`picking.working_diameter`).
    """

    diameter: float | str | None = option(
        None,
        "Particle diameter (A)",
        "longest extent of the particle in Angstrom. auto: the job estimates it from the micrographs",
        float,
        "main",
        word=AUTO,
    )
    working_diameter: float | str = option(
        AUTO,
        "Working diameter (A)",
        "diameter in Angstrom at which the network looks at the particle. auto: the job tries nine values near yours on a few "
        "micrographs, and takes the one that promises most particles",
        float,
        "advanced",
        word=AUTO,
    )

    def __post_init__(self) -> None:
        """Check the values."""
        if self.diameter is None:
            raise GanpickError(
                "the particle diameter is missing: give `diameter`, the longest extent of the particle in Angstrom, "
                "or auto to estimate it"
            )
        super().__post_init__()
        for name in ("diameter", "working_diameter"):
            value = getattr(self, name)
            if value != AUTO:
                _positive(name, value, "in Angstrom")

    def settings(self, diameter: float) -> PickSettings:
        """Make a picker's settings with the diameter that was given or estimated, in Angstrom."""
        shared = {each.name: getattr(self, each.name) for each in fields(PickOptions)}
        working = None if isinstance(self.working_diameter, str) else self.working_diameter
        return PickSettings(diameter, working, **shared)


@dataclass(frozen=True)
class PickSettings(PickOptions):
    """What decides which picks come out.

    Attributes
    ----------
    diameter
        Longest extent of the particle in Angstrom.
    working_diameter
        Diameter in Angstrom at which the network looks at the particle; None is ``diameter``.
    """

    diameter: float
    working_diameter: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        super().__post_init__()
        object.__setattr__(self, "diameter", _positive("diameter", self.diameter, "in Angstrom"))
        if self.working_diameter is not None:
            working = _positive("working_diameter", self.working_diameter, "in Angstrom")
            object.__setattr__(self, "working_diameter", working)

    @property
    def working_diameter_angstrom(self) -> float:
        """Diameter in Angstrom that brings a micrograph to the working scale."""
        return self.diameter if self.working_diameter is None else self.working_diameter

    @property
    def min_distance_angstrom(self) -> float:
        """Smallest distance between two picks in Angstrom."""
        return MIN_DISTANCE_DIAMETERS * self.diameter if self.min_distance is None else self.min_distance

    @property
    def edge_margin_angstrom(self) -> float:
        """Smallest distance from the edge of the image area in Angstrom."""
        return EDGE_MARGIN_DIAMETERS * self.diameter if self.edge_margin is None else self.edge_margin


@dataclass(frozen=True)
class RunSettings:
    """How a run is carried out; no pick depends on it but where a pixel size is missing.

    Attributes
    ----------
    angpix
        Pixel size in Angstrom where the input gives none.
    device
        "auto", "cpu", "cuda" or "cuda:N".
    gpu
        Numbers of GPUs, as RELION's users write them: "0", "0:1", "0,1", "0 1", or "all"; short for device cuda:N. With workers
        "gpu" each has a process of its own.
    j
        Number of threads, of each worker where there are any.
    overlays
        Number of pictures of picked micrographs to write.
    page
        Whether the picks can be looked at afterwards in report.html and logfile.pdf.
    masks
        "png" or "mrc" to write where each micrograph is contaminated, else "no".
    max_failed
        Largest share of the micrographs that may fail, in [0, 1]; a run with more ends as failed, and keeps what it has done.
    max_megapixels
        Largest size of a micrograph in millions of pixels; a file that says it is larger is refused before it takes memory.
    workers
        Who picks, see `core.workers`; None is this process.
    cluster_config
        dask-jobqueue's configuration file for the queue.
    worker_wait
        Seconds that a run does without any worker before it ends as failed; None takes 60, or 3600 for jobs of a queue.
    """

    angpix: float | None = option(
        None, "Pixel size (A)", "pixel size in Angstrom, for micrographs whose STAR file has none", float
    )
    device: str = option("auto", "Device", "where to compute: auto, cpu, cuda or cuda:N. auto: a GPU if there is one", str)
    gpu: str | None = option(None, "GPU", "numbers of the GPUs to use, such as 0, 0:1 or 0,1; all: every one", str, "main")
    j: int = option(1, "Threads", "number of threads", int, "main")
    overlays: int = option(8, "Overlays", "number of pictures of micrographs with circles at the picks", int)
    page: bool = option(
        True, "Page", "write report.html, a page to look at the picks, and logfile.pdf at the end (default: yes)", bool
    )
    masks: str = option(
        "no", "Masks", "write where each micrograph is contaminated, as pictures (png) or maps (mrc)", str, choices=MASKS
    )
    max_failed: float = option(
        0.5,
        "Largest share of failures",
        "if more than this share of the micrographs cannot be used, the job ends as failed; what was picked is kept",
        float,
    )
    max_megapixels: float = option(
        MOST_MEGAPIXELS,
        "Largest micrograph (megapixels)",
        "refuse files that say they have more millions of pixels than this (default: those of the largest detectors, 268)",
        float,
    )
    workers: str | None = option(
        None,
        "Workers",
        "who picks: local:4 for four processes, gpu for one on each GPU, slurm:8 for eight jobs (also pbs, sge, lsf), "
        "scheduler-file:PATH or an address for a Dask that runs already (default: this process)",
        str,
    )
    cluster_config: str | None = option(
        None, "Cluster configuration", "dask-jobqueue's file with the queue's cores, memory, time and directives", str
    )
    worker_wait: float | None = option(
        None,
        "Wait for workers (s)",
        "end the job if there has been no worker at all for so many seconds (default: 60; 3600 for jobs of a queue)",
        float,
    )

    def __post_init__(self) -> None:
        """Check the values."""
        number: Any = self.gpu
        if isinstance(number, int) and not isinstance(number, bool):  # as a notebook gives it
            object.__setattr__(self, "gpu", str(number))
        check_kinds(self)
        if self.angpix is not None:
            _positive("angpix", self.angpix, "in Angstrom per pixel")
        if self.j < 1:
            raise GanpickError(f"`j` {self.j}: at least one thread is needed")
        if self.overlays < 0:
            raise GanpickError(f"`overlays` {self.overlays}: give 0 or a positive number of pictures")
        if not 0 <= self.max_failed <= 1:
            raise GanpickError(f"`max_failed` {self.max_failed:g}: give a share between 0 and 1, such as 0.5")
        _positive("max_megapixels", self.max_megapixels, "of millions of pixels")
        if self.gpu is not None:
            gpu_numbers(self.gpu)
        self._check_workers()

    def _check_workers(self) -> None:
        queue = self.workers is not None and parse_workers(self.workers).in_queue
        if self.cluster_config is not None and not queue:
            raise GanpickError("`cluster_config` is for jobs of a queue: give `workers` slurm, pbs, sge or lsf as well")
        if self.worker_wait is not None:
            if self.workers is None:
                raise GanpickError("`worker_wait` is for runs with workers: give `workers` as well")
            _positive("worker_wait", self.worker_wait, "of seconds")

    @property
    def device_name(self) -> str:
        """Device with ``gpu`` taken into account; of several the first, if each has a worker of its own."""
        if self.gpu is None:
            return self.device
        numbers = gpu_numbers(self.gpu)
        if self.workers is not None:
            return f"cuda:{(numbers or [0])[0]}"
        return EVERY_GPU if numbers is None else ",".join(f"cuda:{number}" for number in numbers)


def _positive(name: str, value: Any, unit: str) -> float:
    """Check that a value is a positive number; returns it as a float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise GanpickError(f"`{name}` {value!r}: give a positive number {unit}")
    number = float(value)
    if not 0 < number < 1e6:
        raise GanpickError(f"`{name}` {number:g}: give a positive number {unit}")
    return number
