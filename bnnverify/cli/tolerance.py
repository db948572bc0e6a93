"""``tolerance``: how many weight bits may flip before the class changes, which matter most, and how probable it is."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bnnverify.cli.options import add_options, free_bits, rates
from bnnverify.errors import UsageError

if TYPE_CHECKING:
    from bnnverify.cli.inputs import Chosen
    from bnnverify.cli.region import Radius
    from bnnverify.network import Network
    from bnnverify.reports.subject import Subject
    from bnnverify.weightfaults import ToleranceResult

ABOUT = "how few flipped weight bits change the class, which matter most, and how probable that is"
SHOWN_BITS = 40
ALONE = ("eps", "norm", "free", "target", "rows", "limit", "ber", "timeout", "memory", "out", "per_layer")


def add_commands(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("tolerance", help=ABOUT, description=ABOUT.capitalize(), allow_abbrev=False)
    add_options(parser, ("model", "input", "index", "data", "eps", "norm", "free", "target", "ties"))
    add = parser.add_argument
    listed: dict[str, Any] = {"type": free_bits, "metavar": "LIST"}
    add("--layers", help="flips in these layers only, the output layer being the last: 0,2", **listed)
    add("--rows", help="flips in these rows only: neurons, channels, classes", **listed)
    add("--per-layer", help="ask the same of each layer alone", action="store_true")
    add("--limit", help="look no further than N flips", type=_whole, metavar="N")
    add("--ber", help="the probability of another class at these bit-error rates", type=rates, metavar="P,..")
    add(
        "--critical",
        help="rank the N single bits that change most inputs, of all rows or those of --index",
        type=_whole,
        metavar="N",
    )
    add_options(parser, ("timeout", "memory", "seed", "jobs", "json", "out"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Answer for one input or a batch, or rank single bits; returns the exit code."""
    from bnnverify.cli.inputs import ALL, FIRST, choose, load_network
    from bnnverify.cli.kernels import import_numba

    import_numba()
    network = load_network(arguments.model)
    if arguments.critical is not None:
        _require_alone(arguments)
        return _rank(arguments, network, choose(arguments, network, ALL))
    return _answer(Asking.of(arguments, network, choose(arguments, network, FIRST)))


@dataclass(frozen=True, eq=False)
class Asking:
    """The question of the command line, for any of its inputs."""

    arguments: argparse.Namespace
    network: Network
    chosen: Chosen
    radius: Radius | None
    started: float
    load: float

    @classmethod
    def of(cls, arguments: argparse.Namespace, network: Network, chosen: Chosen) -> Asking:
        """Read the region, and load the kernels where limits would count it."""
        from bnnverify.cli.region import read_radius
        from bnnverify.weightfaults.least import load

        if arguments.eps is None and arguments.norm is not None:
            raise UsageError(f"--norm {arguments.norm}: it measures --eps, which is missing")
        radius = None if arguments.eps is None else read_radius(network, arguments.eps, arguments.norm)
        if arguments.ber and (radius is not None or arguments.free is not None or arguments.rows is not None):
            raise UsageError(
                "--ber: the probability is that of one input and whole layers; leave out the region and rows"
            )
        if arguments.timeout is not None or arguments.memory is not None:
            load()
        return cls(arguments, network, chosen, radius, arguments.started, time.perf_counter() - arguments.started)

    @property
    def batch(self) -> bool:
        return self.arguments.index is not None and not self.arguments.index.single

    @property
    def limits(self) -> dict[str, float | None]:
        return {"timeout": self.arguments.timeout, "memory": self.arguments.memory}

    def ask(self, position: int) -> dict[str, Any]:
        """The JSON row of one input, with the text for a reader as ``text``."""
        from bnnverify.queries.results import Ties
        from bnnverify.reports.json import row_of
        from bnnverify.weightfaults import tolerance

        start, arguments = time.perf_counter(), self.arguments
        subject = self._subject(position)
        found = tolerance(
            self.network,
            subject.instance,
            self._region(subject),
            layers=arguments.layers,
            rows=arguments.rows,
            target=arguments.target,
            ties=Ties(arguments.ties),
            greatest=arguments.limit,
            per_layer=arguments.per_layer,
            timeout=self._time_left(),
            memory=arguments.memory,
            seed=arguments.seed,
        )
        chances = [self._chance(subject, p) for p in arguments.ber or ()]
        total = self.load + time.perf_counter() - start
        row = row_of(subject, found, load=self.load, total=total)
        if chances:
            row["probability"] = chances
        text = "" if self.batch else _text(subject, found, chances, total)
        return {**row, "limits": self.limits, "key": self.key(position), "text": text}

    def key(self, position: int) -> str:
        """Names the question, its limits aside, by everything that decides the answer."""
        from bnnverify.cli.ledger import key_of

        arguments = self.arguments
        names = ("free", "target", "ties", "layers", "rows", "per_layer", "limit", "ber", "seed")
        return key_of(
            {
                "command": "tolerance",
                "model": self.network.fingerprint,
                "eps": None if self.radius is None else [self.radius.norm, str(self.radius.reach)],
                "instance": self.chosen.value(position).tolist(),
                "index": position,
                **{name: getattr(arguments, name) for name in names},
            }
        )

    def _subject(self, position: int) -> Subject:
        from bnnverify.reports.subject import Subject

        return Subject(
            "tolerance",
            self.network,
            source=self.chosen.source,
            index=position,
            instance=self.chosen.value(position),
            label=self.chosen.label(position),
            norm=None if self.radius is None else self.radius.norm,
            eps=None if self.radius is None else self.radius.number,
            free=self.arguments.free,
            target=self.arguments.target,
        )

    def _region(self, subject: Subject) -> Any:
        from bnnverify.cli.region import make_region

        if self.radius is None and self.arguments.free is None:
            return None
        assert subject.instance is not None
        return make_region(self.network, subject.instance, self.radius, self.arguments.free)

    def _chance(self, subject: Subject, p: float) -> dict[str, Any]:
        from bnnverify.queries.results import Ties
        from bnnverify.weightfaults.probability import failure_probability

        layers, ties = self.arguments.layers, Ties(self.arguments.ties)
        limit = self._time_left()
        found = failure_probability(self.network, subject.instance, p, layers=layers, ties=ties, timeout=limit)
        told: dict[str, Any] = found.to_dict()
        return told

    def _time_left(self) -> float | None:
        """Of a single question the time since the command began is part of the limit, but a quarter of it is left."""
        limit: float | None = self.arguments.timeout
        if limit is None or self.batch:
            return limit
        return max(limit - (time.perf_counter() - self.started), limit / 4)


