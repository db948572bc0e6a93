"""A network written in torch, exported by torch's own exporter, means the same here."""

import io
import warnings
from fractions import Fraction

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("onnx", reason="the package onnx is not installed")

from bnnverify.formats import PixelScale, Unstated  # noqa: E402
from bnnverify.formats.floatmodel import fold  # noqa: E402
from bnnverify.formats.onnx_read import read_with_order  # noqa: E402
from bnnverify.inference import predict  # noqa: E402


class Sign(torch.nn.Module):
    """+1 where the input is at least 0, else -1."""

    def forward(self, x):
        return torch.sign(torch.sign(x) + 0.1)


def binarized(layer):
    """The layer with weights -1 and +1 that float32 holds exactly."""
    with torch.no_grad():
        layer.weight.copy_(torch.where(layer.weight >= 0, 1.0, -1.0))
    return layer


def trained_norm(norm):
    """A BatchNorm of random statistics, so that thresholds lie anywhere."""
    with torch.no_grad():
        norm.running_mean.uniform_(-4, 4)
        norm.running_var.uniform_(0.5, 9)
        norm.weight.uniform_(-1.5, 1.5)
        norm.bias.uniform_(-1, 1)
    return norm


def conv_model():
    return torch.nn.Sequential(
        binarized(torch.nn.Conv2d(1, 8, 3, stride=2, bias=False)),
        trained_norm(torch.nn.BatchNorm2d(8)),
        Sign(),
        binarized(torch.nn.Conv2d(8, 16, 3, padding=1, bias=False)),
        torch.nn.MaxPool2d(2),
        trained_norm(torch.nn.BatchNorm2d(16)),
        Sign(),
        torch.nn.Flatten(),
        binarized(torch.nn.Linear(16 * 36, 32, bias=False)),
        trained_norm(torch.nn.BatchNorm1d(32)),
        Sign(),
        binarized(torch.nn.Linear(32, 10)),
    )


def dense_model():
    return torch.nn.Sequential(
        torch.nn.Flatten(),
        binarized(torch.nn.Linear(28 * 28, 64, bias=False)),
        trained_norm(torch.nn.BatchNorm1d(64)),
        Sign(),
        binarized(torch.nn.Linear(64, 10, bias=False)),
    )


def exported(model, path):
    """Write the model by the exporter that needs nothing beyond torch and onnx."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, torch.zeros(1, 1, 28, 28), content, dynamo=False)
    path.write_bytes(content.getvalue())


@pytest.mark.parametrize("make", [conv_model, dense_model])
def test_a_torch_network_exported_and_loaded_has_its_classes_on_1000_inputs(make, tmp_path):
    torch.manual_seed(0)
    model = make().eval()
    exported(model, tmp_path / "net.onnx")
    read, order = read_with_order(tmp_path / "net.onnx", Unstated(pixels=PixelScale(Fraction(1))))
    images = np.random.default_rng(0).integers(0, 256, (1000, 784))
    with torch.no_grad():
        scores = model(torch.tensor(images.reshape(-1, 1, 28, 28), dtype=torch.float32))
    assert (predict(fold(read).network, images[:, order]) == scores.argmax(dim=1).numpy()).all()
