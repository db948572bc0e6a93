"""Shift-based BatchNorm against a transcription of its definition, value by value."""

from math import log2, sqrt

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from torch import nn  # noqa: E402

from bnnverify.errors import ModelFormatError  # noqa: E402
from bnnverify.training.normalization import ShiftBatchNorm, batch_statistics, gain, normalized, stored  # noqa: E402


def ap2(z: float) -> float:
    return 0.0 if z == 0 else (1 if z > 0 else -1) * 2.0 ** round(log2(abs(z)))


def shift_normalized(columns, gamma, beta, eps):
    """One feature: a list of numbers normalized as published."""
    mean = sum(columns) / len(columns)
    centered = [x - mean for x in columns]
    variance = sum(c * ap2(c) for c in centered) / len(columns)
    return [ap2(gamma) * (c * ap2(1 / sqrt(variance + eps))) + beta for c in centered], mean, variance


def random_norm(n, seed):
    torch.manual_seed(seed)
    norm = ShiftBatchNorm(n)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    return norm


def test_a_batch_is_normalized_as_published_and_moves_the_running_statistics() -> None:
    norm = random_norm(3, 1).double()
    batch = np.random.default_rng(1).normal(2, 5, size=(40, 3))
    found = norm(torch.tensor(batch)).detach().numpy()
    for k in range(3):
        gamma, beta = float(norm.weight[k].detach()), float(norm.bias[k].detach())
        expected, mean, variance = shift_normalized(batch[:, k].tolist(), gamma, beta, 1e-5)
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-12)
        assert float(norm.running_mean[k]) == pytest.approx(0.1 * mean)
        assert float(norm.running_var[k]) == pytest.approx(0.9 + 0.1 * variance)


def test_an_image_is_normalized_by_channel() -> None:
    norm = random_norm(2, 2)
    images = torch.randn(5, 2, 3, 4)
    columns = images.transpose(0, 1).reshape(2, -1).T
    expected = norm(columns).T.reshape(2, 5, 3, 4).transpose(0, 1)
    torch.testing.assert_close(norm(images), expected)


def test_evaluation_uses_the_running_statistics() -> None:
    norm = random_norm(2, 3)
    with torch.no_grad():
        norm.running_mean.copy_(torch.tensor([1.0, -2.0]))
        norm.running_var.copy_(torch.tensor([4.0, 0.07]))
    norm.eval()
    at = torch.tensor([[3.0, 3.0]])
    expected = [
        ap2(float(norm.weight[k].detach())) * ap2(1 / sqrt(v + 1e-5)) * (3 - m) + float(norm.bias[k].detach())
        for k, (m, v) in enumerate(((1.0, 4.0), (-2.0, 0.07)))
    ]
    np.testing.assert_allclose(norm(at).detach().numpy(), [expected], rtol=1e-6)


@pytest.mark.parametrize("kind", [ShiftBatchNorm, nn.BatchNorm1d])
def test_what_is_stored_computes_the_same_in_exact_arithmetic(kind) -> None:
    torch.manual_seed(4)
    norm = kind(6)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
        norm(torch.randn(50, 6) * 7)
    norm.eval()
    kept = stored("norm", norm)
    expected = (3 - kept.mean) / np.sqrt(kept.variance + kept.epsilon) * kept.gamma + kept.beta
    np.testing.assert_allclose(norm(torch.full((1, 6), 3.0)).detach().numpy()[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [ShiftBatchNorm, nn.BatchNorm1d])
def test_batch_statistics_and_gain_are_what_training_normalizes_by(kind) -> None:
    torch.manual_seed(5)
    norm, batch = kind(4), torch.randn(30, 4) * 3 + 1
    mean, variance = batch_statistics(norm, batch)
    torch.testing.assert_close(norm(batch), gain(norm, variance) * (batch - mean) + norm.bias)


def test_a_batchnorm_without_running_statistics_cannot_be_stored() -> None:
    with pytest.raises(ModelFormatError, match="norm: keeps no running statistics"):
        stored("norm", nn.BatchNorm1d(3, track_running_stats=False))


@pytest.mark.parametrize("kind", [ShiftBatchNorm, nn.BatchNorm1d])
def test_evaluation_takes_the_sign_of_a_sum_at_its_threshold_as_exact_arithmetic_does(kind) -> None:
    """At x = mean and beta = 0 the margin is 0 and the bit +1; fused multiply and add in float32 gives either sign."""
    rng = np.random.default_rng(6)
    means = rng.normal(size=500).astype(np.float32) * 100
    norm = kind(500)
    with torch.no_grad():
        norm.running_mean.copy_(torch.tensor(means))
        norm.running_var.copy_(torch.tensor(rng.random(500) * 50))
        norm.weight.normal_()
    margins = normalized(norm.eval(), torch.tensor(means).unsqueeze(0))
    assert torch.equal(margins, torch.zeros(1, 500))
