"""Signs and their straight-through slopes: forward values by definition, gradients against the published formulas."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from bnnverify.training.binarizers import (  # noqa: E402
    Binarize,
    SwishSlope,
    TanhSlope,
    approx_sign_slope,
    hard_tanh_slope,
    identity_slope,
    random_signs_of,
    signs_of,
    straight_through,
)

POINTS = np.linspace(-2.5, 2.5, 1001).astype(np.float32)


def hard_tanh(x: float) -> float:
    return 1.0 if abs(x) <= 1 else 0.0


def bi_real_sign(x: float) -> float:
    """The derivative of 2x + x^2 on [-1, 0) and of 2x - x^2 on [0, 1)."""
    if -1 <= x < 0:
        return 2 + 2 * x
    return 2 - 2 * x if 0 <= x < 1 else 0.0


def swish_sign(x: float, b: float = 5.0, h: float = 1e-5) -> float:
    """The derivative of the published function by central differences."""

    def function(at: float) -> float:
        sigmoid = 1 / (1 + math.exp(-b * at))
        return 2 * sigmoid * (1 + b * at * (1 - sigmoid)) - 1

    return (function(x + h) - function(x - h)) / (2 * h)


def tanh_derivative(x: float, s: float = 1.7) -> float:
    return 1 - math.tanh(s * x) ** 2


@pytest.mark.parametrize(
    ("slope", "formula"),
    [
        (identity_slope, lambda x: 1.0),
        (hard_tanh_slope, hard_tanh),
        (approx_sign_slope, bi_real_sign),
        (SwishSlope(5.0), swish_sign),
        (TanhSlope(1.7), tanh_derivative),
    ],
)
def test_the_gradient_of_a_sign_is_the_incoming_one_times_the_published_slope(slope, formula) -> None:
    values = torch.tensor(POINTS, requires_grad=True)
    incoming = torch.tensor(np.random.default_rng(0).normal(size=POINTS.size).astype(np.float32))
    (Binarize(slope)(values) * incoming).sum().backward()
    expected = [formula(float(x)) * float(g) for x, g in zip(POINTS, incoming, strict=True)]
    np.testing.assert_allclose(values.grad.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("slope", [hard_tanh_slope, approx_sign_slope, SwishSlope(), TanhSlope(3.0)])
def test_no_slope_overflows_far_from_zero(slope) -> None:
    far = torch.tensor([-1e30, -1e4, 1e4, 1e30])
    assert torch.isfinite(slope(far)).all()


def test_the_sign_of_both_zeros_is_plus_one() -> None:
    assert signs_of(torch.tensor([0.0, -0.0, -1e-45, 1e-45])).tolist() == [1, 1, -1, 1]


def test_signs_keep_the_type_of_their_values() -> None:
    assert signs_of(torch.tensor([1.0], dtype=torch.float64)).dtype == torch.float64


def test_random_signs_are_plus_one_as_often_as_the_hard_sigmoid_says() -> None:
    points = torch.tensor([-1.5, -1.0, -0.6, 0.0, 0.25, 1.0, 2.0])
    n_draws = 20_000
    drawn = random_signs_of(points.expand(n_draws, -1), torch.Generator().manual_seed(0))
    chance = np.clip((points.numpy() + 1) / 2, 0, 1)
    five_sigma = 5 * np.sqrt(chance * (1 - chance) / n_draws)
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    assert np.all(np.abs((drawn > 0).float().mean(dim=0).numpy() - chance) <= five_sigma)


def test_stochastic_signs_are_drawn_in_training_and_certain_in_evaluation() -> None:
    torch.manual_seed(0)
    binarize, values = Binarize(stochastic=True), torch.full((400,), 0.1)
    assert set(binarize(values).tolist()) == {-1.0, 1.0}
    assert set(binarize.eval()(values).tolist()) == {1.0}


def test_straight_through_gives_the_output_it_is_given() -> None:
    values = torch.tensor([0.4, 1.6], requires_grad=True)
    rounded = straight_through(values, values.detach().round(), identity_slope)
    rounded.sum().backward()
    assert rounded.tolist() == [0, 2]
    assert values.grad.tolist() == [1, 1]
