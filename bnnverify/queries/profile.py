"""How many inputs have each class at every distance, and what that says about random bit errors.

If each free bit flips independently with probability p, an input at distance k is drawn with
probability p^k (1-p)^(m-k), so the counts a_k of changed inputs give the exact chance of a changed
class, sum a_k p^k (1-p)^(m-k). A profile that is cut at a radius gives bounds: beyond it nothing or
everything may change. Both are exact rationals, p being the rational that the float is.
"""

from __future__ import annotations

from fractions import Fraction
from math import comb

from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.network import Network
from bnnverify.queries.asking import ask, instance_of, summarize
from bnnverify.queries.counting import count_question
from bnnverify.queries.limited import run_watched, solved_fields
from bnnverify.queries.results import ProfileResult, Ties, Verdict
from bnnverify.regions import BitRegion, Region


def profile(
    network: Network,
    region: Region,
    *,
    ber: float | None = None,
    ties: Ties = Ties.LOWEST,
    engine: str = "auto",
    check: bool = False,
    timeout: float | None = None,
    memory: int | None = None,
    seed: int = 0,
) -> ProfileResult:
    """Counts per class at every distance (flipped bits) from the region's centre.

    Args:
        ber: input bit-error rate in [0, 1]; adds the exact probability of a changed class, as
            (lower, upper) where the region's radius cuts the profile.

    Other arguments, limits and errors are those of :func:`bnnverify.count`.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> bv.profile(net, bv.HammingBall([1, 1, 1], 3), ber=0.5).changed
    (0, 0, 3, 1)
    """
    if ber is not None and not 0 <= ber <= 1:
        raise UsageError(f"ber {ber}: expected a probability 0..1")
    members = region.on(network)
    if not members.unit_costs:
        raise UnsupportedError("profile counts flipped bits; give a Hamming ball, free bits or a pixel box")
    question = ask(network, instance_of(network, region), members, ties, None)
    outcome, limit = run_watched(
        lambda report: count_question(question, engine, by_distance=True, check=check),
        timeout=timeout,
        memory=memory,
    )
    done = outcome.result
    rows = () if done is None else tuple(dict(sorted(row.items())) for row in done.rows[: members.radius + 1])
    bounded = None if ber is None or done is None else _probability(rows, question.label, members, Fraction(ber))
    return ProfileResult(
        verdict=outcome.limit or Verdict.ANSWERED,
        kind="exact" if bounded is None or bounded[0] == bounded[1] else "bound",
        **solved_fields(outcome, engine, limit),
        ties=ties,
        region=summarize(region, members),
        input_class=question.label,
        seed=seed,
        profile=rows,
        ber=ber,
        probability=bounded,
    )


def _probability(
    rows: tuple[dict[int, int], ...], label: int, members: BitRegion, p: Fraction
) -> tuple[Fraction, Fraction]:
    """Exact lower and upper chance of another class than ``label``.

    In integers over the common denominator d^m of p = a/d, since sums of fractions would reduce each term.
    """
    m, flip, keep = members.free.size, p.numerator, p.denominator - p.numerator
    weights = [flip**k * keep ** (m - k) for k in range(len(rows))]
    changed = [sum(n for c, n in row.items() if c != label) for row in rows]
    low = sum(n * w for n, w in zip(changed, weights, strict=True))
    seen = sum(comb(m, k) * w for k, w in enumerate(weights))
    whole = p.denominator**m
    return Fraction(low, whole), Fraction(low + whole - seen, whole)
