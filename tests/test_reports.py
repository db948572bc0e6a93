"""How answers look: the JSON contract field by field, pictures, tables and words."""

import json
from fractions import Fraction

import numpy as np
import pytest

from bnnverify import __version__
from bnnverify.network import BitInput, Network, Output, QuantizedInput
from bnnverify.queries.results import (
    CompareResult,
    CountResult,
    ExplainResult,
    ProfileResult,
    RadiusResult,
    RegionSummary,
    RobustnessResult,
    Ties,
    Verdict,
    Witness,
)
from bnnverify.reports.json import dumps, row_of
from bnnverify.reports.lines import line, summary
from bnnverify.reports.pictures import draw, half_blocks_fit, image_shape, places, side_by_side
from bnnverify.reports.prose import describe
from bnnverify.reports.subject import Subject
from bnnverify.reports.tables import duration, grouped, share, table

CONTRACT = [
    "schema",
    "command",
    "model",
    "input",
    "region",
    "verdict",
    "kind",
    "counts",
    "value",
    "witness",
    "engine",
    "reason",
    "seed",
    "seconds",
    "version",
]
HOW = {"engine": "pushforward", "reason": "4 of 50 neurons move", "seed": 3, "seconds": 0.25, "input_class": 1}
BALL = RegionSummary("hamming", 166751, {"eps": 3})


@pytest.fixture
def network():
    return Network((), Output(np.ones((3, 64))), BitInput((64,)), "digits")


@pytest.fixture
def subject(network):
    instance = np.where(np.arange(64) % 9 == 0, 1, -1).astype(np.int8)
    return Subject("count", network, source="x.npy", index=4, instance=instance, label=2, norm="hamming", eps=3)


@pytest.fixture
def witness(subject):
    flipped = subject.instance.copy()
    flipped[[0, 9]] *= -1
    return Witness(flipped, (0, 9), 0, 2)


def object_of(subject, answer):
    return json.loads(dumps(row_of(subject, answer, load=0.5, total=1.0)))


def words_of(subject, answer, **settings):
    return describe(subject, answer, total=1.0, **{"blocks": True, **settings})


def test_a_count_is_written_as_the_contract_says(subject, network):
    answer = CountResult(verdict=Verdict.VIOLATED, counts={1: 150348, 0: 16403}, region=BALL, **HOW)
    row = object_of(subject, answer)
    assert [name for name in row if name in CONTRACT] == CONTRACT
    assert row["schema"] == "bnnverify/1"
    assert row["command"] == "count"
    assert row["model"] == {"name": "digits", "sha256": network.fingerprint}
    assert row["input"] == {"source": "x.npy", "index": 4, "class": 1, "label": 2}
    assert row["region"] == {"kind": "hamming", "eps": 3, "norm": "hamming", "size": "166751"}
    assert (row["verdict"], row["kind"], row["ties"]) == ("violated", "exact", "lowest")
    assert row["counts"] == {"0": "16403", "1": "150348"}
    assert row["value"] == "16403"
    assert row["witness"] is None
    assert (row["engine"], row["reason"], row["seed"]) == ("pushforward", "4 of 50 neurons move", 3)
    assert row["seconds"] == {"load": 0.5, "solve": 0.25, "total": 1.0}
    assert row["version"] == __version__


def test_a_witness_is_written_with_its_input_class_distance_and_replay(subject, witness):
    answer = RobustnessResult(verdict=Verdict.VIOLATED, witness=witness, region=BALL, **HOW)
    found = object_of(subject, answer)["witness"]
    assert found == {
        "input": witness.input.tolist(),
        "flips": [0, 9],
        "class": 0,
        "distance": 2,
        "replayed": True,
    }


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_is_its_word(subject, verdict):
    assert object_of(subject, RobustnessResult(verdict=verdict, **HOW))["verdict"] == verdict.name.lower()


def test_the_value_of_a_radius_is_its_cost_and_of_a_profile_its_first_change(subject):
    radius = RadiusResult(verdict=Verdict.ANSWERED, norm="l1", value=5, lower=5, **HOW)
    profile = ProfileResult(verdict=Verdict.VIOLATED, profile=({1: 1}, {1: 64}, {1: 2000, 0: 16}), **HOW)
    assert object_of(subject, radius)["value"] == 5
    assert object_of(subject, profile)["value"] == 2


def test_all_queries_write_the_same_keys_of_the_contract(subject):
    answers = [
        RobustnessResult(verdict=Verdict.HOLDS, **HOW),
        CountResult(verdict=Verdict.HOLDS, counts={1: 1}, **HOW),
        ProfileResult(verdict=Verdict.HOLDS, profile=({1: 1},), **HOW),
        RadiusResult(verdict=Verdict.ANSWERED, norm="l0", value=None, lower=3, **HOW),
    ]
    assert all(set(CONTRACT) <= set(object_of(subject, answer)) for answer in answers)


