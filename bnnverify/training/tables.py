"""Tables of a TOML file as frozen dataclasses, strictly: no key that is not a field, no value that is not of its type.

A dataclass is its own schema. Its annotations say which keys a table may hold, ``Literal`` which words, ``Annotated``
with a :class:`Within` which numbers; fields without a default are required. So the reader below is all there is, and
a mistake of whoever wrote the file is one sentence that names the key, what was found and what was expected.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bnnverify.errors import UsageError

T = TypeVar("T")
MAX_BYTES = 1 << 20
LONGEST_SHOWN = 40


@dataclass(frozen=True)
class Within:
    """The numbers that a key accepts; ``above`` excludes its own value."""

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf

    def accepts(self, value: float) -> bool:
        return self.least <= value <= self.most and value > self.above

    def __str__(self) -> str:
        words = ((self.least, "at least"), (self.above, "above"), (self.most, "at most"))
        return " and ".join(f"{word} {bound:g}" for bound, word in words if math.isfinite(bound)) or "finite"


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        UsageError: if it cannot be read, is larger than MAX_BYTES, or is not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UsageError(f"{path}: more than {MAX_BYTES} bytes, expected a recipe")
        return tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, RecursionError):
        raise UsageError(f"{path}: not a TOML file, expected tables of keys and values in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not a TOML file ({error})") from None


def read_table(kind: type[T], table: Any, where: str) -> T:
    """A dataclass from a table; tables within it become the dataclasses of their fields.

    Args:
        where: what errors call the table.

    Raises:
        UsageError: for an unknown or missing key, a wrong type or a value out of range.
    """
    if not isinstance(table, Mapping):
        raise UsageError(f"{where}: found {_shown(table)}, expected a table")
    hints = get_type_hints(kind, include_extras=True)
    for name in table:
        if name not in hints:
            raise UsageError(f"{where}: unknown key {name!r}, expected one of {', '.join(hints)}")
    for entry in fields(kind):  # type: ignore[arg-type]
        if entry.name not in table and entry.default is MISSING and entry.default_factory is MISSING:
            raise UsageError(f"{where}: no key {entry.name!r}, which has no default")
    return kind(**{name: _value(hints[name], value, f"{where}: {name}") for name, value in table.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    """A value of the type that an annotation names."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        (hint,) = (argument for argument in arguments if argument is not NoneType)
        return _value(hint, value, where)
    if origin is Annotated:
        return _in_range(_value(arguments[0], value, where), arguments[1], where)
    if origin is Literal:
        return _word(value, arguments, where)
    if origin is tuple:
        return _list(arguments, value, where)
    if is_dataclass(hint) and isinstance(hint, type):
        return read_table(hint, value, where)
    return _scalar(get_origin(hint) or hint, value, where)


def _in_range(value: Any, within: Within, where: str) -> Any:
    if not within.accepts(value):
        raise UsageError(f"{where}: found {value}, expected {within}")
    return value


def _word(value: Any, words: tuple[str, ...], where: str) -> Any:
    if value not in words:
        raise UsageError(f"{where}: found {_shown(value)}, expected one of {', '.join(words)}")
    return value


def _list(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise UsageError(f"{where}: found {_shown(value)}, expected a list")
    hints = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
    if len(hints) != len(value):
        raise UsageError(f"{where}: a list of {len(value)}, expected {len(hints)}")
    return tuple(_value(hint, item, f"{where} {k}") for k, (hint, item) in enumerate(zip(hints, value, strict=True), 1))


_NAMES = {str: "text", bool: "true or false", int: "a whole number", float: "a finite number", Mapping: "a table"}


def _scalar(kind: Any, value: Any, where: str) -> Any:
    """Whole numbers pass for numbers; true and false pass for neither."""
    accepted = (int, float) if kind is float else kind
    wrong = not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool)
    if wrong or (kind is float and not math.isfinite(value)):
        raise UsageError(f"{where}: found {_shown(value)}, expected {_NAMES[kind]}")
    return float(value) if kind is float else value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Tables with changes laid over them, key by key, tables within tables alike.

    >>> merged({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}, "b": 4})
    {'a': {'x': 1, 'y': 3}, 'b': 4}
    """
    found = dict(base)
    for name, value in changes.items():
        below = found.get(name)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        found[name] = merged(below, value) if both else value  # type: ignore[arg-type]
    return found
