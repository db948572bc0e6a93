"""How many inputs of a region have each class, exactly."""

from __future__ import annotations

from bnnverify.limits import run_limited
from bnnverify.network import Network
from bnnverify.queries.asking import ask, instance_of, summarize
from bnnverify.queries.counting import count_question
from bnnverify.queries.results import CountResult, Ties, Verdict
from bnnverify.regions import Region, whole_space


def count(
    network: Network,
    region: Region | None = None,
    *,
    ties: Ties = Ties.LOWEST,
    engine: str = "auto",
    check: bool = False,
    timeout: float | None = None,
    memory: int | None = None,
    seed: int = 0,
) -> CountResult:
    """Count the inputs of ``region`` by class; without a region, of the whole input space.

    Args:
        ties: the rule for equal scores; with ``VIOLATE`` the centre's class loses every tie.
        engine: ``auto``, ``enumerate`` or ``pushforward``.
        check: count a second time by another engine, which must agree.
        timeout: seconds; memory: MiB. Either runs the work in a child process.
        seed: recorded in the answer; exact engines draw nothing.

    Returns:
        Exact integers that sum to the region's size, or TIMEOUT/MEMOUT with empty counts.

    Raises:
        UsageError, UnsupportedError: as the region and the engine demand.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> bv.count(net).counts
    {0: 4, 1: 4}
    """
    region = whole_space(network) if region is None else region
    members = region.on(network)
    question = ask(network, instance_of(network, region), members, ties, None)
    outcome = run_limited(
        lambda report: count_question(question, engine, by_distance=False, check=check),
        timeout=timeout,
        memory=memory,
    )
    done = outcome.result
    return CountResult(
        verdict=outcome.limit or Verdict.ANSWERED,
        engine=engine if done is None else done.engine,
        reason="the limit came first" if done is None else done.reason,
        ties=ties,
        region=summarize(region, members),
        input_class=question.label,
        seed=seed,
        seconds=outcome.seconds,
        checked_by=None if done is None else done.checked_by,
        counts={} if done is None else dict(sorted(done.rows[0].items())),
    )
