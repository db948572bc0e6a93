"""``faults --protect``: which layers or rows to protect for a target accuracy, against uniform protection."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from bnnverify.cli.options import rate
from bnnverify.errors import UsageError

if TYPE_CHECKING:
    from bnnverify.faults.protection import Arrangement, ProtectionPlan
    from bnnverify.network import Network

MEANS = ("pulse", "ecc")
RANKS = ("measured", "exact")
UNITS = ("layers", "rows")
EXIT_CODES = {"holds": 0, "violated": 1, "unknown": 3}
SAYS = {
    "holds": "reaches it",
    "violated": "even with everything protected it is not reached",
    "unknown": "undecided with everything protected; take more trials",
}
ALONE: dict[str, Any] = {
    "kind": "symmetric",
    "target": "weights",
    "layers": None,
    "rows": None,
    "bits": None,
    "mask": None,
    "by": None,
    "chip": None,
    "before": None,
    "differential": False,
    "threshold_bits": None,
    "fresh_every": None,
    "margin": None,
    "interval": "wilson",
    "cluster": None,
    "out": None,
    "export": None,
    "plot": None,
}


def add_protection(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("--protect", help="protect as little as reaches this accuracy, at one --ber", type=rate, metavar="TARGET")
    add("--protect-by", help="with --protect: whole layers, or rows (default: layers)", choices=UNITS, default="layers")
    add("--protect-with", help="with --protect: longer write pulses, or --ecc", choices=MEANS, default="pulse")
    add("--protect-rank", help="with --protect: rank units by (default: measured)", choices=RANKS, default="measured")
    add("--protect-rate", help="what a longer pulse fails at (default: chosen)", type=rate, metavar="P")


def require_sense(arguments: argparse.Namespace) -> None:
    """Refuse what does not go with a plan.

    Raises:
        UsageError: in one sentence.
    """
    for name, value in ALONE.items():
        if getattr(arguments, name) != value:
            raise UsageError(
                f"--protect: it plans for symmetric errors of all weights; leave --{name.replace('_', '-')}"
            )
    if arguments.ber is None or len(arguments.ber) != 1:
        raise UsageError("--protect: expected one bit-error rate, as in --ber 1e-2")
    if arguments.ecc is not None and arguments.protect_with != "ecc":
        raise UsageError("--ecc: with --protect it is the words' size; add --protect-with ecc")
    if arguments.protect_rate is not None and arguments.protect_with != "pulse":
        raise UsageError("--protect-rate: it is the rate of longer pulses; leave it, or --protect-with ecc")


def answer(arguments: argparse.Namespace, network: Network, chosen: Any) -> int:
    """Make the plan and print it; exit code 0 if it reaches the target, 1 if nothing does, 3 if that is open."""
    from bnnverify.cli import streams
    from bnnverify.faults.memory import Memory
    from bnnverify.faults.protection import exact_criticality, plan_protection
    from bnnverify.faults.stmram import StMram

    (ber,) = arguments.ber
    memory = Memory(
        ber,
        arguments.protect_with,
        strong_rate=arguments.protect_rate,
        data_bits=64 if arguments.ecc is None else arguments.ecc,
        cell=StMram(thermal_stability=arguments.stability),
        overdrive=arguments.overdrive,
    )
    load, before = time.perf_counter() - arguments.started, time.perf_counter()
    exact = arguments.protect_rank == "exact"
    plan = plan_protection(
        network,
        (chosen.values, chosen.labels),
        arguments.protect,
        memory,
        by=arguments.protect_by,
        criticality=exact_criticality(network, chosen.values, arguments.protect_by) if exact else None,
        trials=arguments.trials,
        confidence=arguments.confidence,
        seed=arguments.seed,
        jobs=arguments.jobs,
    )
    solve = time.perf_counter() - before
    streams.answer(_json(arguments, network, chosen, plan, load, solve) if arguments.json else _table(plan))
    return EXIT_CODES[plan.verdict.value]


def _json(
    arguments: argparse.Namespace, network: Network, chosen: Any, plan: ProtectionPlan, load: float, solve: float
) -> str:
    from bnnverify.reports.json import closing, dumps, envelope
    from bnnverify.reports.subject import Subject

    found = envelope(Subject("faults", network, source=chosen.source))
    found["input"] = {"source": chosen.source, "index": f"{chosen.rows.start}:{chosen.rows.stop}"}
    found |= {**plan.to_dict(), "by": arguments.protect_by, "seed": arguments.seed}
    return dumps(found | closing(load, solve, time.perf_counter() - arguments.started))


def _table(plan: ProtectionPlan) -> str:
    metric = plan.planned.point.metric
    lines = [
        f"{metric} {plan.target:.2%} at ber {plan.memory.ber:g}: {SAYS[plan.verdict.value]}",
        f"{'':44}{metric:>10}{f'{plan.level:.0%} interval':>20}{'write energy':>16}",
        _line("nothing protected", plan.unprotected, plan.unprotected),
        _line(plan.planned.name, plan.planned, plan.unprotected),
        _line(f"all alike: {plan.uniform.name}", plan.uniform, plan.unprotected),
    ]
    if plan.gain < 0:
        lines.append("protecting all alike is better here")
    return "\n".join([*lines, *_protected(plan)])


def _line(name: str, found: Arrangement, base: Arrangement) -> str:
    point = found.point
    interval = f"{point.low:.2%} to {point.high:.2%}"
    energy = f"{found.energy_j * 1e9:.4g} nJ {found.energy_j / base.energy_j:.0%}"
    return f"{name:44}{point.value:>10.2%}{interval:>20}{energy:>16}"


def _protected(plan: ProtectionPlan) -> list[str]:
    """A line for each layer of which something is protected."""
    lines = []
    for layer in sorted({unit.layer for unit in plan.chosen}):
        rows = sorted(unit.row for unit in plan.chosen if unit.layer == layer and unit.row is not None)
        lines.append(f"protect layer {layer}" + (f", rows {', '.join(map(str, rows))}" if rows else ""))
    return lines
