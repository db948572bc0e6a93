"""Names and values of features, as tables, lists and plots write them."""

from __future__ import annotations

from collections.abc import Sequence

from bnnverify.errors import InputFormatError
from bnnverify.reports.pictures import image_shape
from bnnverify.reports.subject import Subject


def feature_name(subject: Subject, feature: int) -> str:
    """The feature's own name, else the place of its pixel, else the number of its bit."""
    if subject.features is not None:
        return subject.features.names[feature]
    size = image_shape(subject.network.input.shape)
    return f"row {feature // size[1]} column {feature % size[1]}" if size else f"bit {feature}"


def feature_noun(subject: Subject) -> str:
    """What one feature is called."""
    if subject.features is not None:
        return "feature"
    return "pixel" if image_shape(subject.network.input.shape) else "input bit"


def feature_value(subject: Subject, feature: int, flips: Sequence[int] = ()) -> str:
    """What the instance has there, once these bits are flipped: a label, or signs; nothing without an instance."""
    bits = subject.bits()
    if bits is None:
        return ""
    if flips:
        bits = bits.copy()
        bits[list(flips)] *= -1
    if subject.features is None:
        return "+" if bits[feature] > 0 else "-"
    try:
        return subject.features.features[feature].describe(bits)
    except InputFormatError:
        return "".join("+" if bits[i] > 0 else "-" for i in subject.features.groups[feature])
