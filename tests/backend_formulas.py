"""Formulas for the tests of back ends, and what they say by brute force."""

from itertools import product

import numpy as np

from encoders.formula import Formula


def formula_of(n_variables, rows, clauses=(), inputs=()):
    """From rows ``(terms, bound, output)`` with terms of a weight and a literal, output 0 where the row must hold."""
    terms = [term for row, _, _ in rows for term in row]
    return Formula(
        n_variables,
        np.cumsum([0, *(len(row) for row, _, _ in rows)]).astype(np.int64),
        np.array([literal for _, literal in terms], dtype=np.int32),
        np.array([weight for weight, _ in terms], dtype=np.int64),
        np.array([bound for _, bound, _ in rows], dtype=np.int64),
        np.array([output for _, _, output in rows], dtype=np.int32),
        tuple(tuple(int(p) for p in clause) for clause in clauses),
        tuple(inputs),
    )


def true_literal(literal, values):
    return values[abs(literal)] == (literal > 0)


def is_met(formula, values):
    """Whether ``values[v]`` for v = 1 ... meet the formula, by the definition, row by row."""
    for row, output in zip(formula.linears(), formula.outputs.tolist(), strict=True):
        reached = sum(weight for weight, literal in row.terms if true_literal(literal, values)) >= row.bound
        if reached != (output == 0 or true_literal(output, values)):
            return False
    return all(any(true_literal(literal, values) for literal in clause) for clause in formula.clauses)


def models(formula):
    """All assignments that meet the formula, each with None at 0."""
    for values in product((False, True), repeat=formula.n_variables):
        if is_met(formula, (None, *values)):
            yield (None, *values)


def random_formula(rng, *, most_weight=3):
    """A network of two layers over 3 to 5 inputs, with rows that must hold and clauses: met about every second time."""
    n_inputs, n_hidden, n_last = int(rng.integers(3, 6)), int(rng.integers(1, 4)), int(rng.integers(0, 3))
    hidden = range(n_inputs + 1, n_inputs + n_hidden + 1)
    last = range(n_inputs + n_hidden + 1, n_inputs + n_hidden + n_last + 1)
    everything = [*range(1, n_inputs + n_hidden + n_last + 1)]
    rows = [random_row(rng, range(1, n_inputs + 1), most_weight, output) for output in hidden]
    rows += [random_row(rng, hidden, most_weight, output) for output in last]
    rows += [random_row(rng, everything, most_weight, 0) for _ in range(rng.integers(0, 4))]
    clauses = [signed(rng, chosen(rng, everything, int(rng.integers(1, 4)))) for _ in range(rng.integers(0, 6))]
    return formula_of(len(everything), rows, clauses, range(1, n_inputs + 1))


def random_row(rng, variables, most_weight, output):
    literals = signed(rng, chosen(rng, variables, int(rng.integers(1, len(variables) + 1))))
    weights = rng.integers(1, most_weight + 1, len(literals)).tolist()
    bound = int(rng.integers(1, sum(weights) + 1))
    return tuple(zip(weights, literals, strict=True)), bound, int(rng.choice([-1, 1])) * output


def chosen(rng, variables, n):
    return rng.choice(list(variables), min(n, len(variables)), replace=False)


def signed(rng, variables):
    return [int(v * rng.choice([-1, 1])) for v in variables]


def pigeons(n_holes):
    """One more pigeon than holes, as clauses alone: no solver of clauses ends from a dozen holes."""
    place = {pair: i + 1 for i, pair in enumerate(product(range(n_holes + 1), range(n_holes)))}
    rows = [(tuple((1, place[p, h]) for h in range(n_holes)), 1, 0) for p in range(n_holes + 1)]
    clashes = [(-place[p, h], -place[q, h]) for h in range(n_holes) for p in range(n_holes + 1) for q in range(p)]
    return formula_of(len(place), rows, clashes)


def tangle(n_variables, seed=0, ratio=4.26):
    """Random clauses of three, as many as make the question hard, and none that a cutting plane shortens."""
    rng = np.random.default_rng(seed)
    clauses = [signed(rng, chosen(rng, range(1, n_variables + 1), 3)) for _ in range(int(ratio * n_variables))]
    return formula_of(n_variables, [], clauses)
