"""The order in which features are freed puts those first that carry least of the class's lead."""

import numpy as np

import bnnverify as bv
from bnnverify.explanations.orders import least_support_first


def test_bits_without_weight_come_first_and_bits_that_speak_for_the_class_last():
    network = bv.Network([bv.Block([[1, 0, 1, -1]], [0])], bv.Output([[1], [-1]]))
    assert least_support_first(network, np.array([1, 1, 1, 1], dtype=np.int8)) == [3, 1, 0, 2]


def test_the_support_of_a_feature_is_that_of_its_bits():
    network = bv.Network([bv.Block([[1, 0, 1, -1]], [0])], bv.Output([[1], [-1]]))
    assert least_support_first(network, np.ones(4, dtype=np.int8), [[0, 2], [1, 3], [0]]) == [1, 2, 0]


def test_every_feature_of_a_convolutional_network_is_ordered_once():
    conv = bv.ConvBlock(np.ones((2, 1, 2, 2), dtype=np.int8), np.array([0, 1]))
    network = bv.Network([conv], bv.Output(np.ones((2, 8), dtype=np.int8)), input=bv.BitInput((1, 3, 3)))
    assert sorted(least_support_first(network, np.ones(9, dtype=np.int8))) == list(range(9))
