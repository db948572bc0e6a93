"""Attacks stay in their box of whole grey levels, do harm, and leave BatchNorm's statistics alone."""

import numpy as np
import pytest

from bnnverify.errors import UsageError
from bnnverify.network import QuantizedInput

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from torch import nn  # noqa: E402

from bnnverify.training.attacks import (  # noqa: E402
    SLOPE_SCALES,
    PixelAttack,
    adapt_slopes,
    attacked_correct,
)
from bnnverify.training.binarizers import Binarize, TanhSlope  # noqa: E402
from bnnverify.training.inputs import QuantizedPixels  # noqa: E402
from bnnverify.training.layers import BinaryLinear, BinaryWeight, Scores  # noqa: E402
from bnnverify.training.model import BinaryModel, Stage  # noqa: E402
from bnnverify.training.normalization import frozen_statistics  # noqa: E402

N_PIXELS, N_IMAGES = 30, 200


def model_and_images():
    """A random network on levels, and the classes that it itself gives to random images."""
    torch.manual_seed(1)
    stage = Stage(BinaryLinear(BinaryWeight((25, N_PIXELS))), nn.BatchNorm1d(25), Binarize(TanhSlope()))
    pixels_in = QuantizedPixels(QuantizedInput((N_PIXELS,), 255, np.arange(13, 256, 26)))
    model = BinaryModel(pixels_in, [stage], Scores(BinaryWeight((3, 25))))
    images = torch.randint(0, 256, (N_IMAGES, N_PIXELS)).float()
    with torch.no_grad():
        for _ in range(60):
            model(images)
        return model.eval(), images, model(images).argmax(dim=1)


def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("radius", [0, 1, 25, 300])
def test_attacked_images_are_whole_grey_levels_in_the_box(radius) -> None:
    model, images, labels = model_and_images()
    attacked = PixelAttack(radius, n_steps=4)(model, images, labels, generator())
    assert not attacked.requires_grad
    assert torch.equal(attacked, attacked.round())
    assert float((attacked - images).abs().max()) <= radius
    assert float(attacked.min()) >= 0
    assert float(attacked.max()) <= 255


def test_an_attack_does_more_harm_than_random_pixels_of_the_same_box() -> None:
    model, images, labels = model_and_images()
    assert attacked_correct(model, PixelAttack(0), images, labels) == N_IMAGES
    by_chance = attacked_correct(model, PixelAttack(20, n_steps=0), images, labels, generator())
    by_gradient = attacked_correct(model, PixelAttack(20, n_steps=10), images, labels, generator())
    assert by_gradient < by_chance - N_IMAGES // 4


def test_the_same_generator_makes_the_same_attack() -> None:
    model, images, labels = model_and_images()
    first, second = (PixelAttack(9)(model, images, labels, generator()) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(("radius", "n_steps"), [(-1, 5), (3, -1)])
def test_an_attack_of_negative_size_is_refused(radius, n_steps) -> None:
    with pytest.raises(UsageError, match="expected both at least 0"):
        PixelAttack(radius, n_steps)


def statistics(model):
    return [buffer.clone() for name, buffer in model.named_buffers() if "running" in name]


def test_frozen_statistics_stay_while_batches_still_normalize() -> None:
    model, images, _ = model_and_images()
    model.train()
    before, momentum = statistics(model), model.stages[0].norm.momentum
    with frozen_statistics(model):
        model(images + 40)
    assert all(torch.equal(old, new) for old, new in zip(before, statistics(model), strict=True))
    assert model.stages[0].norm.momentum == momentum
    model(images + 40)
    assert not torch.equal(before[0], statistics(model)[0])


def test_the_adapted_scale_is_the_one_that_harms_most() -> None:
    model, images, labels = model_and_images()
    attack, slope = PixelAttack(12, n_steps=3), model.stages[0].binarize.slope
    chosen, before = adapt_slopes(model, attack, images, labels), statistics(model)
    assert float(slope.scale) == pytest.approx(chosen)
    harm = {}
    for scale in SLOPE_SCALES:
        slope.scale.fill_(scale)
        harm[scale] = attacked_correct(model, attack, images, labels, generator())
    assert harm[chosen] == min(harm.values())
    assert all(torch.equal(old, new) for old, new in zip(before, statistics(model), strict=True))
