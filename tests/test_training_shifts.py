"""AP2 against its definition in exact arithmetic, in both widths of numbers."""

from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from bnnverify.training.shifts import nearest_power_of_two, power_of_two, power_of_two_number  # noqa: E402


def nearest(value: float) -> Fraction:
    """The power whose square is nearest to the square by ratio, by comparing squares, with no logarithm."""
    square, power = Fraction(value) ** 2, Fraction(1)
    while power * power * 2 < square:
        power *= 2
    while power * power > 2 * square:
        power /= 2
    return power if value > 0 else -power


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_nearest_power_is_that_of_exact_arithmetic(dtype) -> None:
    rng = np.random.default_rng(0)
    roots = np.ldexp(np.sqrt(dtype(2)), np.arange(-60, 60)).astype(dtype)
    around = np.concatenate([roots, np.nextafter(roots, dtype(0)), np.nextafter(roots, dtype(np.inf))])
    powers = np.ldexp(dtype(1), np.arange(-60, 60)).astype(dtype)
    random = np.exp(rng.normal(size=500) * 20).astype(dtype) * rng.choice([-1, 1], 500).astype(dtype)
    values = np.concatenate([around, powers, -powers, random]).astype(dtype)
    found = nearest_power_of_two(torch.from_numpy(values)).numpy()
    assert [Fraction(float(power)) for power in found] == [nearest(float(value)) for value in values]


def test_the_power_nearest_to_a_number() -> None:
    assert [power_of_two_number(z) for z in (0.3, 1.0, 5.9, 100.0)] == [0.25, 1, 8, 128]


def test_zero_infinity_and_nan_stay() -> None:
    assert nearest_power_of_two(torch.tensor([0.0, inf, -inf])).tolist() == [0, inf, -inf]
    assert nearest_power_of_two(torch.tensor([nan])).isnan().all()


def test_the_gradient_of_a_power_is_that_of_the_identity() -> None:
    values = torch.tensor([0.3, -5.0, 0.0], requires_grad=True)
    (power_of_two(values) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert values.grad.tolist() == [1, 2, 3]
