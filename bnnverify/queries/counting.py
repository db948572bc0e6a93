"""Counts of a question, once its region is restricted: by bounds, or by the engine that is chosen."""

from __future__ import annotations

from dataclasses import dataclass

from bnnverify.engines import portfolio
from bnnverify.engines.residual import Residual
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
    if question.region.size == 0:
        return Counted([{}], "bounds", "the region is empty", None)
    residual = question.restricted()
    choice = portfolio.choose(residual, engine, deciding=False)
    if residual.settled is not None:
        rows, remark = _settled_rows(question.region, residual.settled, by_distance), ""
    else:
        choice, tally = portfolio.count_by_distance(residual, choice, by_distance=by_distance)
        rows, remark = tally.rows, tally.remark
    checked = _checked(question, residual, choice.engine, rows, by_distance) if check else None
    return Counted(rows, choice.engine, why(choice, remark), checked)


def _settled_rows(region: BitRegion, label: int, by_distance: bool) -> list[dict[int, int]]:
    if not by_distance:
        return [{label: region.size}]
    sizes = [region.within(k).size for k in range(region.radius + 1)]
    return [{label: n - before} for n, before in zip(sizes, [0, *sizes], strict=False)]


def _checked(question: Question, residual: Residual, engine: str, rows: list[dict[int, int]], by_distance: bool) -> str:
    second = choose_second(question, residual, engine)
    return agree(rows, tally_by(question, residual, second, by_distance=by_distance), (engine, second))
