"""Bit-parallel execution of networks, exact in every comparison.

``predict`` and ``replay`` for classes, ``BitEngine`` for activations, sums and keys as well;
:mod:`bnnverify.inference.reference` is the same in plain integers.
"""

from bnnverify.inference.engine import BitEngine, engine_of, predict, replay

__all__ = ["BitEngine", "engine_of", "predict", "replay"]
