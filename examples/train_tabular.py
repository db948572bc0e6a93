"""Train the bundled networks of people: UCI Adult in 54-20-2 bits, German credit in 53-12-2, seconds each.

Latent weights in [-1, 1] are moved by Adam behind a straight-through estimator, as by ``bnnverify train``, which has
recipes for images alone. So that exact answers over all valid inputs stay cheap there is one block
of few neurons; several starts make up for it, and the loss on held-out training rows chooses the start and the epoch
that are kept. German credit has so few rows that a tenth of the training bits is flipped at random, anew each time.

Classes are not equally frequent, so accuracy alone flatters: beside it stand the accuracy of always naming the
greater class, and the balanced accuracy, the mean over the classes of the share of their rows that is right. Every
number is that of the integer network which is saved, on test rows which nothing before has seen.

    python examples/train_tabular.py [adult] [german] [--data DIR] [--out DIR]
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bnnverify.data import TabularDataset, load_tabular
from bnnverify.folding import exact, fold_rows
from bnnverify.formats import save
from bnnverify.formats.archive import write_arrays
from bnnverify.inference import predict
from bnnverify.network import BitInput, Block, Network, Output
from bnnverify.theories import save_features
from bnnverify.training.binarizers import hard_tanh_slope, signs_of, straight_through
from bnnverify.training.normalization import stored


class Recipe(NamedTuple):
    """How one data set is trained.

    The last ``held_out`` training rows choose what is kept; ``flipped`` is the share of bits flipped in training.
    """

    n_hidden: int
    held_out: int
    starts: int
    epochs: int
    batch: int
    flipped: float = 0.0


RECIPES = {
    "adult": Recipe(n_hidden=20, held_out=6_000, starts=4, epochs=30, batch=200),
    "german": Recipe(n_hidden=12, held_out=200, starts=10, epochs=60, batch=50, flipped=0.1),
}
LEARNING_RATE = 0.01
LOGIT_SCALE = 0.2
SAMPLES_PER_CLASS = 10


def binarize(values: Tensor) -> Tensor:
    """Signs, with gradients inside of [-1, 1]."""
    return straight_through(values, signs_of(values), hard_tanh_slope)


def binary_weights(latent: Tensor) -> NDArray[np.int8]:
    return signs_of(latent).numpy().astype(np.int8)


def to_block(name: str, latent: Tensor, norm: nn.BatchNorm1d) -> Block:
    """A dense layer with its BatchNorm folded into thresholds, exactly."""
    folded = stored(name, norm)
    neurons = [folded.apply(j, exact(1), exact(0)) for j in range(folded.n_features)]
    return Block(*fold_rows(binary_weights(latent), neurons)[:2])


class OneBlock(nn.Module):
    """A dense layer of binary weights, BatchNorm and sign, then class scores of binary weights with a bias."""

    def __init__(self, n_inputs: int, n_hidden: int, n_classes: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.empty(n_hidden, n_inputs).uniform_(-0.5, 0.5))
        self.norm = nn.BatchNorm1d(n_hidden)
        self.last = nn.Parameter(torch.empty(n_classes, n_hidden).uniform_(-0.5, 0.5))
        self.bias = nn.Parameter(torch.zeros(n_classes))

    def forward(self, bits: Tensor) -> Tensor:
        hidden = binarize(self.norm(functional.linear(bits, binarize(self.first))))
        return functional.linear(hidden, binarize(self.last), self.bias)

    @torch.no_grad()
    def clip(self) -> None:
        self.first.clamp_(-1, 1)
        self.last.clamp_(-1, 1)


def as_tensors(data: TabularDataset) -> tuple[Tensor, Tensor]:
    """Rows ``(N, n_bits)`` as float bits, and labels ``(N,)``."""
    return torch.from_numpy(data.bits.astype(np.float32)), torch.from_numpy(data.labels)


def balanced_accuracy(predicted: NDArray[Any], labels: NDArray[Any]) -> float:
    """Mean over the classes of the share of their rows that is right."""
    return float(np.mean([np.mean(predicted[labels == c] == c) for c in np.unique(labels)]))


def loss_of(model: OneBlock, bits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(LOGIT_SCALE * model(bits), labels)


@torch.no_grad()
def held_out_loss(model: OneBlock, bits: Tensor, labels: Tensor) -> float:
    model.eval()
    return float(loss_of(model, bits, labels))


def train_epoch(model: OneBlock, bits: Tensor, labels: Tensor, recipe: Recipe, optimizer: Any, schedule: Any) -> None:
    model.train()
    for batch in torch.split(torch.randperm(len(bits)), recipe.batch):
        flips = torch.rand(len(batch), bits.shape[1]) < recipe.flipped
        loss = loss_of(model, torch.where(flips, -bits[batch], bits[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        model.clip()
    schedule.step()


def train(data: TabularDataset, recipe: Recipe) -> OneBlock:
    """The model of the start and epoch that did best on the rows held out."""
    bits, labels = as_tensors(data)
    fit, held_out = slice(0, -recipe.held_out), slice(-recipe.held_out, None)
    best, least = None, np.inf
    for start in range(recipe.starts):
        torch.manual_seed(start)
        model = OneBlock(bits.shape[1], recipe.n_hidden, len(data.classes))
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs)
        for _ in range(recipe.epochs):
            train_epoch(model, bits[fit], labels[fit], recipe, optimizer, schedule)
            loss = held_out_loss(model, bits[held_out], labels[held_out])
            if loss < least:
                best, least = copy.deepcopy(model), loss
        print(f"start {start}: least loss so far {least:.4f} on {recipe.held_out:,} rows held out")
    assert best is not None
    return best


def to_network(model: OneBlock, name: str) -> Network:
    block = to_block("norm", model.first, model.norm)
    output = Output(binary_weights(model.last), bias=model.bias.detach().double().numpy())
    return Network((block,), output, BitInput((block.weights.shape[1],)), name=name)


def save_samples(data: TabularDataset, path: Path) -> None:
    """Write the first rows of each class, with their labels and their indices in the data set."""
    first = [np.flatnonzero(data.labels == c)[:SAMPLES_PER_CLASS] for c in range(len(data.classes))]
    indices = np.sort(np.concatenate(first))
    write_arrays(path, {"inputs": data.bits[indices], "labels": data.labels[indices], "indices": indices})


def report(network: Network, test: TabularDataset) -> str:
    """Accuracy beside what it must be compared with."""
    predicted = predict(network, test.bits)
    correct, greater = int((predicted == test.labels).sum()), int(np.bincount(test.labels).max())
    return (
        f"{network.name}: right on {correct:,} of {len(test):,} test rows ({correct / len(test):.2%});"
        f" the greater class alone: {greater:,} ({greater / len(test):.2%});"
        f" balanced accuracy {balanced_accuracy(predicted, test.labels):.2%}"
    )


def main() -> None:
    package_data = Path(__file__).resolve().parents[1] / "bnnverify" / "examples"
    parser = argparse.ArgumentParser(description="Train the bundled networks of people and save them.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="adult, german (default: both)")
    parser.add_argument("--data", type=Path, help="folder of data sets (default: $BNNVERIFY_DATA, ~/.cache/bnnverify)")
    parser.add_argument("--out", type=Path, default=package_data, help="folder to write to")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    for name in arguments.names or RECIPES:
        data, test = (load_tabular(f"{name}:{split}", arguments.data) for split in ("train", "test"))
        network = to_network(train(data, RECIPES[name]), name)
        print(report(network, test))
        save(network, arguments.out / f"{name}.npz")
        save_features(data.features, arguments.out / f"{name}.json")
        save_samples(test, arguments.out / f"{name}_test20.npz")


if __name__ == "__main__":
    main()
