"""ST-MRAM cells: what a write pulse costs and how often it fails.

A current i times the critical one switches a cell of thermal stability D after a time that depends on the thermal
start angle. The chance that it has not switched at time t, in units of the attempt time (Butler et al., IEEE Trans.
Magn. 48, 2012), is ``1 - exp(-(pi^2 (i-1) D/4) / (i exp(2(i-1) t) - 1))``, and the write takes ``I^2 R t`` of energy.
The formula inverts in closed form, so a rate has its pulse. Its length grows with the logarithm of the rate: that is
where Hirtzlin et al. (2019, arXiv 1908.04085) find a factor of about two between 1e-8 and 1e-3.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, expm1, inf, log, log1p, pi, sqrt

from bnnverify.errors import UsageError
from bnnverify.faults.model import positive, probability
from bnnverify.faults.secded import SecDedCode
from bnnverify.faults.writes import Before, WriteErrors
from bnnverify.network import Network

GOLDEN = (sqrt(5) - 1) / 2
LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class Pulse:
    """A write pulse.

    Args:
        current_a: amperes.
        duration_s: seconds.
    """

    current_a: float
    duration_s: float

    def __post_init__(self) -> None:
        positive("pulse current", self.current_a, "A")
        positive("pulse duration", self.duration_s, "s")


@dataclass(frozen=True)
class StMram:
    """A cell technology.

    Args:
        thermal_stability: energy barrier over k T.
        critical_current_a: current above which a cell switches without thermal help, in amperes.
        resistance_ohm: what the pulse passes.
        attempt_time_s: characteristic switching time, the unit of pulse lengths, in seconds.

    >>> [round(StMram().relative_duration(rate, overdrive=2.0), 2) for rate in (1e-9, 1e-8, 1e-6, 1e-3)]
    [12.51, 11.36, 9.06, 5.61]
    """

    thermal_stability: float = 60.0
    critical_current_a: float = 50e-6
    resistance_ohm: float = 5e3
    attempt_time_s: float = 1e-9

    def __post_init__(self) -> None:
        positive("thermal stability", self.thermal_stability, "kT")
        positive("critical current", self.critical_current_a, "A")
        positive("resistance", self.resistance_ohm, "ohm")
        positive("attempt time", self.attempt_time_s, "s")

    def write_error_rate(self, pulse: Pulse) -> float:
        """Chance that a bit which should switch does not.

        Raises:
            UsageError: if the current does not exceed the critical one, where the formula ends.
        """
        overdrive = _overdrive(pulse.current_a / self.critical_current_a)
        return self.relative_error_rate(pulse.duration_s / self.attempt_time_s, overdrive)

    def relative_error_rate(self, duration: float, overdrive: float) -> float:
        """The same for a pulse of so many attempt times and critical currents."""
        exponent = 2 * (_overdrive(overdrive) - 1) * duration
        if exponent > LARGEST_EXPONENT:
            return 0.0
        return -expm1(-self._strength(overdrive) / (overdrive * exp(exponent) - 1))

    def relative_duration(self, rate: float, overdrive: float) -> float:
        """How many attempt times a pulse must last for this error rate.

        Raises:
            UsageError: if the rate is 0 or 1, which no pulse has, or the current is too small.
        """
        if not 0 < probability("write-error rate", rate) < 1:
            raise UsageError(f"write-error rate {rate!r}: no pulse has it, expected a rate between 0 and 1")
        ratio = self._strength(_overdrive(overdrive)) / -log1p(-rate)
        return max(0.0, (log1p(ratio) - log(overdrive)) / (2 * (overdrive - 1)))

    def pulse(self, rate: float, overdrive: float) -> Pulse:
        """The pulse of this current, in critical currents, that fails at this rate.

        Raises:
            UsageError: if there is none.
        """
        duration = self.relative_duration(rate, overdrive)
        if duration == 0:
            raise UsageError(f"write-error rate {rate:g}: a pulse of no length already has less at {overdrive} Ic0")
        return Pulse(overdrive * self.critical_current_a, duration * self.attempt_time_s)

    def energy_j(self, pulse: Pulse) -> float:
        """Joules a pulse takes."""
        return pulse.current_a**2 * self.resistance_ohm * pulse.duration_s

    def write_energy_j(self, rate: float, overdrive: float) -> float:
        """Joules of a write that fails at this rate."""
        return self.energy_j(self.pulse(rate, overdrive))

    def cheapest_pulse(self, rate: float, most_overdrive: float = 5.0, least_overdrive: float = 1.05) -> Pulse:
        """The pulse of least energy with this error rate, by golden-section search over the current.

        Complexity: about 60 evaluations; energy has one valley in the current.
        """
        low, high = _overdrive(least_overdrive), _overdrive(most_overdrive)
        if low >= high:
            raise UsageError(f"overdrive {low}..{high}: expected the least below the most")
        while high - low > 1e-9 * high:
            left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
            if self._relative_energy(rate, left) <= self._relative_energy(rate, right):
                high = right
            else:
                low = left
        return self.pulse(rate, (low + high) / 2)

    def faults(self, pulse: Pulse, before: Network | Before | str = Before.RANDOM, ratio: float = 1.0) -> WriteErrors:
        """The write errors of a pulse, as a fault model.

        Args:
            before: what the cells held before, see :class:`bnnverify.faults.writes.WriteErrors`.
            ratio: how many times as often writing a 1 fails as writing a 0, whose rate is the pulse's.
        """
        rate = self.write_error_rate(pulse)
        return WriteErrors(min(1.0, positive("ratio", ratio, "times") * rate), rate, before)

    def _relative_energy(self, rate: float, overdrive: float) -> float:
        return overdrive**2 * self.relative_duration(rate, overdrive)

    def _strength(self, overdrive: float) -> float:
        return pi**2 * (overdrive - 1) * self.thermal_stability / 4


@dataclass(frozen=True)
class WriteSystem:
    """A memory that is written with one kind of pulse, with or without SEC-DED.

    Args:
        cell: the technology.
        overdrive: pulse current in critical currents.
        n_bits: data bits written.
        ecc_bits: data bits of a SEC-DED word; None without ECC.
        coding_energy_j: joules that encoding and decoding a word takes.
    """

    cell: StMram
    overdrive: float
    n_bits: int
    ecc_bits: int | None = None
    coding_energy_j: float = 0.0

    def __post_init__(self) -> None:
        _overdrive(self.overdrive)
        positive("bits", self.n_bits, "bits")
        if self.ecc_bits is not None:
            SecDedCode(self.ecc_bits)
        if not 0 <= self.coding_energy_j < inf:
            raise UsageError(f"coding energy {self.coding_energy_j!r}: expected at least 0 J")

    def raw_rate(self, rate: float) -> float:
        """The write-error rate that cells may have if data bits are to be wrong at this rate.

        With ECC it is the greatest whose upper bound after decoding stays within it, all written bits taken to switch.
        """
        if self.ecc_bits is None:
            return probability("bit-error rate", rate)
        code = SecDedCode(self.ecc_bits)
        low, high = 0.0, 1 / code.word_bits
        if code.residual_bounds(high)[1] <= probability("bit-error rate", rate):
            return high
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if code.residual_bounds(middle)[1] <= rate else (low, middle)
        return low

    def energy_j(self, rate: float) -> float:
        """Joules to write everything once so that data bits are wrong at this rate."""
        each = self.cell.write_energy_j(self.raw_rate(rate), self.overdrive)
        if self.ecc_bits is None:
            return self.n_bits * each
        words = -(-self.n_bits // self.ecc_bits)
        cells = self.n_bits + words * SecDedCode(self.ecc_bits).check_bits
        return cells * each + words * self.coding_energy_j


def _overdrive(value: float) -> float:
    if not 1 < value < inf:
        raise UsageError(f"overdrive {value!r}: expected a current above the critical one, a ratio above 1")
    return float(value)
