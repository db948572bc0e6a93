"""Critical bits against flipping every bit by itself and executing all inputs."""

import numpy as np
import pytest

from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.errors import UsageError
from bnnverify.inference.reference import classify
from bnnverify.network import Block, Network, Output
from bnnverify.weightfaults import critical, critical_bits
from bnnverify.weightflips import flip_weights, weight_bits
from tests.toleranceworld import KINDS, random_question, stored


def counts_by_flipping(network, inputs):
    """{bit: inputs whose class it changes}, one bit after the other."""
    before = classify(network, inputs)
    return {
        bit: int((classify(flip_weights(network, [bit]), inputs) != before).sum())
        for layer in stored(network)
        for bit in weight_bits(network, layer)
    }


def random_inputs(rng, network, n):
    most = getattr(network.input, "max_value", None)
    if most is None:
        return rng.choice(np.array([-1, 1], dtype=np.int8), (n, network.n_inputs))
    return rng.integers(0, most + 1, (n, network.n_inputs))


@pytest.mark.parametrize("kind", KINDS)
def test_each_bit_changes_as_many_inputs_as_said(kind):
    rng = np.random.default_rng(KINDS.index(kind))
    for _ in range(6):
        network = random_question(rng, kind).network
        inputs = random_inputs(rng, network, 12)
        expected = counts_by_flipping(network, inputs)
        found = critical_bits(network, inputs)
        assert (found.n_bits, found.n_inputs) == (len(expected), 12)
        assert {bit: int(found.counts[bit.block][bit.row, bit.column]) for bit in expected} == expected
        ranked = sorted((bit for bit, n in expected.items() if n), key=lambda bit: (-expected[bit], bit))
        assert list(zip(found.bits, found.changed, strict=True)) == [(bit, expected[bit]) for bit in ranked]


def test_small_chunks_give_the_same(monkeypatch):
    network, images = bundled_network(), bundled_images().values
    whole = critical_bits(network, images)
    monkeypatch.setattr(critical, "CHUNK", 3)
    monkeypatch.setattr(critical, "MOST_CELLS", 2000)
    pieces = critical_bits(network, images)
    assert pieces.bits == whole.bits
    assert pieces.changed == whole.changed


def test_layers_and_the_length_of_the_list_are_chosen():
    network, images = bundled_network(), bundled_images().values
    every = critical_bits(network, images)
    last = critical_bits(network, images, layers=[2], top=3)
    assert last.n_bits == 500
    assert list(last.bits) == [bit for bit in every.bits if bit.block == 2][:3]
    assert set(last.counts) == {2}
    with pytest.raises(UsageError, match="layer 9"):
        critical_bits(network, images, layers=[9])


def test_a_network_that_nothing_changes_has_no_critical_bit():
    network = Network([Block([[1, 1]], [-9])], Output([[1], [-1]], bias=[9, 0]))
    found = critical_bits(network, [[1, 1]])
    assert (found.bits, found.to_dict()["critical"]) == ((), [])
    assert repr(found) == "CriticalBits(4 bits, 1 inputs, none changes any)"
