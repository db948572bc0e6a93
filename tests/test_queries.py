"""What queries promise around their engines: options, fields, the second engine, and that a lie is never passed on."""

from dataclasses import replace
from fractions import Fraction
from math import comb

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.engines import enumerate as enumeration
from bnnverify.engines import execute, portfolio
from bnnverify.engines.contract import Search, Tally
from bnnverify.errors import ReplayError, UnsupportedError, UsageError
from bnnverify.network import Block, Network, Output, QuantizedInput
from tests.agreement import ENGINES
from tests.oracle import class_of

MAJORITY = Network([Block([[1] * 5], [1])], Output([[1], [-1], [0]], bias=[0, 0, -5]), name="majority")
CENTER = [1] * 5
TIED = Network([Block([[1] * 5], [1])], Output([[1], [1], [-1]]))


def network_of(seed, n=9, neurons=6):
    rng = np.random.default_rng(seed)
    return Network(
        [Block(rng.choice([-1, 1], (neurons, n)), rng.integers(-2, 3, neurons))],
        Output(rng.choice([-1, 1], (3, neurons))),
    )


QUERIES = {
    "robustness": lambda **options: bv.robustness(MAJORITY, bv.HammingBall(CENTER, 3), **options),
    "count": lambda **options: bv.count(MAJORITY, bv.HammingBall(CENTER, 3), **options),
    "profile": lambda **options: bv.profile(MAJORITY, bv.HammingBall(CENTER, 3), **options),
    "radius": lambda **options: bv.radius(MAJORITY, CENTER, **options),
}


@pytest.fixture(params=QUERIES)
def query(request):
    return QUERIES[request.param]


def test_every_query_answers_about_the_majority_of_five():
    assert QUERIES["robustness"]().verdict is bv.Verdict.VIOLATED
    assert QUERIES["count"]().counts == {0: 1 + 5 + 10, 1: 10}
    assert QUERIES["profile"]().profile == ({0: 1}, {0: 5}, {0: 10}, {1: 10})
    assert QUERIES["radius"]().value == 3


def test_limits_run_the_same_question_in_a_child_process(query):
    inline, limited = query().to_dict(), query(timeout=60, memory=4096).to_dict()
    assert limited == inline


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_is_named_answers_and_says_so(query, engine):
    answer = query(engine=engine)
    assert answer.engine == engine
    assert "asked for" in answer.reason


def test_every_answer_says_what_it_stands_on(query):
    answer = query(seed=7, ties=bv.Ties.VIOLATE)
    fields = answer.to_dict()
    assert answer.engine in ("bounds", "enumerate", "pushforward")
    assert (answer.kind, answer.seed, answer.ties, answer.input_class) == ("exact", 7, bv.Ties.VIOLATE, 0)
    assert {"verdict", "kind", "ties", "engine", "reason", "seed", "region"} <= set(fields)
    assert fields["verdict"] == answer.verdict.value
    assert "\n" not in repr(answer)


def test_a_second_engine_is_named_where_it_agreed(query):
    answer = query(check=True)
    assert answer.checked_by == answer.to_dict()["checked_by"] == "execute"
    assert query().checked_by is None


@pytest.mark.parametrize(("engine", "other"), [("enumerate", "pushforward"), ("pushforward", "enumerate")])
def test_past_what_can_be_executed_the_other_engine_checks(engine, other, monkeypatch):
    monkeypatch.setattr(execute, "MAX_INPUTS", 20)
    network, center = network_of(62), np.random.default_rng(62).choice([-1, 1], 9)
    ball = bv.HammingBall(center, 3)
    for query in (bv.robustness, bv.count, bv.profile):
        assert query(network, ball, engine=engine, check=True).checked_by == other
    assert bv.radius(network, center, engine=engine, check=True).checked_by == other


def test_where_no_second_engine_can_check_the_query_says_so(monkeypatch):
    monkeypatch.setattr(execute, "MAX_INPUTS", 15)
    with pytest.raises(UnsupportedError, match=r"^--check: no second engine can answer for 16 inputs$"):
        bv.count(MAJORITY, bv.HammingBall(CENTER, 2), check=True)


def test_engines_that_do_not_answer_a_question_say_which_do():
    ball = bv.HammingBall(CENTER, 1)
    for query in (bv.count, bv.profile):
        with pytest.raises(
            UnsupportedError, match=r"^engine sat decides and does not count; use enumerate, .* approx$"
        ):
            query(MAJORITY, ball, engine="sat")
    with pytest.raises(UnsupportedError, match=r"^engine approx answers count alone; use sat, enumerate, "):
        bv.robustness(MAJORITY, ball, engine="approx")


