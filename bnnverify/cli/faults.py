"""``faults``: campaigns of memory errors, one line a rate with its confidence interval."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnnverify.cli import protection
from bnnverify.cli.options import add_options, free_bits, number, positive, rate, rates
from bnnverify.errors import UsageError

if TYPE_CHECKING:
    from bnnverify.faults.campaign import Task
    from bnnverify.faults.model import FaultModel
    from bnnverify.faults.results import FaultPoint
    from bnnverify.network import Network

ABOUT = "what memory errors do to accuracy, with confidence intervals"
KINDS = ("symmetric", "0to1", "1to0", "stuck-at-0", "stuck-at-1", "chip", "write")
TARGETS = ("weights", "thresholds", "activations", "inputs")
HELD = ("zeros", "ones", "random")
PARTS = ("layer", "row", "bit")
INTERVALS = ("wilson", "bootstrap", "student")
DEFAULT_RATES = (1e-4, 1e-3, 1e-2, 1e-1)


def add_commands(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("faults", help=ABOUT, description=ABOUT.capitalize(), allow_abbrev=False)
    add_options(parser, ("model", "input", "index", "data"))
    _add_model_options(parser)
    _add_effort_options(parser)
    protection.add_protection(parser)
    add_options(parser, ("seed", "json", "plot"))
    parser.set_defaults(run=run)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    listed: dict[str, Any] = {"type": free_bits, "metavar": "LIST"}
    add("--ber", help="bit-error rates (default: 1e-4,1e-3,1e-2,1e-1)", type=rates, metavar="P,..")
    add("--kind", help="which errors (default: symmetric)", choices=KINDS, default="symmetric")
    add("--target", help="what they strike (default: weights)", choices=TARGETS, default="weights")
    add("--layers", help="only these layers, the output layer being the last: 0,2", **listed)
    add("--rows", help="only these rows: neurons", **listed)
    add("--bits", help="only these bits: inputs of a neuron, or bits of a threshold", **listed)
    add("--mask", help="only where this .npy of booleans (rows, bits) of one layer is true", type=Path, metavar="FILE")
    add("--by", help="strike one layer, row or bit after the other", choices=PARTS)
    add("--sigma", help="with --kind chip: spread of the rates' logarithm (default: 1)", type=_spread, default=1.0)
    add("--chip", help="keep the errors, or with --kind chip the rates, of this chip", type=_whole("a chip", 0))
    add("--before", help="with --kind write: what the cells held (default: random)", choices=HELD)
    add("--differential", help="two cells a bit", action="store_true")
    add("--ecc", help="SEC-DED over words of N data bits", type=_whole("data bits", None), metavar="N")
    add("--threshold-bits", help="width of stored thresholds", type=_whole("bits", 1), metavar="N")
    add("--fresh-every", help="draw errors anew after N instances", type=_whole("instances", 1), metavar="N")
    add("--stmram", help="add the write energy of ST-MRAM cells at these rates", action="store_true")
    add("--overdrive", help="with --stmram: current in critical currents (default: 2)", type=positive, default=2.0)
    add("--stability", help="with --stmram: thermal stability (default: 60)", type=positive, default=60.0)


def _add_effort_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--trials", help="trials a rate, at most (default: 100)", type=_whole("trials", 2), default=100, metavar="N")
    add("--margin", help="stop a rate when its interval reaches no farther than M", type=positive, metavar="M")
    add("--confidence", help="level of the intervals (default: 0.95)", type=rate, default=0.95, metavar="L")
    add("--interval", help="how they are made (default: wilson)", choices=INTERVALS, default="wilson")
    add("--jobs", help="threads (default: 1); results do not depend on them", type=_whole("threads", 1), default=1)
    add("--cluster", help="run the trials on this Dask cluster: tcp://host:8786", metavar="ADDRESS")
    add("--out", help="store every trial in this SQLite file, and resume from it", type=Path, metavar="FILE.db")
    add("--export", help="write all trials as .csv, .json or .parquet", type=Path, metavar="FILE")


def run(arguments: argparse.Namespace) -> int:
    """Print one line a rate as soon as it is known; exit code 0, or a plan of protection with its verdict's."""
    from bnnverify.cli import streams
    from bnnverify.cli.inputs import ALL, choose, load_network
    from bnnverify.cli.kernels import import_numba
    from bnnverify.cli.progress import RowProgress

    if arguments.protect is not None:
        protection.require_sense(arguments)
    _require_places(arguments)
    import_numba()
    network = load_network(arguments.model)
    chosen = choose(arguments, network, ALL)
    if arguments.protect is not None:
        return protection.answer(arguments, network, chosen)
    models = _models(arguments, network)
    task, effort = _work(arguments, network, (chosen.values, chosen.labels))
    from bnnverify.faults.campaign import stream

    found: list[FaultPoint] = []
    load = time.perf_counter() - arguments.started
    with RowProgress(len(models) * arguments.trials) as progress:
        before = time.perf_counter()
        for point in stream(task, models, effort, lambda _: progress.advance()):
            row = _row(arguments, network, chosen, point, load, time.perf_counter() - before)
            progress.wipe()
            if not found and not arguments.json:
                streams.answer(_headline(network, chosen, point))
            streams.answer(_json(row) if arguments.json else _line(row))
            found.append(point)
            before = time.perf_counter()
    _save(arguments, network, found)
    return 0


