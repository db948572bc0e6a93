"""The network and the images that ship with the package are what they are said to be."""

import subprocess
import sys
from ast import literal_eval
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

from bnnverify.data import load_dataset, resolve_input
from bnnverify.data.arrays import read_npz
from bnnverify.data.bundled import (
    BUNDLED_IMAGES,
    BUNDLED_NETWORK,
    DIGITS,
    ROBUST_NETWORK,
    bundled_images,
    bundled_names,
    bundled_network,
)
from bnnverify.errors import UsageError
from bnnverify.inference import predict
from bnnverify.network import Block, ThresholdInput
from bnnverify.queries.results import Verdict
from bnnverify.queries.robustness import robustness
from bnnverify.regions import HammingBall
from tests.paths import DATA, REPOSITORY, needs_data

MAX_NETWORK_BYTES = 100_000
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_bundled_network_is_784_100_50_10_on_binarized_pixels() -> None:
    network = bundled_network()
    assert bundled_names()[0] == network.name
    assert isinstance(network.input, ThresholdInput)
    assert [block.weights.shape for block in network.blocks if isinstance(block, Block)] == [(100, 784), (50, 100)]
    assert network.output.weights.shape == (10, 50)
    for layer in (*network.blocks, network.output):
        assert not isinstance(layer, Block) or np.all(np.abs(layer.weights) == 1)


def test_the_bundled_network_is_small_on_disk() -> None:
    assert len((files("bnnverify") / "examples" / f"{bundled_names()[0]}.npz").read_bytes()) < MAX_NETWORK_BYTES


def test_a_name_that_is_not_bundled_is_refused() -> None:
    with pytest.raises(UsageError, match="no bundled network 'alexnet', expected one of mnist_784_100_50_10"):
        bundled_network("alexnet")


def test_the_bundled_images_show_each_class_twice_and_most_are_classified_right() -> None:
    found = bundled_images()
    assert found.values.shape == (20, 28, 28)
    assert found.values.dtype == np.uint8
    assert found.labels is not None
    assert np.bincount(found.labels).tolist() == [2] * 10
    assert (predict(bundled_network(), found.values) == found.labels).sum() >= 17


def test_the_bundled_images_have_a_name_that_input_accepts() -> None:
    assert np.array_equal(resolve_input(BUNDLED_IMAGES).values, bundled_images().values)


@needs_data
def test_the_bundled_images_are_those_of_the_mnist_test_set() -> None:
    found, test = bundled_images(), load_dataset("mnist:test", DATA)
    with as_file(files("bnnverify") / "examples" / f"{BUNDLED_IMAGES}.npz") as path:
        indices = read_npz(path)["indices"]
    assert indices[:12].tolist() == list(range(12))
    assert np.array_equal(found.values, test.images[indices])
    assert np.array_equal(found.labels, test.labels[indices])


@needs_data
def test_the_bundled_networks_are_right_on_as_many_mnist_test_images_as_their_docstring_says() -> None:
    test = load_dataset("mnist:test", DATA)
    plain, robust = (int((predict(bundled_network(name), test.images) == test.labels).sum()) for name in DIGITS)
    assert f"right on {plain:,} of the 10,000" in str(bundled_network.__doc__)
    assert f"``{ROBUST_NETWORK}``, on {robust:,}" in str(bundled_network.__doc__)


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize(("name", "verified"), [(BUNDLED_NETWORK, [90, 82, 61]), (ROBUST_NETWORK, [95, 91, 83])])
def test_as_many_of_the_first_hundred_test_images_are_verified_as_the_readme_says(name, verified) -> None:
    test, network = load_dataset("mnist:test", DATA), bundled_network(name)
    right = predict(network, test.images[:100]) == test.labels[:100]
    found = [
        sum(
            robustness(network, HammingBall(test.images[k], radius)).verdict is Verdict.HOLDS
            for k in np.flatnonzero(right)
        )
        for radius in (1, 2, 3)
    ]
    assert found == verified
    row = " | ".join(f"{count} %" for count in verified)
    assert f"| `{name}` |" in README
    assert f"| {row} |" in README


def test_the_quickstart_runs_offline_and_prints_its_three_answers() -> None:
    quickstart = REPOSITORY / "examples" / "quickstart.py"
    command = [sys.executable, "-W", "error", str(quickstart)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(quickstart).parent)
    assert done.returncode == 0, done.stderr
    robustness, counts, radius = done.stdout.splitlines()
    assert robustness.startswith("RobustnessResult(verdict=")
    assert sum(literal_eval(counts).values()) == 1 + 784 + 784 * 783 // 2 + 784 * 783 * 782 // 6
    assert radius.startswith("RadiusResult(verdict=")
