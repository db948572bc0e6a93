"""Exact answers about Binarized Neural Networks.

Names are imported when first used, so that ``import bnnverify`` and ``bnnverify --help`` cost
milliseconds, not the import of numpy and numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bnnverify import faults as faults
    from bnnverify.formats import load as load
    from bnnverify.formats import save as save
    from bnnverify.inference import predict as predict
    from bnnverify.network import BitInput as BitInput
    from bnnverify.network import Block as Block
    from bnnverify.network import ConvBlock as ConvBlock
    from bnnverify.network import MaxPool as MaxPool
    from bnnverify.network import Network as Network
    from bnnverify.network import Output as Output
    from bnnverify.network import QuantizedInput as QuantizedInput
    from bnnverify.network import ThresholdInput as ThresholdInput
    from bnnverify.proofs.checker import check_proof as check_proof
    from bnnverify.queries.compare import compare as compare
    from bnnverify.queries.compare import criticality as criticality
    from bnnverify.queries.compile import compile as compile
    from bnnverify.queries.count import count as count
    from bnnverify.queries.diagramfile import load_diagram as load_diagram
    from bnnverify.queries.diagramfile import save_diagram as save_diagram
    from bnnverify.queries.explain import explain as explain
    from bnnverify.queries.fairness import fairness as fairness
    from bnnverify.queries.profile import profile as profile
    from bnnverify.queries.radius import radius as radius
    from bnnverify.queries.results import Ties as Ties
    from bnnverify.queries.results import Verdict as Verdict
    from bnnverify.queries.robustness import robustness as robustness
    from bnnverify.queries.trojan import trojan as trojan
    from bnnverify.regions import CostBall as CostBall
    from bnnverify.regions import FreeBits as FreeBits
    from bnnverify.regions import HammingBall as HammingBall
    from bnnverify.regions import PixelBox as PixelBox
    from bnnverify.theories import Feature as Feature
    from bnnverify.theories import FeatureGroups as FeatureGroups
    from bnnverify.theories import OneHot as OneHot
    from bnnverify.theories import Theory as Theory
    from bnnverify.theories import Thermometer as Thermometer
    from bnnverify.weightfaults import critical_bits as critical_bits
    from bnnverify.weightfaults import failure_probabilities as failure_probabilities
    from bnnverify.weightfaults import failure_probability as failure_probability
    from bnnverify.weightfaults import tolerance as tolerance
    from bnnverify.weightfaults import tolerance_of_set as tolerance_of_set
    from bnnverify.weightflips import WeightBit as WeightBit
    from bnnverify.weightflips import flip_weights as flip_weights
    from bnnverify.weightflips import weight_bits as weight_bits

_HOMES = {
    "bnnverify.formats": ("load", "save"),
    "bnnverify.inference": ("predict",),
    "bnnverify.network": (
        "BitInput",
        "Block",
        "ConvBlock",
        "MaxPool",
        "Network",
        "Output",
        "QuantizedInput",
        "ThresholdInput",
    ),
    "bnnverify.proofs.checker": ("check_proof",),
    "bnnverify.queries.compare": ("compare", "criticality"),
    "bnnverify.queries.compile": ("compile",),
    "bnnverify.queries.count": ("count",),
    "bnnverify.queries.diagramfile": ("load_diagram", "save_diagram"),
    "bnnverify.queries.explain": ("explain",),
    "bnnverify.queries.fairness": ("fairness",),
    "bnnverify.queries.profile": ("profile",),
    "bnnverify.queries.radius": ("radius",),
    "bnnverify.queries.results": ("Ties", "Verdict"),
    "bnnverify.queries.robustness": ("robustness",),
    "bnnverify.queries.trojan": ("trojan",),
    "bnnverify.regions": ("CostBall", "FreeBits", "HammingBall", "PixelBox"),
    "bnnverify.theories": ("FeatureGroups", "Feature", "OneHot", "Theory", "Thermometer"),
    "bnnverify.weightfaults": (
        "critical_bits",
        "failure_probabilities",
        "failure_probability",
        "tolerance",
        "tolerance_of_set",
    ),
    "bnnverify.weightflips": ("WeightBit", "flip_weights", "weight_bits"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", "faults", *_HOME_OF]


def __getattr__(name: str) -> Any:
    if name == "faults":
        return import_module("bnnverify.faults")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bnnverify' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