def test_an_unknown_engine_is_refused(query):
    with pytest.raises(
        UsageError, match=r"^engine 'magic': expected auto, sat, approx, enumerate, pushforward or bdd$"
    ):
        query(engine="magic")


@pytest.mark.parametrize("limit", [{"timeout": 0}, {"timeout": -1}, {"memory": 0}])
def test_a_limit_that_is_not_positive_is_refused(query, limit):
    with pytest.raises(UsageError):
        query(**limit)


@pytest.mark.parametrize("ask", [QUERIES["robustness"], QUERIES["radius"]], ids=["robustness", "radius"])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        (3, r"^target 3: expected a class 0\.\.2$"),
        (-1, r"^target -1: expected a class 0\.\.2$"),
        (0, r"^target 0 is the input's own class; choose another$"),
    ],
)
def test_a_target_that_is_no_other_class_is_refused(ask, target, message):
    with pytest.raises(UsageError, match=message):
        ask(target=target)


def test_a_target_is_all_that_counts():
    ball = bv.HammingBall(CENTER, 5)
    assert bv.robustness(MAJORITY, ball, target=1).witness.label == 1
    assert bv.robustness(MAJORITY, ball, target=2).verdict is bv.Verdict.HOLDS
    assert bv.radius(MAJORITY, CENTER, target=2).exhausted


def test_quantized_integers_are_refused_in_one_sentence():
    network = Network(MAJORITY.blocks, MAJORITY.output, QuantizedInput((5,)))
    with pytest.raises(
        UnsupportedError, match=r"reads quantized integers; ask for robustness, radius, or a count by approx$"
    ):
        bv.count(network, bv.HammingBall([1] * 5, 1))
    with pytest.raises(UnsupportedError, match=r"^engine enumerate reads no quantized integers; use sat$"):
        bv.radius(network, [1] * 5, engine="enumerate")


@pytest.mark.parametrize("ties", bv.Ties)
def test_only_where_ties_violate_does_an_equal_score_change_the_class(ties):
    violating = ties is bv.Ties.VIOLATE
    ball = bv.HammingBall(CENTER, 1)
    assert bv.count(TIED, ball, ties=ties).counts == {1 if violating else 0: 6}
    assert bv.robustness(TIED, ball, ties=ties).verdict is (bv.Verdict.VIOLATED if violating else bv.Verdict.HOLDS)
    assert bv.radius(TIED, CENTER, ties=ties).value == (0 if violating else 3)


def test_where_ties_violate_the_target_wins_them():
    network = Network([Block([[1] * 3], [0])], Output([[1], [1], [1]]))
    for target in (1, 2):
        answer = bv.robustness(network, bv.HammingBall([1] * 3, 0), target=target, ties=bv.Ties.VIOLATE)
        assert answer.witness.label == target


def test_the_witness_of_a_ball_is_a_nearest_one():
    for seed in range(20):
        network = network_of(seed)
        center = np.random.default_rng(seed).choice([-1, 1], 9)
        least = bv.radius(network, center).value
        answer = bv.robustness(network, bv.HammingBall(center, 9))
        assert (answer.witness.distance if answer.witness else None) == least


def test_a_witness_holds_what_it_takes_to_replay_it():
    answer = QUERIES["robustness"]()
    fields = answer.to_dict()["witness"]
    assert fields == {
        "input": answer.witness.input.tolist(),
        "flips": list(answer.witness.flips),
        "class": 1,
        "distance": 3,
        "replayed": True,
    }
    assert class_of(MAJORITY, fields["input"]) == 1
    assert repr(answer.witness) == f"Witness(class 1, distance 3, flips {fields['flips']})"


def test_a_bit_that_another_part_fixes_counts_in_a_witness_s_cost():
    """Bit 0 is fixed to -1, at a cost of 4; two further flips of 1 make the majority -1."""
    region = bv.CostBall(CENTER, [4, 1, 1, 1, 1], 7) & bv.FreeBits([-1, 1, 1, 1, 1], [1, 2, 3, 4])
    witness = bv.robustness(MAJORITY, region).witness
    assert (witness.distance, len(witness.flips)) == (6, 3)
    assert 0 in witness.flips


def test_counts_in_json_are_decimal_strings_and_sum_to_the_region():
    fields = bv.count(Network([Block(np.ones((1, 70), dtype=int), [0])], Output([[1], [-1]]))).to_dict()
    assert fields["region"]["size"] == str(2**70)
    assert sum(map(int, fields["counts"].values())) == 2**70
    assert int(fields["counts"]["1"]) == sum(comb(70, k) for k in range(35))


