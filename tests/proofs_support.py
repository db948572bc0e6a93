"""Small questions whose truth is found by brute force, a slow twin of the checker, and proofs made by a tiny search.

The twin propagates by going over everything until nothing changes, and reads rows in plain loops.
"""

from itertools import product

import numpy as np

from bnnverify.network import BitInput, Block, ConvBlock, MaxPool, Network, Output, QuantizedInput
from bnnverify.proofs.question import bit_question, level_question
from tests.oracle import class_of, random_network, random_region


def random_bit_world(rng):
    """A network of bits and a question about a region with or without a budget."""
    while True:
        network = random_network(rng, 8)
        if network.n_classes > 1:
            break
    region = random_region(rng, network)
    free = region.free[:7]
    center = class_of(network, region.center)
    return network, bit_question(
        region.center, free, region.costs[:7], region.budget, **random_classes(rng, network.n_classes, center)
    )


def random_level_world(rng):
    """A network of quantized inputs, dense or convolutional, a box of 2 to 6 steps, now and then a budget."""
    steps = int(rng.integers(2, 7))
    shape, blocks = random_level_blocks(rng)
    n_hidden = int(np.prod(Network(blocks, dummy_output(blocks, shape), QuantizedInput(shape, steps)).shapes[-1]))
    n_classes = int(rng.integers(2, 5))
    scale, bias = (rng.normal(size=n_classes), rng.normal(size=n_classes)) if rng.random() < 0.4 else (None, None)
    output = Output(rng.integers(-1, 2, (n_classes, n_hidden)), bias, scale)
    edges = np.sort(rng.integers(1, 8, steps)) if rng.random() < 0.4 else None
    network = Network(blocks, output, QuantizedInput(shape, 7 if edges is not None else steps, edges))
    n = network.n_inputs
    values = network.input.levels_of(np.sort(rng.integers(0, network.input.max_value + 1, (3, n)), axis=0))
    free = rng.choice(n, min(n, 3), replace=False)
    low, high = values[1].copy(), values[1].copy()
    low[free], high[free] = values[0][free], values[2][free]
    classes = random_classes(rng, n_classes, class_of(network, values[1]))
    if rng.random() < 0.7:
        return network, level_question(values[1], low, high, **classes)
    costs = rng.integers(0, 4, sum(len(v) - 1 for v in values_of(network, low, high)))
    return network, level_question(values[1], low, high, **classes, costs=costs, budget=int(rng.integers(0, 8)))


def random_level_blocks(rng):
    if rng.random() < 0.5:
        n, width = int(rng.integers(1, 5)), int(rng.integers(1, 6))
        first = Block(rng.integers(-4, 5, (width, n)), rng.integers(-6, 7, width))
        return (n,), [first, Block(rng.integers(-1, 2, (3, width)), rng.integers(-1, 2, 3))][: rng.integers(1, 3)]
    kernel = rng.integers(-3, 4, (2, 1, 2, 2))
    conv = ConvBlock(kernel, rng.integers(-5, 6, 2), (1, 1), tuple(rng.integers(0, 2, 2).tolist()))
    return (1, 3, 3), [conv, MaxPool((2, 2), (1, 1))][: rng.integers(1, 3)]


def dummy_output(blocks, shape):
    for block in blocks:
        shape = block.output_shape(shape)
    return Output(np.zeros((1, int(np.prod(shape)))))


def random_classes(rng, n_classes, center):
    """A label, wanted classes and an order of ties, as untargeted, targeted and odd questions have them."""
    label = center if rng.random() < 0.8 else int(rng.integers(n_classes))
    others = [c for c in range(n_classes) if c != label]
    kind = rng.random()
    if kind < 0.5:
        wanted = others
    elif kind < 0.8:
        wanted = [int(rng.choice(others))]
    else:
        wanted = [c for c in others if rng.random() < 0.6]
    order = list(range(n_classes)) if rng.random() < 0.5 else [*others, label]
    return {"label": label, "wanted": wanted, "order": order}


