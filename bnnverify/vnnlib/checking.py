"""Do saved certificates prove that a property is unsat? Every alternative of every box must hold a race that is lost.

What is believed is the ONNX file and the property, read anew, and the checker of :mod:`bnnverify.patches.check`,
which shares nothing with the prover.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bnnverify.errors import UnsupportedError
from bnnverify.patches.certificate import PatchCertificate, read_certificate
from bnnverify.patches.check import rejection
from bnnverify.scores import tie_order
from bnnverify.vnnlib.property import Case
from bnnverify.vnnlib.races import Race
from bnnverify.vnnlib.reading import read_property
from bnnverify.vnnlib.subject import Subject, load_subject


def rejected(net: Path, prop: Path, certificates: Sequence[Path]) -> str | None:
    """Why the certificates do not prove the property unsat, or None if they do.

    Raises:
        InputFormatError, ModelFormatError: if a file cannot be read.
        UnsupportedError: if whole thresholds do not stand for the network's real ones.
    """
    read = read_property(prop)
    subject = load_subject(net, read, read.cases)
    real = not read.input.is_integer
    if not subject.has_exact_scores or (real and not subject.is_exact_for_reals):
        raise UnsupportedError(f"{net}: its thresholds or scores are rounded on loading, so nothing is proved of it")
    known = [read_certificate(path) for path in certificates]
    for number, case in enumerate(read.cases, 1):
        reason = _open_case(subject, case, known, real)
        if reason is not None:
            return f"{prop}, box {number}: {reason}"
    return None


def _open_case(subject: Subject, case: Case, known: Sequence[PatchCertificate], real: bool) -> str | None:
    """Why a box may hold a violation, as far as the certificates go."""

    @cache
    def reason(index: int, loser: int, strict: bool) -> str | None:
        order = tie_order(subject.network.n_classes, **({"first": loser} if strict else {"last": loser}))
        low, high = subject.real_box(case)
        wanted = known[index].wanted.tolist()
        return rejection(known[index], subject.network, low, high, loser, wanted, order=order, real=real)

    def open_race(race: Race) -> str | None:
        about = [i for i, certificate in enumerate(known) if race.winner in certificate.wanted]
        reasons = [reason(i, race.loser, race.strict) for i in about]
        if not about or None in reasons:
            return None if about else f"no certificate is about class {race.winner} against {race.loser}"
        return reasons[0]

    for races in case.alternatives:
        found = [open_race(race) for race in races]
        if None not in found:
            return next(iter(found), "it holds without any comparison")
    return None
