"""Fault models against closed forms: what fails, how often, and how models compose."""

import itertools
from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest

from bnnverify.errors import UsageError
from bnnverify.faults import (
    Asymmetric,
    ChipMap,
    Differential,
    Own,
    Persistent,
    ResistiveCells,
    SecDed,
    SecDedCode,
    StuckAt,
    Symmetric,
    Together,
    Where,
    WriteErrors,
    pair_rate,
)
from bnnverify.faults.cells import Cells, Target
from bnnverify.faults.described import described
from bnnverify.faults.model import aimed
from bnnverify.faults.sampling import failing
from bnnverify.faults.stored import flipped_thresholds, threshold_bank, weight_bank
from bnnverify.network import Block, Network, Output

WORST_Z = 4.5


def bank(contents, rows=1, target=Target.WEIGHTS, layer=0):
    contents = np.asarray(contents, dtype=bool)
    return Cells(target, layer, rows, contents.size // rows, lambda asked: contents[asked])


def half_ones(n):
    return bank(np.arange(n) % 3 == 0)


def z_of(count, trials, p):
    """How many standard deviations a count is from its binomial mean."""
    return abs(count - trials * p) / sqrt(trials * p * (1 - p))


def chi_square_of_counts(p, n_cells, draws, seed):
    """Chi-square of the numbers of failures against the binomial law, and its degrees of freedom."""
    from scipy import stats

    rng = np.random.default_rng(seed)
    counts = np.array([failing(n_cells, p, rng).size for _ in range(draws)])
    law = stats.binom(n_cells, p)
    edges = np.unique(law.ppf(np.linspace(0, 1, 12)[1:-1]))
    bins = np.searchsorted(edges, counts, side="left")
    expected = draws * np.diff(np.concatenate([[0], law.cdf(edges), [1]]))
    found = np.bincount(bins, minlength=len(edges) + 1)
    return float(((found - expected) ** 2 / expected).sum()), len(edges)


@pytest.mark.parametrize("p", [0.0003, 0.004, 0.0155, 0.0157, 0.1, 0.5, 0.93])
def test_numbers_of_failures_follow_the_binomial_law(p):
    stats = pytest.importorskip("scipy.stats")
    found, freedom = chi_square_of_counts(p, 3_001, 3_000, seed=1)
    assert stats.chi2.sf(found, freedom) > 1e-4


def test_the_chi_square_rejects_a_wrong_rate():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    counts = np.array([failing(3001, 0.011, rng).size for _ in range(3000)])
    assert stats.ttest_1samp(counts, 3001 * 0.01).pvalue < 1e-9


@pytest.mark.parametrize("p", [0.01, 0.3])
def test_every_cell_fails_alike_and_neighbours_independently(p):
    rng = np.random.default_rng(2)
    draws, n = 20_000, 70
    failed = np.zeros((draws, n), dtype=bool)
    for row in failed:
        row[failing(n, p, rng)] = True
    assert max(z_of(count, draws, p) for count in failed.sum(axis=0)) < WORST_Z
    both = (failed[:, 1:] & failed[:, :-1]).sum()
    assert z_of(both, draws * (n - 1), p * p) < WORST_Z


@pytest.mark.parametrize("p", [0.002, 0.0156, 0.2, 0.999])
@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000])
def test_positions_ascend_are_distinct_and_exist(p, n):
    rng = np.random.default_rng(n)
    for _ in range(50):
        found = failing(n, p, rng)
        assert np.all(np.diff(found) > 0)
        assert found.size == 0 or (found[0] >= 0 and found[-1] < n)


def test_certain_and_impossible_failures():
    rng = np.random.default_rng(0)
    assert failing(5, 0, rng).size == 0
    assert failing(0, 0.5, rng).size == 0
    assert failing(5, 1, rng).tolist() == [0, 1, 2, 3, 4]


def test_room_for_positions_grows_when_more_fail_than_expected():
    from bnnverify.faults.sampling import _dense, _sparse

    state = np.random.default_rng(0).integers(0, 1 << 64, 4, dtype=np.uint64)
    small = np.empty(1, dtype=np.int64)
    assert len(_sparse(state, 10_000, np.log1p(-0.1), small)) > 500
    assert len(_dense(state, 10_000, np.uint64(1 << 62), small)) > 1500


def rates_by_content(model, n=400_000, seed=3):
    """Error rates of cells that hold 0 and 1, as z-scores need them: (wrong zeros, zeros, wrong ones, ones)."""
    cells = half_ones(n)
    found = model(cells, np.random.default_rng(seed))
    ones = cells.ones(np.arange(n))
    wrong_ones = int(ones[found].sum())
    return found.size - wrong_ones, int((~ones).sum()), wrong_ones, int(ones.sum())


