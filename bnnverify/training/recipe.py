"""Recipes: everything that decides a trained network, as data. Nothing here needs torch.

A recipe is a TOML file. Its tables are the classes below, key by key, and what a key means is said there. Those that
ship with the package lie in ``recipes/``, one a network of a published system or of this project;
``bnnverify train --list`` names them. A recipe may start from another (``base = "theano_mnist"``) and say what differs.

Three more tables hold changes to the recipe's own tables, so that one file describes a whole comparison: ``quirks``,
what the original code did beside its description, off unless asked for; ``float_twin``, the ordinary network of the
same shape; ``stochastic``, its stochastically binarized one.

>>> read_recipe("theano_mnist").training.batch
100
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from bnnverify.errors import UsageError
from bnnverify.training.tables import Within, merged, read_table, read_toml

Changes: TypeAlias = Mapping[str, Any]
Count: TypeAlias = Annotated[int, Within(least=1)]
Natural: TypeAlias = Annotated[int, Within(least=0)]
Chance: TypeAlias = Annotated[float, Within(least=0, most=0.95)]
Positive: TypeAlias = Annotated[float, Within(above=0)]
Weights: TypeAlias = Literal["binary", "stochastic", "masked", "real"]

SUFFIX = ".toml"
LONGEST_CHAIN = 8
FLOAT_TWIN: Changes = {
    "network": {"weights": "real", "score_weights": "real", "activations": "relu", "norm": "batch", "bit_flips": 0.0},
    "training": {"optimizer": "adam", "rate": 1e-3, "rate_scale": "none", "mask_decay": 0.0, "bound_decay": 0.0},
}
STOCHASTIC: Changes = {"network": {"activations": "stochastic"}}
SMOKE_WIDTH, SMOKE_CHANNELS, SMOKE_IMAGES, SMOKE_TEST, SMOKE_BATCH, SMOKE_EPOCHS = 64, 8, 600, 200, 50, 2
SMOKE_VERIFIED, SMOKE_TIMEOUT, SMOKE_STEPS = 5, 2.0, 2


@dataclass(frozen=True)
class Data:
    """What a network is trained, chosen and tested on.

    ``held_out``: so many last images of the training split choose the epoch that is kept. ``images``: train on the
    first so many of the others. ``size``: height and width that images are resized to, by averaging areas.
    ``mirror`` and ``shift`` augment: images mirrored at random, and moved by up to so many pixels.
    """

    name: str
    train: str = "train"
    test: str = "test"
    held_out: Count = 5000
    images: Count | None = None
    size: tuple[Count, Count] | None = None
    mirror: bool = False
    shift: Natural = 0


@dataclass(frozen=True)
class Pixels:
    """How pixels enter: as ``levels`` 0..255 that the first layer adds up; each compared with ``threshold``; each
    compared with a ``learned`` threshold of its own; or ``quantized`` to multiples of ``step``, a fraction of the range
    of pixels, in quotation marks so that it is exact.
    """

    kind: Literal["levels", "threshold", "learned", "quantized"] = "levels"
    threshold: Annotated[int, Within(1, 255)] = 128
    step: str = "0.1"

    def __post_init__(self) -> None:
        try:
            self.exact_step  # noqa: B018
        except (ValueError, ZeroDivisionError):
            raise UsageError(f"input: step {self.step!r}, expected a decimal or a fraction such as '0.61'") from None

    @property
    def exact_step(self) -> Fraction:
        return Fraction(self.step)


@dataclass(frozen=True)
class Layer:
    """One block: a ``dense`` layer of so many neurons, or a ``conv`` layer of so many channels.

    ``pool`` takes the maximum of sums before the BatchNorm, as the founding networks do; ``bit_pool`` that of bits.
    """

    dense: Count | None = None
    conv: Count | None = None
    kernel: Count = 3
    stride: Count = 1
    padding: Natural = 0
    pool: Count | None = None
    bit_pool: Count | None = None

    def __post_init__(self) -> None:
        if (self.dense is None) == (self.conv is None):
            raise UsageError("network: layers: a layer is either dense or conv, expected one of these keys in each")


@dataclass(frozen=True)
class Architecture:
    """The blocks between pixels and class scores.

    ``weights``: +-1; drawn by the hard sigmoid while training (``stochastic``); -1, 0 and +1 (``masked``); or ``real``.
    ``score_weights`` are those of the last layer, like the others by default; with ``train_scores = false`` they stay
    as they were drawn. ``spread`` is that of the latent weights' first values. ``activations``: signs, signs drawn by
    the hard sigmoid while training, or those of an ordinary network. ``slope`` is the straight-through estimator.
    ``scores``: sums times one learned scale, and a bias a class; BatchNorm of sums (``normalized``); or the ``sums``.
    ``bit_flips`` is the chance of each weight to flip in each forward pass of the training.
    """

    layers: tuple[Layer, ...]
    classes: Annotated[int, Within(least=2)] = 10
    weights: Weights = "binary"
    score_weights: Weights | None = None
    train_scores: bool = True
    spread: Positive | None = None
    activations: Literal["sign", "stochastic", "relu", "hard-tanh"] = "sign"
    slope: Literal["hard-tanh", "approx-sign", "swish", "tanh"] = "hard-tanh"
    norm: Literal["batch", "shift"] = "batch"
    norm_eps: Positive = 1e-5
    norm_momentum: Annotated[float, Within(above=0, most=1)] = 0.1
    scores: Literal["scaled", "normalized", "sums"] = "scaled"
    input_dropout: Chance = 0.0
    dropout: Chance = 0.0
    bit_flips: Annotated[float, Within(0, 0.5)] = 0.0

    @property
    def is_binary(self) -> bool:
        """Whether the trained network is one that can be exported and verified."""
        return self.bits_between and "real" not in (self.weights, self.score_weights)

    @property
    def bits_between(self) -> bool:
        """Whether blocks pass signs to each other."""
        return self.activations in ("sign", "stochastic")


@dataclass(frozen=True)
class Training:
    """How weights move.

    ``rate_scale = "glorot"`` multiplies the rate of each layer's latent weights as the Theano code does. Schedules:
    ``cosine`` to 0, ``constant``, ``exponential`` from ``rate`` to ``final_rate``, ``halving`` every ``halve_every``
    epochs. ``margin`` is that of the loss ``modified-hinge``, ``flip_threshold`` that of the optimizer ``bop``.
    ``mask_decay``, ``bound_decay`` and ``bound_slack`` make networks that are cheap to verify
    (:mod:`bnnverify.training.penalties`). ``recalibrate`` measures every BatchNorm anew before the export.
    """

    epochs: Count
    batch: Annotated[int, Within(least=2)] = 100
    loss: Literal["cross-entropy", "squared-hinge", "modified-hinge"] = "cross-entropy"
    margin: Positive = 128.0
    optimizer: Literal["adam", "adamax", "shift-adamax", "sgd", "bop"] = "adam"
    rate: Positive = 2e-3
    rate_scale: Literal["none", "glorot"] = "none"
    schedule: Literal["cosine", "constant", "exponential", "halving"] = "cosine"
    final_rate: Positive = 1e-6
    halve_every: Count = 20
    momentum: Annotated[float, Within(0, 0.9999)] = 0.0
    flip_threshold: Annotated[float, Within(least=0)] = 1e-6
    mask_decay: Annotated[float, Within(least=0)] = 0.0
    bound_decay: Annotated[float, Within(least=0)] = 0.0
    bound_slack: Annotated[float, Within(least=0)] = 5.0
    recalibrate: bool = False
    seed: Natural = 0


@dataclass(frozen=True)
class Attack:
    """What the training is attacked with: pixels changed by up to ``radius`` grey levels (``linf``), or up to
    ``radius`` bits of a network of binarized pixels flipped (``hamming``). The radius grows over the first ``ramp`` of
    the epochs.
    """

    norm: Literal["linf", "hamming"]
    radius: Natural
    steps: Count = 5
    ramp: Annotated[float, Within(0, 1)] = 0.4


@dataclass(frozen=True)
class Verification:
    """What ``--report`` asks, at every radius, about the first ``images`` test images, each for ``timeout`` seconds.

    ``feed``: after each epoch ask about so many training images at the greatest radius, and train on the
    counterexamples from then on, ``share`` of a batch.
    """

    norm: Literal["linf", "hamming"]
    radii: tuple[Count, ...] = (1, 2, 3)
    images: Count = 100
    timeout: Positive = 10.0
    steps: Count = 20
    feed: Natural = 0
    share: Annotated[float, Within(0, 1)] = 0.25


@dataclass(frozen=True)
class Recipe:
    """A whole recipe. ``published`` is what its source reports, as text; ``source`` is that source."""

    title: str
    data: Data
    network: Architecture
    training: Training
    input: Pixels = Pixels()
    source: str = ""
    published: str = ""
    attack: Attack | None = None
    verify: Verification | None = None
    quirks: Mapping[str, Any] = field(default_factory=dict)
    float_twin: Mapping[str, Any] = field(default_factory=dict)
    stochastic: Mapping[str, Any] = field(default_factory=dict)
    name: str = "recipe"

    def __post_init__(self) -> None:
        for table in (self.attack, self.verify):
            if table is not None and table.norm == "hamming" and self.input.kind != "threshold":
                raise UsageError(
                    f"{self.name}: the norm hamming flips bits of single pixels, expected input kind = 'threshold', "
                    f"found {self.input.kind!r}"
                )

    def changed(self, changes: Changes) -> Recipe:
        """The recipe with changes laid over its tables.

        Raises:
            UsageError: if they do not make a recipe.
        """
        return read_table(Recipe, merged(self.to_dict(), changes), self.name)

    def with_quirks(self) -> Recipe:
        """As the original's code trained it."""
        if not self.quirks:
            raise UsageError(f"{self.name}: lists no quirks of an original, so --quirks has nothing to turn on")
        return self.changed(self.quirks)

    def twin(self) -> Recipe:
        """The ordinary network of the same shape."""
        return self.changed(merged(FLOAT_TWIN, self.float_twin))

    def deterministic(self) -> Recipe:
        """With signs, as they are in evaluation, also while training."""
        found = {"weights": self.network.weights, "score_weights": self.network.score_weights}
        ternary = {name: "masked" if kind == "masked" else "binary" for name, kind in found.items() if kind is not None}
        return self.changed({"network": {**ternary, "activations": "sign"}})

    def stochastic_twin(self) -> Recipe:
        """With signs that are drawn while training."""
        return self.deterministic().changed(self.stochastic or STOCHASTIC)

    def smoke(self) -> Recipe:
        """The same in everything but size: it trains in seconds."""
        network, data, training = self.network, self.data, self.training
        few = min(SMOKE_IMAGES, data.images or SMOKE_IMAGES)
        checked = self.verify and replace(
            self.verify,
            images=min(self.verify.images, SMOKE_VERIFIED),
            timeout=min(self.verify.timeout, SMOKE_TIMEOUT),
            steps=min(self.verify.steps, SMOKE_STEPS),
            feed=min(self.verify.feed, SMOKE_VERIFIED),
        )
        return replace(
            self,
            network=replace(network, layers=tuple(_narrow(layer) for layer in network.layers)),
            data=replace(data, images=few, held_out=min(data.held_out, SMOKE_TEST)),
            training=replace(
                training, epochs=min(training.epochs, SMOKE_EPOCHS), batch=min(training.batch, SMOKE_BATCH)
            ),
            attack=self.attack and replace(self.attack, steps=min(self.attack.steps, SMOKE_STEPS)),
            verify=checked,
        )

    def to_dict(self) -> dict[str, Any]:
        """The tables, without what is not set."""
        tables: dict[str, Any] = _without_none(asdict(self))
        return tables


