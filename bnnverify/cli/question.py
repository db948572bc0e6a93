"""A question as the command line put it: network, instances, region and options, ready to be asked.

It is built once; ``ask`` is then called for every position, in this process or in a forked one. The time
limit of a single question runs from the start of the command, so start-up is part of it, but at least a
quarter of it is left to the work; in a batch it runs from the start of each question.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bnnverify.cli.inputs import FIRST, Chosen, choose, load_network
from bnnverify.cli.kernels import import_numba
from bnnverify.cli.ledger import key_of
from bnnverify.cli.region import ANYWHERE, Radius, given_region, is_whole_space, make_region, read_radius
from bnnverify.cli.subjects import load_groups, load_other, require_valid
from bnnverify.network import Network
from bnnverify.queries.results import Answer, Ties
from bnnverify.regions import FreeBits, Region
from bnnverify.reports.json import row_of
from bnnverify.reports.pictures import half_blocks_fit
from bnnverify.reports.prose import describe
from bnnverify.reports.subject import Subject
from bnnverify.theories import FeatureGroups
from bnnverify.theories.files import to_dict

PASSED_ON = ("target", "solver", "encoding", "epsilon", "delta", "ber", "limit", "kind", "most", "call_seconds")
SHARED = ("ties", "engine", "check", "seed")


@dataclass(frozen=True, eq=False)
class Asked:
    """One answer with its JSON row."""

    subject: Subject
    answer: Answer
    row: dict[str, Any]

    def text(self) -> str:
        """The answer for a reader at this process's stdout."""
        total = self.row["seconds"]["total"]
        return describe(self.subject, self.answer, total=total, blocks=half_blocks_fit(sys.stdout.encoding))


@dataclass(frozen=True, eq=False)
class Question:
    """What to ask about which instances.

    Args:
        command: the subcommand, which is also the name of the query.
        instances: None means the whole input space.
        batch: whether the user asked for a range.
        special: the query's own options.
        shared: the options of every query, limits excluded.
        limits: timeout in seconds and memory in MiB.
        started: when the command began, in ``time.perf_counter`` seconds.
        features: what the input bits mean, of explanations and comparisons; None where each is by itself.
        other: the second network of a comparison.
        proof: where to put the proof of an answer; in a batch, each input's index becomes part of the name.
    """

    command: str
    network: Network
    instances: Chosen | None
    batch: bool
    radius: Radius | None
    free: tuple[int, ...] | None
    special: Mapping[str, Any]
    shared: Mapping[str, Any]
    limits: Mapping[str, float | None]
    started: float
    features: FeatureGroups | None = None
    other: Network | None = None
    proof: Path | None = None
    load: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "load", time.perf_counter() - self.started)

    @property
    def positions(self) -> range:
        """The positions to ask about; a single one for the whole space."""
        return range(1) if self.instances is None else self.instances.rows

    def ask(self, position: int) -> Asked:
        """Answer the question for one instance."""
        start = time.perf_counter()
        subject = self.subject(position)
        answer = self._query()(
            self.network, *self._about(subject), **self.special, **self._common, **self._proof(position)
        )
        total = self.load + time.perf_counter() - start
        row = row_of(subject, answer, load=self.load, total=total)
        return Asked(subject, answer, {**row, "limits": dict(self.limits), "key": self.key(position)})

    def _proof(self, position: int) -> dict[str, Path]:
        if self.proof is None:
            return {}
        stem, *suffixes = self.proof.name.split(".")
        name = ".".join([f"{stem}-{position}", *suffixes]) if self.batch else self.proof.name
        return {"proof": self.proof.with_name(name)}

    def subject(self, position: int) -> Subject:
        about = Subject(self.command, self.network, features=self.features, other=self.other)
        if self.instances is None:
            return about
        return replace(
            about,
            source=self.instances.source,
            index=position,
            instance=self.instances.value(position),
            label=self.instances.label(position),
            norm=None if self.radius is None else self.radius.norm,
            eps=None if self.radius is None else self.radius.number,
            free=self.free,
            target=self.special.get("target"),
        )

    def key(self, position: int) -> str:
        """Names the question, its limits aside, by everything that decides the answer."""
        return key_of({**self._key_parts, "instance": self._instance_digest(position), "index": position})

    @cached_property
    def _key_parts(self) -> dict[str, Any]:
        return {
            "command": self.command,
            "model": self.network.fingerprint,
            "eps": None if self.radius is None else [self.radius.norm, str(self.radius.reach)],
            "free": self.free,
            **self.special,
            **self.shared,
            **({"features": None if self.features is None else to_dict(self.features)} if self._anywhere else {}),
            **({"other": self.other.fingerprint} if self.other is not None else {}),
        }

    def _instance_digest(self, position: int) -> str | None:
        if self.instances is None:
            return None
        values = np.ascontiguousarray(self.instances.value(position), dtype=np.int64)
        return hashlib.sha256(values.tobytes()).hexdigest()

    @property
    def _common(self) -> dict[str, Any]:
        found = {**self.shared, **self.limits, "timeout": self._time_left(), "ties": Ties(self.shared["ties"])}
        if self.command == "explain":
            return {**found, "features": self.features}
        if self.command == "compare":
            return {**found, "theory": None if self.features is None else self.features.theory}
        return found

    @property
    def _anywhere(self) -> bool:
        """Whether, without a region, the whole input space is meant also around an instance."""
        return self.command in ANYWHERE

    def _time_left(self) -> float | None:
        limit = self.limits["timeout"]
        if limit is None or self.batch:
            return limit
        return max(limit - (time.perf_counter() - self.started), limit / 4)

    def _query(self) -> Any:
        import_numba()
        return getattr(import_module(f"bnnverify.queries.{self.command}"), self.command)

    def _about(self, subject: Subject) -> tuple[Any, ...]:
        """What follows the network in the query's call."""
        if self.command == "radius":
            return (subject.instance,)
        if self.command == "explain":
            return (subject.instance, self._region(subject))
        return (self._region(subject),) if self.other is None else (self.other, self._region(subject))

    def _region(self, subject: Subject) -> Region | None:
        if subject.instance is None:
            return None
        if self._anywhere and self.radius is None and self.free is None:
            return FreeBits(subject.instance, tuple(range(self.network.n_inputs)))
        return make_region(self.network, subject.instance, self.radius, self.free)


def read_question(arguments: argparse.Namespace) -> Question:
    """Load what the arguments name and check that they fit together.

    Raises:
        UsageError: if an argument is missing or does not fit.
    """
    network = load_network(arguments.model)
    whole = is_whole_space(arguments)
    other = load_other(arguments, network) if arguments.command == "compare" else None
    instances = None if whole else choose(arguments, network, FIRST)
    features = load_groups(arguments, network)
    if features is not None and instances is not None:
        require_valid(features, network, instances)
    eps, free = given_region(arguments, whole)
    return Question(
        command=arguments.command,
        network=network,
        instances=instances,
        batch=arguments.index is not None and not arguments.index.single,
        radius=None if eps is None else read_radius(network, eps, arguments.norm),
        free=free,
        special=_special(arguments),
        shared={name: getattr(arguments, name) for name in SHARED if hasattr(arguments, name)},
        limits={"timeout": arguments.timeout, "memory": arguments.memory},
        started=arguments.started,
        features=features,
        other=other,
        proof=getattr(arguments, "proof", None),
    )


def _special(arguments: argparse.Namespace) -> dict[str, Any]:
    found = {name: getattr(arguments, name) for name in PASSED_ON if hasattr(arguments, name)}
    return {**found, "norm": arguments.norm} if arguments.command == "radius" else found
