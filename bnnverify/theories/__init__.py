"""Which inputs are valid, and which bits make up one feature."""

from bnnverify.theories.constraints import (
    Cardinality,
    Constraint,
    OneHot,
    Theory,
    Thermometer,
    at_least,
    at_most,
    clause,
    exactly,
    implies,
)
from bnnverify.theories.features import Encoding, Feature, FeatureGroups
from bnnverify.theories.files import load_features, save_features

__all__ = [
    "Cardinality",
    "Constraint",
    "Encoding",
    "Feature",
    "FeatureGroups",
    "OneHot",
    "Theory",
    "Thermometer",
    "at_least",
    "at_most",
    "clause",
    "exactly",
    "implies",
    "load_features",
    "save_features",
]