@pytest.mark.parametrize(
    ("model", "zero", "one"),
    [
        (Symmetric(0.03), 0.03, 0.03),
        (Asymmetric(0.01, 0.04), 0.01, 0.04),
        (Asymmetric(0.05, 0.002), 0.05, 0.002),
        (StuckAt(0.02, 0.05), 0.05, 0.02),
        (WriteErrors(0.04, 0.01, "random"), 0.005, 0.02),
        (Differential(Symmetric(0.05), tie=0.5), 0.05, 0.05),
        (Differential(Symmetric(0.05), tie=0.0), 0.0025, 0.0025),
        (Differential(Asymmetric(0.02, 0.1), tie=0.25), *[0.002 + 0.25 * (0.02 * 0.9 + 0.1 * 0.98)] * 2),
        (ChipMap(0.02, 0.0, chip=5), 0.02, 0.02),
        (Symmetric(0.1) + Symmetric(0.2), 0.26, 0.26),
        (StuckAt(0.0, 0.1) + Asymmetric(0.0, 0.5), 0.1 * 0.5, 0.5),
    ],
)
def test_error_rates_of_both_contents_are_the_closed_forms(model, zero, one):
    wrong_zeros, zeros, wrong_ones, ones = rates_by_content(model)
    assert z_of(wrong_zeros, zeros, zero) < WORST_Z
    assert z_of(wrong_ones, ones, one) < WORST_Z


@pytest.mark.parametrize(("before", "zero", "one"), [("zeros", 0.0, 0.04), ("ones", 0.01, 0.0)])
def test_only_bits_that_switch_can_fail_to_be_written(before, zero, one):
    wrong_zeros, zeros, wrong_ones, ones = rates_by_content(WriteErrors(0.04, 0.01, before))
    assert wrong_zeros == 0 if zero == 0 else z_of(wrong_zeros, zeros, zero) < WORST_Z
    assert wrong_ones == 0 if one == 0 else z_of(wrong_ones, ones, one) < WORST_Z


def small_network(seed, n_in=40, n_out=30):
    rng = np.random.default_rng(seed)
    block = Block(rng.choice([-1, 1], (n_out, n_in)), rng.integers(-5, 6, n_out))
    return Network((block,), Output(rng.choice([-1, 1], (3, n_out))))


@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: SecDed(model, 8), Differential])
def test_a_write_over_the_same_content_never_fails(wrap):
    network = small_network(0)
    model = wrap(WriteErrors(1.0, 1.0, network))
    for make in (weight_bank, threshold_bank):
        assert model(make(network, 0), np.random.default_rng(0)).size == 0


def test_a_write_that_always_fails_leaves_what_was_there():
    network, before = small_network(0), small_network(1)
    found = WriteErrors(1.0, 1.0, before)(weight_bank(network, 0), np.random.default_rng(0))
    differ = network.blocks[0].weights.reshape(-1) != before.blocks[0].weights.reshape(-1)
    assert np.array_equal(found, np.flatnonzero(differ))


