"""Start-up stays cheap: what is heavy is imported by the function that needs it, and torch by nobody else."""

import ast
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from tests.paths import REPOSITORY

PACKAGE = REPOSITORY / "bnnverify"
HEAVY = {"torch", "matplotlib", "scipy", "numba", "numpy", "networkx", "dd", "pysat", "PIL"}
HELP_SECONDS = 0.2

HELP = """
import sys
from bnnverify.cli.main import main
try:
    main(["--help"])
except SystemExit:
    pass
"""


def modules_after(code: str, *, allowed: tuple[str, ...] = ()) -> set[str]:
    """Which heavy top-level modules a fresh interpreter has imported once it ran ``code``."""
    report = "\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return HEAVY.intersection(json.loads(done.stdout.splitlines()[-1])) - set(allowed)


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert modules_after("import bnnverify") == set()


def test_help_imports_nothing_heavy() -> None:
    assert modules_after(HELP) == set()


@pytest.mark.parametrize("module", ["data", "data.bundled", "data.download", "formats", "network", "regions"])
def test_importing_a_reader_imports_numpy_alone(module: str) -> None:
    assert modules_after(f"import bnnverify.{module}", allowed=("numpy",)) == set()


def test_reading_the_bundled_network_needs_no_extra() -> None:
    code = "from bnnverify.data.bundled import bundled_images, bundled_network\nbundled_network(), bundled_images()"
    assert modules_after(code, allowed=("numpy",)) == set()


def test_what_the_check_looks_for_it_finds() -> None:
    assert modules_after("import numpy, matplotlib") >= {"numpy", "matplotlib"}


def seconds_for_help() -> float:
    command = [str(Path(sys.executable).with_name("bnnverify")), "--help"]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return time.perf_counter() - start


def test_help_is_shown_within_a_fifth_of_a_second() -> None:
    seconds_for_help()
    assert median(seconds_for_help() for _ in range(9)) < HELP_SECONDS


def imported_at_module_level(tree: ast.Module) -> Iterator[str]:
    """Names of modules whose import runs when the module is imported."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not only_for_types(node):
            waiting.extend(ast.iter_child_nodes(node))


def only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def heavy_imports(source: str, heavy: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in imported_at_module_level(ast.parse(source))} & heavy


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch.nn as nn", {"torch"}),
        ("from matplotlib import pyplot", {"matplotlib"}),
        ("class A:\n    import torch", {"torch"}),
        ("try:\n    import torch\nexcept ImportError:\n    pass", {"torch"}),
        ("def f():\n    import torch", set()),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", set()),
        ("import torchless\nfrom bnnverify import torch_like", set()),
    ],
)
def test_the_scan_tells_module_level_from_function_level(source: str, expected: set[str]) -> None:
    assert heavy_imports(source, {"torch", "matplotlib"}) == expected


def test_no_module_but_training_imports_an_extra_at_module_level() -> None:
    extras = {"torch", "matplotlib", "scipy", "PIL"}
    modules = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "training"]
    guilty = {str(path.relative_to(PACKAGE)): heavy_imports(path.read_text(), extras) for path in modules}
    assert len(modules) > 20
    assert {path: found for path, found in guilty.items() if found} == {}


ROOMS = [
    {"errors", "verdict"},
    {"bits", "limits", "residues", "wholefile"},
    {"network"},
    {"scores", "folding", "regions", "levelregions", "weightflips", "theories"},
    {"inference"},
    {"formats"},
    {"data", "summary"},
    {"diagram", "solver"},
    {"backends", "presolve", "proofs", "patches"},
    {"engines"},
    {"explanations"},
    {"queries"},
    {"weightfaults"},
    {"vnnlib", "training", "faults"},
    {"reports"},
    {"cli"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def rooms_imported(source: str) -> set[str]:
    """The rooms of this package that a module imports anywhere, also within functions."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and node.module]
    return {node.module.split(".")[1] for node in found if node.module and node.module.startswith("bnnverify.")}


def test_a_lower_room_never_imports_a_higher_one() -> None:
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if room not in ("__init__", "__main__"):
            above = {other for other in rooms_imported(path.read_text()) if FLOOR_OF[other] > FLOOR_OF[room]}
            assert not above, f"{path} imports {above}"


def test_the_encoders_import_nothing_of_the_package() -> None:
    sources = [path.read_text() for path in (REPOSITORY / "encoders").rglob("*.py")]
    assert sources
    assert not any(rooms_imported(source) for source in sources)
