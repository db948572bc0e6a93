"""Proofs by the native solver over the whole raw system and bounds under the budget: what it refutes is accepted."""

import numpy as np
import pytest

from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.inference.reference import classify
from bnnverify.proofs import propagation
from bnnverify.proofs.bounds import Budget
from bnnverify.proofs.checker import check_proof
from bnnverify.proofs.error import ProofError
from bnnverify.proofs.file import ProofWriter
from bnnverify.proofs.question import bit_question
from bnnverify.proofs.statement import statement
from bnnverify.solver.log import records
from bnnverify.solver.solver import Solver
from tests.proofs_support import holds, random_world


def bounds_of(stated):
    """Neurons of the first block that the budget alone holds constant."""
    state = propagation.new_state(stated.system, 0, 0)
    propagation.start(state)
    budget = Budget(stated.system, state)
    first = range(*stated.neurons[:2]) if len(stated.neurons) > 1 else ()
    return [p for v in first for p in (v, -v) if budget.implies(p)] if stated.system.budgeted else []


def prove(path, stated, *, conflict_limit=None):
    """Whether the native solver refutes a system, with the proof written if it does."""
    with ProofWriter(path, stated) as writer:

        def log(batch):
            for deleted, clause in records(batch):
                (writer.deleted if deleted else writer.learnt)(clause)

        solver = Solver(proof=log)
        for _ in range(stated.system.n_variables):
            solver.new_var()
        for index in range(stated.system.n_rows):
            row = stated.system.row(index)
            solver.add_linear(row.weights.tolist(), row.literals.tolist(), row.bound, reified=row.output or None)
        for clause in stated.system.clauses:
            solver.add_clause(clause.tolist())
        for literal in bounds_of(stated):
            writer.bound(literal)
            solver.add_clause([literal])
        answer = solver.solve(conflict_limit=conflict_limit)
        if answer is False:
            writer.commit()
        return answer


def test_every_refutation_of_a_random_world_is_accepted(tmp_path):
    rng, accepted = np.random.default_rng(1), 0
    while accepted < 150:
        network, question = random_world(rng)
        stated = statement(network, question)
        if stated.system.weights.dtype == object:
            continue
        answer = prove(tmp_path / "proof", stated)
        assert answer is not holds(network, question)
        if answer is False:
            accepted += 1
            check_proof(tmp_path / "proof", network)


def bundled_question(radius):
    network, image = bundled_network(), bundled_images().values[0]
    bits = network.input.to_bits(image).reshape(-1)
    label = int(classify(network, image)[0])
    classes = {"label": label, "wanted": [c for c in range(10) if c != label], "order": range(10)}
    return network, bit_question(bits, np.arange(bits.size), np.ones(bits.size), radius, **classes)


def test_a_trained_network_is_proved_robust(tmp_path):
    network, question = bundled_question(1)
    stated = statement(network, question)
    assert prove(tmp_path / "proof.gz", stated, conflict_limit=100_000) is False
    report = check_proof(tmp_path / "proof.gz", network)
    assert report.rows > 50
    assert report.bounds > 50
    wider = statement(network, bundled_question(3)[1])
    with ProofWriter(tmp_path / "wider", wider) as writer:
        writer.commit()
    with pytest.raises(ProofError, match="does not follow"):
        check_proof(tmp_path / "wider", network)
