"""How long a fault campaign takes, against torch: ``python -m benchmarks.faults``.

The campaign is ten bit-error rates x 100 trials x 10,000 images on 784-4096x3-10 with random weights, one process,
one thread. A few trials of each rate are run by each contender, in turns, and extrapolated alike. The contenders flip
the same expected number of weights: ours in packed words; torch float32 with one vectorized mask a layer over all
weights; and PyTorchFI's ways. In later versions a call takes a list of faults: it copies the model, filters the list
for the faults of each layer, and reads and sets one weight after the other (``loop``). In earlier ones a call took one
fault and copied the model for it (``copies``). Log messages are left out, in its favour. Some of the flips are timed
and scaled, and so are images where fewer are run.
"""

from __future__ import annotations

import argparse
import copy
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
CONTENDERS = ("ours", "torch", "loop", "copies")


@dataclass(frozen=True)
class Cost:
    """Our seconds at one rate: once, for each trial, and for its flips alone, undone again."""

    once: float
    trial: float
    strike: float

    def campaign(self, scale: float) -> float:
        """With so many times as many images, on which flips do not depend."""
        return scale * self.once + TRIALS * (self.strike + scale * max(0.0, self.trial - self.strike))


@dataclass(frozen=True)
class Loop:
    """Seconds of a trial that sets weights one by one, with one copy of the model and with one a flip, and of flips."""

    trial: float
    copies: float
    strike: float


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
        self._model = torch.nn.Sequential(*map(self._linear, self._weights))
        self._X = torch.tensor(X[:n_images], dtype=torch.float32)
        self._scale = IMAGES / len(self._X)

    def vectorized(self, rate: float) -> float:
        """Seconds of a trial: masks over all weights, all images, weights restored."""
        mask_seconds, faulty = timed(lambda: [self._masked(weights, rate) for weights in self._weights])
        return mask_seconds + self._scale * timed(lambda: self._forward(faulty))[0]

    def looped(self, rate: float, rng: np.random.Generator, n_timed: int) -> Loop:
        """Copy the model, set the flips one by one, of which some are timed, run all images."""
        sizes = np.array([weights.numel() for weights in self._weights])
        n_flips = rate * int(sizes.sum())
        layers = rng.choice(len(sizes), n_timed, p=sizes / sizes.sum())
        places = [tuple(int(rng.integers(size)) for size in self._weights[layer].shape) for layer in layers]
        copy_seconds, copied = timed(lambda: copy.deepcopy(self._model))
        flip_seconds, _ = timed(lambda: self._set_one_by_one(copied, layers.tolist(), places))
        forward_seconds, _ = timed(lambda: self._forward([layer.weight for layer in copied]))
        flips, forward = n_flips * flip_seconds / n_timed, self._scale * forward_seconds
        return Loop(copy_seconds + flips + forward, n_flips * copy_seconds + flips + forward, copy_seconds + flips)

    def _linear(self, weights: Any) -> Any:
        layer = self._torch.nn.Linear(weights.shape[1], weights.shape[0], bias=False)
        layer.weight.data[:] = weights
        return layer

    def _masked(self, weights: Any, rate: float) -> Any:
        return self._torch.where(self._torch.rand_like(weights) < rate, -weights, weights)

    def _set_one_by_one(self, model: Any, layers: list[int], places: list[tuple[int, ...]]) -> None:
        """For each layer find its faults, read each value, write the faulty one."""
        for number, layer in enumerate(model):
            chosen = filter(lambda k, number=number: layers[k] == number, range(len(layers)))
            for k in list(chosen):
                value = layer.weight[places[k]].item()
                with self._torch.no_grad():
                    layer.weight[places[k]] = -value

    def _forward(self, weights: list[Any]) -> Any:
        torch = self._torch
        with torch.inference_mode():
            hidden = self._X
            for layer in weights[:-1]:
                hidden = torch.where(torch.nn.functional.linear(hidden, layer) >= 0, 1.0, -1.0)
            return torch.nn.functional.linear(hidden, weights[-1]).argmax(1)


def timed(act: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of this thread, on which everything runs, so that other work on the machine matters less."""
    start = time.thread_time()
    found = act()
    return time.thread_time() - start, found


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
    names = ("ours", "torch", "ratio", "loop", "ratio", "copies", "ratio", "flips", "loop", "ratio")
    print(f"{'rate':>8}" + "".join(f"{name:>11}" for name in names))
    totals = np.zeros(4)
    for rate in options.rates:
        cost = ours.cost(rate, options.rounds)
        vectorized = median(torch.vectorized(rate) for _ in range(options.rounds))
        loop = torch.looped(rate, rng, options.loop_flips)
        mine = cost.campaign(scale) / TRIALS
        totals += np.array([mine, vectorized, loop.trial, loop.copies]) * TRIALS
        told = [mine, vectorized, vectorized / mine, loop.trial, loop.trial / mine, loop.copies, loop.copies / mine]
        told += [cost.strike, loop.strike, loop.strike / cost.strike]
        print(f"{rate:8.0e}" + "".join(f"{value:11.4g}" for value in told), flush=True)
    print("all, minutes: " + ", ".join(f"{n} {m:.3g}" for n, m in zip(CONTENDERS, totals / 60, strict=True)))
    ratios = zip(CONTENDERS[1:], totals[1:] / totals[0], strict=True)
    print("ratios: " + ", ".join(f"{name} {ratio:.1f}" for name, ratio in ratios))


if __name__ == "__main__":
    main()
