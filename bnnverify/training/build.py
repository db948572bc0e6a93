"""From a recipe to what trains: the model, its loss, optimizers, schedule and attack.

First weights are drawn in the order of the layers, so ``torch.manual_seed`` before :func:`build_model` makes them
repeat. Nothing is decided here that the recipe does not say.
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim import SGD, Adam, Adamax, Optimizer

from bnnverify.errors import UsageError
from bnnverify.network import QuantizedInput, Shape, ThresholdInput
from bnnverify.training import recipe as data
from bnnverify.training.adamax import ShiftAdaMax
from bnnverify.training.attacks import Attack, BitAttack, PixelAttack
from bnnverify.training.augmentation import Augmentation
from bnnverify.training.binarizers import Binarize, Slope, SwishSlope, TanhSlope, approx_sign_slope, hard_tanh_slope
from bnnverify.training.bop import Bop
from bnnverify.training.counterexamples import CounterexampleFeed
from bnnverify.training.inputs import BinarizedPixels, NormalizedPixels, QuantizedPixels, uniform_steps
from bnnverify.training.layers import (
    BinaryConv2d,
    BinaryLinear,
    BinaryWeight,
    FlippedWeight,
    LatentWeight,
    MaskedWeight,
    NormalizedScores,
    RealWeight,
    Scores,
)
from bnnverify.training.losses import modified_hinge, squared_hinge
from bnnverify.training.model import Activation, BinaryModel, Input, Stage
from bnnverify.training.normalization import Norm, ShiftBatchNorm
from bnnverify.training.rates import parameter_groups
from bnnverify.training.recipe import Architecture, Layer, Recipe, Training
from bnnverify.training.schedules import Constant, Cosine, Exponential, Halving, Schedule
from bnnverify.training.settings import Loss, Settings

MAX_PIXEL = 255


def build_model(recipe: Recipe, shape: Shape) -> BinaryModel:
    """A model with fresh weights for images of a shape ``(channels, height, width)``.

    Raises:
        UsageError: if the layers do not fit the images.
    """
    network = recipe.network
    entered = _input(recipe.input, shape)
    centre = entered.layer.max_level / 2 if isinstance(entered, QuantizedPixels) else 0.0
    stages: list[Stage] = []
    for number, layer in enumerate(network.layers):
        dropout = network.dropout if number else network.input_dropout
        bits = network.bits_between if number else isinstance(entered, BinarizedPixels | NormalizedPixels)
        stages.append(_stage(network, layer, shape, dropout, 0.0 if number else centre, reads_bits=bits))
        shape = _shape_after(layer, shape, number + 1)
    scores = _scores(network, prod(shape))
    if not network.train_scores:
        scores.requires_grad_(False)
    return BinaryModel(entered, stages, scores, score_dropout=network.dropout, name=recipe.name)


def _input(pixels: data.Pixels, shape: Shape) -> Input:
    if pixels.kind == "levels":
        return QuantizedPixels(QuantizedInput(shape, MAX_PIXEL))
    if pixels.kind == "quantized":
        return QuantizedPixels(QuantizedInput(shape, MAX_PIXEL, uniform_steps(pixels.exact_step, MAX_PIXEL)))
    if pixels.kind == "learned":
        return NormalizedPixels(shape, max_value=MAX_PIXEL)
    thresholds = np.full(prod(shape), pixels.threshold)
    return BinarizedPixels(ThresholdInput(thresholds, np.ones(prod(shape), dtype=bool), MAX_PIXEL, shape))


def _stage(
    network: Architecture, layer: Layer, shape: Shape, dropout: float, centre: float, *, reads_bits: bool
) -> Stage:
    features = layer.dense or layer.conv or 0
    if layer.dense is not None:
        weight = _weight(network, (features, prod(shape)))
        product: BinaryLinear | BinaryConv2d = BinaryLinear(weight, reads_bits=reads_bits)
    else:
        kernel = (features, shape[0], layer.kernel, layer.kernel)
        stride, padding = (layer.stride, layer.stride), (layer.padding, layer.padding)
        product = BinaryConv2d(_weight(network, kernel), stride=stride, padding=padding)
    return Stage(
        product,
        _norm(network, features, flat=layer.dense is not None),
        _activation(network),
        sum_pool=_pool(layer.pool),
        bit_pool=_pool(layer.bit_pool),
        dropout=dropout,
        centre=centre,
    )


def _pool(size: int | None) -> nn.MaxPool2d | None:
    return None if size is None else nn.MaxPool2d(size)


def _shape_after(layer: Layer, shape: Shape, number: int) -> Shape:
    """The shape of a layer's outputs, pooled.

    Raises:
        UsageError: if nothing is left of the image, or a pool has no image to work on.
    """
    pools = [size for size in (layer.pool, layer.bit_pool) if size is not None]
    if layer.dense is not None:
        if pools:
            raise UsageError(f"network: layer {number}: pools a dense layer, expected pools behind convolutions alone")
        return (layer.dense,)
    if len(shape) != 3:
        raise UsageError(f"network: layer {number}: a convolution behind a dense layer, expected convolutions first")
    sides = [(side + 2 * layer.padding - layer.kernel) // layer.stride + 1 for side in shape[1:]]
    for size in pools:
        sides = [side // size for side in sides]
    if min(sides) < 1:
        raise UsageError(f"network: layer {number}: nothing is left of an image of {shape[1]}x{shape[2]} pixels")
    assert layer.conv is not None
    return (layer.conv, *sides)


def _weight(network: Architecture, shape: tuple[int, ...], kind: str | None = None) -> LatentWeight:
    kind = kind or network.weights
    spread = {} if network.spread is None else {"spread": network.spread}
    if kind == "real":
        return RealWeight(shape)
    if kind == "masked":
        weight: BinaryWeight | MaskedWeight = MaskedWeight(shape, **spread)
    else:
        weight = BinaryWeight(shape, **spread, stochastic=kind == "stochastic")
    return FlippedWeight(weight, network.bit_flips) if network.bit_flips else weight


def _norm(network: Architecture, features: int, *, flat: bool) -> Norm:
    options: dict[str, Any] = {"eps": network.norm_eps, "momentum": network.norm_momentum}
    if network.norm == "shift":
        return ShiftBatchNorm(features, **options)
    return nn.BatchNorm1d(features, **options) if flat else nn.BatchNorm2d(features, **options)


def _activation(network: Architecture) -> Activation:
    if network.activations == "relu":
        return nn.ReLU()
    if network.activations == "hard-tanh":
        return nn.Hardtanh()
    return Binarize(_slope(network.slope), stochastic=network.activations == "stochastic")


def _slope(name: str) -> Slope:
    slopes: dict[str, Any] = {
        "hard-tanh": lambda: hard_tanh_slope,
        "approx-sign": lambda: approx_sign_slope,
        "swish": SwishSlope,
        "tanh": TanhSlope,
    }
    slope: Slope = slopes[name]()
    return slope


def _scores(network: Architecture, n_inputs: int) -> Scores | NormalizedScores:
    weight = _weight(network, (network.classes, n_inputs), network.score_weights)
    if network.scores == "normalized":
        return NormalizedScores(weight, _norm(network, network.classes, flat=True))
    return Scores(weight, plain=network.scores == "sums")


def build_settings(recipe: Recipe) -> Settings:
    """How the model of a recipe is trained."""
    training, augmented = recipe.training, recipe.data.mirror or recipe.data.shift
    attack = recipe.attack
    feed = recipe.verify and recipe.verify.feed
    return Settings(
        n_epochs=training.epochs,
        batch_size=training.batch,
        learning_rate=training.rate,
        seed=training.seed,
        attack=None if attack is None else build_attack(attack.norm, attack.radius, attack.steps),
        ramp=0.4 if attack is None else attack.ramp,
        mask_decay=training.mask_decay,
        bound_decay=training.bound_decay,
        bound_slack=training.bound_slack,
        loss=_loss(training),
        schedule=_schedule(training),
        augmentation=Augmentation(recipe.data.mirror, recipe.data.shift) if augmented else None,
        feed=CounterexampleFeed.of(recipe.verify) if recipe.verify is not None and feed else None,
        feed_share=0.25 if recipe.verify is None else recipe.verify.share,
    )


def build_attack(norm: str, radius: int, n_steps: int) -> Attack:
    """Grey levels for linf, bits for hamming."""
    return PixelAttack(radius, n_steps) if norm == "linf" else BitAttack(radius, n_steps)


def _loss(training: Training) -> Loss:
    if training.loss == "modified-hinge":
        return partial(modified_hinge, margin=training.margin)
    return squared_hinge if training.loss == "squared-hinge" else functional.cross_entropy


def _schedule(training: Training) -> Schedule:
    if training.schedule == "exponential":
        return Exponential(training.final_rate / training.rate)
    if training.schedule == "halving":
        return Halving(training.halve_every)
    return Cosine() if training.schedule == "cosine" else Constant()


def build_optimizers(recipe: Recipe, model: BinaryModel) -> list[Optimizer]:
    """Which together move all parameters that are to be moved.

    Raises:
        UsageError: if Bop is to flip weights that are not plain signs.
    """
    training = recipe.training
    if training.optimizer == "bop":
        return _bop(training, model)
    groups: Any = [{"params": [p for p in model.parameters() if p.requires_grad], "lr": training.rate}]
    if training.rate_scale == "glorot":
        groups = parameter_groups(model, training.rate)
    if training.optimizer == "sgd":
        return [SGD(groups, lr=training.rate, momentum=training.momentum)]
    if training.optimizer == "shift-adamax":
        factors = [{"params": g["params"], "factor": g["lr"] / training.rate} for g in groups]
        return [ShiftAdaMax(factors, lr=training.rate)]
    if training.optimizer == "adamax":
        return [Adamax(groups, lr=training.rate)]
    return [Adam(groups, lr=training.rate, fused=True)]


def _bop(training: Training, model: BinaryModel) -> list[Optimizer]:
    """Bop for the weights, Adam at its usual rate for the rest."""
    weights = [weight for weight in model.weights() if isinstance(weight, BinaryWeight)]
    if len(weights) != len(model.weights()):
        raise UsageError("training: the optimizer bop flips binary weights, expected weights = 'binary', no bit_flips")
    latent = {id(weight.latent) for weight in weights}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in latent]
    return [Bop(weights, lr=training.rate, threshold=training.flip_threshold), Adam(rest)]


def seeded_model(recipe: Recipe, shape: Shape, device: torch.device) -> BinaryModel:
    """A model whose weights and everything random behind them come from the recipe's seed."""
    torch.manual_seed(recipe.training.seed)
    return build_model(recipe, shape).to(device)
