"""Explanations in words: what the features do, which they are and what the input has there, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bnnverify.queries.results import ExplainResult
from bnnverify.reports.pictures import image_shape, places, side_by_side
from bnnverify.reports.subject import Subject
from bnnverify.reports.tables import grouped, plural, table
from bnnverify.reports.wording import feature_name, feature_noun, feature_value

LISTED_SETS = 10
LISTED_VALUES = 15
LISTED_FEATURES = 30
ABDUCTIVE = ("axp", "min-axp")
VALUED = {"shapley": "SHAP value", "banzhaf": "Banzhaf value"}
MARKS = "Marks: ^ the upper, v the lower, X both pixels of a character."


def explain_headline(subject: Subject, answer: ExplainResult) -> str:
    """What was found, in a sentence or two."""
    if answer.values is not None:
        return _valued_headline(subject, answer)
    if answer.sets is not None:
        return _listed_headline(subject, answer)
    if answer.explanation in ("necessary", "relevant", "essential"):
        return _marked_headline(subject, answer)
    return _one_headline(subject, answer)


def _goal(subject: Subject) -> str:
    return "another class" if subject.target is None else f"class {subject.target}"


def _staying(subject: Subject, answer: ExplainResult) -> str:
    """What a sufficient set forces."""
    return f"class {answer.input_class}" if subject.target is None else f"a class other than {subject.target}"


def _one_headline(subject: Subject, answer: ExplainResult) -> str:
    size = answer.size
    if size is None:
        if answer.minimal:
            return f"NO CHANGE of any {feature_noun(subject)}s, within the region, gives {_goal(subject)}."
        return f"UNDECIDED: no change to {_goal(subject)} was found, and none was ruled out."
    noun = feature_noun(subject)
    these = f"these {plural(size, noun)}" if size != 1 else f"this 1 {noun}"
    if answer.explanation not in ABDUCTIVE:
        return f"CONTRASTIVE: a change of {these} alone gives {_goal(subject)}{_least(answer)}."
    if not size:
        return f"SUFFICIENT: no {noun} has to stay; every input of the region has {_staying(subject, answer)}."
    keep = "keep" if size != 1 else "keeps"
    return f"SUFFICIENT: {these} {keep} {_staying(subject, answer)}, whatever the others are{_least(answer)}."


def _least(answer: ExplainResult) -> str:
    """How small the set is proved to be."""
    if answer.minimum:
        return "; no smaller set does"
    if answer.explanation.startswith("min-"):
        return f"; the least number is between {answer.lower} and {answer.size}"
    if answer.minimal:
        return "; no part of them does"
    return f"; {plural(len(answer.undecided), 'of them is', 'of them are')} undecided and may not be needed"


def _marked_headline(subject: Subject, answer: ExplainResult) -> str:
    size = answer.size or 0
    if answer.explanation == "essential":
        return f"ESSENTIAL: {plural(size, 'input bit')} with one value in all inputs of class {answer.input_class}."
    where = "every" if answer.explanation == "necessary" else "some"
    noun = feature_noun(subject)
    left = f"; {plural(len(answer.undecided), noun)} undecided" if answer.undecided else ""
    word = f"{answer.explanation.upper()}: {plural(size, noun)}"
    return f"{word} in {where} subset-minimal set that keeps {_staying(subject, answer)}{left}."


def _listed_headline(subject: Subject, answer: ExplainResult) -> str:
    found = f"{plural(answer.total or 0, 'subset-minimal set')} of {feature_noun(subject)}s"
    if answer.explanation == "all-axp":
        return f"{found}, each of which keeps {_staying(subject, answer)} whatever the others are."
    return f"{found}, each of which suffices to change to {_goal(subject)}."


def _valued_headline(subject: Subject, answer: ExplainResult) -> str:
    assert answer.values is not None
    noun, chance = feature_noun(subject), f"the chance of class {answer.input_class}"
    if answer.explanation == "shapley":
        whole = sum(answer.values)
        return (
            f"VALUES: {chance} on a random input of the region is {1 - whole:.6g}; the {noun}s make up the difference."
        )
    most = max(map(abs, answer.values), default=0.0)
    return f"VALUES: the most that one {noun} changes {chance} by is {most:.4g}, averaged over what else is known."


def explain_evidence(subject: Subject, answer: ExplainResult, *, blocks: bool) -> str:
    """The features: as a picture where they are pixels, else as a table."""
    if answer.values is not None:
        return _value_table(subject, answer.values, VALUED[answer.explanation])
    if answer.sets is not None:
        return _set_table(subject, answer)
    if not answer.features:
        return ""
    if answer.explanation == "essential":
        subject = replace(subject, features=None)
    size = image_shape(subject.network.input.shape)
    if size is not None and subject.bits() is not None:
        return _picture(subject, answer, answer.features, size, blocks)
    return _feature_table(subject, answer, answer.features)


def _picture(
    subject: Subject, answer: ExplainResult, features: Sequence[int], size: tuple[int, int], blocks: bool
) -> str:
    bits, pixels = subject.bits(), subject.bits_of(features)
    assert bits is not None
    if answer.witness is None:
        marked, title = pixels, f"{answer.explanation}: the marked pixels"
    else:
        marked, title = answer.witness.flips, f"counterexample: class {answer.witness.label}"
    drawn = side_by_side(bits, marked, size, titles=(f"original: class {answer.input_class}", title), blocks=blocks)
    return f"{drawn}\n{MARKS}\nPixels: {places(pixels, size)}."


def _feature_table(subject: Subject, answer: ExplainResult, features: Sequence[int]) -> str:
    """Name and value of each; beside it what a counterexample has there."""
    flips = () if answer.witness is None else answer.witness.flips
    rows = []
    for feature in features[:LISTED_FEATURES]:
        row = [feature_name(subject, feature), feature_value(subject, feature)]
        rows.append([*row, feature_value(subject, feature, flips)] if answer.witness is not None else row)
    header = [feature_noun(subject), "the input has"]
    if answer.witness is not None:
        header.append(f"class {answer.witness.label} with")
    return _cut(table(header, rows, "l" * len(header)), len(features), LISTED_FEATURES)


def _set_table(subject: Subject, answer: ExplainResult) -> str:
    """The smallest sets."""
    assert answer.sets is not None
    if not answer.sets:
        return ""
    rows = [
        [str(len(found)), ", ".join(feature_name(subject, f) for f in found)] for found in answer.sets[:LISTED_SETS]
    ]
    return _cut(table(["size", f"{feature_noun(subject)}s"], rows, "rl"), answer.total or 0, LISTED_SETS)


def _value_table(subject: Subject, values: Sequence[float], name: str) -> str:
    """The features that weigh most."""
    ranked = sorted((i for i, value in enumerate(values) if value), key=lambda i: -abs(values[i]))
    if not ranked:
        return ""
    rows = [[feature_name(subject, i), feature_value(subject, i), f"{values[i]:+.6f}"] for i in ranked[:LISTED_VALUES]]
    return _cut(table([feature_noun(subject), "the input has", name], rows, "llr"), len(ranked), LISTED_VALUES)


def _cut(text: str, n_all: int, n_listed: int) -> str:
    return text if n_all <= n_listed else f"{text}\nand {grouped(n_all - n_listed)} more"
