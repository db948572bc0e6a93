"""How long a fault campaign takes, against torch: ``python -m benchmarks.faults``.

The campaign is ten bit-error rates x 100 trials x 10,000 images on 784-4096x3-10 with random weights, one process,
one thread. A few trials of each rate are run by each contender, in turns, and extrapolated alike. The contenders flip
the same expected number of weights: ours in packed words; torch float32 with one vectorized mask a layer over all
weights; and the way of PyTorchFI, a Python loop that sets one weight after the other, of which some are timed. Torch
runs a slice of the images, and the time is scaled.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.inference import _bits, dense_network
from bnnverify.faults import Symmetric
from bnnverify.faults.machine import Machine, Prepared
from bnnverify.faults.model import aimed
from bnnverify.network import Network

RATES = (1e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
TRIALS = 100
IMAGES = 10_000


@dataclass(frozen=True)
class Cost:
    """Our seconds at one rate: once, for each trial of all images, and for its flips alone, undone again."""

    once: float
    trial: float
    strike: float

    @property
    def campaign(self) -> float:
        return self.once + TRIALS * self.trial


class OursContender:
    """Packed words through :class:`bnnverify.faults.machine.Machine`."""

    def __init__(self, network: Network, X: NDArray[np.int8]) -> None:
        self._network, self._X = network, X

    def cost(self, rate: float, rounds: int) -> Cost:
        once, prepared = timed(lambda: Prepared(self._network, self._X, aimed(Symmetric(rate))))
        machine = prepared.machine()
        machine.run((0,))
        trial = median(timed(lambda k=k: machine.run((1, k)))[0] for k in range(rounds))
        return Cost(once, trial, median(timed(lambda k=k: self._strike(machine, k))[0] for k in range(rounds)))

    def _strike(self, machine: Machine, seed: int) -> None:
        with machine.struck(lambda cells: np.random.default_rng([seed, cells.layer])):
            pass


class TorchContender:
    """The network in torch float32 on one thread."""

    def __init__(self, network: Network, X: NDArray[np.int8], n_images: int) -> None:
        import torch

        torch.set_num_threads(1)
        self._torch = torch
        layers = [block.weights for block in network.blocks] + [network.output.weights]  # type: ignore[union-attr]
        self._weights = [torch.tensor(weights, dtype=torch.float32) for weights in layers]
        self._X = torch.tensor(X[:n_images], dtype=torch.float32)
        self._scale = IMAGES / len(self._X)

    def vectorized(self, rate: float) -> float:
        """Seconds of a trial: masks over all weights, all images, weights restored."""
        mask_seconds, faulty = timed(lambda: [self._masked(weights, rate) for weights in self._weights])
        return mask_seconds + self._scale * timed(lambda: self._forward(faulty))[0]

    def looped(self, rate: float, rng: np.random.Generator, n_timed: int) -> tuple[float, float]:
        """Seconds of a trial, and of its flips alone: weights copied, flips set one by one, of which some are timed."""
        sizes = np.array([weights.numel() for weights in self._weights])
        layers = rng.choice(len(sizes), n_timed, p=sizes / sizes.sum())
        places = [tuple(int(rng.integers(size)) for size in self._weights[layer].shape) for layer in layers]
        copy_seconds, copy = timed(lambda: [weights.clone() for weights in self._weights])
        flip_seconds, _ = timed(lambda: self._set_one_by_one(copy, layers.tolist(), places))
        forward_seconds, _ = timed(lambda: self._forward(copy))
        strike = copy_seconds + rate * int(sizes.sum()) * flip_seconds / n_timed
        return strike + self._scale * forward_seconds, strike

    def _masked(self, weights: Any, rate: float) -> Any:
        return self._torch.where(self._torch.rand_like(weights) < rate, -weights, weights)

    def _set_one_by_one(self, weights: list[Any], layers: list[int], places: list[tuple[int, ...]]) -> None:
        """Walk through the layers for each fault, read its value, write the faulty one."""
        for wanted, place in zip(layers, places, strict=True):
            for layer, parameter in enumerate(weights):
                if layer == wanted:
                    parameter[place] = -parameter[place].item()

    def _forward(self, weights: list[Any]) -> Any:
        torch = self._torch
        with torch.inference_mode():
            hidden = self._X
            for layer in weights[:-1]:
                hidden = torch.where(torch.nn.functional.linear(hidden, layer) >= 0, 1.0, -1.0)
            return torch.nn.functional.linear(hidden, weights[-1]).argmax(1)


def timed(act: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = act()
    return time.perf_counter() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description="Time fault campaigns against torch float32, one thread.")
    parser.add_argument("--rates", type=float, nargs="*", default=RATES)
    parser.add_argument("--rounds", type=int, default=3, help="trials of each rate of which the median is taken")
    parser.add_argument("--images", type=int, default=IMAGES, help="images of our trials (default all; scaled)")
    parser.add_argument("--torch-images", type=int, default=1024, help="images of a torch trial, scaled to all")
    parser.add_argument("--loop-flips", type=int, default=2000, help="flips that the Python loop is timed on")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    network = dense_network(rng)
    X = _bits(rng, options.images, network.n_inputs)
    ours, torch = OursContender(network, X), TorchContender(network, X, options.torch_images)
    scale = IMAGES / options.images
    print(f"{network.name}, {len(options.rates)} rates x {TRIALS} trials x {IMAGES:,} images; seconds a trial")
    print(
        f"{'rate':>8}{'ours':>10}{'torch':>10}{'ratio':>8}{'loop':>10}{'ratio':>8}{'flips':>10}{'loop':>10}{'ratio':>8}"
    )
    totals = np.zeros(3)
    for rate in options.rates:
        cost = ours.cost(rate, options.rounds)
        vectorized = median(torch.vectorized(rate) for _ in range(options.rounds))
        looped, one_by_one = torch.looped(rate, rng, options.loop_flips)
        mine = scale * cost.campaign / TRIALS
        totals += np.array([mine, vectorized, looped]) * TRIALS
        print(
            f"{rate:8.0e}{mine:10.3f}{vectorized:10.2f}{vectorized / mine:8.1f}{looped:10.2f}{looped / mine:8.1f}",
            end="",
        )
        print(f"{cost.strike:10.4f}{one_by_one:10.3f}{one_by_one / cost.strike:8.0f}", flush=True)
    minutes = totals / 60
    print(f"all: ours {minutes[0]:.1f} min, torch {minutes[1]:.0f} min, loop {minutes[2]:.0f} min")
    print(f"ratios: torch {totals[1] / totals[0]:.1f}, loop {totals[2] / totals[0]:.1f}")


if __name__ == "__main__":
    main()
