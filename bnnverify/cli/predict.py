"""``predict``: classes of many inputs on the bitwise engine, their accuracy and the speed."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from bnnverify.cli.options import add_options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bnnverify.cli.inputs import Chosen
    from bnnverify.network import Network

ABOUT = "classes, accuracy and speed on many inputs"
PER_LINE = 40
WARM_UP = 1


def add_commands(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("predict", help=ABOUT, description=ABOUT.capitalize(), allow_abbrev=False)
    add_options(parser, ("model", "input", "index", "data", "json"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print accuracy, or the classes where there are no labels; exit code 0."""
    from bnnverify.cli import streams
    from bnnverify.cli.inputs import ALL, choose, load_network
    from bnnverify.cli.kernels import import_numba
    from bnnverify.inference import predict
    from bnnverify.reports.json import dumps

    import_numba()
    network = load_network(arguments.model)
    chosen = choose(arguments, network, ALL)
    load = time.perf_counter() - arguments.started
    predict(network, chosen.values[:WARM_UP])
    before = time.perf_counter()
    classes = predict(network, chosen.values)
    solve = time.perf_counter() - before
    found = _row(network, chosen, classes)
    found |= _closing(load, solve, time.perf_counter() - arguments.started, len(classes))
    streams.answer(dumps(found) if arguments.json else _text(found))
    return 0


def _row(network: Network, chosen: Chosen, classes: NDArray[Any]) -> dict[str, Any]:
    from bnnverify.reports.json import envelope
    from bnnverify.reports.subject import Subject

    found = envelope(Subject("predict", network, source=chosen.source))
    found["input"] = {"source": chosen.source, "index": f"{chosen.rows.start}:{chosen.rows.stop}"}
    correct = None if chosen.labels is None else int((classes == chosen.labels).sum())
    accuracy = None if correct is None else correct / len(classes)
    scored = {"inputs": len(classes), "correct": correct, "accuracy": accuracy, "classes": classes.tolist()}
    return {**found, "verdict": "answered", "kind": "exact", **scored}


def _closing(load: float, solve: float, total: float, n: int) -> dict[str, Any]:
    from bnnverify.reports.json import closing

    return {"inputs_per_second": round(n / max(solve, 1e-9)), **closing(load, solve, total)}


def _text(found: dict[str, Any]) -> str:
    from bnnverify.reports.tables import duration, grouped

    n, classes = found["inputs"], found["classes"]
    where = f"{found['input']['source']}, rows {found['input']['index']}"
    speed = f"{grouped(found['inputs_per_second'])} inputs a second ({duration(found['seconds']['solve'])})"
    if found["correct"] is not None:
        return f"{found['correct']} of {n} right, accuracy {found['accuracy']:.2%}, on {where}; {speed}"
    lines = [" ".join(map(str, classes[i : i + PER_LINE])) for i in range(0, n, PER_LINE)]
    return "\n".join([*lines, f"classes of {where}, which has no labels; {speed}"])