@pytest.mark.parametrize(("n", "written"), [(2**53, 2**53), (2**53 + 1, str(2**53 + 1)), (-(2**60), str(-(2**60)))])
def test_integers_that_readers_would_round_are_strings(n, written):
    assert json.loads(dumps({"n": [n]})) == {"n": [written]}


def test_numbers_of_numpy_and_fractions_are_plain_and_nan_is_null():
    row = {"a": np.int64(3), "b": np.array([1, 2]), "c": Fraction(1, 4), "d": float("nan"), "e": True}
    assert json.loads(dumps(row)) == {"a": 3, "b": [1, 2], "c": 0.25, "d": None, "e": True}


def test_a_row_is_one_line_of_ascii(network):
    row = dumps({"name": "Zürich\n"})
    assert row.isascii()
    assert "\n" not in row


EVERY_CELL = np.array([[0, 0, 1, 1], [0, 1, 0, 1]], dtype=bool)
NOTHING = np.zeros((2, 4), dtype=bool)


def test_two_rows_of_pixels_share_a_line():
    assert draw(EVERY_CELL, NOTHING, blocks=True) == [" ▄▀█"]
    assert draw(EVERY_CELL, NOTHING, blocks=False) == [" .':"]


def test_a_flip_is_marked_by_its_half_whatever_the_ink():
    for ink in (NOTHING, EVERY_CELL, ~NOTHING):
        assert draw(ink, EVERY_CELL, blocks=True)[0][1:] == "v^X"


def test_an_odd_number_of_rows_is_drawn_whole():
    assert draw(np.ones((3, 2), dtype=bool), np.zeros((3, 2), dtype=bool), blocks=True) == ["██", "▀▀"]


def test_a_counterexample_stands_beside_its_original(subject):
    drawn = side_by_side(subject.bits(), (0, 9), (8, 8), titles=("before", "after"), blocks=False).splitlines()
    assert len(drawn) == 1 + 2 + 4
    assert drawn[0].split() == ["before", "after"]
    assert drawn[2] == "|'.      |   |^v      |"
    assert {len(text) for text in drawn[1:]} == {10 + 3 + 10}


def test_what_is_no_image_is_not_drawn(network):
    assert image_shape((50,)) is None
    assert image_shape((3, 32, 32)) is None
    assert image_shape((49,)) is None
    assert image_shape((1, 1, 5)) is None
    assert image_shape((1, 20, 30)) == (20, 30)


def test_block_characters_are_used_only_where_they_can_be_written():
    assert half_blocks_fit("utf-8")
    assert half_blocks_fit("cp437")
    assert not any(map(half_blocks_fit, ("ascii", "latin-1", None, "no-such-encoding")))


def test_many_flips_are_abridged():
    assert places(tuple(range(20)), None, most=3) == "0, 1, 2, and 17 more"


def test_a_counterexample_is_told_in_words_and_picture(subject, witness):
    answer = RobustnessResult(verdict=Verdict.VIOLATED, witness=witness, region=BALL, ties=Ties.VIOLATE, **HOW)
    text = words_of(subject, answer)
    assert "NOT ROBUST: class 0 after 2 flips." in text
    assert "x.npy, index 4, classified as 1, true class 2" in text
    assert "at most 3 flipped bits, norm hamming (166,751 inputs)" in text
    assert "original: class 1" in text
    assert "row 0 column 0, row 1 column 1" in text
    assert "pushforward: 4 of 50 neurons move" in text
    assert "equal scores: count as another class" in text
    assert "250 ms to solve" in text


def test_plain_terminals_get_plain_characters(subject, witness):
    answer = RobustnessResult(verdict=Verdict.VIOLATED, witness=witness, region=BALL, **HOW)
    assert words_of(subject, answer, blocks=False).isascii()


@pytest.mark.parametrize(
    ("verdict", "why"), [(Verdict.TIMEOUT, "time limit"), (Verdict.MEMOUT, "memory limit"), (Verdict.UNKNOWN, "engine")]
)
def test_an_undecided_answer_claims_nothing(subject, verdict, why):
    for answer in (
        RobustnessResult(verdict=verdict, region=BALL, **HOW),
        CountResult(verdict=verdict, counts={}, region=BALL, **HOW),
        ProfileResult(verdict=verdict, profile=(), region=BALL, **HOW),
    ):
        text = words_of(subject, answer)
        assert f"UNDECIDED: the {why}" in text
        assert "ROBUST:" not in text
        assert "exact" not in text


