"""Recalibrated statistics are those of what evaluation feeds each BatchNorm."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from torch import nn  # noqa: E402

from bnnverify.training.binarizers import Binarize  # noqa: E402
from bnnverify.training.calibration import BATCH, recalibrate  # noqa: E402
from bnnverify.training.images import Images  # noqa: E402
from bnnverify.training.inputs import NormalizedPixels  # noqa: E402
from bnnverify.training.layers import BinaryConv2d, BinaryLinear, BinaryWeight, FlippedWeight, Scores  # noqa: E402
from bnnverify.training.model import BinaryModel, Stage  # noqa: E402
from bnnverify.training.normalization import ShiftBatchNorm, batch_statistics  # noqa: E402

N_BATCHES = 3


def random_model():
    torch.manual_seed(1)
    conv = Stage(BinaryConv2d(BinaryWeight((3, 1, 3, 3))), nn.BatchNorm2d(3), Binarize())
    flipped = FlippedWeight(BinaryWeight((6, 27)), 0.3)
    stages = [
        conv,
        Stage(BinaryLinear(flipped), nn.BatchNorm1d(6), Binarize()),
        Stage(BinaryLinear(BinaryWeight((4, 6))), ShiftBatchNorm(4), Binarize()),
    ]
    return BinaryModel(NormalizedPixels((1, 5, 5)), stages, Scores(BinaryWeight((2, 4))))


def statistics(stage, batches):
    return [batch_statistics(stage.norm, sums) for sums in batches]


def test_every_batchnorm_gets_the_mean_statistics_of_its_batches_in_evaluation() -> None:
    model = random_model()
    n_images = N_BATCHES * BATCH
    pixels = torch.randint(0, 256, (n_images, 1, 5, 5)).float()
    recalibrate(model, Images(pixels, torch.zeros(n_images, dtype=torch.int64)))
    assert not model.training
    expected = pixels.reshape(N_BATCHES, BATCH, 25) / 255
    norm = model.input.norm
    np.testing.assert_allclose(norm.running_mean.numpy(), expected.mean(dim=(0, 1)).numpy(), rtol=1e-5)
    np.testing.assert_allclose(
        norm.running_var.numpy(), expected.var(dim=1, correction=0).mean(dim=0).numpy(), rtol=1e-5
    )
    with torch.no_grad():
        values = model.input(pixels)
        for stage in model.ordered_stages():
            batches = torch.split(stage.sums(values), BATCH)
            of_batches = zip(*statistics(stage, batches), strict=True)
            mean, variance = (np.mean([values.numpy() for values in many], axis=0) for many in of_batches)
            np.testing.assert_allclose(stage.norm.running_mean.numpy(), mean, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(stage.norm.running_var.numpy(), variance, rtol=1e-5)
            values = stage(values)
