"""Train the bundled networks of digits by their recipes, and cut the bundled images from the MNIST test set.

``small`` becomes ``mnist_784_100_50_10``, and ``small_robust``, which was trained to stay right under flipped bits,
``mnist_784_100_50_10_robust``. What is printed is what the README quotes: the accuracy of the integer network on all
test images, and on the first hundred the share that is proved right within 1, 2 and 3 flipped bits. Minutes to an hour
on one core; a run that was stopped goes on from its last epoch.

    python examples/bundle_mnist.py [small] [small_robust] [--data DIR] [--out DIR]
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from bnnverify.data import Dataset, load_dataset
from bnnverify.formats.archive import write_arrays
from bnnverify.reports.trained import epoch_line, verified_table
from bnnverify.training.material import load_material
from bnnverify.training.recipe import read_recipe
from bnnverify.training.session import Session, report

NAMES = {"small": "mnist_784_100_50_10", "small_robust": "mnist_784_100_50_10_robust"}
IMAGES = "mnist_test20"


def train(recipe_name: str, data: Path | None, out: Path) -> None:
    """Train, save and verify one network."""
    recipe = replace(read_recipe(recipe_name), name=NAMES[recipe_name])
    material = load_material(recipe.data, data)
    session = Session(recipe, material, out / f"{recipe.name}.npz")
    session.resume()
    n_epochs = recipe.training.epochs
    trained = session.train(on_epoch=lambda epoch: print(epoch_line(asdict(epoch), n_epochs), flush=True))
    print(f"{recipe.name}: {trained.test_accuracy:.2%} of {trained.n_test} test images, {trained.seconds:.0f} s")
    assert recipe.verify is not None
    print(verified_table([found.to_dict() for found in report(trained, material, recipe.verify)]))


def save_images(test: Dataset, path: Path) -> None:
    """Write the first two images of each class, with their labels and their indices in the data set."""
    first_two = [np.flatnonzero(test.labels == c)[:2] for c in np.unique(test.labels)]
    indices = np.sort(np.concatenate(first_two))
    write_arrays(path, {"images": test.images[indices], "labels": test.labels[indices], "indices": indices})


def main() -> None:
    package_data = Path(__file__).resolve().parents[1] / "bnnverify" / "examples"
    parser = argparse.ArgumentParser(description="Train the bundled MNIST networks and save them with the images.")
    parser.add_argument("recipes", nargs="*", default=list(NAMES), help=f"of {', '.join(NAMES)} (default: both)")
    parser.add_argument("--data", type=Path, help="folder of data sets (default: $BNNVERIFY_DATA, ~/.cache/bnnverify)")
    parser.add_argument("--out", type=Path, default=package_data, help="folder to write to")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    save_images(load_dataset("mnist:test", arguments.data), arguments.out / f"{IMAGES}.npz")
    for name in arguments.recipes:
        train(name, arguments.data, arguments.out)


if __name__ == "__main__":
    main()
