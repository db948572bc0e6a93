"""``engines`` and ``datasets``: what there is, and fetching a data set."""

from __future__ import annotations

import argparse
import time
from typing import Any

from bnnverify.cli.options import add_options
from bnnverify.errors import UsageError

ENGINE_COLUMNS = ("name", "kind", "what", "regions")
ENGINES = "which engines can answer, what, and in which regions"
DATASETS = "which data sets are known; `datasets get NAME` downloads one"


def add_commands(commands: Any) -> None:
    """Add both subcommands."""
    engines = commands.add_parser("engines", help=ENGINES, description=ENGINES.capitalize(), allow_abbrev=False)
    engines.add_argument("--compile", help="compile all kernels now, once per installation", action="store_true")
    engines.add_argument("--solvers", help="list what the engine sat can ask, instead", action="store_true")
    add_options(engines, ("json",))
    engines.set_defaults(run=run_engines)
    datasets = commands.add_parser("datasets", help=DATASETS, description=DATASETS.capitalize(), allow_abbrev=False)
    datasets.add_argument("action", nargs="?", choices=("list", "get"), default="list", help="list (default) or get")
    datasets.add_argument("name", nargs="?", help="the data set to get, for example mnist", metavar="NAME")
    add_options(datasets, ("data", "json"))
    datasets.set_defaults(run=run_datasets)


def run_engines(arguments: argparse.Namespace) -> int:
    """Print a table, or one JSON object an engine; compile the kernels first where that is asked for."""
    from bnnverify.cli import streams
    from bnnverify.engines.portfolio import available_engines
    from bnnverify.reports.json import SCHEMA, dumps
    from bnnverify.reports.tables import table

    if arguments.compile:
        _compile()
    if arguments.solvers:
        rows = _solvers()
    else:
        rows = [{name: getattr(engine, name) for name in ENGINE_COLUMNS} for engine in available_engines()]
    if arguments.json:
        streams.answer("\n".join(dumps({"schema": SCHEMA, "command": "engines", **row}) for row in rows))
    else:
        names = list(rows[0])
        streams.answer(table(names, [[_cell(row[name]) for name in names] for row in rows], "l" * len(names)))
    return 0


def _solvers() -> list[dict[str, str]]:
    """What ``--solver`` takes, the encodings it takes and whether it can run here."""
    from bnnverify.backends.contract import BACKENDS
    from bnnverify.engines.sat import AUTO, RACE, RACERS

    rows = [
        {
            "name": row.name,
            "what": row.about,
            "installed": "yes" if row.is_installed else f"no: pip install 'bnnverify[{row.extra}]'",
            "encodings": ", ".join(row.encodings) or "-",
        }
        for row in BACKENDS.values()
    ]
    several = ((RACE, f"{', '.join(RACERS)} at once"), (AUTO, "native, and a race where that takes long"))
    return [*rows, *({"name": name, "what": what, "installed": "yes", "encodings": "-"} for name, what in several)]


def _compile() -> None:
    from bnnverify.cli.kernels import (
        compile_diagram_kernels,
        compile_fault_kernels,
        compile_kernels,
        compile_tolerance_kernels,
        import_numba,
    )
    from bnnverify.cli.streams import warn
    from bnnverify.reports.tables import duration

    start = time.perf_counter()
    import_numba()
    compile_kernels()
    compile_diagram_kernels()
    compile_fault_kernels()
    compile_tolerance_kernels()
    warn(f"kernels compiled or loaded in {duration(time.perf_counter() - start)}")


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(map(str, value))


def run_datasets(arguments: argparse.Namespace) -> int:
    """List what is known and found, or download one."""
    if arguments.action == "get":
        return _get(arguments)
    if arguments.name is not None:
        raise UsageError(f"datasets list takes no name; `bnnverify datasets get {arguments.name}` downloads one")
    from bnnverify.cli import streams
    from bnnverify.data import catalog
    from bnnverify.reports.json import SCHEMA, dumps
    from bnnverify.reports.tables import table

    rows = catalog(arguments.data)
    if arguments.json:
        plain = ({**row._asdict(), "found": None if row.found is None else str(row.found)} for row in rows)
        streams.answer("\n".join(dumps({"schema": SCHEMA, "command": "datasets", **row}) for row in plain))
        return 0
    cells = [
        [row.name, row.title, " ".join(row.splits), f"{row.n_bytes / 1e6:.0f} MB", str(row.found or "-")]
        for row in rows
    ]
    streams.answer(table(["name", "what", "splits", "download", "found in"], cells, "lllrl"))
    return 0


def _get(arguments: argparse.Namespace) -> int:
    from bnnverify.cli import streams
    from bnnverify.cli.progress import ByteMeter
    from bnnverify.data.download import download
    from bnnverify.reports.json import SCHEMA, dumps

    if arguments.name is None:
        raise UsageError("datasets get: name the data set, for example `bnnverify datasets get mnist`")
    with ByteMeter() as meter:
        folder = download(arguments.name, arguments.data, meter.show)
    row = {"schema": SCHEMA, "command": "datasets", "name": arguments.name, "folder": str(folder)}
    streams.answer(dumps(row) if arguments.json else str(folder))
    return 0