def _require_places(arguments: argparse.Namespace) -> None:
    """Find out before the work that a table or a picture could not be saved."""
    if arguments.plot is not None:
        from bnnverify.cli.plotting import require_plot

        require_plot(arguments.plot)
    if arguments.export is not None:
        from bnnverify.faults.export import require_export

        require_export(arguments.export)


def _models(arguments: argparse.Namespace, network: Network) -> dict[str, FaultModel]:
    """A model for each rate, or for each rate and part, by name."""
    from bnnverify.faults.sensitivity import parted

    found: dict[str, FaultModel] = {}
    mask = _mask(arguments)
    for p in arguments.ber or DEFAULT_RATES:
        model = _cells(arguments, p)
        if arguments.by is None:
            chosen = {"layers": arguments.layers, "rows": arguments.rows, "bits": arguments.bits}
            found[f"{p!r}"] = model.on(arguments.target, **chosen, mask=mask)
            continue
        if arguments.rows or arguments.bits or mask is not None:
            raise UsageError("--by: it names rows and bits itself; take --layers to narrow it")
        width = arguments.threshold_bits
        parts = parted(
            network, model, arguments.by, target=arguments.target, layers=arguments.layers, threshold_bits=width
        )
        found |= {f"{p!r} {name}": part for name, part in parts.items()}
    return found


def _mask(arguments: argparse.Namespace) -> Any:
    from bnnverify.data.arrays import read_npy

    return None if arguments.mask is None else read_npy(arguments.mask)


def _cells(arguments: argparse.Namespace, p: float) -> FaultModel:
    """The errors of single cells, then pairs, then ECC, then one chip's."""
    from bnnverify.faults import ChipMap, Differential, Persistent, SecDed

    if arguments.kind == "chip":
        model: FaultModel = ChipMap(p, arguments.sigma, arguments.chip or 0)
    else:
        model = _fresh(arguments, p)
    if arguments.differential:
        model = Differential(model)
    if arguments.ecc is not None:
        model = SecDed(model, arguments.ecc)
    if arguments.chip is not None and arguments.kind != "chip":
        model = Persistent(model, arguments.chip)
    return model


def _fresh(arguments: argparse.Namespace, p: float) -> FaultModel:
    from bnnverify.faults import Asymmetric, StuckAt, Symmetric, WriteErrors

    if arguments.kind == "write":
        return WriteErrors(p, p, arguments.before or "random")
    kinds: dict[str, FaultModel] = {"symmetric": Symmetric(p), "0to1": Asymmetric(p, 0), "1to0": Asymmetric(0, p)}
    return (kinds | {"stuck-at-0": StuckAt(p, 0), "stuck-at-1": StuckAt(0, p)})[arguments.kind]


