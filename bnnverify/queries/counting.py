"""Counts of a question, once its region is restricted: by bounds, or by the engine that is chosen."""

from __future__ import annotations

from dataclasses import dataclass

from bnnverify.engines import portfolio
from bnnverify.engines.approximate import approximate_classes, exact_classes
from bnnverify.engines.contract import Tolerance
from bnnverify.engines.residual import Residual
from bnnverify.errors import ReplayError
from bnnverify.queries.asking import Question, agree, choose_second, tally_by, why
from bnnverify.regions import BitRegion


@dataclass(frozen=True)
class Counted:
    """Rows of counts, with the engine, its reason and the engine that checked."""

    rows: list[dict[int, int]]
    engine: str
    reason: str
    checked_by: str | None


def count_question(question: Question, engine: str, *, by_distance: bool, check: bool) -> Counted:
    """Exact counts per class, one row a distance or one for all; the empty region has none."""
    if question.bits.size == 0:
        return Counted([{}], "bounds", "the region is empty", None)
    residual = question.restricted()
    choice = portfolio.choose(residual, engine, deciding=False)
    if residual.settled is not None:
        rows, remark = _settled_rows(question.bits, residual.settled, by_distance), ""
    else:
        choice, tally = portfolio.count_by_distance(residual, choice, by_distance=by_distance)
        rows, remark = tally.rows, tally.remark
    checked = _checked(question, residual, choice.engine, rows, by_distance) if check else None
    return Counted(rows, choice.engine, why(choice, remark), checked)


def approximate_question(question: Question, tolerance: Tolerance, check: bool, seed: int) -> Counted:
    """Approximate counts per class; a check by an exact projected counter must lie within the factor.

    Raises:
        ReplayError: if it does not, which happens with probability delta at most if nothing is wrong.
    """
    if isinstance(question.region, BitRegion) and question.region.radius < 0:
        return Counted([{}], "bounds", "the region is empty", None)
    about = (question.network, question.region, question.order)
    tally = approximate_classes(*about, tolerance, seed)
    if check:
        _require_close(tally.rows[0], exact_classes(*about).rows[0], 1 + tolerance.epsilon)
    return Counted(tally.rows, "approx", tally.remark, "ganak" if check else None)


def _require_close(counts: dict[int, int], exact: dict[int, int], factor: float) -> None:
    for label in counts | exact:
        n, truth = counts.get(label, 0), exact.get(label, 0)
        if not truth <= n * factor or not n <= truth * factor:
            raise ReplayError(
                f"approx counts {n} of class {label} where ganak counts {truth}: outside the factor {factor:g}"
            )


def _settled_rows(region: BitRegion, label: int, by_distance: bool) -> list[dict[int, int]]:
    if not by_distance:
        return [{label: region.size}]
    sizes = [region.within(k).size for k in range(region.radius + 1)]
    return [{label: n - before} for n, before in zip(sizes, [0, *sizes], strict=False)]


def _checked(question: Question, residual: Residual, engine: str, rows: list[dict[int, int]], by_distance: bool) -> str:
    second = choose_second(question, residual, engine)
    return agree(rows, tally_by(question, residual, second, by_distance=by_distance), (engine, second))