def _answer(asking: Asking) -> int:
    """Print a row for each input as it is known, and what they have in common."""
    from bnnverify.cli import streams
    from bnnverify.cli.batch import in_order
    from bnnverify.cli.progress import RowProgress
    from bnnverify.reports.json import dumps

    arguments, answered = asking.arguments, []
    with _ledger(arguments) as ledger, RowProgress(len(asking.chosen.rows)) as progress:
        for row in in_order(_rows(asking, ledger, progress), asking.chosen.rows):
            text = row.pop("text", "") or _line(row)
            progress.wipe()
            streams.answer(dumps(row) if arguments.json else text)
            answered.append(row)
    if asking.batch and not arguments.json:
        streams.answer(_summary(answered))
    return 0 if all(row["verdict"] == "answered" for row in answered) else 3


def _rows(asking: Asking, ledger: Any, progress: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """The stored rows, then the others as they finish, each stored before it is passed on."""
    from bnnverify.cli.batch import completed

    stored = {}
    if ledger is not None:
        stored = {p: ledger.find(asking.key(p), asking.limits) for p in asking.chosen.rows}
    for position, row in stored.items():
        if row is not None:
            progress.advance()
            yield position, row
    open_positions = [position for position in asking.chosen.rows if stored.get(position) is None]
    for position, row in completed(asking.ask, open_positions, asking.arguments.jobs):
        if ledger is not None:
            ledger.append({name: value for name, value in row.items() if name != "text"})
        progress.advance()
        yield position, row


def _ledger(arguments: argparse.Namespace) -> Any:
    if arguments.out is None:
        return nullcontext()
    from bnnverify.cli.ledger import Ledger

    return Ledger(arguments.out)


def _text(subject: Subject, found: ToleranceResult, chances: Sequence[dict[str, Any]], total: float) -> str:
    """The whole answer for a reader."""
    from bnnverify.reports.prose import closing, opening
    from bnnverify.reports.tables import plural

    lines = []
    if found.witness is not None:
        shown = [str(bit) for bit in found.witness.bits[:SHOWN_BITS]]
        more = len(found.witness.bits) - len(shown)
        lines.append(f"Flips    {' '.join(shown) or 'none'}{f' and {more} more' if more else ''} (layer:row:weight)")
        if found.witness.flips:
            lines.append(f"Input    {plural(len(found.witness.flips), 'input')} changed: {list(found.witness.flips)}")
    if found.per_layer:
        told = (f"{layer}: {'impossible' if n is None else n}" for layer, n in found.per_layer.items())
        lines.append(f"Layers   alone, layer: flips  {', '.join(told)}")
    lines += [f"Chance   {_chance(chance)}" for chance in chances]
    parts = [opening(subject, found), _headline(found), "\n".join(lines), closing(found, total)]
    return "\n\n".join(part for part in parts if part)


def _headline(found: ToleranceResult) -> str:
    from bnnverify.reports.tables import plural

    goal = "another class" if found.target is None else f"class {found.target}"
    if found.impossible:
        return f"IMPOSSIBLE: no flips of these weights give {goal}."
    if found.value is not None and found.witness is not None:
        given = f"{plural(found.value, 'flipped weight bit')} can give class {found.witness.label}"
        return f"{given}; {_few(found.value - 1)} never {goal if found.target is not None else 'change it'}."
    best = "" if found.upper is None else f"; {found.upper} do"
    return f"UNDECIDED: {_few(found.lower - 1)} never give {goal}{best}."


def _few(n: int) -> str:
    return f"{n} or fewer" if n > 0 else "none at all" if n == 0 else "fewer than none"


def _chance(chance: dict[str, Any]) -> str:
    lower, upper = float(chance["lower"]), float(chance["upper"])
    value = f"{lower:.6g}" if chance["kind"] == "exact" else f"{lower:.6g} to {upper:.6g}"
    return f"ber {chance['ber']:g}: another class with probability {value} ({chance['kind']})"


def _line(row: dict[str, Any]) -> str:
    """One row of a batch."""
    from bnnverify.reports.tables import duration, plural

    given, witness = row["input"], row["witness"]
    index, label = given["index"], given["class"]
    if row["impossible"]:
        said = "impossible"
    elif row["value"] is not None:
        said = f"{plural(row['value'], 'flip')} to class {witness['class']}"
    else:
        said = f"more than {row['tolerated']} flips" + (f", at most {row['upper']}" if row["upper"] is not None else "")
    layers = ", ".join(f"{layer}: {'-' if n is None else n}" for layer, n in row["layers"].items())
    chances = "; ".join(_chance(chance) for chance in row.get("probability", ()))
    extra = "".join(f"  {part}" for part in (layers, chances) if part)
    spent = duration(row["seconds"]["solve"])
    return f"{index:>6}  class {label:>3}  {row['verdict']:<9} {said:<34} {row['engine']}, {spent}{extra}"


def _summary(rows: Sequence[dict[str, Any]]) -> str:
    """The least over all inputs, and how many inputs have each number."""
    from bnnverify.reports.tables import plural

    values = sorted(row["value"] for row in rows if row["value"] is not None)
    counted = ", ".join(f"{n}: {values.count(n)}" for n in dict.fromkeys(values))
    least = min((row["lower"] for row in rows if not row["impossible"]), default=None)
    needed = "no flips change any of them" if least is None else f"each takes at least {plural(least, 'flip')}"
    text = f"{plural(len(rows), 'input')}: {needed}"
    return f"{text}\nflips: inputs  {counted}" if values else text


def _require_alone(arguments: argparse.Namespace) -> None:
    """Refuse what single bits on a set of inputs have no use for."""
    given = [name for name in ALONE if getattr(arguments, name) not in (None, False)]
    if given:
        name = given[0].replace("_", "-")
        raise UsageError(f"--critical: it flips one bit at a time on inputs as they are; leave out --{name}")


def _rank(arguments: argparse.Namespace, network: Network, chosen: Chosen) -> int:
    """Print the most critical bits."""
    from bnnverify.cli import streams
    from bnnverify.reports.json import closing, dumps, envelope
    from bnnverify.reports.subject import Subject
    from bnnverify.reports.tables import duration, grouped, share, table
    from bnnverify.weightfaults import critical_bits

    load = time.perf_counter() - arguments.started
    found = critical_bits(network, chosen.values, layers=arguments.layers, top=arguments.critical)
    where = {"source": chosen.source, "index": f"{chosen.rows.start}:{chosen.rows.stop}"}
    if arguments.json:
        row = {**envelope(Subject("tolerance", network, source=chosen.source)), "input": where}
        row |= {"verdict": "answered", "kind": "exact", **found.to_dict()}
        streams.answer(dumps(row | closing(load, found.seconds, time.perf_counter() - arguments.started)))
        return 0
    rows = [[str(bit), str(n), share(n, found.n_inputs)] for bit, n in zip(found.bits, found.changed, strict=True)]
    about = f"{network.name} on {where['source']}, rows {where['index']}"
    streams.answer(f"{about}: {grouped(found.n_bits)} weight bits, one at a time")
    streams.answer(table(("weight", "changed", "share"), rows, "lrr"))
    streams.answer(f"exact, in {duration(found.seconds)}; a weight is layer:row:weight")
    return 0


def _whole(text: str) -> int:
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected an integer of at least 0")
    return int(text)
