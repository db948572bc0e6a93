"""All explanations of an instance at once: the minimal changes that reach a function, and what meets them all.

Bottom up over the nodes: the minimal sets of changed features with which a node reaches true are those of the
child that agrees with the instance, and those of the other child with the node's feature added, unless they contain
one of the former. At the roots these are all contrastive explanations. The abductive ones are the minimal sets
that meet each of them.

Cost: a few ZDD operations a node; both families can be exponential in the number of features, and are limited.

References: Coudert and Madre, "Implicit and incremental computation of primes and essential primes of Boolean
functions", 1992; Knuth, The Art of Computer Programming 4A, section 7.1.4, exercise 237.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.families import EMPTY, UNIT, Families, SetFamily
from bnnverify.diagram.flat import FlatDiagram


def minimal_changes(
    diagram: FlatDiagram,
    bad: Sequence[int],
    x: NDArray[np.integer[Any]],
    *,
    groups: Sequence[Sequence[int]] | None = None,
    node_limit: int | None = None,
) -> SetFamily:
    """All minimal sets of features whose change takes ``x`` into one of the roots ``bad``.

    Args:
        x: ``(n_levels,)`` 0/1, in none of these roots.
        groups: the levels of each feature; default one feature a level. Other levels keep their values.
        node_limit: most nodes that the families may take while they are built.

    Raises:
        TooManyNodesError: past the limit.
    """
    families = _families(diagram, groups, node_limit)
    with families.deep():
        return families.family(_changes(families, diagram.with_roots(bad), x, groups))


def minimal_sufficient(
    diagram: FlatDiagram,
    bad: Sequence[int],
    x: NDArray[np.integer[Any]],
    *,
    groups: Sequence[Sequence[int]] | None = None,
    node_limit: int | None = None,
) -> SetFamily:
    """All minimal sets of features that, kept as in ``x``, keep it out of the roots ``bad``.

    Arguments and errors are those of :func:`minimal_changes`.
    """
    families = _families(diagram, groups, node_limit)
    with families.deep():
        changes = _changes(families, diagram.with_roots(bad), x, groups)
        return families.family(families.transversals(changes))


def _families(diagram: FlatDiagram, groups: Sequence[Sequence[int]] | None, node_limit: int | None) -> Families:
    return Families(diagram.n_levels if groups is None else len(groups), node_limit=node_limit)


def _changes(
    families: Families, diagram: FlatDiagram, x: NDArray[np.integer[Any]], groups: Sequence[Sequence[int]] | None
) -> int:
    """The family of minimal changes that reach some root of the diagram."""
    feature = list(range(diagram.n_levels)) if groups is None else [-1] * diagram.n_levels
    for index, group in enumerate(groups or ()):
        for level in group:
            feature[level] = index
    of_node = [EMPTY, UNIT]
    rows = zip(diagram.level[2:].tolist(), diagram.low[2:].tolist(), diagram.high[2:].tolist(), strict=True)
    for level, low, high in rows:
        agreeing, other = (of_node[high], of_node[low]) if x[level] else (of_node[low], of_node[high])
        if feature[level] >= 0:
            agreeing = families.minimal_union(agreeing, families.attach(other, feature[level]))
        of_node.append(agreeing)
    reached = EMPTY
    for root in diagram.roots.tolist():
        reached = families.minimal_union(reached, of_node[root])
    return reached
