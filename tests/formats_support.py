"""What the tests of the readers share: how a refusal must look, and random networks of every kind."""

import re
from pathlib import Path

import numpy as np
import pytest

from bnnverify.errors import ModelFormatError
from bnnverify.formats import load
from bnnverify.network import (
    BitInput,
    Block,
    ConvBlock,
    MaxPool,
    Network,
    Output,
    QuantizedInput,
    ThresholdInput,
)
from tests.paths import PEERS


def assert_refused(path: Path, message: str, **options) -> None:
    """Loading ends in one sentence that starts with the file's name and contains ``message``."""
    with pytest.raises(ModelFormatError, match=re.escape(message)) as caught:
        load(path, **options)
    text = str(caught.value)
    assert text.startswith(f"{path.name}: ")
    assert "\n" not in text
    assert len(text) < 400


def peer_models() -> list[Path]:
    """All networks of other people that are read so far."""
    folders = sorted((PEERS / "bdd4bnn" / "models").glob("*"))
    return [*folders, *sorted((PEERS / "npaq").glob("*.pt")), PEERS / "mnist784" / "mnist.npz"]


def ternary(rng: np.random.Generator, *shape: int, zeros: bool = False) -> np.ndarray:
    return rng.choice([-1, 0, 1] if zeros else [-1, 1], size=shape).astype(np.int8)


def dense_network(rng: np.random.Generator, *, zeros: bool = False) -> Network:
    blocks = [
        Block(ternary(rng, 9, 13, zeros=zeros), rng.integers(-14, 15, 9)),
        Block(ternary(rng, 5, 9), range(-2, 3)),
    ]
    return Network(
        blocks, Output(ternary(rng, 3, 5, zeros=zeros), rng.normal(size=3), rng.normal(size=3)), name="dense"
    )


def conv_network(rng: np.random.Generator) -> Network:
    blocks = [
        ConvBlock(ternary(rng, 4, 2, 3, 3, zeros=True), rng.integers(-9, 9, 4), (1, 2), (1, 0)),
        MaxPool((2, 2), (1, 1)),
        Block(ternary(rng, 3, 4 * 5 * 2), [-1, 0, 300]),
    ]
    return Network(blocks, Output(ternary(rng, 2, 3)), BitInput((2, 6, 7)), "conv")


def pixel_network(rng: np.random.Generator) -> Network:
    source = ThresholdInput(rng.integers(0, 257, 12), rng.random(12) < 0.5, 255, (1, 3, 4))
    return Network(
        [Block(ternary(rng, 4, 12), rng.integers(-12, 14, 4))], Output(ternary(rng, 2, 4), [0.5, -1.25]), source
    )


def quantized_network(rng: np.random.Generator) -> Network:
    block = Block(rng.integers(-100, 101, size=(3, 6)), [100_000, -5, 2**40])
    return Network([block], Output(ternary(rng, 2, 3), [1e-300, 0.1]), QuantizedInput((6,), 1023))


def every_network() -> dict[str, Network]:
    """One network of each kind of input, block and weight, by name."""
    rng = np.random.default_rng(11)
    return {
        "dense": dense_network(rng),
        "ternary": dense_network(rng, zeros=True),
        "conv": conv_network(rng),
        "pixels": pixel_network(rng),
        "quantized": quantized_network(rng),
        "no blocks": Network([], Output(ternary(rng, 4, 7))),
    }
