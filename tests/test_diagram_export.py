"""Exported graphs and Graphviz text hold the same functions as the arrays."""

import re

import networkx
import numpy as np
import pytest

from bnnverify.diagram.export import to_dot, to_networkx
from bnnverify.errors import UsageError
from tests.diagrams import assignments, table_of
from tests.worlds import random_worlds, true_everywhere


def value_in_graph(graph, root, bits):
    (node,) = [v for v, roots in graph.nodes(data="roots") if root in roots]
    while graph.out_degree(node):
        bit = bits[graph.nodes[node]["level"]]
        (node,) = [end for _, end, value in graph.out_edges(node, data="value") if value == bit]
    return graph.nodes[node]["variable"] == "true"


def test_graphs_evaluate_to_the_tables_and_have_no_cycle():
    for diagram, _ in random_worlds(51, 30, 6):
        graph = to_networkx(diagram)
        assert networkx.is_directed_acyclic_graph(graph)
        assert graph.number_of_nodes() == diagram.n_nodes
        for root in range(diagram.roots.size):
            values = [value_in_graph(graph, root, bits) for bits in assignments(diagram.n_levels)]
            assert values == table_of(diagram, root)


def test_vertices_are_named_by_their_variables():
    diagram = next(iter(random_worlds(52, 1, 6)))[0]
    names = [f"bit {i}" for i in range(diagram.n_levels)]
    graph = to_networkx(diagram, names)
    assert [graph.nodes[v]["variable"] for v in range(2)] == ["false", "true"]
    assert all(data["variable"] == names[data["level"]] for v, data in graph.nodes(data=True) if v > 1)


EDGE = re.compile(r"^  n(\d+) -> n(\d+)( \[style=dashed\])?;$", re.MULTILINE)


def test_the_text_has_each_edge_once_with_low_ones_dashed():
    for diagram, _ in random_worlds(53, 30, 6):
        text = to_dot(diagram)
        edges = {(int(a), int(b), bool(dashed)) for a, b, dashed in EDGE.findall(text)}
        inner = range(2, diagram.n_nodes)
        expected = {(v, int(diagram.low[v]), True) for v in inner} | {(v, int(diagram.high[v]), False) for v in inner}
        assert edges == expected
        assert text.count("->") == len(expected) + diagram.roots.size
        for root, node in enumerate(diagram.roots):
            assert f"  r{root} -> n{node};" in text
        ranks = [re.findall(r"n(\d+) \[label", line) for line in text.splitlines() if "rank=same" in line]
        assert [sorted(map(int, rank)) for rank in ranks] == [
            np.flatnonzero(diagram.level == level).tolist()
            for level in range(diagram.n_levels)
            if (diagram.level == level).any()
        ]


def test_names_with_quotes_and_backslashes_are_escaped():
    diagram = true_everywhere(0)
    assert r'r0 [label="a \"b\" \\ c\nd", shape=plaintext];' in to_dot(diagram, root_names=['a "b" \\ c\nd'])


def test_a_wrong_number_of_names_is_refused():
    diagram = true_everywhere(3)
    for refused in (lambda: to_dot(diagram, ["a"]), lambda: to_networkx(diagram, ["a"])):
        with pytest.raises(UsageError, match="found 1, expected 3, one a level"):
            refused()
    with pytest.raises(UsageError, match="found 2, expected 1, one a root"):
        to_dot(diagram, root_names=["a", "b"])
