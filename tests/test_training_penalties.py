"""Cardinality bounds of a batch are those of the folded network; penalties and their gradients by their formulas."""

from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from torch import nn  # noqa: E402

from bnnverify.training.binarizers import Binarize  # noqa: E402
from bnnverify.training.export import fold_model  # noqa: E402
from bnnverify.training.inputs import Bits  # noqa: E402
from bnnverify.training.layers import BinaryLinear, MaskedWeight, Scores  # noqa: E402
from bnnverify.training.model import BinaryModel, Stage  # noqa: E402
from bnnverify.training.penalties import cardinality_bounds, mask_penalty  # noqa: E402

SIZES = (12, 10, 8)


def random_model(seed):
    torch.manual_seed(seed)
    stages = []
    for n_in, n_out in pairwise(SIZES):
        weight = MaskedWeight((n_out, n_in), spread=1.0)
        with torch.no_grad():
            weight.mask.normal_(mean=0.5)
        norm = nn.BatchNorm1d(n_out, momentum=1.0)
        with torch.no_grad():
            norm.weight.uniform_(0.2, 2)
            norm.bias.normal_()
        stages.append(Stage(BinaryLinear(weight), norm, Binarize()))
    return BinaryModel(Bits((SIZES[0],)), stages, Scores(MaskedWeight((3, SIZES[-1]))))


def random_bits(n):
    return torch.randint(0, 2, (n, SIZES[0])).float() * 2 - 1


def test_a_bound_is_the_number_of_literals_that_the_folded_neuron_waits_for() -> None:
    model, bits = random_model(1), random_bits(4000)
    with cardinality_bounds(model) as tally:
        model(bits)
    (bounds,) = tally.bounds
    block = fold_model(model).network.blocks[1]
    fan_in = np.abs(block.weights.astype(int)).sum(axis=1)
    literals = (block.thresholds + fan_in + 1) // 2
    whole = np.clip(np.ceil(bounds.detach().numpy() - 1e-3), 0, fan_in + 1)
    np.testing.assert_array_equal(whole, literals)


def test_the_penalty_is_the_sum_of_what_exceeds_the_slack() -> None:
    model = random_model(2)
    with cardinality_bounds(model) as tally:
        model(random_bits(100))
    expected = 0.25 * np.maximum(tally.bounds[0].detach().numpy() - 2, 0).sum()
    assert tally.penalty(strength=0.25, slack=2).item() == pytest.approx(expected, rel=1e-5)
    assert expected > 0


def test_the_penalty_pulls_at_masks_and_at_batchnorm_of_the_second_stage() -> None:
    model = random_model(3)
    with cardinality_bounds(model) as tally:
        model(random_bits(100))
    tally.penalty(strength=1, slack=-100).backward()
    second = model.ordered_stages()[1]
    assert torch.all(second.norm.bias.grad < 0), "raising beta lowers the bound, so descent must raise it"
    assert float(second.layer.weight.mask.grad.abs().sum()) > 0


def test_nothing_is_tallied_outside_the_block() -> None:
    model = random_model(4)
    with cardinality_bounds(model) as tally:
        pass
    model(random_bits(10))
    assert tally.bounds == []
    assert float(tally.penalty()) == 0


def test_mask_decay_pulls_at_positive_masks_alone() -> None:
    model = random_model(5)
    mask_penalty(model, 0.5).backward()
    for weight in model.weights():
        np.testing.assert_array_equal(weight.mask.grad.numpy(), 0.5 * (weight.mask.detach().numpy() > 0))
    total = sum(weight.mask.clamp_min(0).sum().item() for weight in model.weights())
    assert mask_penalty(model, 0.5).item() == pytest.approx(total / 2, rel=1e-5)
