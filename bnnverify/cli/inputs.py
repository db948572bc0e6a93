"""From the words MODEL, ``--input`` and ``--index`` to a network and the instances that are meant."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnnverify.cli.options import Span
from bnnverify.cli.streams import warn
from bnnverify.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bnnverify.data import Instances
    from bnnverify.network import Network

FIRST = Span(0, 1, single=True)
ALL = Span(None, None)


@dataclass(frozen=True, eq=False)
class Chosen:
    """Some rows of a source, checked against the network that reads them.

    Args:
        rows: their positions in the source.
        values: ``(len(rows), n_inputs)`` in the network's own input scale.
        labels: ``(len(rows),)`` true classes, or None.
    """

    source: str
    rows: range
    values: NDArray[Any]
    labels: NDArray[Any] | None

    def value(self, position: int) -> NDArray[Any]:
        """The instance ``(n_inputs,)`` at a position in the source."""
        found: NDArray[Any] = self.values[position - self.rows.start]
        return found

    def label(self, position: int) -> int | None:
        """Its true class, where the source knows it."""
        return None if self.labels is None else int(self.labels[position - self.rows.start])


def load_network(model: str | None) -> Network:
    """The network at a path, or a bundled one by name; by default the bundled one. Notes go to stderr.

    Raises:
        ModelFormatError: if it cannot be read.
    """
    from bnnverify.data.bundled import bundled_names, bundled_network
    from bnnverify.formats import load_with_notes

    if model is None:
        return bundled_network()
    if model in bundled_names() and not Path(model).exists():
        return bundled_network(model)
    network, notes = load_with_notes(model)
    for note in notes:
        warn(note)
    return network


def choose(arguments: argparse.Namespace, network: Network, default: Span) -> Chosen:
    """The instances that ``--input`` and ``--index`` mean; bundled instances for a bundled network.

    Args:
        default: the rows that are meant without ``--index``.

    Raises:
        UsageError: if there is no input for this model, or no such row.
        InputFormatError: if the input cannot be read or does not fit the network.
    """
    instances = _instances(arguments)
    span = arguments.index or default
    rows = span.positions(len(instances), instances.source)
    values = network.input.read(instances.values[rows.start : rows.stop]).reshape(len(rows), -1)
    labels = None if instances.labels is None else instances.labels[rows.start : rows.stop]
    return Chosen(instances.source, rows, values, labels)


def _instances(arguments: argparse.Namespace) -> Instances:
    from bnnverify.data import resolve_input
    from bnnverify.data.bundled import BUNDLED_NETWORK, bundled_instances, bundled_names

    if arguments.input is not None:
        return resolve_input(arguments.input, arguments.data)
    model = BUNDLED_NETWORK if arguments.model is None else arguments.model
    if model in bundled_names():
        return bundled_instances(model)
    raise UsageError(f"--input is missing: which input of {arguments.model} is the question about?")
