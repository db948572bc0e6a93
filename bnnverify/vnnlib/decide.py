"""Decides a property: sat with a replayed witness, unsat with checked certificates, or unknown.

Each box is attacked for some seconds. What withstands is to be proved: every way to violate must have a race
that its winner loses all over the box, and races against one loser are proved together, by a patch dual bound
(:mod:`bnnverify.patches`), whose independent checker has the last word, or, where pixels are binarized one by one, by
the exact engines. Over real inputs both count only if the folded thresholds are exact between whole numbers too.
Both are repeated with twice the time, until there is none left. No answer rests on a float.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from bnnverify.errors import UsageError
from bnnverify.inference import engine_of
from bnnverify.levelregions import LevelRegion
from bnnverify.network import BitInput, Network, Output, QuantizedInput, ThresholdInput
from bnnverify.presolve.rows import Longs
from bnnverify.regions import FreeBits
from bnnverify.scores import tie_order
from bnnverify.vnnlib.attack import is_small, violations
from bnnverify.vnnlib.property import Case, Property
from bnnverify.vnnlib.races import Goal, Race
from bnnverify.vnnlib.reading import read_property
from bnnverify.vnnlib.runtime import meets, open_runtime
from bnnverify.vnnlib.subject import Subject, load_subject
from bnnverify.vnnlib.witness import Assignment

SAT, UNSAT, UNKNOWN = "sat", "unsat", "unknown"
UNLIMITED_SECONDS = 120.0
FIRST_ATTACK_SECONDS, FIRST_ATTACK_SHARE, PROOF_PER_ATTACK = 2.0, 0.1, 2.0
ROUNDED_THRESHOLDS = "thresholds lie between whole numbers, so nothing was proved for real inputs"
ROUNDED_SCORES = "scores are irrational and were rounded, so nothing was proved"
GRACE_SECONDS = 1.0  # a search that lasts until the limit ends by the limit, so that the word is timeout
REFUSED_WITNESSES = 200


@dataclass(frozen=True)
class Answer:
    """How a property was decided.

    Args:
        word: sat, unsat or unknown.
        assignment: of sat.
        certificates: of unsat, one for each box and loser that needed one; as the patch bound made and checked them.
        notes: what a user should know, a sentence each.
    """

    word: str
    prop: Property
    assignment: Assignment | None = None
    certificates: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()


def decide_files(
    network: Path, property_path: Path, *, seconds: float | None, seed: int, declared: str | None = None
) -> Answer:
    """Read both files and decide.

    Args:
        seconds: time to spend, after which the caller gives up; two minutes if None.
        declared: the name that the network must have in a property of version 2; None accepts either version.

    Raises:
        ModelFormatError, InputFormatError, UnsupportedError: if the files are not read, or do not fit each other.
        UsageError: if the property declares another network, or none.
    """
    deadline = time.monotonic() + (UNLIMITED_SECONDS if seconds is None else seconds)
    prop = read_property(property_path)
    if declared is not None:
        _require_declared(prop, property_path.name, declared)
    cases = [case.whole() if prop.input.is_integer else case for case in prop.cases]
    cases = [case for case in cases if not case.is_empty]
    if not cases:
        return Answer(UNSAT, prop, notes=("no input is in a box and no box has a violation",))
    subject = load_subject(network, prop, cases)
    return Decider(subject, prop, deadline, np.random.default_rng(seed)).decide(cases)


def _require_declared(prop: Property, name: str, declared: str) -> None:
    if prop.version != 2:
        raise UsageError(f"{name} is of version 1, expected 2; `bnnverify vnnlib` reads both")
    if prop.network != declared:
        raise UsageError(f"--network names {declared}, expected {prop.network}, which {name} declares")


@dataclass(eq=False)
class Decider:
    """One property on one network, until a deadline."""

    subject: Subject
    prop: Property
    deadline: float
    rng: np.random.Generator
    certificates: list[Any] = field(default_factory=list)
    by_engines: list[tuple[Case, Longs]] = field(default_factory=list)
    hopeless: set[tuple[Case, int, bool]] = field(default_factory=set)
    proof_seconds: float = 0.0
    n_refused: int = 0

    def __post_init__(self) -> None:
        self.runtime = open_runtime(self.subject.content, self.subject.input_shape)
        self.covers_inputs = self.prop.input.is_integer or self.subject.is_exact_for_reals
        self.covers_inputs &= self.subject.has_exact_scores
        self.is_quantized = isinstance(self.subject.network.input, QuantizedInput)

    def decide(self, cases: Sequence[Case]) -> Answer:
        """Attack and prove by turns, each time twice as long, while either makes use of its time."""
        left = self.deadline - time.monotonic()
        open_cases, attack_seconds = list(cases), min(FIRST_ATTACK_SECONDS, FIRST_ATTACK_SHARE * left)
        while True:
            now = time.monotonic()
            found = self._attacked(open_cases, min(now + attack_seconds, self.deadline + GRACE_SECONDS))
            if found is not None:
                return found
            self.proof_seconds = min(PROOF_PER_ATTACK * attack_seconds, (self.deadline - time.monotonic()) / 2)
            if self.proof_seconds <= 0:
                return self._answer(UNKNOWN)
            open_cases = [case for case in open_cases if not self._refuted(case)]
            if not open_cases and self.covers_inputs:
                return self._answer(UNSAT, certificates=tuple(self.certificates))
            found = self._sat_among(self.by_engines)
            has_ended_early = time.monotonic() - now < attack_seconds / 2
            if found is not None or has_ended_early or not self.is_quantized:
                return found or self._answer(UNKNOWN)
            attack_seconds *= 2

    def _answer(self, word: str, **fields: Any) -> Answer:
        notes = []
        if word == UNKNOWN and not self.covers_inputs:
            notes.append(ROUNDED_THRESHOLDS if self.subject.has_exact_scores else ROUNDED_SCORES)
        if word != UNSAT and self.runtime is None:
            notes.append("onnxruntime is not installed or cannot run this file: nothing was replayed on it")
        if self.n_refused:
            notes.append(f"{self.n_refused} inputs violate in exact arithmetic and not on onnxruntime")
        return Answer(word, self.prop, notes=tuple(notes), **fields)

    def _attacked(self, cases: Sequence[Case], until: float) -> Answer | None:
        """Search each box for an equal share of the time."""
        for done, case in enumerate(cases):
            now = time.monotonic()
            share = now + (until - now) / (len(cases) - done)
            found = self._sat_among((case, pixels) for pixels in self._violations(case, share))
            if found is not None:
                return found
        return None

    def _sat_among(self, violations: Iterable[tuple[Case, Longs]]) -> Answer | None:
        """The first of some violations that replays."""
        for refused, (case, pixels) in enumerate(violations):
            assignment = self._replayed(case, pixels)
            if assignment is not None:
                return self._answer(SAT, assignment=assignment)
            self.n_refused += 1
            if refused == REFUSED_WITNESSES:
                return None
        return None

    def _violations(self, case: Case, until: float) -> Iterator[Longs]:
        """Grid points of a box that violate, in exact arithmetic."""
        low, high = self.subject.box(case)
        if np.any(low > high):
            return
        network, goal = self.subject.network, Goal(self.subject.network.output, case.alternatives)
        ends = np.stack([low, high, (low + high) // 2])
        yield from ends[goal.leads(engine_of(network).sums(ends)) >= 0]
        if self.is_quantized:
            yield from violations(network, low, high, goal, self.rng, deadline_s=until)

    def _replayed(self, case: Case, pixels: Longs) -> Assignment | None:
        """The assignment, if float32 holds it, it is in its box, and onnxruntime, where there is one, confirms it."""
        inputs = tuple(self.subject.inputs(pixels))
        if not all(a <= x <= b for a, x, b in zip(case.low, inputs, case.high, strict=True)):
            return None
        if any(Fraction(float(np.float32(x))) != x for x in inputs):
            return None
        if self.runtime is None:
            return Assignment(inputs, self._exact_outputs(pixels))
        outputs = self.runtime.outputs(inputs)
        if outputs is None or outputs.size != self.prop.output.size or not meets(outputs, case.alternatives):
            return None
        return Assignment(inputs, tuple(map(float, outputs)))

    def _exact_outputs(self, pixels: Longs) -> tuple[float, ...]:
        """Scores before a Softmax, which changes no comparison."""
        output = self.subject.network.output
        assert output.scale is not None
        assert output.bias is not None
        scores = engine_of(self.subject.network).sums(pixels[None])[0] * output.scale + output.bias
        return tuple(map(float, scores))

    def _refuted(self, case: Case) -> bool:
        """Whether no input of the box violates: one race of each alternative is lost all over it."""
        if not all(case.alternatives) or not (self.covers_inputs or not self.is_quantized):
            return False
        if self._is_searched_whole(case):
            return True
        forced = {races[0] for races in case.alternatives if len(races) == 1}
        if not self._lost(case, forced):
            return False
        lost = set(forced)
        for races in case.alternatives:
            if lost.isdisjoint(races):
                proved = next((race for race in races if self._lost(case, {race})), None)
                if proved is None:
                    return False
                lost.add(proved)
        return True

    def _is_searched_whole(self, case: Case) -> bool:
        """Whether the box's inputs are so few whole numbers that all were executed, and none violates."""
        low, high = self.subject.box(case)
        if not (self.is_quantized and self.prop.input.is_integer and is_small(low, high)):
            return False
        goal = Goal(self.subject.network.output, case.alternatives)
        return not any(True for _ in violations(self.subject.network, low, high, goal, self.rng, deadline_s=0.0))

    def _lost(self, case: Case, races: set[Race]) -> bool:
        """Whether all these races are lost all over the box, proved for each loser and strictness together."""
        winners: dict[tuple[int, bool], list[int]] = defaultdict(list)
        for race in sorted(races):
            winners[race.loser, race.strict].append(race.winner)
        prove = self._settled_by_levels if self.is_quantized else self._settled_by_bits
        return all(prove(case, loser, strict, found) for (loser, strict), found in winners.items())

    def _proved_by_patches(self, case: Case, loser: int, strict: bool, winners: list[int]) -> bool:
        """Whether the independent checker accepts a certificate over the box itself."""
        from bnnverify.patches.check import check
        from bnnverify.patches.prove import prove

        if (case, loser, strict) in self.hopeless:
            return False
        network, real = self.subject.network, not self.prop.input.is_integer
        low, high = self.subject.real_box(case)
        n = network.n_classes
        order = tie_order(n, first=loser) if strict else tie_order(n, last=loser)
        start = time.monotonic()
        found = prove(network, low, high, loser, winners, order=order, timeout=self.proof_seconds, real=real)
        if found is None or not check(found, network, low, high, loser, winners, order=order, real=real):
            if time.monotonic() - start < self.proof_seconds / 2:
                self.hopeless.add((case, loser, strict))
            return False
        self.certificates.append(found)
        return True

    def _settled_by_levels(self, case: Case, loser: int, strict: bool, winners: list[int]) -> bool:
        """By a certificate over the box itself, or, where whole levels are all there is, by SAT."""
        if self._proved_by_patches(case, loser, strict, winners):
            return True
        return self.prop.input.is_integer and self._decided_by_sat(case, loser, strict, winners)

    def _decided_by_sat(self, case: Case, loser: int, strict: bool, winners: list[int]) -> bool:
        """Whether no whole levels of the box violate; keeps those that do."""
        from bnnverify.engines import sat

        network = among(self.subject.network, [loser, *winners])
        assert isinstance(network.input, QuantizedInput)
        low, high = self.subject.box(case)
        order = tie_order(network.n_classes, first=0) if strict else tie_order(network.n_classes, last=0)
        wanted = range(1, network.n_classes)
        prepared = sat.prepare(network, LevelRegion(network.input, low, low, high), wanted, order)
        try:
            found = sat.search(prepared, sat.Method(), timeout=self.proof_seconds)
        except TimeoutError:
            return False
        if found.flips is not None:
            self._keep(case, network.input.realize(low, prepared.values(found.flips)))
        return found.flips is None

    def _settled_by_bits(self, case: Case, loser: int, strict: bool, winners: list[int]) -> bool:
        """Pixels that are binarized one by one are free bits, which the exact engines decide; keeps what they find."""
        from bnnverify.queries.results import Ties
        from bnnverify.queries.robustness import robustness

        layer = self.subject.network.input
        assert isinstance(layer, ThresholdInput)
        low, high = self._ends(case)
        start, end = (layer.to_bits(side).reshape(-1) for side in (low, high))
        bits = replace(among(self.subject.network, [loser, *winners]), input=BitInput(layer.shape))
        goal = Goal(bits.output, [[Race(i + 1, 0, strict)] for i in range(len(winners))])
        if goal.leads(engine_of(bits).sums(start[None]))[0] >= 0:
            self._keep(case, low)
            return False
        region = FreeBits(start, tuple(np.flatnonzero(start != end).tolist()))
        witness = robustness(bits, region, ties=Ties.LOWEST if strict else Ties.VIOLATE).witness
        if witness is not None:
            self._keep(case, np.where(witness.input == start, low, high))
        return witness is None

    def _ends(self, case: Case) -> tuple[Longs, Longs]:
        """Pixels with the bits of the box's ends: whole thresholds do not tell a number from its floor."""
        if not self.covers_inputs:
            return self.subject.box(case)
        low, high = self.subject.real_box(case)
        return np.array([v // 1 for v in low], dtype=np.int64), np.array([v // 1 for v in high], dtype=np.int64)

    def _keep(self, case: Case, pixels: Longs) -> None:
        """Note a violation that an engine found, if its pixels are in the box and violate when they are executed."""
        low, high = self.subject.box(case)
        moved = np.clip(pixels, low, high)
        goal = Goal(self.subject.network.output, case.alternatives)
        if np.all(low <= high) and goal.leads(engine_of(self.subject.network).sums(moved[None]))[0] >= 0:
            self.by_engines.append((case, moved))


def among(network: Network, classes: Sequence[int]) -> Network:
    """The network with only these classes, in this order."""
    output = network.output
    assert output.scale is not None
    assert output.bias is not None
    rows = list(classes)
    return replace(network, output=Output(output.weights[rows], output.bias[rows], output.scale[rows]))