def _work(arguments: argparse.Namespace, network: Network, data: Any) -> tuple[Task, Any]:
    from bnnverify.faults.campaign import Effort, make_task

    task = make_task(
        network,
        data,
        confidence=arguments.confidence,
        interval=arguments.interval,
        seed=arguments.seed,
        threshold_bits=arguments.threshold_bits,
        fresh_every=arguments.fresh_every,
    )
    return task, Effort(arguments.trials, arguments.margin, arguments.jobs, arguments.out, arguments.cluster)


def _row(
    arguments: argparse.Namespace, network: Network, chosen: Any, point: FaultPoint, load: float, solve: float
) -> dict[str, Any]:
    from bnnverify.reports.json import closing, envelope
    from bnnverify.reports.subject import Subject

    found = envelope(Subject("faults", network, source=chosen.source))
    found["input"] = {"source": chosen.source, "index": f"{chosen.rows.start}:{chosen.rows.stop}"}
    told = point.to_dict()
    asked = float(told.pop("name").partition(" ")[0])
    part = (point.name or "").partition(" ")[2]
    found |= {"verdict": "answered", **told, "ber": asked} | ({"part": part} if part else {})
    found |= {"fault": arguments.kind, "target": arguments.target, "seed": arguments.seed}
    if arguments.stmram:
        found |= _energy(arguments, asked)
    return found | closing(load, solve, time.perf_counter() - arguments.started)


def _energy(arguments: argparse.Namespace, p: float) -> dict[str, Any]:
    """Pulse length and energy of a write that fails at this rate, and the energy against the rate 1e-8."""
    from bnnverify.faults.stmram import StMram

    cell = StMram(thermal_stability=arguments.stability)
    if not 0 < p < 1:
        return {"pulse_tau": None, "write_energy_j": None, "energy_against_1e-8": None}
    energy = cell.write_energy_j(p, arguments.overdrive)
    against = energy / cell.write_energy_j(1e-8, arguments.overdrive)
    duration = cell.relative_duration(p, arguments.overdrive)
    return {"pulse_tau": duration, "write_energy_j": energy, "energy_against_1e-8": against}


def _headline(network: Network, chosen: Any, point: FaultPoint) -> str:
    where = f"{chosen.source}, rows {chosen.rows.start}:{chosen.rows.stop}"
    return f"{network.name} on {where}: {point.metric} {point.fault_free:.2%} without faults"


def _line(row: dict[str, Any]) -> str:
    metric = "accuracy" if "accuracy" in row else "agreement"
    part = f", {row['part']}" if "part" in row else ""
    energy = ""
    if row.get("write_energy_j"):
        energy = f"; {row['write_energy_j'] * 1e12:.3g} pJ a write, {row['energy_against_1e-8']:.0%} of that at 1e-8"
    return (
        f"ber {row['ber']:g}{part}: {metric} {row[metric]:.2%}, {row['level']:.0%} interval {row['low']:.2%} to "
        f"{row['high']:.2%}, drop {100 * row['drop']:.2f} points; {row['trials']} trials of "
        f"{row['flips_mean']:.1f} flips{energy}"
    )


def _json(row: dict[str, Any]) -> str:
    from bnnverify.reports.json import dumps

    return dumps(row)


def _save(arguments: argparse.Namespace, network: Network, points: Sequence[FaultPoint]) -> None:
    """The table and the picture, where they were asked for."""
    if arguments.export is not None:
        from bnnverify.faults.export import export
        from bnnverify.faults.results import Campaign

        export(Campaign(network.name, network.fingerprint, arguments.seed, tuple(points)), arguments.export)
    if arguments.plot is not None:
        from bnnverify.reports.faultplots import plot_faults, plot_parts
        from bnnverify.reports.figures import save_figure

        axes = plot_faults(points) if arguments.by is None else plot_parts(points)
        save_figure(axes.figure, arguments.plot)


_spread = number("a spread of at least 0", lambda value: 0 <= value < math.inf)


def _whole(what: str, least: int | None) -> Any:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a number of {what}") from None
        if least is not None and value < least:
            raise argparse.ArgumentTypeError(f"{text!r}: expected {what}, an integer of at least {least}")
        return value

    return parse
