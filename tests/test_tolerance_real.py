"""Exact fault tolerance of the bundled network: replayed witnesses, and probabilities where campaigns see them."""

import numpy as np
import pytest

import bnnverify as bv
from bnnverify import faults
from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.inference import predict

TRIALS, ALMOST_CERTAIN = 2000, 0.9999


@pytest.mark.slow
def test_the_least_flips_of_all_bundled_images_are_exact_and_replayed() -> None:
    network = bundled_network()
    for pixels in bundled_images().values:
        answer = bv.tolerance(network, pixels)
        assert answer.lower == answer.value == len(answer.witness.bits)
        assert predict(bv.flip_weights(network, answer.witness.bits), pixels[None])[0] == answer.witness_class
        assert answer.witness_class != answer.input_class


@pytest.mark.slow
@pytest.mark.parametrize("ber", [1e-4, 1e-3])
def test_certified_probabilities_meet_the_intervals_of_campaigns(ber) -> None:
    network, images = bundled_network(), bundled_images().values
    for pixels in images:
        label = predict(network, pixels[None])
        point = faults.run(
            network, (pixels[None], label), faults.Symmetric(ber), trials=TRIALS, confidence=ALMOST_CERTAIN
        ).points[0]
        certified = bv.failure_probability(network, pixels, ber, timeout=5)
        assert float(certified.lower) <= 1 - point.low + 1e-12
        assert float(certified.upper) >= 1 - point.high - 1e-12
        assert np.isfinite(float(certified.width))
