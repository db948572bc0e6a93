"""ONNX's Sign and QONNX's BipolarQuant: where a layer ends and its bits begin.

``Sign`` makes 0 of 0, which no bit is. It is read where its argument cannot be 0
(:mod:`bnnverify.formats.onnx_zero`); elsewhere the reason stays with the signal, may be mended by a
positive constant and a second Sign (``Sign, Add 0.1, Sign``), and is the message of the refusal if a
layer reads it. ``BipolarQuant`` makes +1 of 0 by definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.formats.floatmodel import FloatLayer, PixelScale, RawPixels
from bnnverify.formats.onnx_elementwise import multiply
from bnnverify.formats.onnx_file import Node
from bnnverify.formats.onnx_signal import Kind, Signal, exact_norm, identities, line
from bnnverify.formats.onnx_zero import zero_neuron

Constants = Sequence[NDArray[Any]]


def sign(node: Node, signal: Signal, constants: Constants) -> Signal:
    """A plain Sign: of sums or pixels, or of bits, which it must leave as they are."""
    if signal.kind is Kind.SUMS:
        signed = _finished(node, signal)
        return replace(signed, zero=_zero_reason(node, signed.layers[-1], _pixels_read(signal)))
    if signal.kind is Kind.INPUT and signal.pixels is not None:
        norm = exact_norm("input", signal.affines)
        layer = FloatLayer(str(node), np.ones((len(signal.affines), 1), dtype=np.int8), norm=norm)
        return replace(_signed_input(signal), zero=_zero_reason(node, layer, signal.pixels))
    return _same_bits(node, signal)


def bipolar(node: Node, signal: Signal, constants: Constants) -> Signal:
    """QONNX's BipolarQuant: plus or minus a scale, plus at zero."""
    if signal.kind is Kind.SUMS:
        signed = _finished(node, signal)
    elif signal.kind is Kind.INPUT and signal.pixels is not None:
        signed = _signed_input(signal)
    else:
        signed = _same_bits(node, signal)
    return multiply(node, signed, constants)


def _finished(node: Node, signal: Signal) -> Signal:
    """The signs of a layer's sums, the layer completed by its BatchNorm."""
    assert signal.pending is not None
    for before, now in zip(signal.pooled_slopes, signal.slopes, strict=False):
        if before * now < 0:
            raise ModelFormatError(f"{node}: negates what was max-pooled, which is no OR of bits")
    layer = replace(signal.pending, norm=exact_norm(signal.pending.name, signal.affines))
    bits = identities(len(signal.affines))
    return replace(signal, kind=Kind.BITS, layers=(*signal.layers, layer), pending=None, pooled_slopes=(), affines=bits)


def _signed_input(signal: Signal) -> Signal:
    bits = identities(len(signal.affines))
    return replace(signal, kind=Kind.SIGNED_INPUT, input_affines=signal.affines, affines=bits)


def _same_bits(node: Node, signal: Signal) -> Signal:
    """The sign of bits that are scaled or shifted without a change of sign; zeros must turn +1 by now."""
    for affine in set(signal.affines):
        pair = line(affine)
        if pair is None or not pair[1] - pair[0] < 0 < pair[1] + pair[0]:
            raise ModelFormatError(
                f"{node}: the sign of scaled or shifted bits, which is not those bits; say what "
                "the inputs are (pixels=...) if they are not bits"
            )
        if signal.zero and pair[1] <= 0:
            raise ModelFormatError(signal.zero)
    kind = Kind.SIGNED_INPUT if signal.kind is Kind.INPUT else signal.kind
    return replace(signal, kind=kind, affines=identities(len(signal.affines)), zero="")


def _pixels_read(signal: Signal) -> PixelScale | None:
    return signal.source.pixels if isinstance(signal.source, RawPixels) and not signal.layers else None


def _zero_reason(node: Node, layer: FloatLayer, pixels: PixelScale | None) -> str:
    found = zero_neuron(layer, pixels)
    if found is None:
        return ""
    where = "always" if found[1] is None else f"at the sum {found[1]}"
    return (
        f"{node}: ONNX's Sign makes 0 of 0, and neuron {found[0]} is 0 {where}; "
        "expected a threshold between two sums, or Sign, Add 0.1, Sign"
    )
