"""Comparisons in words: on how many inputs two networks differ, class by class, and the nearest such input."""

from __future__ import annotations

from dataclasses import replace

from bnnverify.queries.results import CompareResult, Verdict, Witness
from bnnverify.reports.pictures import image_shape, places, side_by_side
from bnnverify.reports.subject import Subject
from bnnverify.reports.tables import grouped, plural, share, table
from bnnverify.reports.wording import feature_value

LISTED_PAIRS = 20


def compare_headline(answer: CompareResult) -> str:
    """Whether they differ, and how often."""
    whole = sum(answer.pairs.values())
    if answer.verdict is Verdict.HOLDS:
        return f"EQUIVALENT: both networks give each of {plural(whole, 'input')} the same class."
    return f"DIFFERENT on {grouped(answer.disagreements)} of {plural(whole, 'input')} ({_share(answer)})."


def _share(answer: CompareResult) -> str:
    return share(answer.disagreements, sum(answer.pairs.values()))


def compare_evidence(subject: Subject, answer: CompareResult, *, blocks: bool) -> str:
    """Inputs per pair of classes, then the nearest input on which they differ."""
    if not answer.pairs:
        return ""
    return "\n\n".join(part for part in (_pair_table(answer), _nearest(subject, answer, blocks)) if part)


def _pair_table(answer: CompareResult) -> str:
    """Differing pairs first, the most frequent on top."""
    whole = sum(answer.pairs.values())
    ranked = sorted(answer.pairs.items(), key=lambda item: (item[0][0] == item[0][1], -item[1], item[0]))
    rows = [
        [str(a), str(b), grouped(n), share(n, whole), "" if a == b else "differ"] for (a, b), n in ranked[:LISTED_PAIRS]
    ]
    text = table(["first", "second", "inputs", "share", ""], rows, "rrrrl")
    return text if len(ranked) <= LISTED_PAIRS else f"{text}\nand {len(ranked) - LISTED_PAIRS} more pairs of classes"


def _nearest(subject: Subject, answer: CompareResult, blocks: bool) -> str:
    """The differing input: beside the original where that is an image, in words everywhere."""
    witness = answer.witness
    if witness is None:
        return ""
    classes = f"class {witness.label} by the first and {answer.other_label} by the second"
    bits = subject.bits()
    if bits is None:
        return f"An input on which they differ has {classes}{_described(subject, witness)}."
    if not witness.flips:
        return f"They differ on the input itself: {classes}."
    size = image_shape(subject.network.input.shape)
    what = "pixels" if size else "bits"
    where = f"Nearest such input: {classes}, after {plural(len(witness.flips), 'flip')}."
    flipped = f"Flipped {what}: {places(witness.flips, size)}."
    if size is None:
        return f"{where}\n{flipped.removesuffix('.')}{_described(subject, witness)}."
    titles = (f"original: class {answer.input_class}", f"class {witness.label} or {answer.other_label}")
    drawn = side_by_side(bits, witness.flips, size, titles=titles, blocks=blocks)
    return f"{drawn}\n{where}\n{flipped}"


def _described(subject: Subject, witness: Witness) -> str:
    """The values of all features, where there are features with names."""
    if subject.features is None:
        return ""
    there = replace(subject, instance=witness.input)
    named = [f"{name} {feature_value(there, f)}" for f, name in enumerate(subject.features.names)]
    return ":\n" + ", ".join(named)
