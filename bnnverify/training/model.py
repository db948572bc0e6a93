"""A binarized network in torch: an input, stages of layer, pooling, BatchNorm and sign, and class scores.

A stage runs in the order of a stored float layer (:class:`bnnverify.formats.floatmodel.FloatLayer`): sum, maximum of
sums, BatchNorm, sign, maximum of bits. That makes every trainable network exportable by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from bnnverify.training.binarizers import Binarize
from bnnverify.training.inputs import BinarizedPixels, Bits, NormalizedPixels, QuantizedPixels
from bnnverify.training.layers import BinaryConv2d, BinaryLinear, LatentWeight, NormalizedScores, RealWeight, Scores
from bnnverify.training.normalization import Norm, normalized

Input: TypeAlias = Bits | BinarizedPixels | NormalizedPixels | QuantizedPixels
Activation: TypeAlias = Binarize | nn.ReLU | nn.Hardtanh


class CentredDropout(nn.Module):
    """Dropout that leaves the ``centre`` of the range where a value is dropped, as dropout of centred values would.

    Args:
        chance: of each value to be dropped in training; the others move away from the centre so that their mean stays.
    """

    def __init__(self, chance: float, centre: float = 0.0) -> None:
        super().__init__()
        self.chance, self.centre = chance, centre

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or not self.chance:
            return values
        kept = torch.bernoulli(torch.full_like(values, 1 - self.chance)).div_(1 - self.chance)
        return (values - self.centre) * kept + self.centre


class Stage(nn.Module):
    """One block of a network in training.

    Args:
        layer: makes the sums.
        norm: BatchNorm of the layer's outputs.
        binarize: the sign behind it, or the activation of an ordinary network.
        sum_pool: max-pooling between the sums and the BatchNorm, or None.
        bit_pool: max-pooling of the bits, or None.
        dropout: the chance of an input to count as ``centre`` in training.
        centre: the middle of the range of inputs.
    """

    def __init__(
        self,
        layer: BinaryLinear | BinaryConv2d,
        norm: Norm,
        binarize: Activation,
        *,
        sum_pool: nn.MaxPool2d | None = None,
        bit_pool: nn.MaxPool2d | None = None,
        dropout: float = 0.0,
        centre: float = 0.0,
    ) -> None:
        super().__init__()
        self.layer, self.norm, self.binarize = layer, norm, binarize
        self.sum_pool, self.bit_pool = sum_pool, bit_pool
        self.dropout = CentredDropout(dropout, centre)

    def sums(self, values: Tensor) -> Tensor:
        """What BatchNorm reads."""
        sums: Tensor = self.layer(self.dropout(values))
        return sums if self.sum_pool is None else self.sum_pool(sums)

    def margins(self, values: Tensor) -> Tensor:
        """What the sign is taken of."""
        return normalized(self.norm, self.sums(values))

    def forward(self, values: Tensor) -> Tensor:
        bits: Tensor = self.binarize(self.margins(values))
        return bits if self.bit_pool is None else self.bit_pool(bits)


class BinaryModel(nn.Module):
    """Input, stages and class scores; called on instances ``(batch, *shape)`` in float32.

    Args:
        score_dropout: the chance of an input of the class scores to count as 0 in training.
        name: given to the exported network.
    """

    def __init__(
        self,
        input: Input,
        stages: Sequence[Stage],
        scores: Scores | NormalizedScores,
        *,
        score_dropout: float = 0.0,
        name: str = "network",
    ) -> None:
        super().__init__()
        self.input, self.stages, self.scores = input, nn.ModuleList(stages), scores
        self.score_dropout = CentredDropout(score_dropout)
        self.name = name

    def ordered_stages(self) -> tuple[Stage, ...]:
        """The stages with their type, which torch's list forgets."""
        return tuple(cast(Stage, stage) for stage in self.stages)

    def weights(self) -> tuple[LatentWeight, ...]:
        """The weights of all stages and of the class scores."""
        return (*(stage.layer.weight for stage in self.ordered_stages()), self.scores.weight)

    def forward(self, values: Tensor) -> Tensor:
        values = self.input(values)
        for stage in self.ordered_stages():
            values = stage(values)
        scores: Tensor = self.scores(self.score_dropout(values))
        return scores

    @property
    def is_binary(self) -> bool:
        """Whether all weights and activations are signs (or zeros), so that the model can be exported."""
        signs = all(isinstance(stage.binarize, Binarize) for stage in self.ordered_stages())
        return signs and not any(isinstance(weight, RealWeight) for weight in self.weights())
