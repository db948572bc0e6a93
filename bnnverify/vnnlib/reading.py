"""Reads VNN-LIB files of both versions.

Version 1.0 (Demarchi, Guidotti, Pulina and Tacchella, FoMLAS 2023) declares ``X_0 .. X_n`` and ``Y_0 .. Y_m`` as
reals. Version 2.0 (December 2025) declares a network with its input and output as typed tensors. Both then assert
formulas, of which :mod:`bnnverify.vnnlib.conditions` reads boxes of inputs and comparisons of two scores. One network,
one input, one output, no hidden nodes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from bnnverify.errors import InputFormatError
from bnnverify.vnnlib.conditions import Element, Reader
from bnnverify.vnnlib.expressions import Expression, Group, Word, parse, read_text, refusal
from bnnverify.vnnlib.property import FLOAT_TYPES, INTEGER_TYPES, REAL, Property, Tensor

MAX_ELEMENTS = 1 << 22
VERSION = re.compile(r"<(\d{1,3})\.(\d{1,3})>")
CONSTANT = re.compile(r"([XY])_(0|[1-9]\d{0,8})", re.ASCII)
INDEXED = re.compile(r"([A-Za-z]\w*)\[([\d,]*)\]", re.ASCII)
NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
ELEMENT_TYPES = (REAL, *INTEGER_TYPES, *FLOAT_TYPES)


def read_property(path: Path) -> Property:
    """Read a property, plain or gzipped.

    Raises:
        InputFormatError: one sentence with the file, the line, what was found and what is read.
    """
    try:
        return property_of(read_text(path))
    except InputFormatError as error:
        raise InputFormatError(f"{path.name}: {error}") from None


def property_of(text: str) -> Property:
    """The property that a text states.

    Raises:
        InputFormatError: as :func:`read_property`, without the file.
    """
    commands = parse(text)
    heads = {command.head for command in commands}
    found = _Second() if heads & {"vnnlib-version", "declare-network"} else _First()
    for command in commands:
        found.take(command)
    return found.finished()


@dataclass
class _First:
    """Commands of version 1.0, as they come."""

    declared: dict[str, set[int]] = field(default_factory=lambda: {"X": set(), "Y": set()})
    formulas: list[Expression] = field(default_factory=list)

    def take(self, command: Group) -> None:
        if command.head == "assert" and len(command.items) == 2:
            self.formulas.append(command.items[1])
            return
        shape = [str(item) for item in command.items[2:]]
        matched = CONSTANT.fullmatch(str(command.items[1])) if len(command.items) > 1 else None
        known = (command.head == "declare-const" and shape == ["Real"]) or (
            command.head == "declare-fun" and shape == ["()", "Real"]
        )
        if not known or matched is None:
            raise refusal(command, command, "(declare-const X_0 Real), the same of Y, or (assert ...)")
        if int(matched[2]) in self.declared[matched[1]]:
            raise refusal(command, command, "each constant declared once")
        self.declared[matched[1]].add(int(matched[2]))

    def finished(self) -> Property:
        tensors = [self._tensor(name) for name in "XY"]
        reader = Reader(tensors[0], tensors[1], self._element)
        return Property(1, "", tensors[0], tensors[1], reader.cases(self.formulas))

    def _tensor(self, name: str) -> Tensor:
        indices = self.declared[name]
        if not indices or max(indices) != len(indices) - 1:
            found = f"{len(indices)} constants up to {name}_{max(indices)}" if indices else "none"
            raise InputFormatError(f"declares {found}, expected {name}_0, {name}_1 and so on without gaps")
        return Tensor(name, REAL, (len(indices),), "Real")

    def _element(self, word: Word) -> Element:
        matched = CONSTANT.fullmatch(word.text)
        if matched is None or int(matched[2]) not in self.declared[matched[1]]:
            raise refusal(word, word, "a number or a declared constant")
        return Element(matched[1] == "X", int(matched[2]))


@dataclass
class _Second:
    """Commands of version 2.0, as they come."""

    network: str = ""
    tensors: list[Tensor] = field(default_factory=list)
    formulas: list[Expression] = field(default_factory=list)

    def take(self, command: Group) -> None:
        if command.head == "assert" and len(command.items) == 2:
            if not self.network:
                raise refusal(command, command, "a declared network before the first assertion")
            self.formulas.append(command.items[1])
        elif command.head == "vnnlib-version" and len(command.items) == 2:
            matched = VERSION.fullmatch(str(command.items[1]))
            if matched is None or int(matched[1]) != 2:
                raise refusal(command, command, "(vnnlib-version <2.0>)")
        elif command.head == "declare-network" and not self.network:
            self._declare(command)
        else:
            raise refusal(command, command, "one (declare-network ...) and then (assert ...)")

    def _declare(self, command: Group) -> None:
        kinds = [item.head if isinstance(item, Group) else "" for item in command.items[2:]]
        name = str(command.items[1]) if len(command.items) > 1 else ""
        if kinds != ["declare-input", "declare-output"] or not NAME.fullmatch(name):
            raise refusal(command, command, "a network of a name, one input and one output, nothing hidden")
        self.tensors = [_tensor(item) for item in command.items[2:] if isinstance(item, Group)]
        if self.tensors[0].name == self.tensors[1].name:
            raise refusal(command, command, "different names for input and output")
        self.network = name

    def finished(self) -> Property:
        if not self.network:
            raise InputFormatError("declares no network, expected one (declare-network ...)")
        source, scores = self.tensors
        reader = Reader(source, scores, self._element)
        return Property(2, self.network, source, scores, reader.cases(self.formulas))

    def _element(self, word: Word) -> Element:
        matched = INDEXED.fullmatch(word.text)
        for place, tensor in enumerate(self.tensors):
            if matched is not None and matched[1] == tensor.name:
                return Element(place == 0, _flat(word, matched[2], tensor.shape))
        raise refusal(word, word, "a number or an element of a declared tensor")


def _tensor(declaration: Group) -> Tensor:
    """``(declare-input X float32 [1,3])``, whose type and shape are one word here, maybe with ONNX's name."""
    items = [item.text if isinstance(item, Word) else "" for item in declaration.items]
    matched = INDEXED.fullmatch(items[2]) if len(items) in (3, 4) else None
    named = len(items) < 4 or items[3].startswith('"')
    if matched is None or not named or not NAME.fullmatch(items[1]):
        raise refusal(declaration, declaration, "a name, an element type and a shape such as X real [1,3]")
    element = REAL if matched[1] == "Real" else matched[1]
    if element not in ELEMENT_TYPES:
        raise refusal(declaration, matched[1], f"one of {', '.join(ELEMENT_TYPES)}")
    shape = _sizes(declaration, matched[2])
    if not 0 < prod(shape) <= MAX_ELEMENTS:
        raise refusal(declaration, declaration, f"1 to {MAX_ELEMENTS} elements")
    return Tensor(items[1], element, shape, matched[1])


def _sizes(at: Expression, text: str) -> tuple[int, ...]:
    parts = text.split(",") if text else []
    if any(not part or len(part) > 9 for part in parts):
        raise refusal(at, f"[{text}]", "whole numbers with commas between them")
    return tuple(map(int, parts))


def _flat(word: Word, text: str, shape: tuple[int, ...]) -> int:
    """The place of an element in row-major order."""
    indices = _sizes(word, text)
    if len(indices) != len(shape) or any(i >= n for i, n in zip(indices, shape, strict=True)):
        raise refusal(word, word, f"indices within the shape {list(shape)}")
    place = 0
    for index, size in zip(indices, shape, strict=True):
        place = place * size + index
    return place
