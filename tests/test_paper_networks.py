"""The paper's networks and equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from relion_ganpick.model.card import Card
from relion_ganpick.model.describe import deepest_path, describe_networks, receptive_field
from relion_ganpick.model.networks import PatchDiscriminator, UNetGenerator
from relion_ganpick.model.paper_networks import PaperGenerator, PictureNorm, initialise
from relion_ganpick.training.losses import (
    cross_entropy,
    cross_entropy_discriminator,
    cross_entropy_generator,
    data_loss,
    discriminator_loss,
    generator_loss,
    generator_objective,
    mean_squared_discriminator,
    mean_squared_generator,
)

REAL, FAKE = torch.tensor([0.5, -0.2]), torch.tensor([0.1, -0.6])


def test_equation_1_by_hand() -> None:
    # probabilities (1 + D) / 2: 0.75 and 0.4 for the real pairs, 0.55 and 0.2 for the generated ones
    expected = (math.log(0.75) + math.log(0.4)) / 2 + (math.log(1 - 0.55) + math.log(1 - 0.2)) / 2
    assert cross_entropy(REAL, FAKE).item() == pytest.approx(expected, rel=1e-6)
    assert cross_entropy_discriminator(REAL, FAKE).item() == pytest.approx(-expected, rel=1e-6)
    assert cross_entropy_generator(FAKE).item() == pytest.approx(-(math.log(0.55) + math.log(0.2)) / 2, rel=1e-6)


def test_cross_entropy_is_finite_where_tanh_has_saturated() -> None:
    sure = torch.tensor([1.0, -1.0], requires_grad=True)
    value = cross_entropy(sure, sure)
    value.backward()
    assert math.isfinite(value.item())
    assert sure.grad is not None
    assert torch.isfinite(sure.grad).all()


def test_equations_2_and_5_by_hand() -> None:
    assert mean_squared_discriminator(REAL, FAKE).item() == pytest.approx((0.25 + 1.44) / 2 + (0.01 + 0.36) / 2)
    other = mean_squared_discriminator(REAL, FAKE, a=0.5, b=-1.0).item()
    assert other == pytest.approx((0.0 + 0.49) / 2 + (1.21 + 0.16) / 2)


def test_equation_3_by_hand() -> None:
    assert mean_squared_generator(REAL, FAKE).item() == pytest.approx((0.4**2 + 0.4**2) / 2)


def test_equation_4_by_hand() -> None:
    assert data_loss(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.25, 0.5]])).item() == pytest.approx(0.375)


def test_equation_6_by_hand() -> None:
    assert generator_objective(torch.tensor(0.16), torch.tensor(0.02)).item() == pytest.approx(0.16 + 100 * 0.02)
    assert generator_objective(torch.tensor(0.16), torch.tensor(0.02), 2.0, 3.0).item() == pytest.approx(0.38)


def test_losses_go_by_their_names() -> None:
    assert discriminator_loss("cross_entropy", REAL, FAKE) == cross_entropy_discriminator(REAL, FAKE)
    assert discriminator_loss("mean_squared", REAL, FAKE) == mean_squared_discriminator(REAL, FAKE)
    assert generator_loss("cross_entropy", REAL, FAKE) == cross_entropy_generator(FAKE)
    assert generator_loss("mean_squared", REAL, FAKE) == mean_squared_generator(REAL, FAKE)


def shapes_of_layers(network: nn.Module, layers: list[nn.Module], *inputs: Tensor) -> list[tuple[tuple, tuple]]:
    """Shapes of what goes into and comes out of some layers."""
    seen = []
    hooks = [layer.register_forward_hook(lambda _, x, y: seen.append((tuple(x[0].shape), tuple(y.shape)))) for layer in layers]
    with torch.inference_mode():
        network(*inputs)
    for hook in hooks:
        hook.remove()
    return seen


def test_generator_goes_from_512_to_1_and_back_in_eighteen_layers() -> None:
    generator = PaperGenerator(2).eval()
    layers = [*generator.encoding, *generator.decoding, generator.last]
    assert len(layers) == 18
    seen = shapes_of_layers(generator, layers, torch.rand(1, 1, 512, 512))
    sides = [out[-1] for _, out in seen]
    assert sides == [256, 128, 64, 32, 16, 8, 4, 2, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def test_layer_i_is_joined_to_layer_19_minus_i() -> None:
    generator = PaperGenerator(2).eval()
    layers = [*generator.encoding, *generator.decoding, generator.last]
    into: dict[int, Tensor] = {}
    out: dict[int, Tensor] = {}
    for number, layer in enumerate(layers, 1):
        layer.register_forward_hook(
            lambda _, x, y, number=number: (into.update({number: x[0]}), out.update({number: y}))[1] and None
        )
    with torch.inference_mode():
        generator(torch.rand(1, 1, 512, 512))
    for i in range(1, 9):
        expected = torch.cat([out[18 - i], out[i]], dim=1)
        assert torch.equal(into[19 - i], expected)
    assert torch.equal(into[10], out[9])


def test_output_is_the_input_minus_what_is_generated() -> None:
    generator = PaperGenerator(4, 5).eval()
    picture = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(picture - generator(picture), generator.mark(picture))
        assert generator.mark(picture).abs().max() < 1


def test_layers_are_convolution_normalisation_relu() -> None:
    generator = PaperGenerator(4, 5)
    for k, layer in enumerate([*generator.encoding, *generator.decoding]):
        innermost = k == 4
        assert isinstance(layer.norm, nn.Identity if innermost else PictureNorm)
        with torch.inference_mode():
            x = torch.randn(1, layer.convolution.in_channels, 8, 8)
            torch.testing.assert_close(layer.eval()(x), layer.norm(layer.convolution(x)).clamp_min(0))


def test_normalisation_is_batch_normalisation_of_the_present_picture() -> None:
    norm, reference = PictureNorm(3), nn.BatchNorm2d(3)
    for each in (norm, reference):
        nn.init.constant_(each.weight, 1.7)
        nn.init.constant_(each.bias, -0.3)
    batch = torch.randn(4, 3, 5, 6) * 3 + 2
    torch.testing.assert_close(norm.train()(batch), reference.train()(batch))
    torch.testing.assert_close(norm.eval()(batch)[1:2], reference(batch[1:2]))


def test_marks_do_not_depend_on_the_batch() -> None:
    generator = PaperGenerator(4, 5, dropout=0.5).eval()
    batch = torch.rand(3, 1, 64, 64)
    with torch.inference_mode():
        together = generator.mark(batch)
        for k in range(3):
            torch.testing.assert_close(generator.mark(batch[k : k + 1])[0], together[k])
        torch.testing.assert_close(generator.mark(batch), together)


def test_dropout_acts_in_the_first_three_decoding_layers_in_training_only() -> None:
    generator = PaperGenerator(2, 6, dropout=0.5)
    assert [layer.dropout.p for layer in generator.decoding] == [0.5, 0.5, 0.5, 0.0, 0.0]
    picture = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        generator.train()
        assert not torch.equal(generator(picture), generator(picture))
        generator.eval()
        assert torch.equal(generator(picture), generator(picture))


def test_discriminator_has_five_layers_and_ends_in_tanh() -> None:
    discriminator = PatchDiscriminator(4)
    assert len(list(deepest_path(discriminator))) == 5
    assert isinstance(discriminator.layers[-1], nn.Tanh)
    with torch.inference_mode():
        judgement = discriminator(torch.rand(2, 1, 512, 512), torch.rand(2, 1, 512, 512))
    assert judgement.shape == (2, 1, 62, 62)
    assert judgement.abs().max() < 1


def seen_by_one_pixel(network: nn.Module, side: int, n_inputs: int) -> int:
    """Side of the part of the input that changes a pixel in the middle of the output, by its gradient."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.constant_(layer.weight, 0.01)
        if hasattr(layer, "norm"):
            layer.norm = nn.Identity()
    picture = torch.rand(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    out = network.double().eval()(*[picture] * n_inputs)
    (gradient,) = torch.autograd.grad(out[0, 0, out.shape[2] // 2, out.shape[3] // 2], picture)
    rows = np.nonzero(gradient[0, 0].abs().sum(dim=1).numpy())[0]
    return int(rows[-1] - rows[0] + 1)


def test_receptive_field_is_what_a_pixel_sees() -> None:
    discriminator = PatchDiscriminator(1)
    assert receptive_field(deepest_path(discriminator)) == seen_by_one_pixel(discriminator, 160, 2) == 70
    generator = PaperGenerator(1, 3)
    # backwards: 1 pixel of the output sees 2, those see 3, those 2 single pixels; and these 4, 10 and 22 on the way down
    assert receptive_field(deepest_path(generator)) == seen_by_one_pixel(generator, 64, 1) == 22


def test_receptive_field_of_the_papers_generator_is_more_than_the_picture() -> None:
    # 1, 2, then 3 pixels from the second layer on; 2 single pixels; n -> 2 n + 2 eight times from 4 on: 2 ** 8 * 6 - 2
    assert receptive_field(deepest_path(PaperGenerator(1))) == 2**8 * 6 - 2 == 1534


def test_description_counts_the_parameters_of_both_networks() -> None:
    network = {"kind": "paper", "width": 4, "levels": 5}
    card = Card("paper", "paper", network, {"discriminator_width": 4}, "", 0, {}, 0.0, {"raw": [0, 1], "score": [0, 1]})
    generator, discriminator = describe_networks(card)
    n = sum(weight.numel() for weight in PaperGenerator(4, 5).parameters())
    assert generator.startswith(f"generator: {n} parameters, 10 convolutions in a row, receptive field ")
    n = sum(weight.numel() for weight in PatchDiscriminator(4).parameters())
    assert discriminator == f"discriminator: {n} parameters, 5 convolutions in a row, receptive field 70 x 70 pixels"
    unet = Card("x", "default", {"kind": "unet", "width": 4, "levels": 2}, {}, "", 0, {}, 0.0, {"raw": [0, 1], "score": [0, 1]})
    (only,) = describe_networks(unet)
    # backwards: 1, 3, 5; 3, 5, 7; 4, 6, 8; 16, 18, 20; 40, 42, 44
    assert only.endswith("receptive field 44 x 44 pixels")
    assert only.startswith(f"generator: {sum(weight.numel() for weight in UNetGenerator(4, 2).parameters())} parameters")


def test_weights_begin_as_in_pix2pix() -> None:
    torch.manual_seed(0)
    generator = PaperGenerator(16, 5)
    initialise(generator)
    assert generator.encoding[2].convolution.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert generator.encoding[2].norm.weight.mean().item() == pytest.approx(1.0, abs=0.02)
    assert generator.last.bias.item() == 0
