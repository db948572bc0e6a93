"""The compiled kernels, before a question needs them: a quicker import, and compilation ahead of time.

numba compiles a kernel when it is first called and keeps it on disk, once per installation. From then
on a process only loads it. ``compile_kernels`` asks every engine about a network so small that the
answers cost nothing but the compilation; ``compile_diagram_kernels`` does so for explanations and comparisons.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnnverify.cli.options import KINDS
from bnnverify.cli.progress import StatusLine

if TYPE_CHECKING:
    from bnnverify.queries.diagram import Diagram

N_INPUTS, N_HIDDEN, N_FREE = 40, 9, 12
PAST_8_BITS = 400
COMPILING = "compiling kernels, once per installation ..."


def import_numba() -> None:
    """Import numba, and say so on a terminal whenever this process waits for its compiler.

    scipy is left out, which takes a tenth of a second more and which no kernel here calls: numba
    looks for its BLAS when it loads its array functions. Only the command line may do so; a program
    that uses this package as a library may want it.
    """
    if "numba" in sys.modules:
        return
    with _hidden("scipy"), suppress(ImportError):
        import_module("numba.np.arraymath")
        _announce_compilations(StatusLine())


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Within, a package that is not imported yet cannot be."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


def _announce_compilations(line: StatusLine) -> Any:
    """The listener that draws on the line, registered."""
    from numba.core import event

    process, in_progress = os.getpid(), [0]

    class Announcer(event.Listener):
        def on_start(self, event: Any) -> None:
            in_progress[0] += 1
            if os.getpid() == process:
                line.draw(COMPILING)

        def on_end(self, event: Any) -> None:
            in_progress[0] -= 1
            if os.getpid() == process and not in_progress[0]:
                line.wipe()

    announcer = Announcer()
    event.register("numba:compile", announcer)  # type: ignore[no-untyped-call]
    return announcer


def compile_kernels() -> None:
    """Compile what is not on disk yet and load the rest; forked processes then find it in memory."""
    from bnnverify.engines.sat import Method
    from bnnverify.queries.asking import ask
    from bnnverify.queries.counting import count_question
    from bnnverify.queries.results import Ties
    from bnnverify.queries.robustness import decide
    from bnnverify.regions import FreeBits, HammingBall

    for network, center in _small_networks():
        for region in (HammingBall(center, 2), FreeBits(center, tuple(range(N_FREE)))):
            question = ask(network, center, region.on(network), Ties.LOWEST, None)
            for engine in ("enumerate", "pushforward"):
                decide(question, engine, Method(), True, lambda proved: None)
                count_question(question, engine, by_distance=True, check=False)
    compile_inference_kernels()
    compile_sat_kernels()


def compile_inference_kernels() -> None:
    """The same for the bitwise execution of batches, for every kind of input and of block."""
    import numpy as np

    from bnnverify.inference import predict

    rng = np.random.default_rng(0)
    for network in (_small_networks()[1][0], *_networks_of_images()):
        for dtype in (np.uint8, np.int64):
            predict(network, rng.integers(0, 2, (3, *network.input.shape)).astype(dtype))


def compile_sat_kernels() -> None:
    """The same for the attack, the native solver and the checker of proofs."""
    import numpy as np

    from bnnverify.engines import annealing
    from bnnverify.solver.solver import Solver

    annealing.load()
    for weights in ([1, 1, 1, 1], [3, 2, 1, 1]):
        for log in (None, lambda records: None):
            solver = Solver(proof=log)
            literals = np.array([solver.new_var() for _ in weights])
            solver.add_clause(literals.tolist())
            for signs in product((1, -1), repeat=len(weights)):
                solver.add_linear(weights, (literals * signs).tolist(), 2)
            solver.solve()
    _check_a_small_proof()


def compile_fault_kernels() -> None:
    """The same for campaigns of bit errors, at rates that strike few and many."""
    import numpy as np

    from bnnverify import faults
    from bnnverify.network import Block, Network, Output

    wide = np.where(np.random.default_rng(0).random((64, 1024)) < 0.5, -1, 1).astype(np.int8)
    updated = Network((Block(wide, np.zeros(64, dtype=np.int64)),), Output(wide[:3, :64]))
    for network in (_small_networks()[0][0], updated):
        instances = wide[:4, : network.n_inputs], np.zeros(4, dtype=np.int64)
        faults.run(network, instances, [faults.Symmetric(rate) for rate in (1e-6, 1e-4, 0.1)], trials=2)


def compile_tolerance_kernels() -> None:
    """The same for exact answers about flipped weight bits."""
    from bnnverify import weightfaults
    from bnnverify.weightfaults.least import load

    load()
    for network, center in _small_networks():
        weightfaults.failure_probability(network, center, 1e-3, timeout=1)


def _check_a_small_proof() -> None:
    from bnnverify.engines.certified import Asked, search_with_proof
    from bnnverify.inference import predict
    from bnnverify.proofs.checker import check_proof
    from bnnverify.regions import HammingBall
    from bnnverify.scores import tie_order

    network, center = _small_networks()[0]
    label = int(predict(network, center[None])[0])
    others = tuple(c for c in range(network.n_classes) if c != label)
    region = HammingBall(center, 0).on(network)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.proof"
        search_with_proof(Asked(network, region, label, others, tie_order(network.n_classes)), path, 0)
        check_proof(path, network)


def compile_diagram_kernels() -> None:
    """The same for what compiles diagrams and what passes over them."""
    from bnnverify.diagram.unique import doubled, empty
    from bnnverify.queries.compare import compare
    from bnnverify.queries.compile import compile as compile_diagram
    from bnnverify.queries.explain import explain
    from bnnverify.regions import FreeBits, HammingBall
    from bnnverify.theories import OneHot, Theory

    network, center = _small_networks()[0]
    ball, free = HammingBall(center, 2), FreeBits(center, tuple(range(N_FREE)))
    valid = Theory((OneHot((0, 1, 2)),))
    for region, road, theory in ((ball, "layered", valid), (ball, "layered", None), (free, "table", None)):
        _visit(compile_diagram(network, region, road=road, theory=theory))
    level, low, high, table = empty(2, 1)
    doubled(level, low, high, table, 2, 2)
    wide, start = _wide_network()
    compile_diagram(wide, HammingBall(start, 1), road="layered")
    for kind in KINDS:
        explain(network, center, free, kind=kind)
    compare(network, network, ball)


def _visit(diagram: Diagram) -> None:
    """Every pass that runs compiled code, once."""
    from bnnverify.diagram.quantify import cofactor

    cofactor(diagram.flat, {0: 1})
    diagram.count()
    diagram.profile()
    diagram.nearest()
    diagram.influence()
    list(islice(diagram.stream([diagram.label]), 2))
    diagram.probability(0.5)


def _wide_network() -> tuple[Any, Any]:
    """A network whose slacks move too far for 8 bits, with an instance at the brink."""
    import numpy as np

    from bnnverify.network import Block, Network, Output

    block = Block(np.ones((1, PAST_8_BITS), dtype=np.int8), np.zeros(1, dtype=np.int64))
    return Network((block,), Output(np.array([[1], [-1]]))), np.resize([1, -1], PAST_8_BITS)


def _networks_of_images() -> list[Any]:
    """Networks of pixels' levels: convolution and pooling, dense blocks without and with zero weights."""
    import numpy as np

    from bnnverify.network import Block, ConvBlock, MaxPool, Network, Output, QuantizedInput

    levels, none = QuantizedInput((1, 4, 4), 255), np.zeros(4, dtype=np.int64)
    signs, masked = (np.resize(np.array(row, dtype=np.int8), (4, 16)) for row in ([1, 1, -1], [1, 0, -1]))
    conv = ConvBlock(signs[:, :9].reshape(4, 1, 3, 3), none, padding=(1, 1))
    second = ConvBlock(masked.reshape(4, 4, 2, 2), none)
    stacks = ((conv, MaxPool((2, 2)), second), (Block(signs, none),), (Block(masked, none),))
    return [Network(blocks, Output(signs[:2, :4]), levels) for blocks in stacks]


def _small_networks() -> list[tuple[Any, Any]]:
    """A network of bits and one of pixels, each with an instance."""
    import numpy as np

    from bnnverify.network import BitInput, Block, Network, Output, ThresholdInput

    signs = np.where(np.random.default_rng(0).random((N_HIDDEN, N_INPUTS)) < 0.5, -1, 1).astype(np.int8)
    blocks = tuple(Block(rows, np.zeros(len(rows), dtype=np.int64)) for rows in (signs, signs[:5, :N_HIDDEN]))
    pixels = ThresholdInput(np.full(N_INPUTS, 128), np.ones(N_INPUTS, dtype=np.bool_))
    networks = [Network(blocks, Output(signs[:3, :5]), layer) for layer in (BitInput((N_INPUTS,)), pixels)]
    return [(network, network.input.read((signs[0] > 0).astype(np.int64))) for network in networks]
