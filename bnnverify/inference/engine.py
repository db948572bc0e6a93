"""The bit engine: a network compiled to packed weights, which executes whatever is shown to a user.

A batch is packed, runs through the steps of :mod:`bnnverify.inference.program` in slabs that fit the second
cache, and ends in one exact integer key a class (:mod:`bnnverify.scores`), whose maximum is unique.
Cost: a dense block of n inputs and m neurons takes ``n m / 512`` vector operations of three
instructions an instance. Compiled engines are kept as long as their network lives.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from math import prod
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from bnnverify.bits import n_words
from bnnverify.errors import InputFormatError, UsageError
from bnnverify.inference.entry import Entry
from bnnverify.inference.program import Backend, Program, compile_network, unpack_layer
from bnnverify.network import Block, ConvBlock, Layer, Network, Shape
from bnnverify.scores import ScoreKeys, score_keys

SLAB_BYTES = 1 << 20
BIT_OPERATIONS_WORTH_A_THREAD = 1 << 31

T = TypeVar("T")


class BitEngine:
    """A network ready to run on packed bits.

    Args:
        network: any network; a first block may read quantized integers.
        backend: ``numba`` (the default where it can be imported) or ``numpy``.

    Raises:
        UnsupportedError: if quantized integers do not feed a dense or convolutional block.
        UsageError: if the backend is neither of the two.
    """

    def __init__(self, network: Network, *, backend: str | None = None) -> None:
        self.backend = _default_backend() if backend is None else backend
        self._kernels = _load_kernels(self.backend)
        self._program = compile_network(network)
        self._entry = Entry(network.input, self._program.n_planes, self._kernels)
        self._shapes, self._output = network.shapes, network.output
        self._slab_rows = max(1, SLAB_BYTES // _bytes_per_instance(network))
        self.bit_operations = _bit_operations(network)
        self._keys: dict[tuple[int, ...] | None, ScoreKeys] = {}

    @property
    def program(self) -> Program:
        """The compiled steps; shared, so not to be changed."""
        return self._program

    @property
    def kernels(self) -> Backend:
        """The bit operations that the steps run on."""
        return self._kernels

    @property
    def slab_rows(self) -> int:
        """How many instances pass the steps together."""
        return self._slab_rows

    def pack(self, X: Any) -> NDArray[Any]:
        """Checked instances as packed words, see :class:`bnnverify.inference.entry.Entry`."""
        return self._entry.pack(X)

    def first_values(self, packed: NDArray[Any]) -> NDArray[Any]:
        """Packed instances as the first step reads them."""
        return self._first(packed)

    def winners(self, sums: NDArray[np.int64]) -> NDArray[np.int64]:
        """Classes ``(batch,)`` of the sums ``(batch, n_classes)``; ties go to the lowest."""
        keys = self._score_keys(None)
        classes: NDArray[np.int64] = np.argmax(sums * keys.slopes + keys.offsets, axis=1)
        return classes.astype(np.int64, copy=False)

    def classify(self, X: Any, order: Sequence[int] | None = None, *, jobs: int = 1) -> NDArray[np.int64]:
        """Classes of instances.

        Args:
            X: ``(batch, n_inputs)``, ``(batch, *shape)`` or one instance, in the network's own input scale.
            order: the classes in the order in which they win ties; lowest first by default.
            jobs: threads over slices of the batch; work of less than about a millisecond stays on one.

        Returns:
            ``(batch,)`` int64.

        Raises:
            InputFormatError: if values or shape do not fit the network.
        """
        winners: NDArray[np.int64] = np.argmax(self.keys(X, order, jobs=jobs), axis=1)
        return winners.astype(np.int64, copy=False)

    def keys(self, X: Any, order: Sequence[int] | None = None, *, jobs: int = 1) -> NDArray[np.int64]:
        """Exact integer keys ``(batch, n_classes)`` in the order of the scores; the greatest is the class."""
        keys = self._score_keys(order)
        return self.sums(X, jobs=jobs) * keys.slopes + keys.offsets

    def sums(self, X: Any, *, jobs: int = 1) -> NDArray[np.int64]:
        """The integer sum ``w_c . h`` of each class before scale and bias, ``(batch, n_classes)``."""
        return np.concatenate(self._over_slabs(self._slab_sums, X, jobs))

    def layer_bits(self, X: Any) -> list[NDArray[np.int8]]:
        """The activations after each block, ``(batch, *shape)`` of +1/-1 each."""
        slabs = self._over_slabs(self._slab_layers, X, 1)
        return [np.concatenate(parts) for parts in zip(*slabs, strict=True)]

    def _score_keys(self, order: Sequence[int] | None) -> ScoreKeys:
        name = None if order is None else tuple(order)
        if name not in self._keys:
            _require_order(name, self._output.n_classes)
            self._keys[name] = score_keys(self._output, name)
        return self._keys[name]

    def _over_slabs(self, act: Callable[[NDArray[Any]], T], X: Any, jobs: int) -> list[T]:
        """Pack all instances, then treat one slab after the other, or ``jobs`` at a time."""
        packed = self._entry.pack(X)
        batch = len(packed)
        threaded = jobs > 1 and batch * self.bit_operations >= jobs * BIT_OPERATIONS_WORTH_A_THREAD
        rows = min(self._slab_rows, -(-batch // jobs)) if threaded else self._slab_rows
        slabs = [packed[start : start + rows] for start in range(0, max(batch, 1), rows)]
        if not threaded:
            return [act(slab) for slab in slabs]
        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(act, slabs))

    def _slab_sums(self, packed: NDArray[Any]) -> NDArray[np.int64]:
        values = self._first(packed)
        for step in self._program.steps:
            values = step.run(self._kernels, values)
        return self._program.output_sums(self._kernels, values)

    def _slab_layers(self, packed: NDArray[Any]) -> list[NDArray[np.int8]]:
        values, layers = self._first(packed), []
        for step, shape in zip(self._program.steps, self._shapes[1:], strict=True):
            values = step.run(self._kernels, values)
            layers.append(unpack_layer(values, shape))
        return layers

    def _first(self, packed: NDArray[Any]) -> NDArray[Any]:
        """Instances as the first step wants them: as they are, or as images."""
        if not self._program.image_first:
            return packed
        channels, height, width = self._shapes[0]
        images = self._kernels.to_images(packed.reshape(-1, packed.shape[-1]), (channels, height, width))
        return images.reshape(*packed.shape[:-1], *images.shape[1:])


_ENGINES: weakref.WeakKeyDictionary[Network, dict[str | None, BitEngine]] = weakref.WeakKeyDictionary()


def engine_of(network: Network, *, backend: str | None = None) -> BitEngine:
    """The network's compiled engine, built at the first call and kept as long as the network lives."""
    engines = _ENGINES.setdefault(network, {})
    if backend not in engines:
        engines[backend] = BitEngine(network, backend=backend)
    return engines[backend]


