"""How many inputs of a region have each class, exactly or within a factor."""

from __future__ import annotations

from bnnverify.engines.contract import Tolerance
from bnnverify.engines.portfolio import APPROX
from bnnverify.network import Network
from bnnverify.queries.asking import Question, ask, instance_of, region_on, summarize
from bnnverify.queries.counting import Counted, approximate_question, count_question
from bnnverify.queries.limited import run_watched, solved_fields
from bnnverify.queries.results import CountResult, Ties, Verdict
from bnnverify.regions import Region, whole_space


def count(
    network: Network,
    region: Region | None = None,
    *,
    ties: Ties = Ties.LOWEST,
    engine: str = "auto",
    epsilon: float = 0.8,
    delta: float = 0.2,
    check: bool = False,
    timeout: float | None = None,
    memory: int | None = None,
    seed: int = 0,
) -> CountResult:
    """Count the inputs of ``region`` by class; without a region, of the whole input space.

    Args:
        ties: the rule for equal scores; with ``VIOLATE`` the centre's class loses every tie.
        engine: ``auto``, ``enumerate``, ``pushforward`` or ``bdd``; or ``approx``, whose counts are within a factor
            ``1 + epsilon``, all at once, with probability at least ``1 - delta``: the answer's kind is then ``pac``.
        check: count a second time by another engine, which must agree.
        timeout: seconds; memory: MiB. Either runs the work in a child process.
        seed: of ``approx``; recorded in the answer, exact engines draw nothing.

    Returns:
        Exact integers that sum to the region's size, unless approximate. Around an instance the verdict is
        VIOLATED if any input has another class than the centre, else HOLDS; of the whole space it is
        ANSWERED. On TIMEOUT or MEMOUT the counts are empty.

    Raises:
        UsageError, UnsupportedError: as the region and the engine demand.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> bv.count(net).counts
    {0: 4, 1: 4}
    """
    around = whole_space(network) if region is None else region
    tolerance = Tolerance(epsilon, delta) if engine == APPROX else None
    members = around.on(network) if tolerance is None else region_on(network, around)
    question = ask(network, instance_of(network, around), members, ties, None)
    outcome, limit = run_watched(
        lambda report: _counted(question, engine, tolerance, check, seed), timeout=timeout, memory=memory
    )
    done = outcome.result
    counts = {} if done is None else dict(sorted(done.rows[0].items()))
    label = None if region is None else question.label
    return CountResult(
        verdict=outcome.limit or _verdict(counts, label),
        **solved_fields(outcome, engine, limit),
        ties=ties,
        region=summarize(around, members),
        input_class=label,
        seed=seed,
        counts=counts,
        kind="exact" if tolerance is None else "pac",
        tolerance=tolerance,
    )


def _counted(question: Question, engine: str, tolerance: Tolerance | None, check: bool, seed: int) -> Counted:
    if tolerance is None:
        return count_question(question, engine, by_distance=False, check=check)
    return approximate_question(question, tolerance, check, seed)


def _verdict(counts: dict[int, int], label: int | None) -> Verdict:
    """Whether every input counted has the class ``label``; without one there is nothing to violate."""
    if label is None:
        return Verdict.ANSWERED
    return Verdict.VIOLATED if any(n for c, n in counts.items() if c != label) else Verdict.HOLDS