def test_an_undecided_radius_tells_what_was_proved(subject):
    answer = RadiusResult(verdict=Verdict.TIMEOUT, norm="hamming", value=None, lower=3, **HOW)
    assert "Proved so far: no change below 3 flipped bits" in words_of(subject, answer)


def test_counts_are_a_table_with_shares(subject):
    answer = CountResult(verdict=Verdict.VIOLATED, counts={1: 999_999, 0: 1}, region=BALL, **HOW)
    text = words_of(subject, answer)
    assert "1 of 1,000,000 inputs (< 0.01 %) have another class." in text
    assert "1 (the input)  999,999  > 99.99 %" in text


def test_a_profile_tells_the_chance_of_a_change_and_whether_it_is_exact(subject):
    rows = ({1: 1}, {1: 60, 0: 4})
    for bounds, words in [
        ((Fraction(1, 8), Fraction(1, 8)), "0.125 (exact)"),
        ((Fraction(0), Fraction(1, 8)), "0 to 0.125"),
    ]:
        answer = ProfileResult(verdict=Verdict.VIOLATED, profile=rows, ber=0.01, probability=bounds, **HOW)
        assert words in words_of(subject, answer)
        assert "The class first changes at 1 flip." in words_of(subject, answer)


def test_a_radius_tells_its_cost_and_that_nothing_is_smaller(subject, witness):
    answer = RadiusResult(verdict=Verdict.ANSWERED, norm="l1", value=5, lower=5, witness=witness, **HOW)
    assert "5 grey levels in all, norm l1; nothing smaller exists." in words_of(subject, answer)
    never = RadiusResult(verdict=Verdict.HOLDS, norm="l0", value=None, lower=65, exhausted=True, **HOW)
    assert "no change of the input whatsoever" in words_of(subject, never)


def test_the_target_is_named(network):
    asked = Subject("robustness", network, source="x", index=0, norm="hamming", eps=1, target=2)
    answer = RobustnessResult(verdict=Verdict.HOLDS, target=2, region=BALL, **HOW)
    assert "no input of the region has class 2" in words_of(asked, answer)


def test_an_instance_without_bits_has_no_picture():
    network = Network((), Output(np.ones((2, 64))), QuantizedInput((64,)))
    assert Subject("robustness", network, instance=np.zeros(64, dtype=np.int64)).bits() is None


def test_lines_of_a_batch_say_what_was_found(subject, witness):
    cases = {
        "2 flips to class 0": RobustnessResult(verdict=Verdict.VIOLATED, witness=witness, **HOW),
        "16 of 64 changed (25.00 %)": CountResult(verdict=Verdict.VIOLATED, counts={0: 16, 1: 48}, **HOW),
        "changes from 1 flip": ProfileResult(verdict=Verdict.VIOLATED, profile=({1: 1}, {0: 2}), **HOW),
    }
    for words, answer in cases.items():
        command = "profile" if isinstance(answer, ProfileResult) else "count"
        assert words in line(object_of(Subject(command, subject.network, source="x", index=0), answer))
    radius = Subject("radius", subject.network, source="x", index=0)
    for value, words in [(4, "least cost 4"), (None, "nothing below 4")]:
        answer = RadiusResult(verdict=Verdict.ANSWERED, norm="l1", value=value, lower=4, **HOW)
        assert words in line(object_of(radius, answer))


def test_the_summary_of_a_batch_counts_verdicts_and_robust_accuracy():
    def row(verdict, given, true, command="robustness"):
        return {"verdict": verdict, "command": command, "input": {"class": given, "label": true}}

    rows = [row("holds", 1, 1), row("timeout", 1, 1), row("violated", 2, 2), row("holds", 3, 4)]
    assert summary(rows).splitlines() == [
        "4 inputs: 2 holds, 1 timeout, 1 violated",
        "robust accuracy 1 of 4 (25.00 %), or up to 2 if the undecided hold; accuracy 3 of 4, "
        "1 misclassified without any change",
    ]
    assert summary([row("holds", 1, None)]) == "1 input: 1 holds"
    assert summary([row("holds", 1, 1, "count")]) == "1 input: 1 holds"


def test_numbers_read_well():
    assert grouped(-1234567) == "-1,234,567"
    assert grouped(10**24) == "about 1.000 x 10^24"
    assert (share(0, 5), share(5, 5), share(1, 10**40)) == ("0.00 %", "100.00 %", "< 0.01 %")
    assert (duration(0), duration(0.9999), duration(119.9), duration(120)) == (
        "0.0 ms",
        "1.0 s",
        "119.9 s",
        "2 min 0 s",
    )


def test_a_table_aligns_its_columns():
    lines = table(["name", "n"], [["a", "1"], ["long name", "1000"]], "lr").splitlines()
    assert lines == ["name          n", "---------  ----", "a             1", "long name  1000"]


