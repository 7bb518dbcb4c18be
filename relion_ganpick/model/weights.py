"""Weights on disk: safetensors beside a JSON card, checked by its sum before use; never a pickle."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from relion_ganpick.core.calibration import calibrated
from relion_ganpick.core.errors import ModelError
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.model.approved import Correction
from relion_ganpick.model.card import Card, card_of
from relion_ganpick.model.judge import SetJudge
from relion_ganpick.model.networks import UNetGenerator
from relion_ganpick.model.paper_networks import PaperGenerator
from relion_ganpick.model.rescorer import Rescorer
from relion_ganpick.model.surroundings import features_of
from relion_ganpick.version import __version__

Image = NDArray[np.float32]

SHIPPED = Path(__file__).parent / "weights"
KINDS = {"unet": UNetGenerator, "paper": PaperGenerator}
RESCORER, JUDGE, APPROVED = "rescorer.", "judge.", "approved."
LARGEST_SIZE = 4096  # of anything that a card counts
MOST_OF = {"levels": 16, "members": 64}


@dataclass(frozen=True)
class Model:
    """A generator in evaluation mode with its card; maybe rescorer, judge of sets, and what a user's particles taught."""

    generator: nn.Module = field(repr=False)
    card: Card
    rescorer: Rescorer | None = field(default=None, repr=False)
    judge: SetJudge | None = field(default=None, repr=False)
    approved: Correction | None = field(default=None, repr=False)

    def rescored(self, picks: Picks, picture: Image, marked: Image, with_image: float = 1.0) -> Picks:
        """Give the candidates of one micrograph their figures of merit.

        Parameters
        ----------
        picks
            With raw scores, pixels of ``picture``.
        picture
            (h, w) float32, prepared for the generator.
        marked
            (c, h, w) float32, what the generator made of it.
        with_image
            Share of the picture that holds an image.
        """
        area = with_image * picture.size / PARTICLE_PX**2
        score = picks.score if self.rescorer is None else self.rescorer.score(features_of(picks, picture, marked), area)
        return Picks(picks.x, picks.y, calibrated(score, self.card.calibration, area))

    def by_heights(self) -> Model:
        """Make the same model with figures of merit by the marks' heights; one whose card has none stays as it is."""
        if not self.card.heights:
            return self
        return replace(self, card=replace(self.card, calibration=self.card.heights), rescorer=None, judge=None, approved=None)


def save_model(model: Model, folder: Path) -> Path:
    """Write ``<name>.safetensors`` (the generator in half precision) and ``<name>.json`` into a folder.

    Returns
    -------
    Path of the safetensors file.
    """
    tensors = {name: value.detach().cpu().to(_type_on_disk(name, value)).contiguous() for name, value in _state(model).items()}
    data, card = save_tensors(tensors), model.card
    sizes = {
        "rescorer": {} if model.rescorer is None else model.rescorer.size,
        "judge": {} if model.judge is None else model.judge.size,
        "approved": {} if model.approved is None else model.approved.size,
    }
    filled = Card(**{**asdict(card), **sizes, "sha256": hashlib.sha256(data).hexdigest(), "code_version": __version__})
    path = folder / f"{card.name}.safetensors"
    path.write_bytes(data)
    path.with_suffix(".json").write_text(json.dumps(asdict(filled), indent=1) + "\n")
    return path


def shipped_models() -> list[str]:
    """Names of the models inside the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.json"))


def find_model(name: str) -> Path:
    """Turn a model's name, or the path of a safetensors file or card, into the path of the weights.

    Raises
    ------
    ModelError
        If there is none.
    """
    shipped = SHIPPED / f"{name}.safetensors"
    if shipped.is_file():
        return shipped
    path = Path(name)
    path = path.with_suffix("") if path.suffix in (".safetensors", ".json") else path
    path = path.with_name(f"{path.name}.safetensors")
    if not path.is_file():
        raise ModelError(
            f"no model {name!r}: give one of {', '.join(shipped_models())}, or the path of a .safetensors file with its card"
        )
    return path


def read_card(path: Path) -> Card:
    """Read the card beside a file of weights.

    Raises
    ------
    ModelError
        If it is missing or is not a card.
    """
    card = path.with_suffix(".json")
    try:
        return card_of(card.read_text())
    except OSError as error:
        raise ModelError(f"{card}: the model's card cannot be read ({error.strerror}); it belongs beside {path.name}") from error
    except ValueError as error:
        raise ModelError(f"{card}: not a model card: {error}; train again or reinstall the package") from error


def read_weights(path: Path) -> tuple[bytes, Card]:
    """Read a file of weights and compare it with the sum on its card.

    Raises
    ------
    ModelError
        If it cannot be read or has been changed.
    """
    card = read_card(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the weights cannot be read ({error.strerror})") from error
    found = hashlib.sha256(data).hexdigest()
    if found != card.sha256:
        raise ModelError(
            f"{path}: sha256 is {found[:12]}..., its card says {card.sha256[:12]}...; "
            "the file is damaged or belongs to another card: copy both again or reinstall the package"
        )
    return data, card


def build_generator(network: dict[str, Any]) -> nn.Module:
    """Build the generator that a card's ``network`` describes, with random weights."""
    sizes = [int(network[name]) for name in ("width", "levels", "outputs") if name != "outputs" or name in network]
    generator: nn.Module = KINDS[network["kind"]](*sizes)
    return generator


