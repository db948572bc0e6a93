"""Proofs against brute force: what holds gets an accepted proof, what does not gets none, and damage is found."""

import gzip
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.network import Block, MaxPool, Network, Output, QuantizedInput
from bnnverify.proofs import propagation
from bnnverify.proofs.checker import check_proof, check_steps
from bnnverify.proofs.error import ProofError
from bnnverify.proofs.file import ProofWriter, read_proof
from bnnverify.proofs.propagation import CONTRADICTION, coded
from bnnverify.proofs.question import Question, bit_question, level_question
from bnnverify.proofs.statement import statement
from tests.oracle import class_of
from tests.proofs_support import (
    Twin,
    holds,
    inputs_of,
    random_bit_world,
    random_level_world,
    random_world,
    refutation,
    solution,
    write_steps,
)


def written(path, stated, steps):
    with ProofWriter(path, stated) as writer:
        write_steps(writer, steps)
    return path


def held_worlds(seed, how_many):
    """Worlds whose question holds, with the statement and the steps of a proof."""
    rng = np.random.default_rng(seed)
    while how_many:
        network, question = random_world(rng)
        stated = statement(network, question)
        steps = refutation(stated.system, rng, delete=bool(how_many % 2))
        if steps is not None:
            how_many -= 1
            yield network, stated, steps


@pytest.mark.parametrize("make", [random_bit_world, random_level_world])
def test_the_system_is_solved_by_exactly_the_inputs_with_a_wanted_class(make):
    rng, seen = np.random.default_rng(1), Counter()
    for _ in range(150):
        network, question = make(rng)
        stated = statement(network, question)
        members = set(inputs_of(network, question))
        free = Question(
            *(getattr(question, f) for f in ("bits", "center", "low", "high", "costs")), None, *rest(question)
        )
        for values in inputs_of(network, free):
            bad = values in members and class_of(network, values, question.order) in question.wanted
            assert solution(network, stated, values) == bad
            seen[bad] += 1
    assert min(seen.values()) > 300


def rest(question):
    return question.label, question.wanted, question.order


@pytest.mark.parametrize("how_many", [200, pytest.param(5000, marks=pytest.mark.slow)])
def test_what_holds_gets_an_accepted_proof_and_what_does_not_gets_none(tmp_path, how_many):
    rng, seen = np.random.default_rng(how_many), Counter()
    for number in range(how_many):
        network, question = random_world(rng)
        stated = statement(network, question)
        steps = refutation(stated.system, rng, delete=bool(number % 2))
        assert (steps is not None) == holds(network, question)
        seen[steps is not None] += 1
        if steps is not None:
            report = check_proof(written(tmp_path / f"proof{'.gz' * (number % 3 == 0)}", stated, steps), network)
            assert report.learnt == sum(kind == "l" for kind, _ in steps)
            assert report.question.wanted == question.wanted
    assert min(seen.values()) > how_many / 5


def test_kernels_propagate_as_their_plain_twin_does():
    rng, seen = np.random.default_rng(3), Counter()
    for _ in range(300):
        network, question = random_world(rng)
        system = statement(network, question).system
        state = propagation.new_state(system, len(system.clauses) + 30, 1000)
        propagation.start(state)
        twin = Twin(system)
        for number, clause in enumerate(system.clauses):
            propagation.add(state, coded(clause), number)
        for number in range(12):
            clause = random_clause(rng, system.n_variables)
            before = [array.copy() for array in (state.value, state.can_true, state.can_false)]
            found = propagation.is_implied(state, coded(np.array(clause)))
            for array, kept in zip((state.value, state.can_true, state.can_false), before, strict=True):
                np.testing.assert_array_equal(array, kept)
            assert found == twin.implied(clause)
            seen[found] += 1
            if found or number % 3 == 0:
                propagation.add(state, coded(np.array(clause)), len(system.clauses) + number)
                twin.clauses.append(clause)
        level = twin.propagate([])
        assert bool(state.at[CONTRADICTION]) == (level is None)
        if level is not None:
            true = {v if state.value[2 * v] > 0 else -v for v in range(1, system.n_variables + 1) if state.value[2 * v]}
            assert true == level
    assert min(seen.values()) > 300


def random_clause(rng, n_variables):
    """Some literals, now and then one twice or with its negation."""
    if not n_variables:
        return [1][:0]
    return (rng.integers(1, n_variables + 1, rng.integers(1, 4)) * rng.choice([-1, 1])).tolist()


def lines_of(path):
    return path.read_text().splitlines()