def test_a_count_tells_how_many_inputs_changed():
    assert QUERIES["count"]().violations == 10
    assert QUERIES["profile"]().changed == (0, 0, 0, 10)


@pytest.mark.parametrize("rate", [0, 1, 0.5, 0.1, 1e-9])
def test_a_complete_profile_gives_the_exact_probability_of_a_change(rate):
    p = Fraction(rate)
    answer = bv.profile(MAJORITY, bv.HammingBall(CENTER, 5), ber=rate)
    exact = sum(comb(5, k) * p**k * (1 - p) ** (5 - k) for k in range(3, 6))
    assert (answer.probability, answer.kind) == ((exact, exact), "exact")


def test_a_profile_cut_at_a_radius_bounds_the_probability():
    p = Fraction(1, 4)
    answer = bv.profile(MAJORITY, bv.HammingBall(CENTER, 3), ber=0.25)
    low = 10 * p**3 * (1 - p) ** 2
    assert answer.probability == (low, low + 5 * p**4 * (1 - p) + p**5)
    assert answer.kind == "bound"
    assert answer.to_dict()["low"] == float(low)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_that_is_no_probability_is_refused(rate):
    with pytest.raises(UsageError, match=r"^ber .*: expected a probability 0\.\.1$"):
        QUERIES["profile"](ber=rate)


def test_a_profile_needs_flips_of_equal_cost():
    with pytest.raises(
        UnsupportedError, match=r"^profile counts flipped bits; give a Hamming ball, free bits or a pixel box$"
    ):
        bv.profile(MAJORITY, bv.CostBall(CENTER, [1, 2, 1, 1, 1], 3))


def test_pushforward_refuses_unequal_costs_and_auto_does_not():
    ball = bv.CostBall(CENTER, [1, 2, 1, 1, 1], 4)
    with pytest.raises(UnsupportedError, match=r"^engine pushforward: .*; use enumerate$"):
        bv.count(MAJORITY, ball, engine="pushforward")
    assert sum(bv.count(MAJORITY, ball).counts.values()) == bv.count(MAJORITY, ball).region.size


def test_an_intersection_is_summed_up_by_its_parts():
    region = bv.HammingBall(CENTER, 2) & bv.FreeBits(CENTER, [0, 2, 3])
    assert bv.count(MAJORITY, region).region.to_dict() == {
        "kind": "hamming+free",
        "eps": 2,
        "free": [0, 2, 3],
        "size": "7",
    }


LIES = {
    "a count": (lambda rows: [{**rows[0], 1: rows[0].get(1, 0) + 1}, *rows[1:]]),
    "a class": (lambda rows: [{2: sum(row.values())} for row in rows]),
    "nothing": (lambda rows: [{} for _ in rows]),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("name", ["count", "profile"])
def test_a_wrong_count_never_passes_the_check(lie, name, monkeypatch):
    honest = enumeration.count_by_distance

    def lying(residual, *, by_distance):
        return replace(
            honest(residual, by_distance=by_distance), rows=LIES[lie](honest(residual, by_distance=by_distance).rows)
        )

    monkeypatch.setattr(enumeration, "count_by_distance", lying)
    with pytest.raises(ReplayError, match=r"^engines enumerate and execute disagree; please report this$"):
        QUERIES[name](engine="enumerate", check=True)


def test_a_counterexample_that_does_not_replay_is_never_shown(monkeypatch):
    monkeypatch.setattr(enumeration, "find", lambda residual, wanted: Search([(), (0,)], "a lie"))
    for name in ("robustness", "radius"):
        with pytest.raises(ReplayError, match="none of its candidates replays; please report this"):
            QUERIES[name](engine="enumerate")


def test_a_missed_counterexample_never_passes_the_check(monkeypatch):
    monkeypatch.setattr(enumeration, "find", lambda residual, wanted: Search(None, "a lie"))
    for name in ("robustness", "radius"):
        with pytest.raises(ReplayError, match=r"disagree.*; please report this$"):
            QUERIES[name](engine="enumerate", check=True)


def test_the_engine_is_asked_only_for_what_bounds_leave_open(monkeypatch):
    monkeypatch.setattr(portfolio, "count_by_distance", lambda *_, **__: Tally([], "must not run"))
    monkeypatch.setattr(portfolio, "find", lambda *_, **__: Search(None, "must not run"))
    inner = bv.HammingBall(CENTER, 2)
    assert bv.count(MAJORITY, inner).counts == {0: 16}
    assert bv.profile(MAJORITY, inner).profile == ({0: 1}, {0: 5}, {0: 10})
    assert bv.robustness(MAJORITY, inner).engine == bv.count(MAJORITY, inner).engine == "bounds"
