"""Why the bundled network reads a 7, in pictures: ``python examples/interpret_mnist.py FOLDER``.

Six pictures of one image of 784 pixels: a smallest set of pixels that forces the class whatever three others do (AXp),
the smallest change that gives another class (CXp), how many inputs change class at every distance, what random bit
errors do, SHAP values of thirty pixels over all 2^30 settings of them, and how many inputs of a region each weight of
the output layer decides. All are exact; the SHAP values take two minutes, the weights one, the rest seconds.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import bnnverify as bv
from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.reports.figures import save_figure
from bnnverify.reports.pixelplots import plot_mask, plot_values
from bnnverify.reports.plots import plot_bit_errors, plot_criticality, plot_profile

SHAPE = (28, 28)
RADIUS = 3
SHAP_WINDOW = (range(13, 18), range(11, 17))
CRITICAL_WINDOW = (range(14, 18), range(11, 16))


def window(rows, columns):
    """Numbers of the pixels of a rectangle."""
    return [row * SHAPE[1] + column for row in rows for column in columns]


def explanations(network, image, ink):
    """Both kinds of explanation within the ball, as masks over the image."""
    ball = bv.HammingBall(image, RADIUS)
    for kind, name in (("min-axp", "force the class"), ("min-cxp", "change it")):
        found = bv.explain(network, image, ball, kind=kind)
        assert found.minimum
        ax = plot_mask(found.features, SHAPE, ink=ink, changed=kind == "min-cxp")
        ax.set_title(f"{found.size} pixels {name}, within {RADIUS} flips")
        yield kind, ax


def profiles(network, image):
    """Counts at every distance, and the chance of another class under random bit errors."""
    found = bv.profile(network, bv.HammingBall(image, RADIUS), engine="bdd")
    yield "profile", plot_profile(found.profile, found.input_class)
    yield "bit-errors", plot_bit_errors(found.profile, found.input_class)


def shapley(network, image, ink):
    """SHAP values of a window of pixels, the others as they are."""
    found = bv.explain(network, image, bv.FreeBits(image, window(*SHAP_WINDOW)), kind="shapley")
    ax = plot_values(found.values, SHAPE, ink=ink, name="SHAP value")
    ax.set_title(f"SHAP values of {len(window(*SHAP_WINDOW))} pixels")
    yield "shapley", ax


def critical_weights(network, image):
    """Inputs of a region whose class hangs on each weight of the output layer."""
    output = len(network.blocks)
    counts = np.zeros(network.output.weights.shape, dtype=object)
    region = bv.FreeBits(image, window(*CRITICAL_WINDOW))
    for bit, n in bv.criticality(network, bv.weight_bits(network, output), region):
        counts[bit.row, bit.column] = n
    yield "criticality", plot_criticality(counts.tolist())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    network, image = bundled_network(), bundled_images().values[0]
    ink = (network.input.to_bits(image).reshape(-1) > 0).astype(np.uint8)
    start = time.perf_counter()
    for pictures in (
        explanations(network, image, ink),
        profiles(network, image),
        critical_weights(network, image),
        shapley(network, image, ink),
    ):
        for name, ax in pictures:
            save_figure(ax.figure, folder / f"{name}.png")
            print(f"{name}.png  {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
