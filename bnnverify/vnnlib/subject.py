"""The network that a property is about, on a grid of inputs that a property's boxes call for.

An ONNX input is a real number, and the bit engine runs on whole numbers, so inputs are looked at as ``unit * pixel +
offset``: whole numbers where all bounds are whole, else multiples of a power of two fine enough for each box. Every
grid point is exact in float32. The folded network is exact on the grid; whether it is exact for all reals too is worked
out neuron by neuron (:func:`is_exact_for_reals`), since a threshold that was rounded up to a whole number is not.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import InputFormatError, ModelFormatError, UnsupportedError
from bnnverify.folding import Affine, output_scores, reach
from bnnverify.formats.archive import MAX_BYTES
from bnnverify.formats.floatmodel import BinarizedPixels, FloatModel, Folded, PixelScale, RawPixels, fold
from bnnverify.formats.onnx_file import Graph, graph_of
from bnnverify.formats.onnx_read import model_of
from bnnverify.formats.onnx_zero import zero_sum
from bnnverify.formats.unstated import Unstated
from bnnverify.network import Block, ConvBlock, Network, ThresholdInput
from bnnverify.vnnlib.expressions import GZIP_MAGIC
from bnnverify.vnnlib.property import REAL, Case, Property, Tensor

GREATEST_PIXEL = 65535
FINEST = 20
POINTS_WANTED = 4
ONNX_NAMES = {"float": "float32", "double": "float64"}

Longs = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """Inputs ``unit * pixel + offset`` for pixels 0..max_pixel."""

    unit: Fraction
    offset: int
    max_pixel: int

    def exact(self, values: Sequence[Fraction]) -> list[Fraction]:
        """Inputs in units of pixels, which need not be whole."""
        return [(value - self.offset) / self.unit for value in values]

    def inputs(self, pixels: Longs) -> list[Fraction]:
        return [self.unit * int(pixel) + self.offset for pixel in pixels]

    def inside(self, case: Case) -> tuple[list[int], list[int]]:
        """The least and greatest pixels of a box."""
        return [ceil(v) for v in self.exact(case.low)], [floor(v) for v in self.exact(case.high)]


@dataclass(frozen=True, eq=False)
class Subject:
    """A network read for a property.

    Args:
        content: the ONNX file, for a runtime, which feeds it an ``input_shape`` behind a batch axis of 1.
        order: for each network input, its flat index in the file's input.
        is_exact_for_reals: whether thresholds between grid points are exact as well.
        has_exact_scores: whether scores are rational, so that their comparison was not rounded.
    """

    network: Network
    content: bytes
    input_shape: tuple[int, ...]
    order: NDArray[np.intp]
    grid: Grid
    is_exact_for_reals: bool
    has_exact_scores: bool

    def box(self, case: Case) -> tuple[Longs, Longs]:
        """The grid points of a box, in the network's order; empty where a low exceeds its high."""
        low, high = (np.array(side, dtype=np.int64)[self.order] for side in self.grid.inside(case))
        return low, high

    def real_box(self, case: Case) -> tuple[list[Fraction], list[Fraction]]:
        """The box itself, in pixels and in the network's order."""
        low, high = (self.grid.exact(side) for side in (case.low, case.high))
        return [low[i] for i in self.order], [high[i] for i in self.order]

    def inputs(self, pixels: Longs) -> list[Fraction]:
        """Pixels in the network's order as inputs in the file's."""
        in_file = np.empty_like(pixels)
        in_file[self.order] = pixels
        return self.grid.inputs(in_file)


