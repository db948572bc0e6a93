"""The summary: counted by hand on small networks, consistent on real ones."""

import json

import numpy as np
import pytest

from bnnverify.formats import load
from bnnverify.network import BitInput, Block, ConvBlock, MaxPool, Network, Output, QuantizedInput, ThresholdInput
from bnnverify.summary import summarize
from tests.formats_support import every_network, peer_models
from tests.paths import PEERS, needs_peers


def test_a_dense_network_is_counted_as_by_hand():
    block = Block([[1, -1, 1], [1, 0, -1]], [4, -2])
    network = Network([block], Output([[1, -1], [1, 1]], bias=[0.5, 0.1]))
    source, dense, output = summarize(network).layers
    assert (source.kind, source.n_bytes, source.operations) == ("bits", 0, 0)
    assert (dense.kind, dense.input_shape, dense.output_shape) == ("dense", (3,), (2,))
    assert (dense.n_1bit, dense.n_2bit, dense.n_32bit, dense.operations) == (0, 6, 2, 6)
    assert dense.n_bytes == 2 * 1 + 2
    assert (dense.n_neurons, dense.n_constant) == (2, 2)
    assert (dense.sums, dense.thresholds) == ((-3, 3), (-2, 4))
    assert (output.n_1bit, output.n_32bit, output.n_bytes) == (4, 2, 1 + 2 * 8)


@pytest.mark.parametrize(("threshold", "constant"), [(-3, 1), (-2, 0), (3, 0), (4, 1)])
def test_a_neuron_is_constant_exactly_when_no_input_changes_it(threshold, constant):
    network = Network([Block([[1, -1, 1]], [threshold])], Output([[1], [-1]]))
    assert summarize(network).layers[1].n_constant == constant


def test_a_quantized_first_block_is_bounded_by_its_levels():
    network = Network([Block([[2, -3]], [15])], Output([[1], [-1]]), QuantizedInput((2,), 7))
    dense = summarize(network).layers[1]
    assert (dense.sums, dense.n_8bit, dense.n_constant) == ((-21, 14), 2, 1)


def test_a_convolution_counts_an_operation_for_every_weight_and_position():
    blocks = [ConvBlock(np.ones((4, 2, 3, 3)), np.zeros(4), padding=(1, 1)), MaxPool((2, 2))]
    network = Network(blocks, Output(np.ones((3, 4 * 3 * 3))), BitInput((2, 6, 6)))
    _, conv, pool, _ = summarize(network).layers
    assert (conv.output_shape, conv.operations, conv.n_1bit) == ((4, 6, 6), 4 * 2 * 9 * 36, 72)
    assert conv.n_bytes == 72 // 8 + 4
    assert (pool.kind, pool.output_shape, pool.operations, pool.n_bytes) == ("maxpool", (4, 3, 3), 4 * 36, 0)


def test_a_pixel_threshold_out_of_range_is_a_constant_bit():
    source = ThresholdInput([0, 1, 255, 256], [True] * 4)
    layer = summarize(Network([Block([[1, 1, 1, 1]], [0])], Output([[1], [-1]]), source)).layers[0]
    assert (layer.n_constant, layer.n_neurons, layer.thresholds) == (2, 4, (0, 256))
    assert layer.n_bytes == 4 * 2 + 1


@pytest.mark.parametrize("kind", every_network())
def test_totals_are_the_sums_of_the_layers_and_the_dictionary_is_json(kind):
    network = every_network()[kind]
    summary = summarize(network)
    found = json.loads(json.dumps(summary.to_dict()))
    assert found["sha256"] == network.fingerprint
    for field, total in found["totals"].items():
        if field != "float32_bytes":
            assert total == sum(layer[field] for layer in found["layers"])
    assert found["totals"]["float32_bytes"] == 4 * summary.n_parameters


@pytest.mark.parametrize("kind", every_network())
def test_rows_have_one_line_a_layer_the_same_columns_and_a_total(kind):
    summary = summarize(every_network()[kind])
    rows = summary.rows()
    assert [row["layer"] for row in rows] == [*(layer.name for layer in summary.layers), "total"]
    assert len({tuple(row) for row in rows}) == 1
    assert rows[-1]["bytes"] == f"{summary.n_bytes:,}"


@needs_peers
def test_a_real_network_is_thirty_times_smaller_than_its_floats():
    summary = summarize(load(PEERS / "mnist784" / "mnist.npz"))
    assert summary.total("operations") == 784 + 784 * 200 + 200 * 100 + 2 * 100 * 100 + 1000
    assert summary.float32_bytes / summary.n_bytes > 29


@needs_peers
@pytest.mark.parametrize("path", peer_models(), ids=lambda path: path.stem)
def test_thresholds_lie_one_step_within_reach_at_most(path):
    for layer in summarize(load(path)).layers:
        if layer.thresholds is not None:
            assert layer.sums[0] <= layer.thresholds[0] <= layer.thresholds[1] <= layer.sums[1] + 1
