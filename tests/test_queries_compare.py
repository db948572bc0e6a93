"""Two networks are compared exactly: every pair of classes, against brute force."""

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.errors import UsageError
from bnnverify.weightflips import weight_bits
from tests.agreement import any_region
from tests.oracle import classes_of, members_of, random_network


def with_same_inputs(rng, network):
    """Another network over the same inputs, or the same with a few weights flipped."""
    if rng.random() < 0.5:
        bits = [bit for block in _blocks_with_weights(network) for bit in weight_bits(network, block)]
        if bits:
            chosen = rng.choice(len(bits), min(len(bits), 2), replace=False)
            return bv.flip_weights(network, [bits[i] for i in chosen])
    n = network.n_inputs
    block = bv.Block(rng.integers(-1, 2, (4, n)), rng.integers(-1, 2, 4))
    return bv.Network([block], bv.Output(rng.choice([-1, 1], (3, 4))), input=network.input)


def _blocks_with_weights(network):
    return [i for i, layer in enumerate([*network.blocks, network.output]) if not isinstance(layer, bv.MaxPool)]


def test_disagreements_of_random_networks_class_by_class():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        network = random_network(rng)
        other = with_same_inputs(rng, network)
        region = any_region(rng, network)
        _, distances, bits = members_of(region.on(network))
        if not len(bits):
            continue
        a, b = classes_of(network, bits), classes_of(other, bits)
        met = set(zip(a.tolist(), b.tolist(), strict=True))
        expected = {(i, j): int(((a == i) & (b == j)).sum()) for i, j in met}
        answer = bv.compare(network, other, region)
        assert answer.pairs == expected
        assert answer.disagreements == (a != b).sum()
        assert answer.verdict is (bv.Verdict.VIOLATED if (a != b).any() else bv.Verdict.HOLDS)
        if answer.witness is not None:
            assert answer.witness.distance == distances[a != b].min()
            assert classes_of(network, answer.witness.input)[0] == answer.witness.label
            assert classes_of(other, answer.witness.input)[0] == answer.other_label


def test_a_network_equals_itself_on_its_whole_input_space():
    network = random_network(np.random.default_rng(7))
    answer = bv.compare(network, network)
    assert answer.verdict is bv.Verdict.HOLDS
    assert answer.to_dict()["disagreements"] == "0"


def test_a_flipped_output_weight_changes_what_execution_says_it_does():
    network = bundled_network()
    x = bundled_images().values[0]
    region = bv.FreeBits(x, range(196, 208))
    other = bv.flip_weights(network, [bv.WeightBit(len(network.blocks), 7, 3)])
    _, _, bits = members_of(region.on(network))
    differ = classes_of(network, bits) != classes_of(other, bits)
    assert bv.compare(network, other, region).disagreements == differ.sum()


def test_networks_over_other_inputs_are_refused():
    small, large = (bv.Network([bv.Block(np.ones((1, n), int), [0])], bv.Output([[1], [-1]])) for n in (3, 4))
    with pytest.raises(UsageError, match="reads other inputs"):
        bv.compare(small, large)


@pytest.mark.parametrize(
    ("bit", "message"),
    [
        (bv.WeightBit(5, 0, 0), "block 5: expected 0..1"),
        (bv.WeightBit(0, 1, 0), "the layer has 1 rows of 3 weights"),
        (bv.WeightBit(0, 0, 1), "it is 0"),
    ],
)
def test_weights_that_cannot_flip_are_refused(bit, message):
    network = bv.Network([bv.Block([[1, 0, 1]], [0])], bv.Output([[1], [-1]]))
    with pytest.raises(UsageError, match=message):
        bv.flip_weights(network, [bit])


def test_flipping_the_weights_twice_gives_the_network_back():
    for seed in range(30):
        network = random_network(np.random.default_rng(seed))
        for block in _blocks_with_weights(network):
            bits = weight_bits(network, block)
            twice = bv.flip_weights(bv.flip_weights(network, bits), bits)
            assert twice.fingerprint == network.fingerprint


def test_the_criticality_of_a_weight_is_the_number_of_inputs_it_changes():
    network = random_network(np.random.default_rng(5), 8)
    region = bv.FreeBits(np.ones(network.n_inputs), range(network.n_inputs))
    bits = bv.weight_bits(network, len(network.blocks))
    for bit, n in bv.criticality(network, bits, region):
        assert n == bv.compare(network, bv.flip_weights(network, [bit]), region).disagreements
