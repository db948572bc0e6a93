"""VNN-LIB files of both versions: what is read is what is meant, and everything else is one sentence with its line."""

import gzip
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnverify.errors import BnnverifyError, InputFormatError
from bnnverify.vnnlib.expressions import MAX_DEPTH, parse
from bnnverify.vnnlib.races import Race
from bnnverify.vnnlib.reading import property_of, read_property
from tests.paths import PEERS, needs_peers

FIRST = """; a comment (with parentheses
(declare-const X_0 Real) (declare-const X_1 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
(declare-fun Y_2 () Real)
"""
BOX = "(assert (>= X_0 0.1)) (assert (<= X_0 2)) (assert (and (<= -1.5e1 X_1) (>= 3 X_1)))\n"
SECOND = """(vnnlib-version <2.0>)
(declare-network f
  (declare-input X uint8 [1, 2] "pixels") ; typed
  (declare-output Y real [3]))
"""


def test_a_box_and_a_disjunction_of_classes():
    prop = property_of(FIRST + BOX + "(assert (or (and (>= Y_0 Y_2)) (and (< Y_2 Y_1))))")
    (case,) = prop.cases
    assert case.low == (Fraction(1, 10), Fraction(-15))
    assert case.high == (Fraction(2), Fraction(3))
    assert case.alternatives == ((Race(0, 2, False),), (Race(1, 2, True),))
    assert (prop.input.size, prop.output.size, prop.version) == (2, 3, 1)


def test_alternatives_may_bring_their_own_boxes():
    text = (
        FIRST
        + BOX
        + "(assert (or (and (<= X_0 1) (> Y_0 Y_1)) (and (>= X_0 1.5) (> Y_1 Y_0)) (and (<= X_0 1) (> Y_2 Y_0))))"
    )
    cases = {case.high[0]: case for case in property_of(text).cases}
    assert cases[Fraction(1)].alternatives == ((Race(0, 1, True),), (Race(2, 0, True),))
    assert cases[Fraction(2)].low[0] == Fraction(3, 2)


def test_conjunctions_of_disjunctions_are_multiplied_out():
    text = FIRST + BOX + "(assert (or (>= Y_0 Y_1) (>= Y_0 Y_2))) (assert (or (= Y_1 Y_2) (<= (- 3) Y_1 )))"
    with pytest.raises(InputFormatError, match=r"line 7: found ..<= .- 3. Y_1.., expected"):
        property_of(text)
    (case,) = property_of(text.replace("(<= (- 3) Y_1 )", "(< Y_1 Y_1)")).cases
    equal = (Race(1, 2, False), Race(2, 1, False))
    assert case.alternatives == ((Race(0, 1, False), *equal), (Race(0, 2, False), *equal))


def test_what_holds_always_or_never_is_dropped():
    (case,) = property_of(FIRST + BOX + "(assert (or (> Y_0 Y_0) (and (>= Y_1 Y_1) (> Y_2 Y_1) (<= 1 2))))").cases
    assert case.alternatives == ((Race(2, 1, True),),)
    (never,) = property_of(FIRST + BOX + "(assert (> Y_0 Y_0))").cases
    assert never.is_empty
    assert property_of(FIRST + BOX + "(assert (> 1 2))").cases == ()
    (always,) = property_of(FIRST + BOX).cases
    assert always.alternatives == ((),)


def test_an_empty_box_is_empty():
    (case,) = property_of(FIRST + BOX + "(assert (>= X_0 2.0000001)) (assert (>= Y_0 Y_1))").cases
    assert case.is_empty


