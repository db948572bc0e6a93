"""How fast the bit engine is, against torch float32 and numpy, on one thread: ``python -m benchmarks.inference``.

The contenders take turns in every round, so that a busy machine slows all of them, and medians are
compared. TOPS counts two operations a weight. The popcount limit is measured as well: xor, population
count and add on registers alone, the most that counting word by word could reach. Large
batches pass it, since they look up carries instead (:mod:`bnnverify.inference.carries`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numpy.typing import NDArray

from benchmarks.timing import medians, seconds_of, seconds_when_warm
from bnnverify.inference import BitEngine
from bnnverify.inference.simd import emitted
from bnnverify.inference.tile import VECTOR, cgutils
from bnnverify.network import BitInput, Block, ConvBlock, Layer, MaxPool, Network, Output

CHAINS = 16
Contender = Callable[[], Any]


@emitted
def _count_on_registers(_typing: Any, rounds: Any) -> Any:
    """Sixteen independent chains of ``count += popcount(count ^ word)``, eight words wide."""

    def emit(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        popcount = cgutils.get_or_insert_function(builder.module, ir.FunctionType(VECTOR, [VECTOR]), "llvm.ctpop.v8i64")
        chains = [cgutils.alloca_once_value(builder, ir.Constant(VECTOR, [k] * 8)) for k in range(CHAINS)]
        word = ir.Constant(VECTOR, [0x5A5A5A5A5A5A5A5A] * 8)
        with cgutils.for_range(builder, args[0]):
            for chain in chains:
                count = builder.load(chain)
                builder.store(builder.add(count, builder.call(popcount, [builder.xor(count, word)])), chain)
        total = builder.load(chains[0])
        for chain in chains[1:]:
            total = builder.add(total, builder.load(chain))
        return builder.extract_element(total, ir.IntType(32)(0))

    return types.int64(types.int64), emit


@njit(nogil=True)
def _count(rounds: int) -> Any:
    return _count_on_registers(rounds)


def popcount_limit_tops() -> float:
    """Operations a second, in 1e12, of xor, population count and add on registers."""
    rounds = 1_000_000
    _count(rounds)
    seconds = min(seconds_of(lambda: _count(rounds)) for _ in range(9))
    return 2 * 512 * CHAINS * rounds / seconds / 1e12


def dense_network(rng: np.random.Generator) -> Network:
    """784-4096-4096-4096-10 of random bits."""
    blocks: list[Layer] = [
        Block(_bits(rng, b, a), np.zeros(b, dtype=np.int64)) for a, b in pairwise((784, 4096, 4096, 4096))
    ]
    return Network(tuple(blocks), Output(_bits(rng, 10, 4096)), name="784-4096x3-10")


def conv_network(rng: np.random.Generator) -> Network:
    """64x16x16, then 128 and 256 channels of 3x3 with pooling, then 512 neurons and ten classes."""
    blocks: list[Layer] = [
        ConvBlock(_bits(rng, 128, 64, 3, 3), np.zeros(128, dtype=np.int64), padding=(1, 1)),
        MaxPool(),
        ConvBlock(_bits(rng, 256, 128, 3, 3), np.zeros(256, dtype=np.int64), padding=(1, 1)),
        MaxPool(),
        Block(_bits(rng, 512, 256 * 16), np.zeros(512, dtype=np.int64)),
    ]
    return Network(
        tuple(blocks), Output(_bits(rng, 10, 512)), BitInput((64, 16, 16)), name="64x16x16-128C3-256C3-512-10"
    )


def _bits(rng: np.random.Generator, *shape: int) -> NDArray[np.int8]:
    return rng.choice(np.array([-1, 1], dtype=np.int8), size=shape)


def torch_forward(network: Network, X: NDArray[np.int8]) -> Contender | str:
    """The network in torch float32 on one thread, or why there is none."""
    try:
        import torch
    except ImportError:
        return "torch is not installed"
    torch.set_num_threads(1)
    blocks = [(block, *_torch_weights(torch, block)) for block in network.blocks]
    output = torch.tensor(network.output.weights, dtype=torch.float32)
    inputs = torch.tensor(X, dtype=torch.float32).reshape(-1, *network.input.shape)

    def forward() -> Any:
        with torch.inference_mode():
            hidden = inputs
            for block, weights, thresholds in blocks:
                hidden = _torch_layer(torch, block, weights, thresholds, hidden)
            return torch.nn.functional.linear(hidden.flatten(1), output).argmax(1)

    return forward


def _torch_weights(torch: Any, block: Layer) -> tuple[Any, Any]:
    if isinstance(block, MaxPool):
        return None, None
    thresholds = torch.tensor(block.thresholds, dtype=torch.float32)
    shape = (-1, 1, 1) if isinstance(block, ConvBlock) else (-1,)
    return torch.tensor(block.weights, dtype=torch.float32), thresholds.reshape(shape)


def _torch_layer(torch: Any, block: Layer, weights: Any, thresholds: Any, hidden: Any) -> Any:
    functions = torch.nn.functional
    if isinstance(block, MaxPool):
        return functions.max_pool2d(hidden, block.size, block.stride)
    if isinstance(block, ConvBlock):
        sums = functions.conv2d(hidden, weights, stride=block.stride, padding=block.padding)
    else:
        sums = functions.linear(hidden.flatten(1), weights)
    return torch.where(sums >= thresholds, 1.0, -1.0)


def measure(network: Network, batch: int, rounds: int, limit: float, rng: np.random.Generator) -> str:
    """One line of the table; refuses to time engines that disagree."""
    X = _bits(rng, batch, network.n_inputs)
    ours, numpy = BitEngine(network), BitEngine(network, backend="numpy")
    contenders: dict[str, Contender] = {"ours": lambda: ours.classify(X), "numpy": lambda: numpy.classify(X)}
    torch = torch_forward(network, X)
    if not isinstance(torch, str):
        contenders["torch"] = torch
    classes = {name: np.asarray(act()).tolist() for name, act in contenders.items()}
    if any(found != classes["ours"] for found in classes.values()):
        raise RuntimeError(f"{network.name}: the engines disagree at batch {batch}")
    found = medians(contenders, rounds, seconds_when_warm)
    tops = batch * ours.bit_operations / found["ours"] / 1e12
    times = "".join(_cell(found.get(name), found["ours"]) for name in ("torch", "numpy"))
    return f"{network.name:30}{batch:6}{times}{1e3 * found['ours']:10.3f}{tops:8.2f}{tops / limit:8.0%}"


def _cell(seconds: float | None, ours: float) -> str:
    return f"{'-':>11}{'-':>7}" if seconds is None else f"{1e3 * seconds:11.2f}{seconds / ours:6.1f}x"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the bit engine against torch float32 and numpy, one thread.")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of which the median is taken (default 7)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    limit = popcount_limit_tops()
    missing = torch_forward(Network((), Output(np.ones((1, 1), dtype=np.int8))), np.ones((1, 1), dtype=np.int8))
    if isinstance(missing, str):
        print(f"no torch column: {missing}")
    print(f"popcount limit on registers: {limit:.2f} TOPS")
    print(
        f"{'network':30}{'batch':>6}{'torch ms':>11}{'':7}{'numpy ms':>11}{'':7}{'ours ms':>10}{'TOPS':>8}{'limit':>8}"
    )
    dense, conv = dense_network(rng), conv_network(rng)
    for network, batch in ((dense, 1), (dense, 64), (dense, 1024), (conv, 1), (conv, 64)):
        print(measure(network, batch, options.rounds, limit, rng), flush=True)


if __name__ == "__main__":
    main()