SETS = [
    ("axp", {"features": (0, 9), "minimal": True}, "these 2 pixels keep class 1, whatever the others are; no part"),
    ("axp", {"features": (3,), "minimum": True}, "this 1 pixel keeps class 1, whatever the others are; no smaller set"),
    ("axp", {"features": (0, 9), "undecided": (9,)}, "1 of them is undecided"),
    ("axp", {"features": (), "minimum": True}, "no pixel has to stay"),
    ("min-axp", {"features": (0, 9), "lower": 1, "minimal": True}, "the least number is between 1 and 2"),
    ("cxp", {"features": (0, 9), "minimal": True}, "a change of these 2 pixels alone gives another class"),
    ("cxp", {"features": None, "minimal": True}, "NO CHANGE of any pixels"),
    ("cxp", {"features": None}, "UNDECIDED: no change"),
    ("necessary", {"features": (4,)}, "NECESSARY: 1 pixel in every"),
    (
        "relevant",
        {"features": (4, 5), "undecided": (6,)},
        "in some subset-minimal set that keeps class 1; 1 pixel undecided",
    ),
    ("essential", {"features": (4,)}, "ESSENTIAL: 1 input bit with one value"),
    ("all-axp", {"sets": ((1,), (2, 3)), "total": 2}, "2 subset-minimal sets of pixels, each of which keeps class 1"),
    ("all-cxp", {"sets": (), "total": 0}, "0 subset-minimal sets of pixels, each of which suffices"),
    ("shapley", {"values": (0.25,) + (0.0,) * 63}, "the chance of class 1 on a random input of the region is 0.75"),
    ("banzhaf", {"values": (-0.25,) + (0.0,) * 63}, "the chance of class 1 by is 0.25"),
]


@pytest.mark.parametrize(("kind", "found", "words"), SETS, ids=[f"{kind} {words[:20]}" for kind, _, words in SETS])
def test_an_explanation_says_what_its_features_do_and_how_sure_that_is(subject, kind, found, words):
    answer = ExplainResult(verdict=Verdict.ANSWERED, explanation=kind, region=BALL, **found, **HOW)
    text = words_of(subject, answer, blocks=False)
    assert words in text
    assert text.isascii()
    assert set(CONTRACT) <= set(object_of(subject, answer))
    assert len(line(object_of(subject, answer)).splitlines()) == 1


def test_an_explanation_against_a_target_names_it(network):
    asked = Subject("explain", network, source="x", index=0, target=2, norm="hamming", eps=1)
    answer = ExplainResult(verdict=Verdict.ANSWERED, explanation="axp", features=(1,), minimum=True, **HOW)
    assert "keeps a class other than 2" in words_of(asked, answer)


def test_a_comparison_is_told_by_pairs_of_classes_that_differ_first(subject, witness):
    answer = CompareResult(
        verdict=Verdict.VIOLATED,
        other="twin",
        pairs={(0, 0): 10, (0, 1): 2, (1, 1): 88},
        witness=witness,
        other_label=1,
        region=BALL,
        **HOW,
    )
    text = words_of(subject, answer)
    assert "Second   twin" in text
    assert "DIFFERENT on 2 of 100 inputs (2.00 %)." in text
    assert text.index("differ") < text.index("88.00 %")
    assert "Nearest such input: class 0 by the first and 1 by the second, after 2 flips." in text
    row = object_of(subject, answer)
    assert (row["value"], row["witness"]["other_class"]) == ("2", 1)


def test_an_undecided_comparison_claims_nothing(subject):
    answer = CompareResult(verdict=Verdict.MEMOUT, other="twin", region=BALL, **HOW)
    text = words_of(subject, answer)
    assert "UNDECIDED: the memory limit" in text
    assert object_of(subject, answer)["value"] is None


@pytest.mark.parametrize(
    ("kind", "found", "words"),
    [
        ("axp", {"features": (0, 9), "minimal": True}, "axp of 2 features"),
        ("cxp", {"minimal": True}, "no cxp exists"),
        ("min-axp", {"features": (0, 9), "lower": 1, "kind": "bound"}, "min-axp of 2 features, at least 1"),
        ("all-axp", {"sets": ((1,),), "total": 2**60}, "1,152,921,504,606,846,976 of all-axp"),
        ("shapley", {"values": (0.25, 0.5)}, "shapley, sum 0.75"),
    ],
)
def test_lines_of_explanations_say_what_was_found(network, kind, found, words):
    asked = Subject("explain", network, source="x", index=0)
    answer = ExplainResult(verdict=Verdict.ANSWERED, explanation=kind, **found, **HOW)
    assert words in line(object_of(asked, answer))
