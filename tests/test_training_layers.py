"""Latent weights, masks, inputs and class scores: each against its definition in plain numpy."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from bnnverify.errors import UsageError
from bnnverify.network import QuantizedInput, ThresholdInput

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from bnnverify.training.inputs import BinarizedPixels, QuantizedPixels, uniform_steps  # noqa: E402
from bnnverify.training.layers import (  # noqa: E402
    BinaryConv2d,
    BinaryLinear,
    BinaryWeight,
    FlippedWeight,
    MaskedWeight,
    Scores,
    clip_latent,
)
from bnnverify.training.measures import sparsity  # noqa: E402


def weight_of(latent, mask=None):
    """A weight with given latent values."""
    weight = BinaryWeight((1, len(latent))) if mask is None else MaskedWeight((1, len(latent)))
    with torch.no_grad():
        weight.latent.copy_(torch.tensor([latent]))
        if mask is not None:
            weight.mask.copy_(torch.tensor([mask]))
    return weight


def test_a_masked_weight_is_the_sign_where_the_mask_is_not_negative() -> None:
    weight = weight_of([0.5, -0.5, 0.0, 0.5, -0.5], [0.1, 0.0, 1.0, -0.1, -1.0])
    assert weight().tolist() == [[1, -1, 1, 0, 0]]
    assert sparsity(weight) == pytest.approx(0.4)


def test_gradients_reach_a_present_sign_and_every_mask() -> None:
    weight = weight_of([0.5, -0.5, 0.5, -0.5], [0.1, 0.1, -0.1, -0.1])
    (weight() * torch.tensor([[1.0, 2.0, 3.0, 4.0]])).sum().backward()
    assert weight.latent.grad.tolist() == [[1, 2, 0, 0]]
    assert weight.mask.grad.tolist() == [[1, -2, 3, -4]]


def test_clipping_brings_latent_values_and_masks_back_and_leaves_the_rest() -> None:
    weight = weight_of([3.0, -3.0, 0.25], [5.0, -5.0, 0.5])
    scores = Scores(weight)
    with torch.no_grad():
        scores.bias.fill_(7)
    clip_latent(scores)
    assert weight.latent.tolist() == [[1, -1, 0.25]]
    assert weight.mask.tolist() == [[1, -1, 0.5]]
    assert scores.bias.tolist() == [7]


def test_stochastic_weights_are_drawn_in_training_and_certain_in_evaluation() -> None:
    torch.manual_seed(0)
    weight = BinaryWeight((1, 400), stochastic=True)
    with torch.no_grad():
        weight.latent.fill_(0.1)
    assert set(weight().flatten().tolist()) == {-1.0, 1.0}
    assert set(weight.eval()().flatten().tolist()) == {1.0}


def test_a_dense_layer_flattens_images_channel_by_channel() -> None:
    layer = BinaryLinear(BinaryWeight((3, 8)))
    images = torch.arange(16.0).reshape(2, 2, 2, 2)
    expected = images.numpy().reshape(2, 8) @ layer.weight().detach().numpy().T
    np.testing.assert_array_equal(layer(images).detach().numpy(), expected)


def test_a_convolution_sums_windows_whose_padding_counts_nothing() -> None:
    rng = np.random.default_rng(1)
    layer = BinaryConv2d(MaskedWeight((3, 2, 3, 3)), stride=(2, 1), padding=(1, 0))
    with torch.no_grad():
        layer.weight.mask.copy_(torch.tensor(rng.normal(size=(3, 2, 3, 3))))
    images = rng.integers(0, 5, size=(4, 2, 6, 5)).astype(np.float32)
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (0, 0)))
    weights = layer.weight().detach().numpy()
    found = layer(torch.tensor(images)).detach().numpy()
    assert found.shape == (4, 3, 3, 3)
    for n, c, i, j in product(range(4), range(3), range(3), range(3)):
        assert found[n, c, i, j] == np.sum(padded[n, :, 2 * i : 2 * i + 3, j : j + 3] * weights[c])


@pytest.mark.parametrize("step", ["0.61", "0.1", "0.064", "1/3", "2", "1/255"])
def test_uniform_steps_round_pixels_to_multiples_of_the_step(step) -> None:
    steps = uniform_steps(Fraction(step))
    for pixel in range(256):
        nearest = Fraction(pixel, 255) / Fraction(step) + Fraction(1, 2)
        assert np.sum(steps <= pixel) == nearest.numerator // nearest.denominator


@pytest.mark.parametrize("step", [Fraction(0), Fraction(-1), Fraction(5, 2)])
def test_a_step_that_makes_no_levels_is_refused(step) -> None:
    with pytest.raises(UsageError, match="quantization step"):
        uniform_steps(step)


@pytest.mark.parametrize("steps", [None, [78, 234], [1, 1, 255], [128]])
def test_levels_are_those_of_the_input_layer(steps) -> None:
    layer = QuantizedInput((256,), 255, None if steps is None else np.array(steps))
    pixels = torch.arange(256.0).reshape(1, 256)
    np.testing.assert_array_equal(QuantizedPixels(layer)(pixels).numpy(), layer.to_levels(pixels.numpy()))


def test_binarized_pixels_are_those_of_the_input_layer() -> None:
    rng = np.random.default_rng(2)
    layer = ThresholdInput(rng.integers(0, 257, size=12), rng.random(12) < 0.5, 255, (3, 2, 2))
    pixels = rng.integers(0, 256, size=(50, 3, 2, 2))
    found = BinarizedPixels(layer)(torch.tensor(pixels, dtype=torch.float32))
    np.testing.assert_array_equal(found.reshape(50, 12).numpy(), layer.to_bits(pixels))


def test_gradients_pass_a_binarized_pixel_in_its_direction() -> None:
    layer = ThresholdInput(np.array([100, 100]), np.array([True, False]))
    pixels = torch.tensor([[90.0, 90.0]], requires_grad=True)
    BinarizedPixels(layer)(pixels).sum().backward()
    assert np.sign(pixels.grad.numpy()).tolist() == [[1, -1]]


def test_class_scores_share_one_scale_and_have_a_bias_each() -> None:
    scores = Scores(BinaryWeight((3, 5)))
    with torch.no_grad():
        scores.scale.fill_(0.25)
        scores.bias.copy_(torch.tensor([1.0, -1.0, 0.5]))
    bits = torch.tensor([[1.0, -1.0, 1.0, 1.0, -1.0]])
    expected = 0.25 * (bits.numpy() @ scores.weight().detach().numpy().T) + [1.0, -1.0, 0.5]
    np.testing.assert_allclose(scores(bits).detach().numpy(), expected)


def test_flipped_weights_flip_at_their_rate_in_training_alone() -> None:
    torch.manual_seed(3)
    stored = BinaryWeight((100, 100))
    weight = FlippedWeight(stored, 0.1)
    flipped = float((weight() != stored()).double().mean())
    assert abs(flipped - 0.1) < 5 * (0.1 * 0.9 / 10_000) ** 0.5
    assert torch.equal(weight.eval()(), stored())


def test_a_flipped_weight_passes_its_gradient_unflipped() -> None:
    stored = weight_of([0.5, -0.5, 0.5])
    (FlippedWeight(stored, 1.0)() * torch.tensor([[1.0, 2.0, 3.0]])).sum().backward()
    assert stored.latent.grad.tolist() == [[1, 2, 3]]


def test_a_zero_weight_never_flips() -> None:
    weight = FlippedWeight(weight_of([0.5, -0.5], [-1.0, 1.0]), 1.0)
    assert weight().tolist() == [[0, 1]]


def test_a_flip_rate_that_is_no_probability_is_refused() -> None:
    with pytest.raises(UsageError, match="bit-flip training: rate"):
        FlippedWeight(BinaryWeight((1, 1)), 1.5)