def load_subject(path: Path, prop: Property, cases: Sequence[Case]) -> Subject:
    """Read an ONNX file, plain or gzipped, for some boxes of a property, at least one.

    Raises:
        ModelFormatError: if the file is no binarized network that is read here.
        InputFormatError: if the property does not fit the network.
        UnsupportedError: if the boxes are too wide, or types are declared for which answers would not be sound.
    """
    content = _content(path)
    name = path.name.removesuffix(".gz").removesuffix(".onnx")
    grid = grid_of(cases)
    unstated = Unstated(pixels=PixelScale(grid.unit, Fraction(grid.offset), grid.max_pixel))
    try:
        graph = graph_of(content)
        _require_fit(prop, graph)
        model, order = model_of(graph, name, unstated)
        folded = fold(model)
    except ModelFormatError as error:
        raise ModelFormatError(f"{path.name}: {error}") from None
    if prop.output.size != folded.network.n_classes:
        raise InputFormatError(
            f"the property has {prop.output.size} outputs, expected {folded.network.n_classes} (of the network)"
        )
    if prop.version == 2:
        _require_sound_types(prop, graph, folded.network)
    has_exact_scores = output_scores(model.output.name, model.output.neurons())[2]
    is_exact = is_exact_for_reals(model, folded)
    return Subject(folded.network, content, graph.input_shape, order, grid, is_exact, has_exact_scores)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        if content.startswith(GZIP_MAGIC):
            with gzip.open(path, "rb") as stream:
                content = stream.read(MAX_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ModelFormatError(f"{path.name}: a damaged or truncated .gz file") from None
    except OSError as error:
        raise ModelFormatError(f"{path.name}: cannot be read ({error.strerror})") from None
    return content


def _require_fit(prop: Property, graph: Graph) -> None:
    if any(node.operator == "ArgMax" for node in graph.nodes):
        raise ModelFormatError("ends in ArgMax, expected scores, which a property compares")
    shape = graph.input_shape
    if prop.version == 2 and prop.input.shape not in (shape, (1, *shape)):
        raise InputFormatError(
            f"the property's input has the shape {list(prop.input.shape)}, expected {[1, *shape]} (of the network)"
        )
    size = int(np.prod(shape))
    if prop.input.size != size:
        raise InputFormatError(f"the property has {prop.input.size} inputs, expected {size} (of the network)")


def _require_sound_types(prop: Property, graph: Graph, network: Network) -> None:
    """What version 2 demands: declared types are the file's, or ``real``, and answers are sound for them."""
    for tensor, found in ((prop.input, graph.input_type), (prop.output, graph.output_type)):
        found = ONNX_NAMES.get(found, found)
        if tensor.element not in (REAL, found):
            raise InputFormatError(
                f"{tensor.name} is declared {tensor.spelled}, expected {found} (of the network) or real"
            )
    if prop.input.element != REAL and not prop.input.is_integer:
        raise UnsupportedError(_unsound(prop.input))
    output = network.output
    assert output.scale is not None
    assert output.bias is not None
    is_sum = bool((output.scale == 1).all() and not output.bias.any())
    ends_in_sums = all(node.operator not in ("Softmax", "Mul", "Div") for node in graph.nodes[-1:])
    if prop.output.element != REAL and not (is_sum and ends_in_sums):
        raise UnsupportedError(_unsound(prop.output))


def _unsound(tensor: Tensor) -> str:
    return (
        f"{tensor.name} is declared {tensor.spelled}, whose rounding is not analysed; "
        "declare it real for an answer in exact arithmetic"
    )


def grid_of(cases: Sequence[Case]) -> Grid:
    """The coarsest grid that serves every box.

    Raises:
        UnsupportedError: if the boxes are so wide that even whole numbers are too many.
    """
    least = min(min(case.low) for case in cases)
    greatest = max(max(case.high) for case in cases)
    offset = min(0, floor(least))
    span = ceil(greatest) - offset
    if span > GREATEST_PIXEL:
        raise UnsupportedError(f"inputs of a range of {span}, expected at most {GREATEST_PIXEL}")
    bits = _bits_wanted(cases)
    while bits and span << bits > GREATEST_PIXEL:
        bits -= 1
    return Grid(Fraction(1, 1 << bits), offset, max(1, span << bits))


def _bits_wanted(cases: Sequence[Case]) -> int:
    """0 if all bounds are whole; else so many that each range of inputs holds a few points."""
    widths = {high - low for case in cases for low, high in zip(case.low, case.high, strict=True)}
    bounds = {value.denominator for case in cases for value in (*case.low, *case.high)}
    if bounds == {1}:
        return 0
    narrowest = min((width for width in widths if width > 0), default=Fraction(1))
    return next((bits for bits in range(1, FINEST) if narrowest * (1 << bits) >= POINTS_WANTED), FINEST)


def is_exact_for_reals(model: FloatModel, folded: Folded) -> bool:
    """Whether the folded network's whole-number thresholds are right for inputs between grid points as well.

    A neuron is +1 where its real sum reaches a root. Folding rounds the root up; nothing is lost if it is a whole
    number, reached by a sum that rises with the neuron, or if no sum reaches it. Zero counts as +1 there, which the
    reader has made sure of for each whole root.
    """
    network, source = folded.network, model.input
    if isinstance(source, BinarizedPixels):
        assert isinstance(network.input, ThresholdInput)
        scale = source.pixels
        neurons = [source.norm.apply(i, scale.scale, scale.offset) for i in range(source.norm.n_features)]
        thresholds, rising = network.input.thresholds, network.input.rising
        constant = (thresholds < 1) | (thresholds > scale.max_value)
        return all(c or (up and _is_whole(n)) for n, c, up in zip(neurons, constant, rising, strict=True))
    if not isinstance(source, RawPixels) or not model.layers or folded.complemented[0].any():
        return False
    block = network.blocks[0]
    assert isinstance(block, Block | ConvBlock)
    low, high = reach(block.weights, source.pixels.max_value)
    constant = (block.thresholds > high) | (block.thresholds <= low)
    return all(c or _is_whole(n) for n, c in zip(model.layers[0].neurons(source.pixels), constant, strict=True))


def _is_whole(neuron: Affine) -> bool:
    return zero_sum(neuron) is not None