def values_of(network, low, high):
    """The values that each input can take, ascending."""
    if not isinstance(network.input, QuantizedInput):
        return [sorted({a, b}) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    levels = set(network.input.levels_of(np.arange(network.input.max_value + 1)).tolist())
    return [sorted(levels & set(range(a, b + 1))) for a, b in zip(low.tolist(), high.tolist(), strict=True)]


def inputs_of(network, question):
    """All inputs of a region, by the definition."""
    values = values_of(network, question.low, question.high)
    costs, steps = iter(question.costs.tolist()), []
    for known, center in zip(values, question.center.tolist(), strict=True):
        steps.append([(v, v > center, next(costs, 0)) for v in known[1:]])
    for chosen in product(*values):
        moved = sum(cost * ((x >= v) != (not up)) for x, own in zip(chosen, steps, strict=True) for v, up, cost in own)
        if question.budget is None or moved <= question.budget:
            yield chosen


def holds(network, question):
    """Whether no input of the region has a wanted class, by executing all."""
    return all(
        class_of(network, values, question.order) not in question.wanted for values in inputs_of(network, question)
    )


def rows_of(system):
    """Rows as ``(output, bound, [(weight, literal)])``."""
    rows = [system.row(i) for i in range(system.n_rows)]
    return [(r.output, r.bound, list(zip(map(int, r.weights), r.literals.tolist(), strict=True))) for r in rows]


def solution(network, statement, values):
    """Whether an input with its neurons, one after another, meets the whole system."""
    true = {0: True}
    known = values_of(network, statement.question.low, statement.question.high)
    for i, (value, own) in enumerate(zip(values, known, strict=True)):
        for k, least in enumerate(own[1:]):
            true[int(statement.inputs[i]) + k] = value >= least
    for output, bound, terms in rows_of(statement.system):
        reached = sum(w for w, p in terms if true[abs(p)] == (p > 0)) >= bound
        if output == 0 and not reached:
            return False
        true.setdefault(output, reached)
    assert sorted(true) == list(range(statement.system.n_variables + 1))
    return all(any(true[abs(p)] == (p > 0) for p in clause.tolist()) for clause in statement.system.clauses)


class Twin:
    """Propagation in plain Python: everything is gone over until nothing changes."""

    def __init__(self, system):
        self.rows = rows_of(system)
        self.clauses = [clause.tolist() for clause in system.clauses]

    def propagate(self, literals):
        """All consequences of literals, or None for a conflict."""
        true = set(literals)
        if any(-p in true for p in true):
            return None
        while True:
            found = {p for row in self.rows for p in self.of_row(row, true)}
            found |= {p for clause in self.clauses for p in self.of_clause(clause, true)}
            if any(-p in true or -p in found for p in found) or 0 in found:
                return None
            if found <= true:
                return true
            true |= found

    def of_row(self, row, true):
        """Literals that a row implies; 0 for a conflict."""
        output, bound, terms = row
        most = sum(w for w, p in terms if -p not in true)
        least = sum(w for w, p in terms if p in true)
        if most < bound:
            yield -output
        elif least >= bound:
            yield from [output] if output else []
        elif output == 0 or output in true:
            yield from (p for w, p in terms if p not in true and -p not in true and most - w < bound)
        elif -output in true:
            yield from (-p for w, p in terms if p not in true and -p not in true and least + w >= bound)

    def of_clause(self, clause, true):
        if any(p in true for p in clause):
            return []
        still = {p for p in clause if -p not in true}
        return [0] if not still else still if len(still) == 1 else []

    def implied(self, clause):
        """Whether a clause follows by reverse unit propagation."""
        return any(-p in clause for p in clause) or self.propagate([-p for p in clause]) is None


def refutation(system, rng, *, delete=True):
    """Steps ``(kind, literals)`` of a depth-first search that finds no solution, or None if it finds one."""
    twin, steps = Twin(system), []

    def refuted(decisions):
        known = twin.propagate(decisions)
        if known is not None:
            still = [v for v in range(1, system.n_variables + 1) if v not in known and -v not in known]
            if not still:
                return False
            variable = int(rng.choice(still[:4])) * int(rng.choice([-1, 1]))
            if not (refuted([*decisions, variable]) and refuted([*decisions, -variable])):
                return False
        clause = [-p for p in decisions]
        if delete and known is not None and clause:
            steps.append(("l", clause))
            steps.extend(("d", [-p for p in [*decisions, last]][::-1]) for last in (variable, -variable))
            for last in (variable, -variable):
                twin.clauses.remove([-p for p in [*decisions, last]])
        else:
            steps.append(("l", clause))
        twin.clauses.append(clause)
        return True

    return steps if refuted([]) else None


def write_steps(writer, steps):
    """Feed steps to a writer."""
    for kind, literals in steps:
        if kind in "ld":
            (writer.learnt if kind == "l" else writer.deleted)(np.array(literals))
        elif kind == "b":
            writer.bound(*literals)
        else:
            writer.equal(*literals)
    writer.commit()


def random_world(rng):
    return random_level_world(rng) if rng.random() < 0.5 else random_bit_world(rng)


def twins_network():
    """A network whose first block has two equal neurons and one that is their negation, on bits."""
    blocks = [Block([[1, 1, -1], [1, 1, -1], [-1, -1, 1]], [1, 0, 0])]
    return Network(blocks, Output([[1, -1, 1], [-1, 1, -1]]), BitInput((3,)))
