"""``logfile.pdf``: the same numbers and some pictures on paper, for RELION's *Display*."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.files import atomic
from relion_ganpick.core.picks import Picks
from relion_ganpick.inspect.job import short_names
from relion_ganpick.inspect.material import Material
from relion_ganpick.inspect.pictures import Looks, filtered
from relion_ganpick.inspect.scores import STEPS
from relion_ganpick.report.names import LOGFILE
from relion_ganpick.version import __version__

PAPER = (11.7, 8.3)  # inches, A4
N_OVERLAYS, PER_PAGE = 6, 2
AVERAGES_ACROSS = 7
MOST_POINTS = 5000
KEPT, DROPPED = "#e69f00", "#56b4e9"


def write_logfile(material: Material) -> Path:
    """Write histograms, numbers by micrograph, pictures with circles, and class averages, under another name first.

    Returns
    -------
    The file.
    """
    from matplotlib.backends.backend_pdf import PdfPages

    path = material.job.folder / LOGFILE
    described = {"Creator": f"relion-ganpick {__version__}", "CreationDate": None}
    with atomic(path) as temporary, PdfPages(temporary, metadata=described) as pdf:
        for figure in _pages(material):
            pdf.savefig(figure)
    return path


def _pages(material: Material) -> Iterator[Any]:
    yield _histograms(material)
    yield _series(material)
    shown = [index for index in material.chosen if index in material.seen]
    shown = [shown[k] for k in sorted({round(k) for k in np.linspace(0, len(shown) - 1, N_OVERLAYS)})] if shown else []
    for begin in range(0, len(shown), PER_PAGE):
        yield _overlays(material, shown[begin : begin + PER_PAGE])
    if material.averages is not None:
        yield _averages(material)


def _page(title: str) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=PAPER)
    figure.suptitle(title)
    figure.subplots_adjust(left=0.07, right=0.97, bottom=0.08, top=0.91, wspace=0.2, hspace=0.35)
    return figure


def _histograms(material: Material) -> Any:
    scores, job = material.scores, material.job
    figure = _page(f"{job.folder}: {int(scores.n_file.sum())} picks on {len(job.names)} micrographs")
    left, right = figure.subplots(1, 2)
    counts, edges = np.histogram(scores.score / STEPS, 50, (0, 1))
    colours = [KEPT if low >= material.cut.threshold - 1e-9 else DROPPED for low in edges[:-1]]
    left.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=colours)
    left.axvline(material.cut.threshold, color="black", linewidth=1, label=f"threshold {material.cut.threshold:g}")
    left.set(xlabel="figure of merit", ylabel="scored picks", xlim=(0, 1))
    left.legend(frameon=False)
    most = int(scores.n_file.max(initial=1))
    right.hist(scores.n_file, bins=min(most + 1, 50), range=(0, most + 1), color=KEPT)
    right.set(xlabel="picks", ylabel="micrographs")
    return figure


def _series(material: Material) -> Any:
    """Plot picks, figure of merit and contamination against the order of micrographs, and against defocus where it is known."""
    scores, job = material.scores, material.job
    order = np.arange(1, len(job.names) + 1, dtype=float)
    rows = {
        "picks": scores.n_file.astype(float),
        "mean figure of merit": np.asarray(scores.mean_file, float),
        "contaminated %": 100 * job.contaminated,
    }
    rows = {name: values for name, values in rows.items() if np.isfinite(values).any()}
    columns = {"micrograph": order} | ({"defocus (µm)": job.defocus} if np.isfinite(job.defocus).any() else {})
    figure = _page("Micrographs in order" + (" and by defocus" if len(columns) > 1 else ""))
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    some = slice(None, None, max(len(order) // MOST_POINTS, 1))
    for axes, (name, values) in zip(grid, rows.items(), strict=True):
        for ax, (what, along) in zip(axes, columns.items(), strict=True):
            ax.plot(along[some], values[some], ".", markersize=3, color="black", rasterized=len(order) > MOST_POINTS // 5)
            ax.set(xlabel=what, ylabel=name)
            ax.set_ylim(bottom=0)
    return figure


def _overlays(material: Material, shown: list[int]) -> Any:
    names = short_names(material.job.names)
    figure = _page("Kept picks in orange, those that are left out in blue")
    for ax, index in zip(figure.subplots(1, PER_PAGE, squeeze=False)[0], shown, strict=False):
        picks, looks = material.picks[index], material.seen[index].looks
        _draw(ax, looks, picks, material)
        ax.set_title(f"{names[index]}: {len(material.cut.keep(picks))} of {len(picks)} kept", fontsize=9)
    for ax in figure.axes[len(shown) :]:
        ax.remove()
    return figure


def _draw(ax: Any, looks: Looks, picks: Picks, material: Material) -> None:
    area, (height, width) = looks.area, looks.shape
    box = (area.left - 0.5, area.right - 0.5, area.bottom - 0.5, area.top - 0.5)
    ax.imshow(filtered(looks.picture), cmap="gray", vmin=0, vmax=255, extent=box, interpolation="none")
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
    diameter = material.job.diameter / looks.pixel_size
    kept = material.cut.keep(picks)
    for colour, shown, line in ((DROPPED, picks.without(kept), 0.5), (KEPT, kept, 1.0)):
        if len(shown):
            ax.add_artist(_circles(shown.xy, diameter / 2, edgecolor=colour, linewidth=line))


def _circles(centres: NDArray[np.float64], radius: float, **looks: Any) -> Any:
    """Make one outline of all circles: one by one they would take a second of processor."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    one = Outline.unit_circle()
    corners = centres[:, None] + radius * np.asarray(one.vertices)
    return PathPatch(Outline(corners.reshape(-1, 2), np.tile(np.asarray(one.codes), len(centres))), fill=False, **looks)


def _averages(material: Material) -> Any:
    """Lay all averages into one picture: a plot for each of them would take most of the time of the whole file."""
    averages = material.averages
    assert averages is not None
    side, n = averages.pictures.shape[-1] + 2, len(averages.counts)
    down = -(-n // AVERAGES_ACROSS)
    sheet = np.full((down * side, AVERAGES_ACROSS * side), np.nan, np.float32)
    figure = _page(f"Class averages of the picks on {averages.n_micrographs} micrographs: members, mean figure of merit")
    ax = figure.subplots()
    for k, (picture, count, merit) in enumerate(zip(averages.pictures, averages.counts, averages.merits, strict=True)):
        top, left = k // AVERAGES_ACROSS * side, k % AVERAGES_ACROSS * side
        sheet[top + 1 : top + side - 1, left + 1 : left + side - 1] = (picture - picture.mean()) / (picture.std() or 1.0)
        ax.text(left + 1.5, top + 1.5, f"{count}, {merit:.2f}", va="top", fontsize=8, color="#ffd29c")
    ax.imshow(sheet, cmap="gray", vmin=-3, vmax=3, interpolation="none")
    ax.set_axis_off()
    return figure
