"""What flipped weight bits can do to an answer, exactly: the fewest that change it, which matter most, how probable."""

from bnnverify.weightfaults.critical import critical_bits
from bnnverify.weightfaults.least import tolerance, tolerance_of_set
from bnnverify.weightfaults.probability import (
    ExpectedAccuracy,
    FailureProbability,
    failure_probabilities,
    failure_probability,
)
from bnnverify.weightfaults.results import CriticalBits, SetTolerance, Struck, ToleranceResult

__all__ = [
    "CriticalBits",
    "ExpectedAccuracy",
    "FailureProbability",
    "SetTolerance",
    "Struck",
    "ToleranceResult",
    "critical_bits",
    "failure_probabilities",
    "failure_probability",
    "tolerance",
    "tolerance_of_set",
]
