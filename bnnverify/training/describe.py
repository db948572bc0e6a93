"""A model in training, layer by layer: shapes, weights and their bits, multiply-accumulates and their energy.

Energy is that of the arithmetic and of reading each weight once, for one instance, by the 45 nm table of Horowitz,
"Computing's energy problem (and what we can do about it)", ISSCC 2014. A product of floats is a multiplication and an
addition of 32 bits. A weight of +1 or -1 makes no multiplication, only the addition of a 32-bit integer, or of a float
where activations are real; that neglects what a popcount saves. Weights are read 64 bits at a time from the smallest of
the table's memories that holds them all, activations for nothing, and DRAM costs the lower end of its range.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil, prod
from typing import Any

import torch

from bnnverify.network import Shape
from bnnverify.training.binarizers import Binarize
from bnnverify.training.inputs import QuantizedPixels
from bnnverify.training.layers import BinaryConv2d, LatentWeight, MaskedWeight, RealWeight
from bnnverify.training.model import BinaryModel, Stage

ENERGY_SOURCE = "Horowitz, Computing's energy problem, ISSCC 2014, 45 nm"
FLOAT_MULTIPLY_PJ, FLOAT_ADD_PJ, INTEGER_ADD_PJ = 3.7, 0.9, 0.1
MEMORIES = ((8 << 10, 10.0), (32 << 10, 20.0), (1 << 20, 100.0))
DRAM_PJ = 1300.0
WORD_BYTES = 8


@dataclass(frozen=True)
class LayerFacts:
    """One layer: ``reads`` says what it adds up, ``n_other`` counts parameters that are no weights."""

    name: str
    kind: str
    reads: str
    output_shape: Shape
    n_weights: int
    bits: int
    n_other: int
    n_accumulated: int

    @property
    def weight_bytes(self) -> int:
        return ceil(self.n_weights * self.bits / 8)

    @property
    def arithmetic_pj(self) -> float:
        if self.bits == 32:
            return self.n_accumulated * (FLOAT_MULTIPLY_PJ + FLOAT_ADD_PJ)
        return self.n_accumulated * (FLOAT_ADD_PJ if self.reads == "reals" else INTEGER_ADD_PJ)


@dataclass(frozen=True)
class ModelFacts:
    """All layers of a model and their totals, for one instance."""

    layers: tuple[LayerFacts, ...]

    @property
    def n_weights(self) -> int:
        return sum(layer.n_weights for layer in self.layers)

    @property
    def n_accumulated(self) -> int:
        return sum(layer.n_accumulated for layer in self.layers)

    @property
    def arithmetic_uj(self) -> float:
        return sum(layer.arithmetic_pj for layer in self.layers) * 1e-6

    @property
    def memory_uj(self) -> float:
        n_bytes = sum(layer.weight_bytes for layer in self.layers)
        word_pj = next((energy for size, energy in MEMORIES if n_bytes <= size), DRAM_PJ)
        return ceil(n_bytes / WORD_BYTES) * word_pj * 1e-6

    def to_dict(self) -> dict[str, Any]:
        totals = {"n_weights": self.n_weights, "n_accumulated": self.n_accumulated}
        energies = {"arithmetic_uj": self.arithmetic_uj, "memory_uj": self.memory_uj, "energy_source": ENERGY_SOURCE}
        return {"layers": [asdict(layer) for layer in self.layers], **totals, **energies}


@torch.no_grad()
def describe(model: BinaryModel, shape: Shape) -> ModelFacts:
    """What a model consists of. Cost: one instance through it."""
    was_training = model.training
    model.eval()
    values = model.input(torch.zeros(1, *shape, device=next(model.parameters()).device))
    layers, reads = [], "levels" if isinstance(model.input, QuantizedPixels) else "bits"
    for number, stage in enumerate(model.ordered_stages(), start=1):
        sums = stage.layer(values)
        layers.append(_facts(f"layer {number}", stage, reads, tuple(sums.shape[1:])))
        values = stage(values)
        reads = "bits" if isinstance(stage.binarize, Binarize) else "reals"
    model.train(was_training)
    return ModelFacts((*layers, _score_facts(model, reads)))


def _facts(name: str, stage: Stage, reads: str, shape: Shape) -> LayerFacts:
    weight = stage.layer.weight
    kind = "conv" if isinstance(stage.layer, BinaryConv2d) else "dense"
    n_other = sum(parameter.numel() for parameter in stage.norm.parameters())
    n_accumulated = prod(weight.latent.shape[1:]) * prod(shape)
    return LayerFacts(name, kind, reads, shape, weight.latent.numel(), _bits(weight), n_other, n_accumulated)


def _score_facts(model: BinaryModel, reads: str) -> LayerFacts:
    weight = model.scores.weight
    total = sum(parameter.numel() for parameter in model.scores.parameters())
    n_latent = sum(parameter.numel() for parameter in weight.parameters())
    shape, n = (int(weight.latent.shape[0]),), weight.latent.numel()
    return LayerFacts("scores", "dense", reads, shape, n, _bits(weight), total - n_latent, n)


def _bits(weight: LatentWeight) -> int:
    inner = getattr(weight, "weight", weight)
    if isinstance(inner, RealWeight):
        return 32
    return 2 if isinstance(inner, MaskedWeight) else 1
