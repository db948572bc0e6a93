"""The rules for bounds and equalities against brute force, and the exactness of large numbers."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from bnnverify.network import Block, Network, Output
from bnnverify.proofs import propagation
from bnnverify.proofs.bounds import Budget, most_gain
from bnnverify.proofs.checker import check_proof
from bnnverify.proofs.equality import Equalities, reduced
from bnnverify.proofs.error import ProofError
from bnnverify.proofs.file import ProofWriter
from bnnverify.proofs.propagation import coded
from bnnverify.proofs.question import bit_question
from bnnverify.proofs.statement import statement
from bnnverify.proofs.system import Row, System, system_of
from tests.oracle import class_of, members, random_region
from tests.proofs_support import Twin, holds, refutation, twins_network, write_steps


def started(system):
    state = propagation.new_state(system, len(system.clauses) + 50, 1000)
    propagation.start(state)
    for number, clause in enumerate(system.clauses):
        propagation.add(state, coded(clause), number)
    return state


def small_worlds(seed, how_many, *, unit_costs):
    """One block over up to 9 bits, in a region with a budget."""
    rng = np.random.default_rng(seed)
    while how_many:
        n = int(rng.integers(2, 10))
        network = Network(
            [Block(rng.integers(-1, 2, (5, n)), rng.integers(-3, 4, 5))], Output(rng.integers(-1, 2, (2, 5)))
        )
        region = random_region(rng, network, unit_costs)
        if region.budget is not None:
            how_many -= 1
            classes = {"label": 0, "wanted": [], "order": [0, 1]}
            yield network, region, bit_question(region.center, region.free, region.costs, region.budget, **classes)


def values_of(network, region):
    """The values that each neuron of the first block takes in the region."""
    block = network.blocks[0]
    sums = np.array([block.weights.astype(int) @ bits for _, bits in members(region)])
    return [set(column.tolist()) for column in (sums >= block.thresholds).T]


@pytest.mark.parametrize("unit_costs", [True, False])
def test_bounds_under_a_budget_hold_and_for_unit_costs_are_all_found(unit_costs):
    seen = Counter()
    for network, region, question in small_worlds(1, 300, unit_costs=unit_costs):
        stated = statement(network, question)
        state = propagation.new_state(stated.system, 0, 0)
        propagation.start(state)
        budget = Budget(stated.system, state)
        for neuron, values in enumerate(values_of(network, region)):
            variable = stated.neurons[0] + neuron
            for literal, value in ((variable, True), (-variable, False)):
                found, true = budget.implies(literal), values == {value}
                assert true or not found
                if unit_costs:
                    assert found == true
                seen[found, true, bool(state.value[2 * variable])] += 1
    assert seen[True, True, False] > 15
    assert seen[False, False, False] > 300


def test_an_input_that_a_fixed_row_needs_under_the_budget_is_implied():
    """Of four bits two may flip, and three must be as the centre has it; the fourth is free to flip then."""
    ones = np.ones(4, dtype=np.int64)
    literals = np.arange(1, 5)
    rows = [Row(0, 2, ones, literals), Row(0, 3, np.array([1, 1, 1, 1]), -literals)]
    assert implied_inputs(system_of(4, rows, [], budgeted=True)) == {p for v in (1, 2, 3, 4) for p in (v, -v)}
    rows[1] = Row(0, 5, np.array([4, 1, 1, 1]), -literals)
    assert implied_inputs(system_of(4, rows, [], budgeted=True)) == {-1}


def implied_inputs(system):
    budget = Budget(system, started(system))
    return {p for v in range(1, system.n_variables + 1) for p in (v, -v) if budget.implies(p)}


def test_input_literals_are_implied_only_where_all_solutions_have_them():
    rng, seen = np.random.default_rng(2), Counter()
    for _ in range(400):
        n = int(rng.integers(2, 6))
        variables = np.arange(1, n + 1)
        rows = [
            Row(0, int(weights.sum() * rng.random()), weights, variables * rng.choice([-1, 1], n))
            for weights in rng.integers(1, 5, (2, n))
        ]
        system = system_of(n, rows, [], budgeted=True)
        state = started(system)
        found = {p for v in variables.tolist() for p in (v, -v) if Budget(system, state).implies(p)}
        solutions = [s for s in assignments(n) if all(reaches(row, s) for row in rows)]
        for p in found:
            assert all(p in s for s in solutions)
            seen[bool(state.value[coded(np.array(p))] == 0)] += 1
    assert seen[True] > 50


def assignments(n):
    return [{v if value else -v for v, value in enumerate(values, 1)} for values in product((False, True), repeat=n)]


def reaches(row, true):
    pairs = zip(row.weights.tolist(), row.literals.tolist(), strict=True)
    return sum(w for w, p in pairs if p in true) >= row.bound


def test_what_a_budget_buys_is_never_underestimated_and_exact_for_equal_costs():
    rng = np.random.default_rng(3)
    for _ in range(600):
        n, large = int(rng.integers(1, 8)), int(rng.choice([1, 1, 3 << 58]))
        gains = rng.integers(1, 6, n).astype(object) * large if large > 1 else rng.integers(1, 6, n)
        costs = rng.integers(1, 6, n) if rng.random() < 0.5 else np.full(n, rng.integers(1, 4))
        left = int(rng.integers(0, 14))
        best = max(
            sum(g for g, take in zip(gains.tolist(), takes, strict=True) if take)
            for takes in product((0, 1), repeat=n)
            if sum(c for c, take in zip(costs.tolist(), takes, strict=True) if take) <= left
        )
        found = most_gain(gains, costs, left)
        assert found >= best
        assert found < best + int(gains.max())
        if np.all(costs == costs[0]):
            assert found == best


def test_normal_forms_are_equal_only_for_equal_constraints():
    rng, by_form = np.random.default_rng(4), {}
    for _ in range(3000):
        n = int(rng.integers(1, 5))
        terms = [(int(rng.integers(1, 6)), v * int(rng.choice([-1, 1]))) for v in range(1, n + 1)]
        bound = int(rng.integers(0, sum(w for w, _ in terms) + 2))
        table = tuple(sum(w for w, p in terms if p in s) >= bound for s in assignments(4))
        form = reduced(terms, bound)
        assert by_form.setdefault(form, table) == table
        assert tuple(sum(w for w, p in form[0] if p in s) >= form[1] for s in assignments(4)) == table
    assert len(by_form) < 1500


def equal_pairs(equalities, first, last):
    literals = [p for v in range(first, last + 1) for p in (v, -v)]
    return {(a, b) for a in literals for b in literals if abs(a) < abs(b) and equalities.implied(a, b)}


def test_equal_and_opposite_neurons_are_found_and_joined_through_blocks():
    question = bit_question([1, 1, 1], [0, 1, 2], [1, 1, 1], None, label=0, wanted=[1], order=[0, 1])
    stated = statement(twins_network(), question)
    equalities = Equalities(stated.system, started(stated.system))
    assert equal_pairs(equalities, 4, 6) == {(4, 5), (-4, -5), (4, -6), (-4, 6), (5, -6), (-5, 6)}
    changed = Network([Block([[1, 1, -1], [1, 1, -1], [-1, -1, 1]], [1, 0, 2])], twins_network().output)
    stated = statement(changed, question)
    equalities = Equalities(stated.system, started(stated.system))
    assert equal_pairs(equalities, 4, 6) == {(4, 5), (-4, -5)}
    opposite = Network([Block([[1, 1, -1], [-1, -1, 1]], [1, 0])], Output([[1, -1], [-1, 1]]))
    stated = statement(opposite, question)
    assert equal_pairs(Equalities(stated.system, started(stated.system)), 4, 5) == {(4, -5), (-4, 5)}


def test_found_equalities_are_true_in_random_systems():
    """Rows over few variables, some of them fixed, and chains of rows over equal outputs."""
    rng, seen = np.random.default_rng(5), Counter()
    for _ in range(200):
        system = random_layers(rng)
        state, twin = started(system), Twin(system)
        equalities = Equalities(system, state)
        outputs = [int(output) for output in system.outputs if output]
        solutions = [s for s in extended(system) if s is not None]
        for a, b in product(outputs, [p for v in range(1, system.n_variables + 1) for p in (v, -v)]):
            if abs(b) != a and equalities.implied(a, b):
                assert all((a in s) == (b in s) for s in solutions)
                equalities.join(a, b)
                for clause in ([-a, b], [a, -b]):
                    propagation.add(state, coded(np.array(clause)), 40)
                seen[abs(b) in outputs] += 1
        assert twin.rows
    assert min(seen.values()) > 30


def random_layers(rng):
    """Three inputs, four rows over them, three rows over those, and now and then a fixed input."""
    rows = []
    for output in range(4, 11):
        below = np.arange(1, 4) if output < 8 else np.arange(4, 8)
        chosen = np.sort(rng.choice(below, 3, replace=False))
        weights = rng.integers(1, 3, 3)
        bound = int(rng.integers(1, weights.sum() + 1))
        rows.append(Row(output, bound, weights, chosen * rng.choice([-1, 1], 3, p=[0.3, 0.7])))
    clauses = [np.array([int(rng.choice([-1, 1]))])] if rng.random() < 0.5 else []
    return system_of(10, rows, clauses, budgeted=False)


def extended(system):
    for true in assignments(3):
        if all(any(p in true for p in clause.tolist()) for clause in system.clauses):
            for index in range(system.n_rows):
                row = system.row(index)
                true = true | {row.output if reaches(row, true) else -row.output}
            yield true


def test_a_proof_by_bounds_and_equalities_is_accepted_and_false_ones_are_not(tmp_path):
    network = twins_network()
    question = bit_question([1, 1, -1], [0, 1, 2], [1, 1, 1], 1, label=1, wanted=[0], order=[0, 1])
    assert holds(network, question)
    stated = statement(network, question)
    for steps, message in [
        ([("b", [4]), ("b", [5]), ("b", [-6]), ("l", [])], None),
        ([("q", [4, 5]), ("b", [5]), ("b", [-6]), ("l", [])], None),
        ([("b", [-4])], "literal -4 does not follow"),
        ([("b", [1])], "literal 1 does not follow"),
        ([("q", [4, 6])], "the rows of 4 and 6 are not the same"),
        ([("q", [4, -5])], "the rows of 4 and -5 are not the same"),
        ([], "line 18: the clause does not follow"),
    ]:
        path = tmp_path / "proof"
        with ProofWriter(path, stated) as writer:
            write_steps(writer, steps)
        if message is None:
            report = check_proof(path, network)
            assert report.bounds + report.equalities == len(steps) - 1
        else:
            with pytest.raises(ProofError, match=message):
                check_proof(path, network)


@pytest.mark.parametrize("digits", [0, 40, 200])
def test_scores_past_64_bits_are_compared_exactly(tmp_path, digits):
    """Scales of many digits, with a tie that the last of them decides."""
    scale = [1.0, 1.0 + 2.0**-52] if not digits else [1.0, 1.0 + 2.0**-52, 2.0**-digits][:2]
    bias = [2.0**-52, 0.0] if not digits else [2.0**-52, 2.0**-digits]
    network = Network([], Output([[1], [1]], scale=scale, bias=bias))
    verdicts = set()
    for label, order, value in product((0, 1), ([0, 1], [1, 0]), (-1, 1)):
        question = bit_question([value], [], [], None, label=label, wanted=[1 - label], order=order)
        stated = statement(network, question)
        steps = refutation(stated.system, np.random.default_rng(0))
        verdicts.add((label, value, steps is not None))
        assert (steps is not None) == (class_of(network, [value], order) == label)
        if steps is not None:
            with ProofWriter(tmp_path / "proof", stated) as writer:
                write_steps(writer, steps)
            check_proof(tmp_path / "proof", network)
    assert len(verdicts) > 4 - (digits > 0)


def test_rows_whose_sums_pass_64_bits_are_weakened_but_never_wrong():
    rng, seen = np.random.default_rng(6), Counter()
    for _ in range(200):
        n = int(rng.integers(1, 6))
        weights = np.array([int(w) << int(rng.integers(0, 90)) for w in rng.integers(1, 100, n)], dtype=object)
        bound = int(rng.integers(0, 1000)) * int(weights.sum()) // 999
        row = Row(n + 1, bound, weights, np.arange(1, n + 1) * rng.choice([-1, 1], n))
        system = system_of(n + 1, [row], [], budgeted=False)
        state, twin = started(system), Twin(system)
        for _ in range(10):
            clause = (rng.choice(np.arange(1, n + 2), rng.integers(1, n + 2), replace=False)).tolist()
            clause = [int(p * rng.choice([-1, 1])) for p in clause]
            found, true = propagation.is_implied(state, coded(np.array(clause))), twin.implied(clause)
            assert true or not found
            seen[found, true] += 1
    assert seen[True, True] > 200
    assert seen[False, True] < 40


def test_systems_that_are_malformed_are_refused():
    ones = np.ones(2, dtype=np.int64)
    for rows, message in [
        ([Row(3, 1, ones, np.array([1, 1]))], "row 1 has a variable twice"),
        ([Row(3, 1, ones, np.array([1, -3]))], "row 1 has a variable twice"),
        ([Row(3, 1, -ones, np.array([1, 2]))], "a weight is -1"),
        ([Row(3, 4, ones, np.array([1, 2]))], "a bound lies outside"),
        ([Row(3, -1, ones, np.array([1, 2]))], "a bound lies outside"),
        ([Row(3, 1, ones, np.array([1, 4]))], "of no variable"),
        ([Row(4, 1, ones, np.array([1, 2]))], "an output is no variable"),
        ([Row(3, 1, ones, np.array([1, 2]))] * 2, "two rows have one output"),
    ]:
        with pytest.raises(ValueError, match=message):
            system_of(3, rows, [], budgeted=False)
    with pytest.raises(ValueError, match="first row is no budget"):
        system_of(3, [], [], budgeted=True)
    assert isinstance(system_of(3, [], [], budgeted=False), System)