def steps_at(lines):
    """Index of the first step of a proof file's lines."""
    n_rows, n_clauses = map(int, next(line for line in lines if line.startswith("system")).split()[2:])
    return 11 + 1 + n_rows + n_clauses


def accepted(path, network, lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    try:
        check_proof(path, network)
    except ProofError:
        return False
    return True


def twin_accepts(stated, steps):
    """Whether all steps follow, by the plain twin; what was once fixed stays so when its clause is deleted."""
    twin = Twin(stated.system)
    learnt = []
    for kind, literals in steps:
        if kind == "l":
            if not twin.implied(literals):
                return False
            learnt.append(literals)
            twin.clauses.append(literals)
            fixed = twin.propagate([])
            twin.clauses += [[]] if fixed is None else [[p] for p in fixed]
        elif kind == "d":
            same = [clause for clause in learnt if set(clause) == set(literals)]
            if not same:
                return False
            learnt.remove(same[-1])
            twin.clauses.remove(same[-1])
    return steps[-1] == ("l", []) and [step for step in steps[:-1] if step == ("l", [])] == []


def parsed(lines):
    return [(line[0], [int(token) for token in line[2:].split()[:-1]]) for line in lines]


def changed_number(rng, line):
    """A line with one of its numbers changed by one or negated."""
    tokens = line.split()
    numbers = [i for i, token in enumerate(tokens) if token.lstrip("-*").isdigit()]
    at = int(rng.choice(numbers))
    star, number = tokens[at].startswith("*"), int(tokens[at].lstrip("*"))
    tokens[at] = "*" * star + str(int(rng.choice([number + 1, number - 1, -number if number else 1])))
    return " ".join(tokens)


def test_steps_that_are_damaged_are_accepted_only_if_they_still_follow(tmp_path):
    """The oracle is the twin: a dropped clause that nothing needs is no damage, and must not be called so."""
    rng, seen = np.random.default_rng(4), Counter()
    for network, stated, steps in held_worlds(5, 90):
        lines = lines_of(written(tmp_path / "proof", stated, steps))
        first = steps_at(lines)
        for _ in range(6):
            damaged, at = list(lines), int(rng.integers(first, len(lines)))
            if rng.random() < 0.5:
                del damaged[at]
            else:
                damaged[at] = changed_number(rng, damaged[at])
            try:
                expected = all(line.endswith(" 0") and " 0 " not in line for line in damaged[first:]) and in_range(
                    damaged[first:], stated
                )
                expected = expected and len(damaged) > first and twin_accepts(stated, parsed(damaged[first:]))
            except ValueError:
                expected = False
            assert accepted(tmp_path / "damaged", network, damaged) == expected
            seen[expected] += 1
    assert seen[False] > 200
    assert seen[True] > 10


def in_range(lines, stated):
    return all(abs(p) <= stated.system.n_variables for _, literals in parsed(lines) for p in literals)


def test_a_header_or_row_that_is_damaged_is_accepted_only_if_what_it_says_is_true(tmp_path):
    rng, seen = np.random.default_rng(6), Counter()
    for network, stated, steps in held_worlds(7, 100):
        lines = lines_of(written(tmp_path / "proof", stated, steps))
        for _ in range(5):
            damaged, at = list(lines), int(rng.integers(2, steps_at(lines)))
            if not any(token.lstrip("-*").isdigit() for token in damaged[at].split()):
                continue
            damaged[at] = changed_number(rng, damaged[at])
            found = accepted(tmp_path / "damaged", network, damaged)
            seen[found] += 1
            if found:
                assert holds(network, read_proof(tmp_path / "damaged").question)
                assert lines[at].split()[0] in ("center", "costs", "label", "order", "low", "high", "budget", "wanted")
    assert seen[False] > 200
    assert seen[True] < seen[False] / 3


def altered_questions(question, n_classes):
    """Questions that differ in one thing."""

    def make(**changes):
        names = ("bits", "center", "low", "high", "costs", "budget", "label", "wanted", "order")
        return Question(**({name: getattr(question, name) for name in names} | changes))

    if question.budget is not None:
        yield make(budget=question.budget + 1)
        yield make(budget=None)
    yield make(order=question.order[::-1])
    others = [c for c in range(n_classes) if c not in question.wanted and c != question.label]
    if others:
        yield make(wanted=(*question.wanted, others[0]))
    fixed = np.flatnonzero(question.low == question.high)
    if question.bits and fixed.size:
        low, high = question.low.copy(), question.high.copy()
        low[fixed[0]], high[fixed[0]] = -1, 1
        place = np.count_nonzero(question.low[: fixed[0]] < question.high[: fixed[0]])
        yield make(low=low, high=high, costs=() if question.budget is None else np.insert(question.costs, place, 1))
    if not question.bits and question.budget is None and question.low.any():
        low = question.low.copy()
        low[np.flatnonzero(low)[0]] -= 1
        yield make(low=low)


def altered_networks(rng, network):
    """Networks with one weight or one threshold changed."""
    places = [i for i, block in enumerate(network.blocks) if not isinstance(block, MaxPool)]
    for i in places[:2]:
        weights, thresholds = network.blocks[i].weights.copy(), network.blocks[i].thresholds.copy()
        weights.reshape(-1)[rng.integers(weights.size)] *= -1
        yield changed_block(network, i, replace(network.blocks[i], weights=weights))
        thresholds[rng.integers(thresholds.size)] = rng.integers(-2, 3)
        yield changed_block(network, i, replace(network.blocks[i], thresholds=thresholds))


def changed_block(network, index, block):
    blocks = [*network.blocks[:index], block, *network.blocks[index + 1 :]]
    return Network(blocks, network.output, network.input, network.name)


def test_steps_of_one_system_do_not_prove_another_that_is_false(tmp_path):
    rng, seen = np.random.default_rng(8), Counter()
    for network, stated, steps in held_worlds(9, 60):
        altered = [(network, question) for question in altered_questions(stated.question, network.n_classes)]
        altered += [(other, stated.question) for other in altered_networks(rng, network)]
        for changed, question in altered:
            other = statement(changed, question)
            kept = [step for step in steps if all(abs(p) <= other.system.n_variables for p in step[1])]
            path = written(tmp_path / "proof", other, kept)
            found = accepted(path, changed, lines_of(path))
            true = found or holds(changed, question)
            assert not found or holds(changed, question)
            seen[true, found] += 1
    assert seen[False, False] > 30
    assert seen[True, True] > 60


def test_a_proof_is_of_one_network_alone(tmp_path):
    rejected = 0
    for network, stated, steps in held_worlds(11, 60):
        path = written(tmp_path / "proof", stated, steps)
        other = Network(network.blocks, Output(-network.output.weights), network.input, network.name)
        if other.fingerprint == network.fingerprint:
            continue
        with pytest.raises(ProofError, match="line 2: the proof is of another network"):
            check_proof(path, other)
        lines = lines_of(path)
        lines[1] = lines[1].replace(network.fingerprint, other.fingerprint)
        if accepted(tmp_path / "other", other, lines):
            assert holds(other, stated.question)
        else:
            rejected += 1
    assert rejected > 30


def test_a_proof_that_is_cut_off_anywhere_is_rejected(tmp_path):
    for network, stated, steps in held_worlds(12, 15):
        for name in ("proof", "proof.gz"):
            path = written(tmp_path / name, stated, steps)
            whole = path.read_bytes()
            for size in {*range(0, len(whole) - 2, 1 + len(whole) // 15), len(whole) - 2}:
                path.write_bytes(whole[:size])
                with pytest.raises(ProofError):
                    check_proof(path, network)


def test_whatever_stands_in_a_file_it_is_accepted_or_refused_in_a_sentence(tmp_path):
    rng = np.random.default_rng(13)
    network, stated, steps = next(iter(held_worlds(14, 1)))
    path = written(tmp_path / "proof", stated, steps)
    whole = path.read_bytes()
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged)
        with suppress(ProofError):
            check_proof(path, network)


@pytest.mark.parametrize(
    ("line", "becomes", "message"),
    [
        (0, "bnnverify-proof 2", "line 1: version of the format"),
        (0, "hello", "line 1: found 'hello', expected 'bnnverify-proof'"),
        (2, "input words", "line 3: input 'words'"),
        (3, "center 1 1 1", "line 11: region: 3 values"),
        (8, "label 9", "line 11: label 9"),
        (11, "system 9999999999 2 0", "line 14: 9999999999 variables"),
        (11, "system 2 2 -1", "line 12: a size of the system is negative"),
        (-2, "b 99", "a literal of no variable"),
        (-2, "z 1 0", "found 'z', expected a step"),
        (-2, "l 0", "does not end with its one empty clause"),
        (-1, "l 1", "does not end with its one 0"),
        (-1, "d 2 0", "does not end with its one empty clause"),
    ],
)
def test_a_malformed_proof_is_refused_in_one_sentence(tmp_path, line, becomes, message):
    network = Network([Block([[1, 1]], [0])], Output([[1], [-1]]))
    stated = statement(network, bit_question([1, 1], [0], [1], None, label=0, wanted=[1], order=[0, 1]))
    lines = lines_of(written(tmp_path / "proof", stated, [("l", [2]), ("l", [])]))
    lines[line] = becomes
    (tmp_path / "proof").write_text("\n".join(lines) + "\n")
    with pytest.raises(ProofError, match=message):
        check_proof(tmp_path / "proof", network)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ProofError, match=r"cannot be read \(No such file"):
        check_proof(tmp_path / "none", Network([], Output([[1], [-1]])))


def test_a_clause_that_was_not_learnt_cannot_be_deleted(tmp_path):
    network, stated, steps = next(iter(held_worlds(15, 1)))
    path = written(tmp_path / "proof", stated, [("d", [1]), *steps])
    with pytest.raises(ProofError, match="deleted that was not learnt"):
        check_proof(path, network)


def test_a_writer_that_is_not_committed_leaves_nothing(tmp_path):
    _, stated, steps = next(iter(held_worlds(16, 1)))
    with ProofWriter(tmp_path / "proof", stated) as writer:
        writer.learnt(steps[0][1])
    with pytest.raises(ZeroDivisionError), ProofWriter(tmp_path / "proof.gz", stated) as writer:
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_proof_that_cannot_be_written_says_so(tmp_path):
    _, stated, _ = next(iter(held_worlds(16, 1)))
    with pytest.raises(UsageError, match="cannot be written"):
        ProofWriter(tmp_path / "missing" / "proof", stated)


def test_equal_proofs_are_equal_bytes_also_compressed(tmp_path):
    _, stated, steps = next(iter(held_worlds(17, 1)))
    one, two = (written(tmp_path / name / "proof.gz", stated, steps) for name in ("a", "b") if made(tmp_path / name))
    assert one.read_bytes() == two.read_bytes()
    assert gzip.decompress(one.read_bytes()).startswith(b"bnnverify-proof 1\n")


def made(folder):
    folder.mkdir()
    return True


def test_steps_are_checked_without_the_network_too(tmp_path):
    for _, stated, steps in held_worlds(18, 20):
        proof = read_proof(written(tmp_path / "proof", stated, steps))
        assert proof.name == stated.name
        report = check_steps(proof)
        assert report.rows == stated.system.n_rows
        assert report.to_dict()["learnt"] == report.learnt


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 2}, "expected classes below 2"),
        ({"wanted": [0]}, "other than the label"),
        ({"order": [0, 0]}, "every class once"),
        ({"low": [0, 3]}, "outside its own box"),
        ({"low": [0]}, "as many low and high values"),
        ({"costs": [-1, 1], "budget": 2}, "expected costs of 0 to"),
        ({"high": [1, 70000]}, "expected 0..65535"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(changes, message):
    sound = {"center": [0, 1], "low": [0, 0], "high": [0, 2], "label": 0, "wanted": [1], "order": [0, 1]}
    with pytest.raises(UsageError, match=message):
        level_question(**(sound | changes))


def test_a_question_that_does_not_fit_the_network_is_refused():
    network = Network([Block([[1, 1]], [0])], Output([[1], [-1]]))
    question = {"label": 0, "wanted": [1], "order": [0, 1]}
    with pytest.raises(UsageError, match="expected 2 bits"):
        statement(network, bit_question([1], [0], [1], None, **question))
    with pytest.raises(UsageError, match="expected 2 bits"):
        statement(network, level_question([1, 1], [0, 0], [1, 1], **question))
    with pytest.raises(UsageError, match="3 classes, expected 2"):
        statement(network, bit_question([1, 1], [0], [1], None, label=0, wanted=[1], order=[0, 1, 2]))


def test_costs_and_levels_must_fit_the_network():
    network = Network([Block([[1, 1]], [0])], Output([[1], [-1]]), QuantizedInput((2,), 3))
    question = {"label": 0, "wanted": [1], "order": [0, 1]}
    with pytest.raises(UsageError, match="3 costs, expected 2, one a step"):
        statement(network, level_question([1, 1], [0, 1], [2, 1], **question, costs=[1, 1, 1], budget=1))
    with pytest.raises(UsageError, match="a level 4, expected 0 to 3"):
        statement(network, level_question([1, 1], [0, 1], [4, 1], **question))


def test_networks_that_pool_levels_are_not_supported():
    network = Network([MaxPool()], Output([[1], [-1]]), QuantizedInput((1, 2, 2), 3))
    with pytest.raises(UnsupportedError, match="pools its input levels"):
        statement(network, level_question([1] * 4, [0] * 4, [1] * 4, label=0, wanted=[1], order=[0, 1]))
