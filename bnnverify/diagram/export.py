"""Diagrams for other programs: a networkx graph, and Graphviz text.

Both have one vertex a node, numbered as in the arrays, 0 for false and 1 for true. An edge that skips
levels is drawn straight to its end. Low edges are dashed, as in the literature, and each level is a rank, so that
a picture reads from the first variable down. Cost: some microseconds a node; pictures of more than a few hundred
nodes help nobody.

Reference: Gansner and North, "An open graph visualization system and its applications", 2000 (Graphviz).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.errors import UsageError

if TYPE_CHECKING:
    import networkx

TERMINALS = ("false", "true")


def to_networkx(diagram: FlatDiagram, names: Sequence[str] | None = None) -> networkx.DiGraph[int]:
    """The diagram as a directed graph over the numbers of its nodes.

    Args:
        diagram: the functions.
        names: one a level; default ``x0``, ``x1``, ...

    Returns:
        Vertices have the attributes ``level``, ``variable`` (``false`` and ``true`` for the two terminals) and
        ``roots``, the numbers of the functions that begin there; edges have ``value``, 0 or 1.

    Raises:
        UsageError: if there is not one name a level.

    Complexity: O(nodes).

    >>> both_of_two = FlatDiagram([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 2], [3], 2)
    >>> graph = to_networkx(both_of_two, ["tall", "dark"])
    >>> graph.nodes[2], list(graph.edges(data="value"))
    ({'level': 1, 'variable': 'dark', 'roots': ()}, [(2, 0, 0), (2, 1, 1), (3, 0, 0), (3, 2, 1)])
    """
    import networkx

    labels, roots_at = _labels(diagram, names), _roots_at(diagram)
    graph: networkx.DiGraph[int] = networkx.DiGraph()
    for node, level in enumerate(diagram.level.tolist()):
        variable = TERMINALS[node] if node < 2 else labels[level]
        graph.add_node(node, level=level, variable=variable, roots=tuple(roots_at.get(node, ())))
    for node, low, high in _edges(diagram):
        graph.add_edge(node, low, value=0)
        graph.add_edge(node, high, value=1)
    return graph


def to_dot(diagram: FlatDiagram, names: Sequence[str] | None = None, *, root_names: Sequence[str] | None = None) -> str:
    """The diagram in Graphviz's language; arguments and errors as :func:`to_networkx`.

    Args:
        root_names: one a function; default ``f0``, ``f1``, ...

    >>> both_of_two = FlatDiagram([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 2], [3], 2)
    >>> print(to_dot(both_of_two, root_names=["both"]))
    digraph {
      n0 [label="false", shape=box];
      n1 [label="true", shape=box];
      { rank=sink; n0; n1; }
      { rank=same; n3 [label="x0"]; }
      { rank=same; n2 [label="x1"]; }
      { rank=source; r0 [label="both", shape=plaintext]; }
      r0 -> n3;
      n2 -> n0 [style=dashed];
      n2 -> n1;
      n3 -> n0 [style=dashed];
      n3 -> n2;
    }
    """
    return "\n".join(["digraph {", *(f"  {line}" for line in _dot_lines(diagram, names, root_names)), "}"])


def _dot_lines(diagram: FlatDiagram, names: Sequence[str] | None, root_names: Sequence[str] | None) -> Iterator[str]:
    labels = _labels(diagram, names)
    functions = _checked("root", "f", diagram.roots.size, root_names)
    for node, label in enumerate(TERMINALS):
        yield f'n{node} [label="{label}", shape=box];'
    yield "{ rank=sink; n0; n1; }"
    for level, label in enumerate(labels):
        here = range(*diagram.nodes_at(level).indices(diagram.n_nodes))
        if here:
            yield f"{{ rank=same; {' '.join(f'n{node} [label={_quoted(label)}];' for node in here)} }}"
    if functions:
        entries = (f"r{root} [label={_quoted(label)}, shape=plaintext];" for root, label in enumerate(functions))
        yield f"{{ rank=source; {' '.join(entries)} }}"
    yield from (f"r{root} -> n{node};" for root, node in enumerate(diagram.roots.tolist()))
    for node, low, high in _edges(diagram):
        yield f"n{node} -> n{low} [style=dashed];"
        yield f"n{node} -> n{high};"


def _edges(diagram: FlatDiagram) -> Iterator[tuple[int, int, int]]:
    """Each node but the terminals with its two children."""
    inner = np.arange(2, diagram.n_nodes)
    return zip(inner.tolist(), diagram.low[2:].tolist(), diagram.high[2:].tolist(), strict=True)


def _roots_at(diagram: FlatDiagram) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for root, node in enumerate(diagram.roots.tolist()):
        found.setdefault(node, []).append(root)
    return found


def _labels(diagram: FlatDiagram, names: Sequence[str] | None) -> Sequence[str]:
    return _checked("level", "x", diagram.n_levels, names)


def _checked(what: str, letter: str, n: int, names: Sequence[str] | None) -> Sequence[str]:
    """The names, or numbered ones, if there are as many as asked for."""
    if names is None:
        return [f"{letter}{i}" for i in range(n)]
    if len(names) != n:
        raise UsageError(f"names: found {len(names)}, expected {n}, one a {what}")
    return names


def _quoted(label: str) -> str:
    escaped = label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
