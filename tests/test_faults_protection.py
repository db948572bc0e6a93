"""Protection: plans on a network whose accuracy is known in closed form, their energy, and honest verdicts."""

from itertools import product
from math import comb

import numpy as np
import pytest

from bnnverify.errors import UsageError
from bnnverify.faults.cells import Target
from bnnverify.faults.memory import Memory, Unit, aimed_at, check_cells, protectable, shortest_words
from bnnverify.faults.protection import exact_criticality, plan_protection
from bnnverify.faults.rates import Symmetric
from bnnverify.faults.stmram import StMram
from bnnverify.faults.stored import weight_bank
from bnnverify.network import Block, Network, Output
from bnnverify.verdict import Verdict
from tests.cliworld import rows_of
from tests.cliworld import run as run_command

N_INPUTS, N_READ, N_IDLE = 15, 3, 5
BER = 0.3


@pytest.fixture(scope="module")
def voters():
    """Three neurons of equal weights vote; five more are read by nobody."""
    n = N_READ + N_IDLE
    block = Block(np.ones((n, N_INPUTS), dtype=np.int8), np.ones(n, dtype=np.int64))
    votes = np.zeros((2, n), dtype=np.int8)
    votes[0, :N_READ], votes[1, :N_READ] = 1, -1
    X = np.repeat([[1], [-1]], N_INPUTS, axis=1).astype(np.int8)
    return Network((block,), Output(votes), name="voters"), (X, np.array([0, 1]))