def test_a_chip_keeps_its_rates_and_a_persistent_model_its_errors():
    cells = half_ones(20_000)
    first, again, other = (ChipMap(0.01, 1.5, chip=c).rates(cells) for c in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    rngs = [np.random.default_rng(s) for s in (0, 1)]
    one, two = (Persistent(StuckAt(0.05, 0.05), chip=3)(cells, rng) for rng in rngs)
    assert np.array_equal(one, two)
    fresh = [ChipMap(0.01, 1.5, chip=3)(cells, rng) for rng in rngs]
    assert not np.array_equal(*fresh)


def test_the_cells_of_a_chip_fail_at_their_own_log_normal_rates():
    cells, draws = half_ones(3_000), 4_000
    model = ChipMap(0.02, 1.0, chip=1)
    rates = model.rates(cells)
    assert abs(np.std(np.log(rates)) - 1.0) < 0.05
    assert abs(rates.mean() - 0.02) < 4 * rates.std() / sqrt(rates.size)
    counts = np.zeros(cells.size)
    rng = np.random.default_rng(0)
    for _ in range(draws):
        counts[model(cells, rng)] += 1
    scores = (counts - draws * rates) / np.sqrt(draws * rates * (1 - rates))
    assert abs(np.mean(scores**2) - 1) < 0.15


def decode_by_hand(code, wrong):
    """What the decoder does to one word, from the parity-check matrix alone."""
    wrong = set(wrong)
    matrix = [[int(column) >> k & 1 for column in code.columns] + [] for k in range(code.check_bits - 1)]
    syndrome = [sum(row[i] for i in wrong) % 2 for row in matrix]
    if len(wrong) % 2 == 0:
        return wrong
    matching = [i for i in range(code.word_bits) if [row[i] for row in matrix] == syndrome]
    return wrong ^ set(matching)


@pytest.mark.parametrize("data_bits", [1, 3, 4, 7])
def test_the_decoder_treats_every_error_pattern_as_the_matrix_says(data_bits):
    code = SecDedCode(data_bits)
    for size in range(code.word_bits + 1):
        for wrong in itertools.combinations(range(code.word_bits), size):
            positions = np.array(wrong, dtype=np.int64) + 5 * code.word_bits
            found = set((code.decode(positions) - 5 * code.word_bits).tolist())
            assert found == decode_by_hand(code, wrong)
            if size == 1:
                assert found == set()


@pytest.mark.parametrize("data_bits", [1, 4, 8, 16, 32, 64, 100])
def test_columns_are_distinct_and_check_bits_are_what_the_matrix_demands(data_bits):
    code = SecDedCode(data_bits)
    assert len(set(code.columns.tolist())) == code.word_bits
    rng = np.random.default_rng(0)
    data = rng.random((50, data_bits)) < 0.5
    words = np.concatenate([data, code.checks(data)], axis=1)
    assert not np.bitwise_xor.reduce(np.where(words, code.columns, 0), axis=1).any()
    assert not np.bitwise_xor.reduce(words, axis=1).any()


def exact_residual(code, p):
    """Chance that a data bit is wrong after decoding, over all error patterns."""
    total = 0.0
    for size in range(code.word_bits + 1):
        for wrong in itertools.combinations(range(code.word_bits), size):
            left = sum(bit < code.data_bits for bit in decode_by_hand(code, wrong))
            total += left * p**size * (1 - p) ** (code.word_bits - size)
    return total / code.data_bits


@pytest.mark.parametrize("p", [0.001, 0.02, 0.1])
def test_ecc_leaves_exactly_the_errors_of_all_patterns(p):
    code = SecDedCode(4)
    exact = exact_residual(code, p)
    low, high = code.residual_bounds(p)
    assert low <= exact <= high
    assert high - low < 10 * p * exact
    words = 200_000
    found = SecDed(Symmetric(p), 4)(half_ones(4 * words), np.random.default_rng(7))
    assert abs(found.size - 4 * words * exact) < WORST_Z * sqrt(4 * words * exact * 4)


def test_words_fail_as_often_as_the_closed_form_says():
    code, p, words = SecDedCode(16), 0.01, 100_000
    rng = np.random.default_rng(0)
    wrong = failing(code.word_bits * words, p, rng)
    left = np.unique(code.decode(wrong) // code.word_bits).size
    assert z_of(left, words, code.word_failure(p)) < WORST_Z


def test_ecc_works_over_a_shorter_last_word_and_reads_check_bits_from_the_data():
    cells = half_ones(37)
    assert SecDed(Symmetric(1.0), 8)(cells, np.random.default_rng(0)).max() < 37
    seen = []

    def spy(extended, rng):
        seen.append(extended.ones(np.arange(extended.size)))
        return np.zeros(0, dtype=np.int64)

    SecDed(Own(spy), 8)(cells, np.random.default_rng(0))
    code = SecDedCode(8)
    data = np.concatenate([np.arange(37) % 3 == 0, np.zeros(3, bool)]).reshape(5, 8)
    assert np.array_equal(seen[0].reshape(5, 13), np.concatenate([data, code.checks(data)], axis=1))


def test_pairs_of_analog_cells_fail_as_their_normal_comparison():
    cells = ResistiveCells(contrast=3.0, spread_low=0.5, spread_high=0.5)
    rng = np.random.default_rng(0)
    low, high = rng.normal(0, 0.5, 2_000_000), rng.normal(3, 0.5, 2_000_000)
    single, pair = cells.single(), cells.pair()
    assert single.p01 == pytest.approx(single.p10)
    assert z_of((low > 1.5).sum(), low.size, single.p10) < WORST_Z
    assert z_of((low > high).sum(), low.size, pair.p) < WORST_Z
    assert pair_rate(single.p10) == pytest.approx(pair.p, rel=1e-9)
    assert pair_rate(0) == 0
    assert NormalDist().inv_cdf(pair_rate(0.01)) == pytest.approx(sqrt(2) * NormalDist().inv_cdf(0.01))


def test_masks_let_through_only_their_cells():
    cells = bank(np.zeros(60), rows=6, layer=2)
    rng = np.random.default_rng(0)
    every = Symmetric(1.0)
    assert every.on(layers=[1])(cells, rng).size == 0
    assert every.on("inputs")(cells, rng).size == 0
    assert every.on(rows=[2, 4], bits=[0, 9])(cells, rng).tolist() == [20, 29, 40, 49]
    mask = np.zeros((6, 10), dtype=bool)
    mask[3, 7] = True
    assert every.on(layers=[2], mask=mask)(cells, rng).tolist() == [37]


def test_models_that_are_aimed_nowhere_are_aimed_at_the_weights():
    both = aimed(Symmetric(0.1) + Symmetric(0.2).on("inputs"))
    assert isinstance(both, Together)
    assert [part.target for part in both.models] == [Target.WEIGHTS, Target.INPUTS]
    assert isinstance(aimed(Persistent(Symmetric(0.1).on("thresholds"))), Persistent)
    assert isinstance(aimed(lambda cells, rng: []), Where)


def test_thresholds_flip_as_twos_complement_numbers():
    network = small_network(2)
    cells = threshold_bank(network, 0, width=5)
    numbers = network.blocks[0].thresholds
    for row in range(4):
        for bit in range(5):
            read = flipped_thresholds(network, 0, 5, np.array([row * 5 + bit]))
            changed = (int(numbers[row]) & 31) ^ (1 << bit)
            assert read[row] == (changed - 32 if changed >= 16 else changed)
            assert np.array_equal(np.delete(read, row), np.delete(numbers, row))
            assert cells.ones(np.array([row * 5 + bit]))[0] == bool(int(numbers[row]) >> bit & 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Symmetric(1.5), "bit-error rate 1.5: expected a probability between 0 and 1"),
        (lambda: Symmetric(float("nan")), "expected a probability"),
        (lambda: Asymmetric(0.1, -0.1), "p10 -0.1"),
        (lambda: StuckAt(0.6, 0.6), "expected a sum of at most 1"),
        (lambda: ChipMap(0.1, -1), "sigma -1"),
        (lambda: ChipMap(0.1, 1, chip=-2), "chip -2"),
        (lambda: WriteErrors(0.1, 0.1, "noise"), "before 'noise'"),
        (lambda: SecDed(Symmetric(0.1), 0), "SEC-DED words of 0 bits"),
        (lambda: Differential(Symmetric(0.1), tie=2), "tie 2"),
        (lambda: Symmetric(0.1).on("registers"), "target 'registers': expected one of weights, thresholds"),
        (lambda: Symmetric(0.1).on(rows=[]), "rows \\[\\], expected one or more"),
        (lambda: Symmetric(0.1).on(mask=np.ones((2, 2), bool)), "a mask belongs to one layer"),
        (lambda: Symmetric(0.1).on(layers=[0], mask=np.ones(3)), "expected booleans"),
        (lambda: ResistiveCells(0, 1, 1), "contrast 0"),
        (lambda: Together(()), "no model to compose"),
        (lambda: Own(3), "expected a function"),
    ],
)
def test_models_that_make_no_sense_are_one_sentence(make, message):
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    ("found", "message"),
    [([1, 1], "a position twice"), ([10], "position 10, expected 0..9"), ([-1], "position -1"), ([0.5], "positions")],
)
def test_what_a_users_function_returns_is_checked(found, message):
    with pytest.raises(UsageError, match=message):
        Own(lambda cells, rng: found, name="mine")(bank(np.zeros(10)), np.random.default_rng(0))


