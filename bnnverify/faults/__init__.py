"""What happens to a network when the memory that holds it makes errors.

``run`` measures; the models say which errors; ``stmram`` ties them to pulses and energy; ``plan_protection`` spends it.

>>> from bnnverify.data.bundled import bundled_images, bundled_network
>>> from bnnverify.faults import Symmetric, run
>>> run(bundled_network(), bundled_images(), Symmetric(0), trials=2).points[0].drop
0.0
"""

from bnnverify.faults.campaign import run
from bnnverify.faults.cells import Cells, Target
from bnnverify.faults.chips import ChipMap, Persistent
from bnnverify.faults.differential import Differential, ResistiveCells, pair_rate
from bnnverify.faults.memory import Memory
from bnnverify.faults.model import FaultModel, Own, Together
from bnnverify.faults.protection import ProtectionPlan, plan_protection
from bnnverify.faults.rates import Asymmetric, Symmetric
from bnnverify.faults.results import Campaign, FaultPoint
from bnnverify.faults.secded import SecDed, SecDedCode
from bnnverify.faults.stuck import StuckAt
from bnnverify.faults.where import Where
from bnnverify.faults.writes import Before, WriteErrors

__all__ = [
    "Asymmetric",
    "Before",
    "Campaign",
    "Cells",
    "ChipMap",
    "Differential",
    "FaultModel",
    "FaultPoint",
    "Memory",
    "Own",
    "Persistent",
    "ProtectionPlan",
    "ResistiveCells",
    "SecDed",
    "SecDedCode",
    "StuckAt",
    "Symmetric",
    "Target",
    "Together",
    "Where",
    "WriteErrors",
    "pair_rate",
    "plan_protection",
    "run",
]
