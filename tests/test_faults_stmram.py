"""The ST-MRAM model: the published pulse lengths and energies, and solvers that invert what they solve."""

import itertools

import numpy as np
import pytest

from bnnverify.errors import UsageError
from bnnverify.faults import WriteErrors
from bnnverify.faults.secded import SecDedCode
from bnnverify.faults.stmram import Pulse, StMram, WriteSystem

RATES = (1e-9, 1e-8, 1e-6, 1e-3, 1e-2)


@pytest.mark.parametrize(("rate", "duration"), [(1e-9, 12.51), (1e-8, 11.36), (1e-6, 9.06), (1e-3, 5.61)])
def test_pulses_at_twice_the_critical_current_have_the_known_lengths(rate, duration):
    assert StMram(thermal_stability=60).relative_duration(rate, overdrive=2.0) == pytest.approx(duration, abs=0.005)


@pytest.mark.parametrize("stability", [40, 60, 80])
@pytest.mark.parametrize("overdrive", [1.5, 2.0, 3.0])
def test_a_rate_of_1e_8_takes_about_twice_the_energy_of_1e_3(stability, overdrive):
    cell = StMram(thermal_stability=stability)
    ratio = cell.write_energy_j(1e-8, overdrive) / cell.write_energy_j(1e-3, overdrive)
    assert 1.975 <= ratio <= 2.11


def test_the_pulse_of_a_rate_fails_at_that_rate():
    cell = StMram(thermal_stability=55, critical_current_a=3e-5, resistance_ohm=4e3, attempt_time_s=7e-10)
    for rate in RATES:
        for overdrive in (1.2, 2.0, 4.0):
            pulse = cell.pulse(rate, overdrive)
            assert cell.write_error_rate(pulse) == pytest.approx(rate, rel=1e-9)
            assert cell.energy_j(pulse) == pytest.approx(pulse.current_a**2 * 4e3 * pulse.duration_s)


def test_longer_and_stronger_pulses_fail_less():
    cell = StMram()
    durations = [cell.relative_error_rate(t, 2.0) for t in np.linspace(1, 400, 50)]
    assert all(a >= b for a, b in itertools.pairwise(durations))
    currents = [cell.relative_error_rate(5.0, i) for i in np.linspace(1.5, 4, 50)]
    assert all(a > b for a, b in itertools.pairwise(currents))


def test_the_cheapest_pulse_is_cheaper_than_a_grid_of_others():
    cell = StMram()
    for rate in RATES:
        best = cell.energy_j(cell.cheapest_pulse(rate))
        others = [cell.write_energy_j(rate, i) for i in np.linspace(1.06, 4.9, 200)]
        assert best <= min(others) * (1 + 1e-12)
        assert best == pytest.approx(min(others), rel=1e-3)


def test_a_pulse_becomes_a_fault_model_of_its_rate():
    cell = StMram()
    model = cell.faults(cell.pulse(1e-3, 2.0), before="zeros", ratio=2.0)
    assert isinstance(model, WriteErrors)
    assert (model.p_set, model.p_reset) == (pytest.approx(2e-3), pytest.approx(1e-3))


@pytest.mark.parametrize("ecc", [8, 32, 64])
@pytest.mark.parametrize("rate", [1e-8, 1e-5, 1e-3])
def test_ecc_lets_cells_fail_just_as_often_as_the_decoder_can_bear(ecc, rate):
    system = WriteSystem(StMram(), 2.0, 10_000, ecc_bits=ecc)
    raw = system.raw_rate(rate)
    bound = SecDedCode(ecc).residual_bounds(raw)[1]
    assert bound <= rate
    assert raw > rate
    assert bound == pytest.approx(rate, rel=1e-6)


def test_the_energy_of_a_system_counts_check_bits_and_coding():
    cell = StMram()
    plain, coded = WriteSystem(cell, 2.0, 6400), WriteSystem(cell, 2.0, 6400, ecc_bits=64, coding_energy_j=1e-12)
    assert plain.energy_j(1e-6) == pytest.approx(6400 * cell.write_energy_j(1e-6, 2.0))
    expected = 7200 * cell.write_energy_j(coded.raw_rate(1e-6), 2.0) + 100 * 1e-12
    assert coded.energy_j(1e-6) == pytest.approx(expected)
    weak = plain.energy_j(1e-3)
    assert 1.9 < plain.energy_j(1e-8) / weak < 2.1
    assert coded.energy_j(1e-8) > 1.4 * weak


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: StMram(thermal_stability=0), "thermal stability 0"),
        (lambda: Pulse(-1, 1), "pulse current -1"),
        (lambda: StMram().pulse(1e-3, 1.0), "overdrive 1.0"),
        (lambda: StMram().pulse(0, 2.0), "no pulse has it"),
        (lambda: StMram(thermal_stability=1).pulse(0.999999999, 2.0), "a pulse of no length"),
        (lambda: StMram().write_error_rate(Pulse(1e-6, 1e-9)), "overdrive"),
        (lambda: WriteSystem(StMram(), 2.0, 0), "bits 0"),
        (lambda: WriteSystem(StMram(), 2.0, 10, ecc_bits=0), "SEC-DED words of 0"),
        (lambda: WriteSystem(StMram(), 2.0, 10, coding_energy_j=-1), "coding energy"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(act, message):
    with pytest.raises(UsageError, match=message):
        act()
