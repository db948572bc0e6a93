"""Optimizers, losses and learning rates, each against a straight transcription of the published update in numpy."""

from math import log2, sqrt

import numpy as np
import pytest

from bnnverify.errors import UsageError

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from bnnverify.training.adamax import ShiftAdaMax  # noqa: E402
from bnnverify.training.bop import Bop  # noqa: E402
from bnnverify.training.layers import BinaryConv2d, BinaryLinear, BinaryWeight, MaskedWeight, Scores  # noqa: E402
from bnnverify.training.losses import modified_hinge, squared_hinge  # noqa: E402
from bnnverify.training.rates import glorot_rate, parameter_groups  # noqa: E402

N, N_STEPS = 12, 25


def gradients(seed):
    """A sequence of gradients ``(N_STEPS, N)`` of many magnitudes, some of them zero."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(N_STEPS, N)) * 10.0 ** rng.integers(-4, 2, size=(N_STEPS, N))
    return found * (rng.random((N_STEPS, N)) < 0.9)


def run(optimizer, parameter, sequence):
    for gradient in sequence:
        parameter.grad = torch.tensor(gradient, dtype=parameter.dtype).reshape(parameter.shape)
        optimizer.step()
    return parameter.detach().numpy().ravel()


def ap2(z):
    return np.where(z == 0, 0.0, np.sign(z) * 2.0 ** np.round(np.log2(np.where(z == 0, 1.0, np.abs(z)))))


def shift_adamax(x, sequence, rate, b1=0.9, b2=0.999, factor=1.0):
    m, v = np.zeros(N), np.zeros(N)
    for t, g in enumerate(sequence, start=1):
        m = b1 * m + (1 - b1) * g
        v = np.maximum(b2 * v, np.abs(g))
        x = x - factor * 2.0 ** round(log2(rate / (1 - b1**t))) * m / (ap2(v) + 2.0**-27)
    return x


def bop(w, sequence, rate, threshold):
    m = np.zeros(N)
    for g in sequence:
        m = (1 - rate) * m + rate * g
        w = np.where((np.abs(m) > threshold) & (np.sign(m) == np.sign(w)), -w, w)
    return w


def test_shift_based_adamax_moves_as_published() -> None:
    start = np.random.default_rng(0).normal(size=N)
    parameter = torch.nn.Parameter(torch.tensor(start))
    found = run(ShiftAdaMax([parameter], lr=0.013), parameter, gradients(1))
    np.testing.assert_allclose(found, shift_adamax(start, gradients(1), 0.013), rtol=1e-12)


def test_a_layer_s_factor_is_no_power_of_two_and_stays_outside_of_the_step() -> None:
    start = np.random.default_rng(0).normal(size=N)
    parameter = torch.nn.Parameter(torch.tensor(start))
    found = run(ShiftAdaMax([{"params": [parameter], "factor": 2.9}], lr=0.013), parameter, gradients(1))
    np.testing.assert_allclose(found, shift_adamax(start, gradients(1), 0.013, factor=2.9), rtol=1e-12)


def test_bop_flips_as_published() -> None:
    torch.manual_seed(2)
    weight = BinaryWeight((3, 4))
    start = np.where(weight.latent.detach().numpy().ravel() >= 0, 1.0, -1.0)
    found = run(Bop([weight], lr=0.1, threshold=1e-3), weight.latent, gradients(3))
    expected = bop(start, gradients(3), 0.1, 1e-3)
    np.testing.assert_array_equal(found, expected)
    assert np.any(expected != start)


def test_bop_says_how_many_weights_it_flipped() -> None:
    weight = BinaryWeight((1, 3))
    with torch.no_grad():
        weight.latent.copy_(torch.tensor([[0.5, -0.5, 0.5]]))
    optimizer = Bop([weight], lr=1.0, threshold=0.1)
    assert weight.latent.tolist() == [[1, -1, 1]]
    weight.latent.grad = torch.tensor([[1.0, 1.0, 0.05]])
    assert optimizer.step() == 1
    assert weight.latent.tolist() == [[-1, -1, 1]]


@pytest.mark.parametrize("make", [lambda p: ShiftAdaMax([p]), lambda p: torch.optim.SGD([p], lr=0.1)])
def test_parameters_without_a_gradient_stay(make) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    make(parameter).step()
    assert parameter.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ShiftAdaMax([torch.nn.Parameter(torch.ones(1))], lr=0),
        lambda: ShiftAdaMax([torch.nn.Parameter(torch.ones(1))], betas=(1.0, 0.5)),
        lambda: Bop([BinaryWeight((1, 1))], lr=2.0),
        lambda: Bop([BinaryWeight((1, 1))], threshold=-1.0),
    ],
)
def test_settings_out_of_range_are_refused(make) -> None:
    with pytest.raises(UsageError, match="expected"):
        make()


def test_the_squared_hinge_is_the_mean_over_classes_of_squared_shortfalls() -> None:
    scores, labels = np.array([[0.5, -2.0, 3.0], [1.5, 0.0, -0.5]]), np.array([0, 2])
    total = sum(
        max(0.0, 1 - (1 if c == label else -1) * row[c]) ** 2
        for row, label in zip(scores, labels, strict=True)
        for c in range(3)
    )
    found = squared_hinge(torch.tensor(scores), torch.tensor(labels))
    assert float(found) == pytest.approx(total / 6)


@pytest.mark.parametrize("margin", [1.0, 128.0])
def test_the_modified_hinge_asks_for_its_margin(margin) -> None:
    scores, labels = np.array([[100.0, -200.0, 3.0]]), np.array([0])
    shortfalls = [max(0.0, margin - 100), max(0.0, margin - 200), max(0.0, margin + 3)]
    found = modified_hinge(torch.tensor(scores), torch.tensor(labels), margin=margin)
    assert float(found) == pytest.approx(sum(shortfalls) / 3 / margin)


def test_a_margin_that_is_not_positive_is_refused() -> None:
    with pytest.raises(UsageError, match="modified hinge: margin 0"):
        modified_hinge(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), margin=0)


def test_rates_grow_with_the_connections_of_a_unit() -> None:
    assert glorot_rate(BinaryWeight((30, 20))) == pytest.approx(1 / sqrt(1.5 / 50))
    assert glorot_rate(BinaryWeight((8, 4, 3, 3))) == pytest.approx(1 / sqrt(1.5 / (4 * 9 + 8 * 9)))


def test_every_parameter_is_in_exactly_one_group() -> None:
    model = torch.nn.ModuleList(
        [BinaryConv2d(MaskedWeight((2, 1, 3, 3))), BinaryLinear(BinaryWeight((4, 8))), Scores(BinaryWeight((2, 4)))]
    )
    groups = parameter_groups(model, 0.01)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
    assert [group["lr"] for group in groups] == pytest.approx(
        [0.01 * sqrt(27 / 1.5), 0.01 * sqrt(12 / 1.5), 0.01 * sqrt(6 / 1.5), 0.01]
    )
