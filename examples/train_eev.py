"""Train the eight MNIST networks on which `benchmarks/sat.py` compares solvers: EEV's shapes, here made again.

EEV (Jia and Rinard 2020) verified networks whose weights are -1, 0 and +1 and whose inputs are pixels rounded to
multiples of a step. Two shapes, `mlp` 784-500-300-200-100-10 and `conv` 1x28x28-16C4-32C4-100-10 (strides 2,
padding 1), two steps, .61 (3 levels) and .1 (11 levels), each trained plainly and against an attack, by the recipes
`eev_...` of the package. A few epochs each, minutes of one core; EEV trained 200. Unlike `bnnverify train`, which keeps
the best epoch, this keeps the last one, and attacks what comes out. Before a network is saved, all its neurons must
agree with torch on all 10,000 test images.

    python examples/train_eev.py OUT_DIR [--only NAME ...] [--epochs N] [--images N] [--data DIR]

writes NAME.npz, a network, and NAME.json, how it was made, for each; the same seed gives the same files on one machine.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bnnverify.formats import save
from bnnverify.inference import predict
from bnnverify.network import MaxPool, Network
from bnnverify.training.attacks import PixelAttack, attacked_correct
from bnnverify.training.build import build_settings, seeded_model
from bnnverify.training.export import export
from bnnverify.training.images import Images
from bnnverify.training.material import Material, load_material
from bnnverify.training.model import BinaryModel
from bnnverify.training.recipe import Recipe, read_recipe
from bnnverify.training.run import Epoch, Run
from bnnverify.wholefile import whole_file

MAX_PIXEL = 255
ATTACKED_IMAGES = 1_000
EVALUATION_STEPS = 20

RECIPES = {
    "conv_step.61_adv": "eev_conv_step61_adv",
    "mlp_step.1_plain": "eev_mlp_step1_plain",
    "mlp_step.61_adv": "eev_mlp_step61_adv",
    "conv_step.1_adv": "eev_conv_step1_adv",
    "conv_step.61_plain": "eev_conv_step61_plain",
    "conv_step.1_plain": "eev_conv_step1_plain",
    "mlp_step.61_plain": "eev_mlp_step61_plain",
    "mlp_step.1_adv": "eev_mlp_step1_adv",
}


def recipe_of(name: str, n_epochs: int | None, n_images: int | None) -> Recipe:
    """The recipe of one network, shortened where that is asked for."""
    recipe = replace(read_recipe(RECIPES[name]), name=name)
    training = replace(recipe.training, epochs=n_epochs or recipe.training.epochs)
    return replace(recipe, training=training, data=replace(recipe.data, images=n_images))


def report(name: str, epoch: Epoch, n_epochs: int) -> None:
    print(
        f"{name} epoch {epoch.number}/{n_epochs}: loss {epoch.loss:.3f}, held-out accuracy "
        f"{epoch.validation_accuracy:.4f}, zero weights {epoch.zero_weights:.1%}, slope scale {epoch.slope_scale:.1f}, "
        f"{epoch.seconds:.0f} s",
        flush=True,
    )


def attacked_accuracy(model: BinaryModel, recipe: Recipe, test: Images) -> dict[str, float]:
    """Accuracy under a longer attack than that of the training, at several radii, on the first test images."""
    model.eval()
    first = test[:ATTACKED_IMAGES]
    found = {}
    for eps in (0.02, 0.05, 0.1, 0.3):
        attack = PixelAttack(int(eps * MAX_PIXEL), EVALUATION_STEPS)
        generator = torch.Generator().manual_seed(recipe.training.seed)
        found[str(eps)] = attacked_correct(model, attack, first.pixels, first.labels, generator) / len(first)
    return found


def layer_sparsity(network: Network) -> list[float]:
    """The fraction of zero weights of each layer of the exported network."""
    layers = [layer for layer in (*network.blocks, network.output) if not isinstance(layer, MaxPool)]
    return [round(float(np.mean(layer.weights == 0)), 4) for layer in layers]


def make(recipe: Recipe, material: Material) -> tuple[Network, dict[str, Any]]:
    """Train, export and measure one network."""
    start = time.perf_counter()
    model, curve = seeded_model(recipe, material.shape, torch.device("cpu")), []
    for epoch in Run(model, material.fit, material.held_out, build_settings(recipe)).epochs():
        report(recipe.name, epoch, recipe.training.epochs)
        curve.append(asdict(epoch))
    network = export(model, material.test_pixels)
    facts = {
        "name": recipe.name,
        "recipe": recipe.to_dict(),
        "test_accuracy": float((predict(network, material.test_pixels) == material.test_labels).mean()),
        "attacked_accuracy": attacked_accuracy(model, recipe, material.test),
        "zero_weights": layer_sparsity(network),
        "curve": curve,
        "seconds": time.perf_counter() - start,
        "fingerprint": network.fingerprint,
    }
    return network, facts


def write(out: Path, name: str, network: Network, facts: dict[str, Any]) -> None:
    save(network, out / f"{name}.npz")
    with whole_file(out / f"{name}.json") as path:
        path.write_text(json.dumps(facts, indent=1) + "\n")
    print(
        f"{name}: integer network {facts['test_accuracy']:.4f} of the test images, attacked "
        f"{facts['attacked_accuracy']}, zero weights by layer {facts['zero_weights']}, {facts['seconds']:.0f} s",
        flush=True,
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train EEV's MNIST networks.")
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="folder to write to; made if it is missing")
    parser.add_argument("--only", nargs="+", choices=RECIPES, metavar="NAME", help=f"some of {', '.join(RECIPES)}")
    parser.add_argument("--epochs", type=int, help="epochs of every network (default: 4 or 6, by network)")
    parser.add_argument("--images", type=int, help="train on the first so many images only")
    parser.add_argument("--data", type=Path, help="folder of data sets (default: $BNNVERIFY_DATA, ~/.cache/bnnverify)")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in arguments.only or RECIPES:
        recipe = recipe_of(name, arguments.epochs, arguments.images)
        write(arguments.out, name, *make(recipe, load_material(recipe.data, arguments.data)))


if __name__ == "__main__":
    main()
