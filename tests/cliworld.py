"""A world small enough to enumerate: files of two tiny networks and their inputs, and the true answers."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from bnnverify.cli.main import main
from bnnverify.formats import save
from bnnverify.inference import predict
from bnnverify.network import BitInput, Block, Network, Output, ThresholdInput

N_INPUTS, N_INSTANCES = 64, 6


@dataclass(frozen=True)
class World:
    """Paths of what was saved, and the objects themselves."""

    folder: Path
    network: Network
    bit_network: Network
    pixels: np.ndarray
    bits: np.ndarray
    labels: np.ndarray

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def classes_within(self, index: int, radius: int) -> dict[int, int]:
        """How many inputs within ``radius`` flips of a pixel instance have each class, one by one."""
        flips = [f for k in range(radius + 1) for f in itertools.combinations(range(N_INPUTS), k)]
        images = [self.network.input.realize(self.pixels[index], np.array(f, dtype=np.intp)) for f in flips]
        classes, counts = np.unique(predict(self.network, np.array(images)), return_counts=True)
        return dict(zip(classes.tolist(), counts.tolist(), strict=True))


def build_world(folder: Path) -> World:
    """Networks ``pixels.npz`` and ``bits.npz``; inputs ``images.npz`` with labels, ``bits.npy`` and ``bits.txt``."""
    rng = np.random.default_rng(3)
    hidden = Block(rng.choice([-1, 1], (9, N_INPUTS)), rng.integers(-2, 3, 9) * 2)
    output = Output(rng.choice([-1, 1], (3, 9)), rng.normal(size=3))
    thresholds = ThresholdInput(rng.integers(1, 255, N_INPUTS), np.ones(N_INPUTS, dtype=bool))
    network = Network((hidden,), output, thresholds, "pixels")
    bit_network = Network((hidden,), output, BitInput((N_INPUTS,)), "bits")
    pixels = rng.integers(0, 256, (N_INSTANCES, N_INPUTS))
    bits = rng.choice(np.array([-1, 1], dtype=np.int8), (N_INSTANCES, N_INPUTS))
    labels = rng.integers(0, 3, N_INSTANCES)
    save(network, folder / "pixels.npz")
    save(bit_network, folder / "bits.npz")
    np.savez(folder / "images.npz", images=pixels.astype(np.uint8).reshape(-1, 8, 8), labels=labels)
    np.save(folder / "bits.npy", bits)
    np.savetxt(folder / "bits.txt", (bits + 1) // 2, fmt="%d")
    return World(folder, network, bit_network, pixels, bits, labels)


def rows_of(text: str) -> list[dict]:
    """The JSON objects of an output, one a line."""
    return [json.loads(line) for line in text.splitlines()]


def run(capsys, *argv: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command line."""
    capsys.readouterr()
    code = main(argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def replace_query(monkeypatch, query: Callable) -> None:
    """Let the command line call this function instead of the query of the same name."""
    monkeypatch.setattr(import_module(f"bnnverify.queries.{query.__name__}"), query.__name__, query)