def test_version_two_has_types_shapes_and_indices():
    prop = property_of(
        SECOND + "(assert (< X [0, 0] 7)) (assert (> X[0,1] 2.5)) (assert (or (== X[0,0] 3.0) (>= Y[1] Y[2])))"
    )
    assert (prop.version, prop.network, prop.input.shape, prop.input.element) == (2, "f", (1, 2), "uint8")
    boxes = {(case.low, case.high): case.alternatives for case in prop.cases}
    assert boxes[(0, Fraction(5, 2)), (6, 255)] == ((Race(1, 2, False),),)
    assert boxes[(3, Fraction(5, 2)), (3, 255)] == ((),)
    (equal, _) = prop.cases
    assert equal.whole().low[1] == 3


def test_a_gzipped_file_is_read(tmp_path):
    (tmp_path / "p.vnnlib.gz").write_bytes(gzip.compress((FIRST + BOX).encode()))
    (tmp_path / "p.vnnlib").write_text(FIRST + BOX)
    assert read_property(tmp_path / "p.vnnlib.gz") == read_property(tmp_path / "p.vnnlib")


MALFORMED = {
    "nothing": ("", "declares none, expected X_0"),
    "gap": ("(declare-const X_1 Real)(declare-const Y_0 Real)", "1 constants up to X_1, expected X_0"),
    "twice": ("(declare-const X_0 Real)\n(declare-const X_0 Real)", "line 2: .*each constant declared once"),
    "type": ("(declare-const X_0 Int)", "line 1: .*X_0 Real"),
    "name": ("(declare-const Z_0 Real)", "line 1"),
    "leading zero": ("(declare-const X_00 Real)", "line 1"),
    "undeclared": (FIRST + "(assert (<= X_7 1))", "line 6: found 'X_7'"),
    "open": ("(assert (<= X_0 1)", "line 1: a parenthesis that is never closed"),
    "closed": ("\n)", "line 2: found '.', expected an opening"),
    "bare": ("hello", "line 1: found 'hello', expected a command"),
    "quote": ('(assert "x', "line 1: found '\".*, expected a name"),
    "unknown command": ("(set-logic QF_LRA)", "line 1: found '.set-logic QF_LRA.'"),
    "no command": ("()", "line 1"),
    "unbounded": (FIRST + "(assert (<= X_0 1))", "element 0 of the input X has no lower bound"),
    "arithmetic": (FIRST + "(assert (<= (+ X_0 X_1) 1))", "line 6: found '.. X_0 X_1.'.*arithmetic is not read"),
    "two inputs": (FIRST + "(assert (<= X_0 X_1))", "line 6: .*between an input and a number"),
    "input and output": (FIRST + "(assert (<= X_0 Y_1))", "line 6"),
    "output bound": (FIRST + "\n\n(assert (<= Y_0 1.0))", "line 8: found '.<= Y_0 1.0.', expected <= or >="),
    "strict real": (FIRST + "(assert (< X_0 1.0))", "line 6"),
    "unequal": (FIRST + "(assert (!= Y_0 Y_1))", "line 6"),
    "not": (FIRST + "(assert (not (<= Y_0 Y_1)))", "line 6: .*and, or, or a comparison"),
    "empty or": (FIRST + "(assert (or))", "line 6"),
    "three values": (FIRST + "(assert (<= 0 X_0 1))", "line 6"),
    "assert nothing": (FIRST + "(assert)", "line 6"),
    "deep": ("(" * (MAX_DEPTH + 1), f"nested more than {MAX_DEPTH} deep"),
    "long word": ("(assert " + "9" * 2000 + ")", "a word of at most"),
    "huge exponent": (FIRST + "(assert (<= X_0 1e9999))", "line 6: found '1e9999'"),
    "too many ways": (FIRST + "(assert (or (> Y_0 Y_1) (> Y_1 Y_0)))" * 15, "more than 16384 alternatives"),
    "version": ("(vnnlib-version <3.0>)", "line 1: .*vnnlib-version <2.0>"),
    "no network": ("(vnnlib-version <2.0>)", "declares no network"),
    "hidden": (SECOND.replace("(declare-output", '(declare-hidden H real [1] "h") (declare-output'), "nothing hidden"),
    "two networks": (SECOND + "(declare-network g)", "line 5: .*one .declare-network"),
    "early assert": ("(vnnlib-version <2.0>)\n(assert (<= 1 2))", "line 2: .*a declared network before"),
    "element": (SECOND.replace("uint8", "string"), "line 3: found 'string', expected one of real"),
    "shape": (SECOND.replace("[1, 2]", "[1,,2]"), "line 3: .*whole numbers"),
    "no elements": (SECOND.replace("[1, 2]", "[0]"), "line 3: .*1 to"),
    "great shape": (SECOND.replace("[1, 2]", "[999999999,999999999]"), "line 3: .*1 to"),
    "index": (SECOND + "(assert (<= X[0,2] 1))", r"line 5: found 'X\[0,2\]', expected indices within"),
    "few indices": (SECOND + "(assert (<= X[0] 1))", "line 5: .*indices within"),
    "tensor": (SECOND + "(assert (<= Z[0] 1))", "line 5: found 'Z"),
    "same names": (SECOND.replace("Y real", "X real"), "different names"),
    "version one in two": (SECOND + "(declare-const X_0 Real)", "line 5"),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_what_is_malformed_or_not_read_is_one_sentence_with_its_line(fault):
    text, message = MALFORMED[fault]
    with pytest.raises(InputFormatError, match=message) as refused:
        property_of(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_what_is_no_text_is_refused_with_the_files_name(tmp_path):
    whole = gzip.compress((FIRST + BOX).encode() * 50)
    for name, content in {"cut": whole[:-20], "bytes": b"\xff\xfe\x00(", "odd": b"\x1f\x8bxyz" + bytes(20)}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputFormatError, match=f"^{name}: "):
            read_property(tmp_path / name)
    with pytest.raises(InputFormatError, match=r"^absent: cannot be read"):
        read_property(tmp_path / "absent")


def refusal_of(text):
    """The sentence that refuses a text, "" if it is read; another exception comes through."""
    try:
        property_of(text)
    except BnnverifyError as error:
        return str(error)
    return ""


WORDS = [
    "(",
    ")",
    "assert",
    "and",
    "or",
    "<=",
    ">=",
    "=",
    "X_0",
    "X_1",
    "Y_0",
    "Y_2",
    "1.5",
    "-3",
    "(- 2)",
    ";",
    "\n",
    "1e5",
    "X[0,1]",
    "Y[2]",
    '"',
]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([FIRST + BOX, SECOND]), st.lists(st.sampled_from(WORDS), max_size=25))
def test_random_words_never_escape_as_another_exception(start, words):
    assert "\n" not in refusal_of(start + " ".join(words))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80))
def test_random_text_never_escapes_as_another_exception(text):
    assert "\n" not in refusal_of(text)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_random_damage_to_a_good_file_never_escapes_as_another_exception(data):
    text = FIRST + BOX + "(assert (or (and (>= Y_0 Y_2)) (and (< Y_2 Y_1))))"
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = (
        text[:place] + data.draw(st.sampled_from(["", "(", ")", "9", " ", "[", "\x00", "é", "Y"])) + text[place + 1 :]
    )
    assert "\n" not in refusal_of(damaged)


def test_lines_are_counted_through_comments_and_brackets():
    groups = parse("; one\n(a ; two\n X[0,\n1] b)\n(c)")
    assert [group.line for group in groups] == [2, 5]
    assert [item.line for item in groups[0].items] == [2, 3, 4]


@needs_peers
def test_the_published_properties_are_read():
    files = sorted((PEERS / "vnncomp").glob("*.vnnlib.gz"))
    assert len(files) == 5
    for path in files:
        prop = read_property(path)
        (case,) = prop.cases
        assert (prop.input.size, prop.output.size, len(case.alternatives)) == (2700, 43, 42)
        assert max(b - a for a, b in zip(case.low, case.high, strict=True)) <= 10