def load_model(name: str = "default") -> Model:
    """Load a model by name or path, on the CPU in float32.

    Parameters
    ----------
    name
        A model in the package, or the path of a .safetensors file with its card beside it.

    Raises
    ------
    ModelError
        If it is missing, damaged, or does not fit its card.
    """
    path = find_model(name)
    data, card = read_weights(path)
    try:
        if card.network["kind"] not in KINDS:
            raise ModelError(
                f"{path}: network of kind {card.network['kind']!r} is not known to version {__version__}; update relion-ganpick"
            )
        tensors = load_tensors(data)
        _check_sizes(card)
        with torch.device("meta"):  # takes no memory, however large the card says that the networks are
            _check_shapes(*_build(card), tensors)
        generator, parts = _build(card)
        _fill(generator, parts, tensors)
        rescorer, judge, approved = (parts[prefix] for prefix in (RESCORER, JUDGE, APPROVED))
    except (SafetensorError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"{path}: the weights do not fit their card, or were written by another version ({card.code_version}; this is "
            f"{__version__}): train or adapt again, or reinstall the package ({str(error)[:200]})"
        ) from error
    for part in (generator, rescorer, judge, approved):
        if part is not None:
            part.eval().requires_grad_(False)
    return Model(generator, card, rescorer, judge, approved)


def _build(card: Card) -> tuple[nn.Module, dict[str, Any]]:
    """Build the networks of a card, with random weights: the generator, and by their prefixes what else there is, or None."""
    return build_generator(card.network), {
        RESCORER: Rescorer(**card.rescorer) if card.rescorer else None,
        JUDGE: SetJudge(**card.judge) if card.judge else None,
        APPROVED: Correction(**card.approved) if card.approved else None,
    }


def _check_sizes(card: Card) -> None:
    """Refuse sizes that would take long to build even where they take no memory."""
    for part in (card.network, card.rescorer, card.judge, card.approved):
        for name, value in (part or {}).items():
            most = MOST_OF.get(name, LARGEST_SIZE)
            if isinstance(value, int | float) and not 0 <= value <= most:
                raise ValueError(f"{name} {value:g} on the card, at most {most} are known to make sense")


def _check_shapes(generator: nn.Module, parts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Compare the networks that a card describes with the tensors in the file."""
    expected = dict(generator.state_dict())
    for prefix, part in parts.items():
        expected |= part.state_dict(prefix=prefix) if part is not None else {}
    for name in sorted(expected.keys() | tensors.keys()):
        by_card, in_file = (list(each[name].shape) if name in each else None for each in (expected, tensors))
        if by_card != in_file:
            raise ValueError(f"{name} is {in_file or 'missing'} in the file and {by_card or 'missing'} by the card")


def _type_on_disk(name: str, value: Tensor) -> torch.dtype:
    """Half precision for a generator's numbers; those of the other parts are few, and their thresholds fine."""
    return torch.float16 if value.dtype.is_floating_point and not name.startswith((RESCORER, JUDGE, APPROVED)) else value.dtype


def _state(model: Model) -> dict[str, Tensor]:
    """List all tensors of a model, those of its other parts with their prefixes."""
    tensors: dict[str, Tensor] = dict(model.generator.state_dict())
    for prefix, part in ((RESCORER, model.rescorer), (JUDGE, model.judge), (APPROVED, model.approved)):
        if part is not None:
            tensors |= part.state_dict(prefix=prefix)
    return tensors


def _fill(generator: nn.Module, parts: dict[str, nn.Module | None], tensors: dict[str, Tensor]) -> None:
    """Load the tensors of a file into networks; all must be there, and none too many."""
    full = {name: value.float() if value.dtype.is_floating_point else value for name, value in tensors.items()}
    for prefix, part in parts.items():
        own = {name.removeprefix(prefix): full.pop(name) for name in list(full) if name.startswith(prefix)}
        if part is not None:
            part.load_state_dict(own)
        elif own:
            raise ValueError(f"a {prefix[:-1]} that the card does not know of")
    generator.load_state_dict(full)
