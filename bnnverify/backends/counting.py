"""How many assignments of a formula's inputs meet it, exactly by Ganak or approximately by ApproxMC.

Both count models projected on the inputs, over a functional encoding, where the inputs fix every other variable.
ApproxMC cuts the models into cells by random parities and counts one cell; its answer is within a factor
1 + epsilon of the count with probability 1 - delta or more. Ganak searches with a cache of components. Inputs that
stand in no clause are free: they double the count and go to neither. A formula that cannot be met is recognized before.

Cost: exponential at worst; both are native code that looks at no clock, so limits are the caller's
(:func:`bnnverify.limits.run_limited`).

References: Soos, Gocht, Meel, "Tinted, detached, and lazy CNF-XOR solving and its applications to counting and
sampling", CAV 2020; Sharma, Roy, Soos, Meel, "GANAK: a scalable probabilistic exact model counter", IJCAI 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bnnverify.backends.answers import require_package
from bnnverify.backends.clausal import DEFAULT, met_by, to_cnf
from bnnverify.errors import UnsupportedError, UsageError
from encoders.cnf import Cnf
from encoders.formula import Formula

EXTRA = "count"
MOST_SEED = 2**31 - 1


def approximate_count(formula: Formula, *, epsilon: float = 0.8, delta: float = 0.2, seed: int = 0) -> int:
    """The number of assignments of the inputs that meet the formula, but for a factor, by ApproxMC.

    Args:
        epsilon: the answer is from count / (1 + epsilon) to count * (1 + epsilon) ...
        delta: ... but for this probability; above 0, below 1.
        seed: of the random parities, from 0.

    Raises:
        UsageError: if the formula names no inputs, or an argument is out of range.
        UnsupportedError: if the package is not installed, or is a version that loses inputs.
    """
    if not (epsilon > 0 and 0 < delta < 1 and seed >= 0):
        raise UsageError(f"epsilon {epsilon}, delta {delta}, seed {seed}: expected above 0, between 0 and 1, from 0")
    package = require_package("pyapproxmc", EXTRA)
    _require_every_input_counted(package)
    question = _projected(formula)
    if question.known is not None:
        return question.known
    counter = package.Counter(seed=seed % MOST_SEED, epsilon=epsilon, delta=delta)
    counter.add_clauses([list(clause) for clause in question.cnf.clauses])
    cell, n_hashes = counter.count(question.inputs)
    return int(cell) << (int(n_hashes) + question.n_free)


def _require_every_input_counted(package: Any) -> None:
    """From 4.3 on pyapproxmc forgets inputs that its preprocessing frees: here the second of two, so half the count."""
    counter = package.Counter(seed=1)
    counter.add_clauses([[1], [1, 2]])
    cell, n_hashes = counter.count([1, 2])
    if cell << n_hashes != 2:
        raise UnsupportedError(
            "this pyapproxmc loses inputs and counts too few, as 4.3.0 to 4.4.0 do: pip install 'pyapproxmc<4.3'"
        )


def exact_count(formula: Formula) -> int:
    """The number of assignments of the inputs that meet the formula, by Ganak.

    Ganak knows components again by their hashes, so a count is wrong with a probability that is tiny but not 0:
    a cross-check of a count, no proof of one.

    Raises:
        UsageError: if the formula names no inputs.
        UnsupportedError: if the package is not installed.
    """
    package = require_package("pyganak", EXTRA)
    question = _projected(formula)
    if question.known is not None:
        return question.known
    counter = package.Counter()
    counter.add_clauses([list(clause) for clause in question.cnf.clauses])
    counter.set_sampling_set(question.inputs)
    return int(counter.count()) << question.n_free


@dataclass(frozen=True)
class _Projected:
    """Clauses, the inputs in them, the number of inputs that are not, and the count where it is known already."""

    cnf: Cnf
    inputs: list[int]
    n_free: int
    known: int | None


def _projected(formula: Formula) -> _Projected:
    if not formula.inputs:
        raise UsageError("the formula names no inputs to count over: expected its independent variables")
    cnf = to_cnf(formula, DEFAULT)
    standing = {abs(literal) for clause in cnf.clauses for literal in clause}
    inputs = [v for v in dict.fromkeys(formula.inputs) if v in standing]
    n_free = len(set(formula.inputs)) - len(inputs)
    if not met_by("cadical195", cnf):
        return _Projected(cnf, inputs, n_free, 0)
    return _Projected(cnf, inputs, n_free, None if inputs else 1 << n_free)
