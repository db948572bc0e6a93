"""Answers in words, for someone who reads them in a terminal for the first time.

An answer is a headline (what was found), the evidence (counts, a picture of the counterexample, the
curve), and a closing line that says how far it can be trusted: exact or not, by which engine and
why, and in what time.
"""

from __future__ import annotations

from fractions import Fraction

from bnnverify.network import QuantizedInput
from bnnverify.queries.results import (
    Answer,
    CompareResult,
    CountResult,
    ExplainResult,
    ProfileResult,
    RadiusResult,
    RobustnessResult,
    Ties,
    Verdict,
    Witness,
)
from bnnverify.reports.compared import compare_evidence, compare_headline
from bnnverify.reports.explained import explain_evidence, explain_headline
from bnnverify.reports.pictures import image_shape, places, side_by_side
from bnnverify.reports.subject import Subject
from bnnverify.reports.tables import duration, grouped, plural, share, table
from bnnverify.theories import FeatureGroups

UNDECIDED = {
    Verdict.UNKNOWN: "the engine could not decide",
    Verdict.TIMEOUT: "the time limit came first (--timeout)",
    Verdict.MEMOUT: "the memory limit came first (--memory)",
}
UNITS = {
    "hamming": ("flipped bit", ""),
    "l0": ("changed pixel", ""),
    "l1": ("grey level", " in all"),
    "l2": ("squared grey level", " in all"),
    "linf": ("grey level", " in any one pixel"),
}
KIND_WORDS = {
    "exact": "exact",
    "pac": "approximate, within a proven factor at a proven confidence",
    "bound": "a proven bound",
    "ci": "a statistical estimate with a confidence interval",
}


def describe(subject: Subject, answer: Answer, *, total: float, blocks: bool) -> str:
    """The whole answer as text.

    Args:
        total: seconds since the command began.
        blocks: whether the reader's terminal can show block characters.
    """
    parts = [opening(subject, answer), headline(subject, answer), evidence(subject, answer, blocks=blocks)]
    return "\n\n".join(part for part in (*parts, closing(answer, total)) if part)


def opening(subject: Subject, answer: Answer) -> str:
    """Which network, which input, which region."""
    lines = [f"Network  {subject.network.name}: {subject.network.n_inputs} inputs, {subject.network.n_classes} classes"]
    if isinstance(answer, CompareResult):
        lines.append(f"Second   {answer.other}")
    if subject.source is not None:
        label = "" if subject.label is None else f", true class {subject.label}"
        given = "" if answer.input_class is None else f", classified as {answer.input_class}"
        lines.append(f"Input    {subject.source}, index {subject.index}{given}{label}")
    if answer.region is not None:
        lines.append(f"Region   {_region(subject)} ({plural(answer.region.size, 'input')})")
    if subject.features is not None:
        lines.append(f"Features {_features(subject.features)}")
    return "\n".join(lines)


def _features(features: FeatureGroups) -> str:
    said = f"{plural(len(features.names), 'feature')} of {plural(features.n_inputs, 'bit')}"
    return f"{said}; only inputs that their rules allow count" if features.theory.constraints else said


def _region(subject: Subject) -> str:
    if subject.source is None or (subject.norm is None and subject.free is None):
        return "the whole input space"
    free = None if subject.free is None else plural(len(subject.free), "free bit")
    if subject.norm is None:
        return f"every combination of {free}"
    within = f", within {free}" if free else ""
    if subject.norm == "linf":
        levels = int((subject.eps or 0) * getattr(subject.network.input, "max_value", 1) + 1e-9)
        return f"no pixel moves by more than {plural(levels, 'grey level')}, norm linf{within}"
    return f"at most {measured(int(subject.eps or 0), subject.norm)}{within}"


def measured(cost: int, norm: str) -> str:
    """
    >>> measured(1, "hamming"), measured(5, "l1")
    ('1 flipped bit, norm hamming', '5 grey levels in all, norm l1')
    """
    noun, where = UNITS[norm]
    return f"{plural(cost, noun)}{where}, norm {norm}"


def headline(subject: Subject, answer: Answer) -> str:
    """The verdict in one sentence."""
    if answer.verdict in UNDECIDED:
        return f"UNDECIDED: {UNDECIDED[answer.verdict]}."
    goal = "another class" if subject.target is None else f"class {subject.target}"
    if isinstance(answer, RobustnessResult):
        return _robustness_headline(answer, goal, _unit(subject))
    if isinstance(answer, CountResult):
        return _count_headline(answer)
    if isinstance(answer, ProfileResult):
        return _profile_headline(answer)
    if isinstance(answer, RadiusResult):
        return _radius_headline(answer, goal)
    if isinstance(answer, ExplainResult):
        return explain_headline(subject, answer)
    if isinstance(answer, CompareResult):
        return compare_headline(answer)
    return answer.verdict.value


def _unit(subject: Subject) -> str:
    """What a witness is counted in."""
    return "changed pixel" if isinstance(subject.network.input, QuantizedInput) else "flip"


def _robustness_headline(answer: RobustnessResult, goal: str, unit: str) -> str:
    if answer.verdict is Verdict.HOLDS:
        return f"ROBUST: no input of the region has {goal}."
    if answer.witness is None:
        return f"NOT ROBUST: some input of the region has {goal}."
    if not answer.witness.flips:
        return f"NOT ROBUST: the input itself has class {answer.witness.label}."
    return f"NOT ROBUST: class {answer.witness.label} after {plural(len(answer.witness.flips), unit)}."


