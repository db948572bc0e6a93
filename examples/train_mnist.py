"""Train the bundled network: MNIST digits, binarized pixels, 784-100-50-10 bits, one minute of one core.

Weights and activations are +1 or -1 in the forward pass and real in the backward pass: each weight
keeps a latent real value in [-1, 1] that Adam moves, and the straight-through estimator lets the
gradient of a sign pass where its argument is within [-1, 1] (Courbariaux, Hubara et al., 2016).
The last 6,000 training images choose the epoch that is kept. BatchNorm then folds into integer
thresholds in exact arithmetic, and the accuracy that is printed is that of the integer network
which is saved, on the 10,000 test images, which nothing before has seen.

    python examples/train_mnist.py [--data DIR] [--out DIR]
"""

from __future__ import annotations

import argparse
import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bnnverify.data import Dataset, load_dataset
from bnnverify.folding import BatchNorm, exact, fold_rows
from bnnverify.formats import save
from bnnverify.formats.archive import write_arrays
from bnnverify.inference import predict
from bnnverify.network import Block, Network, Output, ThresholdInput

SIZES = (784, 100, 50, 10)
PIXEL_THRESHOLD = 75
VALIDATION_IMAGES = 6_000
EPOCHS = 60
BATCH = 200
LEARNING_RATE = 0.01
LOGIT_SCALE = 0.2
SEED = 1


class StraightThroughSign(torch.autograd.Function):
    """sign with sign(0) = +1; its gradient is 1 within [-1, 1] and 0 beyond."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return torch.where(values >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        values: Tensor = ctx.saved_tensors[0]
        return gradients[0] * (values.abs() <= 1)


def binarize(values: Tensor) -> Tensor:
    signs: Tensor = StraightThroughSign.apply(values)  # type: ignore[no-untyped-call]
    return signs


class BinaryMLP(nn.Module):
    """Dense layers of binary weights; BatchNorm and sign between them, a bias on the class scores."""

    def __init__(self) -> None:
        super().__init__()
        self.latent = nn.ParameterList(torch.empty(n_out, n_in).uniform_(-0.5, 0.5) for n_in, n_out in pairwise(SIZES))
        self.norms = nn.ModuleList(nn.BatchNorm1d(n_out) for n_out in SIZES[1:-1])
        self.bias = nn.Parameter(torch.zeros(SIZES[-1]))

    def forward(self, bits: Tensor) -> Tensor:
        for latent, norm in zip(self.latent[:-1], self.norms, strict=True):
            bits = binarize(norm(functional.linear(bits, binarize(latent))))
        return functional.linear(bits, binarize(self.latent[-1]), self.bias)

    @torch.no_grad()
    def clip(self) -> None:
        for latent in self.latent:
            latent.clamp_(-1, 1)


def as_tensors(data: Dataset) -> tuple[Tensor, Tensor]:
    """Images ``(N, 784)`` as float bits, and labels ``(N,)``."""
    bits = np.where(data.images.reshape(len(data), -1) >= PIXEL_THRESHOLD, 1, -1)
    return torch.from_numpy(bits.astype(np.float32)), torch.from_numpy(data.labels)


@torch.no_grad()
def n_correct(model: BinaryMLP, bits: Tensor, labels: Tensor) -> int:
    model.eval()
    return int((model(bits).argmax(dim=1) == labels).sum())


def train_epoch(model: BinaryMLP, bits: Tensor, labels: Tensor, optimizer: Any, schedule: Any) -> None:
    model.train()
    for batch in torch.split(torch.randperm(len(bits)), BATCH):
        loss = functional.cross_entropy(LOGIT_SCALE * model(bits[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        model.clip()


def train(data: Dataset) -> BinaryMLP:
    """The model of the epoch that did best on the validation images."""
    torch.manual_seed(SEED)
    bits, labels = as_tensors(data)
    fit, held_out = slice(0, -VALIDATION_IMAGES), slice(-VALIDATION_IMAGES, None)
    model = BinaryMLP()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    steps = EPOCHS * -(-len(bits[fit]) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, best_correct = model, -1
    for epoch in range(EPOCHS):
        train_epoch(model, bits[fit], labels[fit], optimizer, schedule)
        correct = n_correct(model, bits[held_out], labels[held_out])
        print(f"epoch {epoch + 1:2}: {correct} of {VALIDATION_IMAGES} validation images")
        if correct > best_correct:
            best, best_correct = copy.deepcopy(model), correct
    return best


def to_block(name: str, latent: Tensor, norm: Any) -> Block:
    """A dense layer with its BatchNorm folded into thresholds, exactly."""
    stored = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    gamma, beta, mean, variance = (values.detach().numpy() for values in stored)
    folded = BatchNorm(name, gamma, beta, mean, variance, norm.eps)
    neurons = [folded.apply(j, exact(1), exact(0)) for j in range(folded.n_features)]
    return Block(*fold_rows(binary_weights(latent), neurons)[:2])


def binary_weights(latent: Tensor) -> NDArray[np.int8]:
    return binarize(latent.detach()).numpy().astype(np.int8)


def to_network(model: BinaryMLP) -> Network:
    blocks = [
        to_block(f"norm {k}", latent, norm)
        for k, (latent, norm) in enumerate(zip(model.latent[:-1], model.norms, strict=True), start=1)
    ]
    output = Output(binary_weights(model.latent[-1]), bias=model.bias.detach().double().numpy())
    pixels = ThresholdInput(np.full(SIZES[0], PIXEL_THRESHOLD), np.ones(SIZES[0], dtype=bool))
    return Network(tuple(blocks), output, pixels, name="mnist_784_100_50_10")


def save_images(data: Dataset, path: Path) -> None:
    """Write the first two images of each class, with their labels and their indices in the data set."""
    first_two = [np.flatnonzero(data.labels == c)[:2] for c in range(SIZES[-1])]
    indices = np.sort(np.concatenate(first_two))
    write_arrays(path, {"images": data.images[indices], "labels": data.labels[indices], "indices": indices})


def main() -> None:
    package_data = Path(__file__).resolve().parents[1] / "bnnverify" / "examples"
    parser = argparse.ArgumentParser(description="Train the bundled MNIST network and save it.")
    parser.add_argument("--data", type=Path, help="folder of data sets (default: $BNNVERIFY_DATA, ~/.cache/bnnverify)")
    parser.add_argument("--out", type=Path, default=package_data, help="folder to write to")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    model = train(load_dataset("mnist:train", arguments.data))
    network, test = to_network(model), load_dataset("mnist:test", arguments.data)
    correct = int((predict(network, test.images) == test.labels).sum())
    print(f"integer network: {correct} of {len(test)} test images; float model: {n_correct(model, *as_tensors(test))}")

    save(network, arguments.out / "mnist_784_100_50_10.npz")
    save_images(test, arguments.out / "mnist_test20.npz")


if __name__ == "__main__":
    main()
