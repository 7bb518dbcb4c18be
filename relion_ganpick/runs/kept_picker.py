"""A picker in a file: what was chosen for a whole set, for a process elsewhere or a run that goes on later.

The same picks come out of the picker that is read again: its numbers are written with all their digits.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from relion_ganpick.adaptation.options import FOLDER
from relion_ganpick.core.errors import GanpickError, ModelError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.evidence.record import read_evidence, write_evidence
from relion_ganpick.model.weights import Model, find_model, load_model, read_card, save_model
from relion_ganpick.picking.picker import AnyPicker, Picker
from relion_ganpick.version import __version__


def write_picker(path: Path, picker: Picker, folder: Path | None = None) -> None:
    """Write what makes a picker, beside it ``<name>_evidence.json`` if it knows its set, and its model if it lies nowhere else.

    Parameters
    ----------
    path
        A JSON file; its folder is made.
    picker
        With all that was chosen.
    folder
        The run's folder, which holds a model that was adapted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    evidence = None
    if picker.evidence is not None:
        evidence = path.with_name(f"{path.stem}_evidence.json")
        write_evidence(evidence, picker.evidence, {})
    content = {
        "version": __version__,
        "settings": asdict(replace(picker.settings, threshold=picker.asked_threshold)),
        "model": str(_weights_of(picker, path.parent, folder)),
        "sha256": picker.model.card.sha256,
        "evidence": None if evidence is None else evidence.name,
    }
    write_atomic(path, json.dumps(content, indent=1) + "\n")


def read_picker(path: Path, kind: type[AnyPicker], device: str) -> AnyPicker:
    """Make the picker of a file again, on a device.

    Raises
    ------
    GanpickError
        If the file is missing or damaged. A model that has changed since raises `ModelError`, a missing device `DeviceError`.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        settings, weights, sha256 = PickSettings(**content["settings"]), str(content["model"]), content["sha256"]
        evidence = None if content["evidence"] is None else path.with_name(content["evidence"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GanpickError(f"{path}: cannot be read ({error}); delete it, and what holds for the set is chosen anew") from error
    picker = kind(settings, device, _same_model(weights, sha256, path))
    if evidence is None:
        return picker
    known = read_evidence(evidence, {})
    if known is None:
        raise GanpickError(f"{evidence}: no such file; delete {path}, and what holds for the set is chosen anew")
    return picker.with_evidence(known)


def _same_model(weights: str, sha256: str, path: Path) -> Model:
    model = load_model(weights)
    if model.card.sha256 != sha256:
        raise ModelError(
            f"{weights}: is not the model any more with which {path} was written; put that back, or delete {path.name}"
        )
    return model


def _weights_of(picker: Picker, own: Path, folder: Path | None) -> Path:
    """Find the file of a picker's model: the one that was named, one that was adapted; else it is written."""
    card = picker.model.card
    places = [picker.settings.model, *([] if folder is None else [str(folder / FOLDER / f"{card.name}.safetensors")])]
    for place in places:
        try:
            found = find_model(place)
            if read_card(found).sha256 == card.sha256:
                return found.resolve()
        except ModelError:
            continue
    return save_model(picker.model, own).resolve()