def _count_headline(answer: CountResult) -> str:
    whole = sum(answer.counts.values())
    if answer.input_class is None or not whole:
        return f"COUNTED: {plural(whole, 'input')} in {plural(len(answer.counts), 'class')}.".replace(
            "classs", "classes"
        )
    changed = answer.violations
    if not changed:
        return f"All {plural(whole, 'input')} of the region have class {answer.input_class}."
    return f"{grouped(changed)} of {plural(whole, 'input')} ({share(changed, whole)}) have another class."


def _profile_headline(answer: ProfileResult) -> str:
    first = next((distance for distance, n in enumerate(answer.changed) if n), None)
    if first is None:
        return f"No input within {plural(len(answer.profile) - 1, 'flip')} has another class."
    return f"The class first changes at {plural(first, 'flip')}."


def _radius_headline(answer: RadiusResult, goal: str) -> str:
    if answer.value is not None and answer.value == answer.lower:
        return f"The least change to {goal}: {measured(answer.value, answer.norm)}; nothing smaller exists."
    if answer.value is not None:
        return f"The least change to {goal} lies between {answer.lower} and {measured(answer.value, answer.norm)}."
    if answer.exhausted:
        return f"ROBUST: no change of the input whatsoever gives {goal}."
    return f"No change below {measured(answer.lower, answer.norm)}, gives {goal}."


def evidence(subject: Subject, answer: Answer, *, blocks: bool) -> str:
    """What backs the headline: counts, a curve, a picture of the counterexample."""
    if isinstance(answer, CountResult):
        return class_table(answer)
    if isinstance(answer, ProfileResult):
        return profile_table(answer)
    if isinstance(answer, ExplainResult):
        return explain_evidence(subject, answer, blocks=blocks)
    if isinstance(answer, CompareResult):
        return compare_evidence(subject, answer, blocks=blocks)
    witness = getattr(answer, "witness", None)
    lines = [picture(subject, answer, witness, blocks=blocks)] if witness is not None else []
    if isinstance(answer, RadiusResult) and answer.verdict in UNDECIDED:
        lines.append(f"Proved so far: no change below {measured(answer.lower, answer.norm)}, is enough.")
    return "\n\n".join(lines)


def class_table(answer: CountResult) -> str:
    """Inputs per class, the most frequent first."""
    whole = sum(answer.counts.values())
    if not whole:
        return ""
    ranked = sorted(answer.counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [
        [f"{c}{' (the input)' if c == answer.input_class else ''}", grouped(n), share(n, whole)] for c, n in ranked if n
    ]
    return table(["class", "inputs", "share"], rows, "lrr")


def profile_table(answer: ProfileResult) -> str:
    """Changed inputs at every distance and, with a bit-error rate, the chance of a changed class."""
    rows = []
    for distance, (row, changed) in enumerate(zip(answer.profile, answer.changed, strict=True)):
        whole = sum(row.values())
        rows.append([str(distance), grouped(whole), grouped(changed), share(changed, whole) if whole else "-"])
    text = table(["flips", "inputs", "of another class", "share"], rows, "rrrr") if rows else ""
    if answer.probability is None:
        return text
    return f"{text}\n\n{_chance(answer.ber, *answer.probability)}"


def _chance(ber: float | None, low: Fraction, high: Fraction) -> str:
    head = f"With each free bit flipping at rate {ber:g}, the class changes with probability"
    if low == high:
        return f"{head} {float(low):.6g} (exact)."
    return f"{head} {float(low):.6g} to {float(high):.6g} (more flips than the region holds are the difference)."


def picture(subject: Subject, answer: Answer, witness: Witness, *, blocks: bool) -> str:
    """The counterexample beside its original where they are images, and where it differs."""
    size = image_shape(subject.network.input.shape)
    quantized = isinstance(subject.network.input, QuantizedInput)
    what = f"{'Changed' if quantized else 'Flipped'} {'pixels' if size else 'inputs'}"
    where = f"{what}: {places(witness.flips, size)}." if witness.flips else "The input itself is one."
    if size is None or subject.instance is None:
        return where
    before, after = subject.ink(subject.instance), subject.ink(witness.input)
    titles = (f"original: class {answer.input_class}", f"counterexample: class {witness.label}")
    drawn = side_by_side(before, witness.flips, size, titles=titles, blocks=blocks, after=after)
    legend = f"Marks: ^ the upper, v the lower, X both pixels of a character {'changed' if quantized else 'flipped'}."
    return f"{drawn}\n{legend}\n{where}" if witness.flips else f"{drawn}\n{where}"


def closing(answer: Answer, total: float) -> str:
    """How the answer was obtained and how far it can be trusted."""
    ties = "the lowest class wins" if answer.ties is Ties.LOWEST else "count as another class"
    trust = "none" if answer.verdict in UNDECIDED else KIND_WORDS.get(answer.kind, answer.kind)
    if getattr(answer, "witness", None) is not None:
        trust += "; the counterexample was executed on the bitwise engine"
    if answer.checked_by is not None:
        trust += f"; checked by {answer.checked_by}"
    lines = [
        f"Answer   {trust}; equal scores: {ties}",
        f"Engine   {answer.engine}: {answer.reason}",
        f"Time     {duration(answer.seconds)} to solve, {duration(total)} in all",
    ]
    return "\n".join(lines)