def _narrow(layer: Layer) -> Layer:
    if layer.dense is not None:
        return replace(layer, dense=min(layer.dense, SMOKE_WIDTH))
    assert layer.conv is not None
    return replace(layer, conv=min(layer.conv, SMOKE_CHANNELS))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, tuple) else value


def recipe_names() -> tuple[str, ...]:
    """The recipes that ship with the package, by name."""
    names = (entry.name for entry in _shipped().iterdir())
    return tuple(sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)))


def read_recipe(name: str | Path) -> Recipe:
    """A recipe by its name, or from a file whose name ends in .toml.

    Raises:
        UsageError: if there is none, or it is not a recipe; the message names the key.
    """
    where = Path(name).name.removesuffix(SUFFIX)
    recipe = read_table(Recipe, {"name": where, **_tables(str(name), None, LONGEST_CHAIN)}, where)
    for changes in (recipe.quirks, FLOAT_TWIN, recipe.float_twin, recipe.stochastic):
        recipe.changed(changes)
    return recipe


def _shipped() -> Any:
    return files("bnnverify.training") / "recipes"


def _tables(name: str, folder: Path | None, steps_left: int) -> dict[str, Any]:
    """The tables of a recipe laid over those of its base; ``folder`` is where a base given as a file lies."""
    if not steps_left:
        raise UsageError(f"{name}: more than {LONGEST_CHAIN} recipes, each the base of another; expected fewer")
    path = _path_of(name, folder)
    tables = read_toml(path)
    base = tables.pop("base", None)
    if base is None:
        return tables
    if not isinstance(base, str):
        raise UsageError(f"{name}: base: found {base!r}, expected the name of a recipe")
    return merged(_tables(base, path.parent, steps_left - 1), tables)


def _path_of(name: str, folder: Path | None) -> Path:
    if name.endswith(SUFFIX):
        return Path(name) if folder is None else folder / name
    if name not in recipe_names():
        raise UsageError(
            f"no recipe {name!r}: expected a file that ends in {SUFFIX}, or a name that `bnnverify train --list` prints"
        )
    return Path(str(_shipped() / f"{name}{SUFFIX}"))