def test_persistent_cells_must_be_stored_ones():
    cells = bank(np.zeros(10), target=Target.INPUTS)
    for model in (ChipMap(0.1, 1), Persistent(Symmetric(0.1))):
        with pytest.raises(UsageError, match="the inputs of layer 0 have none"):
            model.on("inputs").check([cells])


@pytest.mark.parametrize(
    "model",
    [
        Symmetric(0.1) + Asymmetric(0.1, 0.2).on("inputs", bits=[3]),
        SecDed(Differential(StuckAt(0.1, 0.2)), 8).on(layers=[0, 2], rows=[1]),
        Persistent(ChipMap(0.1, 2.0, 3), chip=4) + WriteErrors(0.1, 0.2, "ones"),
    ],
)
def test_the_repr_of_a_model_rebuilds_it(model):
    assert described(eval(repr(model))) == described(model)


def test_models_with_equal_numbers_have_one_name_and_others_another():
    assert described(ChipMap(0.1, 1)) == described(ChipMap(0.1, 1.0))
    masks = [np.arange(4).reshape(2, 2) == k for k in (0, 0, 1)]
    one, same, other = (described(Symmetric(0.1).on(layers=[0], mask=mask)) for mask in masks)
    assert one == same != other
    assert described(WriteErrors(0.1, 0.1, small_network(0))) != described(WriteErrors(0.1, 0.1, small_network(1)))