def predict(network: Network, X: Any, *, jobs: int = 1, backend: str | None = None) -> NDArray[np.int64]:
    """The class of each instance, by exact comparison of scores; ties go to the lowest class.

    Args:
        X: ``(batch, n_inputs)``, ``(batch, *shape)`` or one instance, in the network's own input scale:
            bits as 0/1 or -1/+1, pixels or quantized levels as ``0..max_value``.
        jobs: threads over slices of the batch.
        backend: ``numba`` (the default where it can be imported) or ``numpy``.

    Returns:
        ``(batch,)`` int64; one instance gives an array of one.

    Raises:
        InputFormatError: if values or shape do not fit the network.
        UnsupportedError: if quantized integers do not feed a dense or convolutional block.

    >>> from bnnverify.network import Block, Output
    >>> network = Network([Block([[1, 1, -1]], [1])], Output([[1], [-1]]))
    >>> predict(network, [[1, 1, -1], [-1, -1, 1]]).tolist()
    [0, 1]
    """
    return engine_of(network, backend=backend).classify(X, jobs=jobs)


def replay(network: Network, x: Any, order: Sequence[int] | None = None) -> int:
    """The class of one instance on the bit engine; ties go to the class that comes first in ``order``.

    Raises:
        InputFormatError: if ``x`` is not exactly one instance of the network.
    """
    classes = engine_of(network).classify(x, order)
    if len(classes) != 1:
        raise InputFormatError(f"replay: found {len(classes)} instances, expected one of {network.n_inputs} values")
    return int(classes[0])


def _default_backend() -> str:
    try:
        import_module("numba")
    except ImportError:
        return "numpy"
    return "numba"


def _load_kernels(backend: str) -> Backend:
    modules = {"numba": "bnnverify.inference.kernels", "numpy": "bnnverify.inference.fallback"}
    if backend not in modules:
        raise UsageError(f"backend {backend!r}: expected numba or numpy")
    return cast(Backend, import_module(modules[backend]))


def _require_order(order: tuple[int, ...] | None, n_classes: int) -> None:
    if order is not None and sorted(order) != list(range(n_classes)):
        raise UsageError(f"order {order}: expected each of the classes 0..{n_classes - 1} once")


def _bytes_per_instance(network: Network) -> int:
    """Packed bytes that the widest layer reads and writes for one instance."""
    sizes = [n_words(network.n_inputs)]
    for block, shape in zip(network.blocks, network.shapes[1:], strict=True):
        sizes.append(prod(shape[1:]) * (_gathered_words(block) + n_words(shape[0])))
    return 8 * max(sizes)


def _gathered_words(block: Layer) -> int:
    return n_words(prod(block.weights.shape[1:])) if isinstance(block, Block | ConvBlock) else 0


def _bit_operations(network: Network) -> int:
    """Multiplications and additions that one instance stands for, two a weight and position."""
    layers = zip((*network.blocks, network.output), (*network.shapes[1:], ()), strict=True)
    return sum(2 * block.weights.size * _positions(shape) for block, shape in layers if hasattr(block, "weights"))


def _positions(shape: Shape) -> int:
    return prod(shape[1:])