def exact_accuracy(neuron_rates, vote_rates):
    """By all ways in which three neurons and six votes can be wrong; rates of their cells, ``(3,)`` and ``(2,)``."""
    wrong = [
        sum(comb(N_INPUTS, k) * p**k * (1 - p) ** (N_INPUTS - k) for k in range(N_INPUTS // 2 + 1, N_INPUTS + 1))
        for p in neuron_rates
    ]
    chances = np.array([*wrong, *np.repeat(vote_rates, N_READ)])
    right = 0.0
    for faults in product((0, 1), repeat=9):
        signs = 1 - 2 * np.array(faults)
        chance = np.prod(np.where(np.array(faults) == 1, chances, 1 - chances))
        first, second = (signs[:3] * signs[3:6]).sum(), -(signs[:3] * signs[6:]).sum()
        right += chance * (int(first >= second) + int(-second > -first)) / 2
    return right


def exact_plan(plan):
    """The accuracy that a plan of rows truly has."""
    rates = {(u.layer, u.row): plan.memory.strong_rate if u in plan.chosen else plan.memory.ber for u in plan.units}
    return exact_accuracy([rates[0, k] for k in range(N_READ)], [rates[1, c] for c in range(2)])


@pytest.fixture(scope="module")
def plan(voters):
    return plan_protection(*voters, 0.95, Memory(BER), trials=150)


def test_a_plan_has_the_accuracy_that_theory_gives(plan):
    assert plan.verdict is Verdict.HOLDS
    assert plan.planned.point.low >= 0.95
    assert plan.planned.point.low <= exact_plan(plan) <= plan.planned.point.high
    rate = plan.uniform.point.ber
    assert plan.uniform.point.low <= exact_accuracy([rate] * 3, [rate] * 2) <= plan.uniform.point.high
    assert plan.unprotected.point.low <= exact_accuracy([BER] * 3, [BER] * 2) <= plan.unprotected.point.high


def test_rows_that_nobody_reads_are_not_protected(plan):
    assert {(unit.layer, unit.row) for unit in plan.chosen} <= {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)}
    assert 2 <= len(plan.chosen) <= 5


@pytest.mark.parametrize("target", [0.85, 0.93])
@pytest.mark.parametrize("by", ["rows", "layers"])
def test_a_plan_is_never_worse_than_uniform_protection_at_equal_energy(voters, target, by):
    plan = plan_protection(*voters, target, Memory(BER), by=by, trials=80)
    assert plan.verdict is Verdict.HOLDS
    assert plan.uniform.energy_j == plan.planned.energy_j
    if by == "rows":
        rate = plan.uniform.point.ber
        assert exact_plan(plan) >= exact_accuracy([rate] * 3, [rate] * 2) - 1e-9
        assert plan.gain >= 0


def test_energies_of_pulses_add_up(voters):
    plan = plan_protection(*voters, 0.9, Memory(BER, strong_rate=1e-6), trials=60)
    cell = StMram()
    plain, strong = (cell.write_energy_j(rate, 2.0) for rate in (BER, 1e-6))
    n_cells = sum(int(np.count_nonzero(layer.weights)) for layer in (*voters[0].blocks, voters[0].output))
    n_strong = sum(unit.n_cells for unit in plan.chosen)
    assert sum(unit.n_cells for unit in plan.units) == n_cells
    assert plan.unprotected.energy_j == pytest.approx(n_cells * plain)
    assert plan.planned.energy_j == pytest.approx((n_cells - n_strong) * plain + n_strong * strong)
    assert n_cells * cell.write_energy_j(plan.uniform.point.ber, 2.0) == pytest.approx(plan.planned.energy_j)


def test_energies_of_check_bits_add_up(voters):
    memory = Memory(0.02, "ecc", data_bits=8)
    plan = plan_protection(*voters, 0.94, memory, trials=80)
    assert plan.verdict is Verdict.HOLDS
    checks = sum(-(-unit.n_cells // 8) * 5 for unit in plan.chosen)
    n_cells = sum(unit.n_cells for unit in plan.units)
    write_j = StMram().write_energy_j(0.02, 2.0)
    assert plan.planned.energy_j == pytest.approx((n_cells + checks) * write_j)
    size = shortest_words(plan.units, checks)
    assert size is None or check_cells(plan.units, size) <= checks


def test_the_shortest_words_are_those_that_can_be_paid():
    units = [Unit(0, None, 100), Unit(1, None, 30)]
    assert check_cells(units, 64) == (2 + 1) * 8
    assert shortest_words(units, 24) == 64
    assert shortest_words(units, 23) == 128
    assert shortest_words(units, 5) is None


def test_nothing_is_protected_where_nothing_is_needed(voters):
    plan = plan_protection(*voters, 0.5, Memory(BER, strong_rate=1e-3), trials=30)
    assert (plan.verdict, plan.chosen) == (Verdict.HOLDS, ())
    assert plan.planned.energy_j == plan.unprotected.energy_j
    assert plan.uniform is plan.planned


def test_a_target_out_of_reach_is_an_honest_verdict(voters):
    network, (X, _) = voters
    plan = plan_protection(network, (X, np.array([0, 0])), 0.9, Memory(BER, strong_rate=0.003), by="layers", trials=50)
    assert plan.verdict is Verdict.VIOLATED
    assert len(plan.chosen) == len(plan.units)
    assert plan.planned.point.high < 0.9
    close = plan_protection(network, voters[1], 0.9999, Memory(BER, strong_rate=0.003), by="layers", trials=10)
    assert close.verdict is Verdict.UNKNOWN
    assert close.planned.point.low < 0.9999 <= close.planned.point.high


def test_given_criticalities_rank(voters):
    wanted = {(layer, row): float((layer, row) in {(0, 6), (0, 7)}) for layer in (0, 1) for row in range(8)}
    plan = plan_protection(*voters, 0.9, Memory(BER, strong_rate=1e-3), criticality=wanted, trials=60)
    assert [(unit.layer, unit.row) for unit in plan.chosen[:2]] == [(0, 6), (0, 7)]
    with pytest.raises(UsageError, match="criticality: none given for layer 0 row 0; name all 10"):
        plan_protection(*voters, 0.95, Memory(BER), criticality={}, trials=10)


def test_exact_criticalities_count_the_inputs_that_single_bits_change(voters):
    network, (X, _) = voters
    rows = exact_criticality(network, X, "rows")
    layers = exact_criticality(network, X, "layers")
    assert set(rows) == {(u.layer, u.row) for u in protectable(network, "rows")}
    assert layers == {(k, None): sum(n for (layer, _), n in rows.items() if layer == k) for k in (0, 1)}
    assert all(rows[0, row] == 0 for row in range(N_READ, N_READ + N_IDLE))


def test_the_least_pulse_that_will_do_is_chosen_unless_one_is_given(voters):
    rungs = Memory(BER).rungs()
    energies = [rung.extra_j(protectable(voters[0], "rows")[0]) for rung in rungs]
    assert energies == sorted(energies)
    assert all(rung.strong_rate < BER for rung in rungs)
    given = Memory(BER, strong_rate=0.01)
    assert given.rungs() == (given,)
    assert len(Memory(BER, "ecc").rungs()) == 1


def test_protected_rows_fail_at_the_strong_rate_and_others_at_the_plain_one(voters):
    units = protectable(voters[0], "rows")
    chosen = [unit for unit in units if unit.layer == 0 and unit.row < 5]
    model = Memory(0.3, strong_rate=0.05).faults(units, chosen)
    bank, rng = weight_bank(voters[0], 0), np.random.default_rng(0)
    counts = np.zeros(bank.rows)
    for _ in range(400):
        np.add.at(counts, model(bank, rng) // bank.columns, 1)
    shares = counts / (400 * bank.columns)
    assert np.allclose(shares[:5], 0.05, atol=0.02)
    assert np.allclose(shares[5:], 0.3, atol=0.04)
    (only,) = aimed_at(Symmetric(1), [units[3]])
    assert np.array_equal(only(bank, rng) // bank.columns, [3] * bank.columns)
    assert not only.touches(Target.WEIGHTS, 1)


def test_plans_do_not_depend_on_threads(voters):
    one, two = (
        plan_protection(*voters, 0.85, Memory(BER, strong_rate=1e-3), by="layers", trials=40, jobs=jobs).to_dict()
        for jobs in (1, 2)
    )
    assert one == two


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Memory(1.5), "bit-error rate 1.5: expected a probability"),
        (lambda: Memory(0.0), "no pulse has it"),
        (lambda: Memory(0.01, strong_rate=0.02), "expected one below the 0.01 of others"),
        (lambda: Memory(0.01, "magic"), "expected pulse or ecc"),
        (lambda: Memory(0.01, "ecc", data_bits=0), "SEC-DED words of 0 bits"),
    ],
)
def test_memories_that_make_no_sense_are_one_sentence(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_plans_that_make_no_sense_are_one_sentence(voters):
    with pytest.raises(UsageError, match=r"target 1\.5: expected a probability"):
        plan_protection(*voters, 1.5, Memory(BER))
    with pytest.raises(UsageError, match="protection of 'bits': expected layers or rows"):
        plan_protection(*voters, 0.9, Memory(BER), by="bits")


def test_the_command_plans_in_words_and_in_json(capsys):
    argv = ("--protect", "0.8", "--ber", "0.05", "--trials", "20", "--protect-rank", "exact", "--protect-rate", "1e-3")
    code, out, err = run_command(capsys, "faults", *argv, "--json")
    assert (code, err) == (0, "")
    (row,) = rows_of(out)
    assert (row["verdict"], row["kind"], row["command"]) == ("holds", "ci", "faults")
    assert row["planned"]["low"] >= 0.8
    assert row["uniform"]["energy_j"] == row["planned"]["energy_j"] >= row["unprotected"]["energy_j"]
    code, out, err = run_command(capsys, "faults", *argv)
    assert (code, err) == (0, "")
    assert out.startswith("accuracy 80.00% at ber 0.05: reaches it")
    assert "nothing protected" in out
    assert "all alike" in out


def test_a_target_out_of_reach_ends_with_exit_1(capsys):
    code, out, err = run_command(capsys, "faults", "--protect", "1", "--ber", "0.05", "--trials", "30")
    assert (code, err) == (1, "")
    assert "even with everything protected it is not reached" in out


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("--protect", "2", "--ber", "0.1"), "between 0 and 1"),
        (("--protect", "0.8"), "expected one bit-error rate"),
        (("--protect", "0.8", "--ber", "0.1,0.2"), "expected one bit-error rate"),
        (("--protect", "0.8", "--ber", "0.1", "--kind", "chip"), "leave --kind"),
        (("--protect", "0.8", "--ber", "0.1", "--out", "x.db"), "leave --out"),
        (("--protect", "0.8", "--ber", "0"), "no pulse has it"),
        (("--protect", "0.8", "--ber", "0.1", "--ecc", "64"), "add --protect-with ecc"),
        (("--protect", "0.8", "--ber", "0.1", "--protect-with", "ecc", "--ecc", "0"), "SEC-DED words of 0 bits"),
        (("--protect", "0.8", "--ber", "0.1", "--protect-with", "ecc", "--protect-rate", "0.1"), "leave it"),
        (("--protect", "0.8", "--ber", "0.1", "--protect-rate", "0.2"), "expected one below"),
        (("--protect-by", "bits"), "invalid choice"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_2(capsys, argv, sentence):
    code, out, err = run_command(capsys, "faults", *argv)
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1
