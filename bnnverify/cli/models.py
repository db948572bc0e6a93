"""``inspect`` and ``convert``: what a network consists of, and bringing it into the own format."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import Any

from bnnverify.cli.options import add_options, number

INSPECT = "shapes, bits, bytes, operations and constant neurons, layer by layer"
CONVERT = "read a model of any known format, check it against its floats, save it as .npz"


def add_commands(commands: Any) -> None:
    """Add both subcommands."""
    inspect = commands.add_parser("inspect", help=INSPECT, description=INSPECT.capitalize(), allow_abbrev=False)
    add_options(inspect, ("model", "json"))
    inspect.set_defaults(run=run_inspect)
    convert = commands.add_parser("convert", help=CONVERT, description=CONVERT.capitalize(), allow_abbrev=False)
    convert.add_argument("source", type=Path, metavar="IN", help="a csv folder, .npz or .pt")
    convert.add_argument("destination", type=Path, metavar="OUT.npz", help="where to save; replaced if it exists")
    convert.add_argument("--shape", type=_shape, metavar="CxHxW", help="shape of one input, for convolutions")
    convert.add_argument("--epsilon", type=_epsilon, metavar="E", help="of every BatchNorm (default: its framework's)")
    for name, what in (("pool", "max-pooling window after"), ("stride", "step of"), ("padding", "padding of")):
        convert.add_argument(
            f"--{name}", type=_named, action="append", default=[], metavar="LAYER=N", help=f"{what} a layer"
        )
    add_options(convert, ("json",))
    convert.set_defaults(run=run_convert)


def run_inspect(arguments: argparse.Namespace) -> int:
    """Print the table of layers, or the same as one JSON object."""
    from bnnverify.cli import streams
    from bnnverify.cli.inputs import load_network
    from bnnverify.reports.json import SCHEMA, dumps
    from bnnverify.reports.tables import grouped, table
    from bnnverify.summary import summarize

    summary = summarize(load_network(arguments.model))
    if arguments.json:
        streams.answer(dumps({"schema": SCHEMA, "command": "inspect", **summary.to_dict()}))
        return 0
    rows = summary.rows()
    cells = table(list(rows[0]), [list(row.values()) for row in rows], "ll" + "r" * (len(rows[0]) - 2))
    ratio = summary.float32_bytes / max(summary.n_bytes, 1)
    streams.answer(
        f"{summary.name}, sha256 {summary.fingerprint}\n\n{cells}\n\n{grouped(summary.n_parameters)} parameters in "
        f"{grouped(summary.n_bytes)} bytes; as float32 they would take {ratio:.1f} times as many."
    )
    return 0


def run_convert(arguments: argparse.Namespace) -> int:
    """Convert; print the reader's notes, the parity with the floats, and what was saved."""
    from bnnverify.cli import streams
    from bnnverify.formats import Unstated, load_with_notes, save
    from bnnverify.reports.json import SCHEMA, dumps

    unstated = Unstated(
        epsilon=arguments.epsilon,
        input_shape=arguments.shape,
        pools=dict(arguments.pool),
        strides=dict(arguments.stride),
        paddings=dict(arguments.padding),
    )
    network, notes = load_with_notes(arguments.source, unstated=unstated)
    parity = _parity(arguments.source, unstated)
    save(network, arguments.destination)
    model = {"name": network.name, "sha256": network.fingerprint}
    if arguments.json:
        checked = None if parity is None else parity.to_dict()
        found = {"schema": SCHEMA, "command": "convert", "model": model, "notes": list(notes), "parity": checked}
        streams.answer(dumps({**found, "path": str(arguments.destination)}))
        return 0
    told = [*(f"note: {note}" for note in notes), _parity_text(parity)]
    saved = f"saved {network!r} as {arguments.destination}, sha256 {network.fingerprint}"
    streams.answer("\n".join([*told, saved]))
    return 0


def _parity(source: Path, unstated: Any) -> Any:
    """Parity of the floats in the file with the integers made of them; None where it holds no floats."""
    from bnnverify.formats import load_float
    from bnnverify.formats.loading import Format, detect
    from bnnverify.formats.parity import check_parity

    if detect(source) is Format.NATIVE:
        return None
    return check_parity(load_float(source, unstated=unstated))


def _parity_text(parity: Any) -> str:
    if parity is None:
        return "parity: not checked, as the file holds no floats"
    if parity.agrees:
        return f"parity: floats and integers agree in every neuron on {parity.n_inputs} random inputs"
    worst = [f"{n.layer} neuron {n.neuron}: {n.n_inputs} inputs, margin {n.margin:.3g}" for n in parity.neurons[:5]]
    more = [f"and {len(parity.neurons) - 5} more neurons"] if len(parity.neurons) > 5 else []
    head = f"parity: {parity.n_class_differences} of {parity.n_inputs} random inputs differ in class, "
    tail = f"{len(parity.neurons)} neurons differ at a rounding boundary"
    return "\n".join([head + tail, *(f"  {line}" for line in (*worst, *more))])


def _shape(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[1-9]\d{0,5}(x[1-9]\d{0,5}){2}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected channels, height and width such as 1x28x28")
    return tuple(int(size) for size in text.split("x"))


_epsilon = number("a number of at least 0", lambda value: 0 <= value < math.inf)


def _named(text: str) -> tuple[str, int]:
    name, equals, number = text.rpartition("=")
    if not name or not equals or not re.fullmatch(r"\d{1,4}", number):
        raise argparse.ArgumentTypeError(f"{text!r}: expected LAYER=N such as conv1=2")
    return name, int(number)
