"""Integer keys order class scores exactly as fractions do, for any floats that are accepted."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from bnnverify.errors import UnsupportedError
from bnnverify.network import Output
from bnnverify.scores import KEY_LIMIT, score_keys, tie_order

N_HIDDEN = 4

tame = st.sampled_from([0.0, 1.0, -1.0, 0.5, 0.1, 0.3, -0.25, 1.5, 3.0])
trained = st.floats(-8, 8, width=32).filter(lambda x: x == 0 or abs(x) > 1e-6)
double = st.floats(-100, 100).filter(lambda x: x == 0 or abs(x) > 1e-9)
wild = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def outputs(draw, floats):
    n = draw(st.integers(1, 5))
    weights = draw(
        st.lists(st.lists(st.sampled_from([-1, 0, 1]), min_size=N_HIDDEN, max_size=N_HIDDEN), min_size=n, max_size=n)
    )
    uniform = draw(st.booleans())
    scale = [draw(floats)] * n if uniform else [draw(floats) for _ in range(n)]
    return Output(weights, [draw(floats) for _ in range(n)], scale)


def winner(output, sums, order):
    """The class of the greatest score, in fractions; the first in ``order`` among equals."""
    scores = [
        Fraction(float(a)) * s + Fraction(float(b)) for a, b, s in zip(output.scale, output.bias, sums, strict=True)
    ]
    return min(order, key=lambda c: (-scores[c], order.index(c)))


def class_by_keys(keys, sums):
    values = [int(a) * s + int(b) for a, b, s in zip(keys.slopes, keys.offsets, sums, strict=True)]
    assert len(set(values)) == len(values)
    assert max(map(abs, values)) < KEY_LIMIT
    return int(keys.classes[max(values) & (keys.classes.size - 1)])


def assert_exact(output, order):
    """Keys give the class that fractions give, on every hidden vector."""
    keys = score_keys(output, order)
    for hidden in product((-1, 1), repeat=N_HIDDEN):
        sums = (output.weights.astype(int) @ hidden).tolist()
        assert class_by_keys(keys, sums) == winner(output, sums, list(order))


def orders(output, seed):
    return np.random.default_rng(seed).permutation(output.n_classes).tolist()


@pytest.mark.parametrize("floats", [tame, trained, double], ids=["tame", "single precision", "double precision"])
def test_keys_order_scores_as_fractions_do(floats):
    @settings(max_examples=150, deadline=None)
    @given(outputs(floats), st.integers(0, 1000))
    def check(output, seed):
        assert_exact(output, orders(output, seed))

    check()


@settings(max_examples=300, deadline=None)
@given(outputs(wild), st.integers(0, 1000))
@example(Output([[1, 1, 0, 0], [-1, 0, 1, 0]], [1e29, 0], [1e30, 3e29]), 0)
@example(Output([[1, 1, 0, 0], [-1, 0, 1, 0]], [0, 5e-324], [1, 1]), 0)
def test_any_finite_floats_are_ordered_exactly_or_refused(output, seed):
    order = orders(output, seed)
    try:
        score_keys(output, order)
    except UnsupportedError:
        assume(False)
    assert_exact(output, order)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ten_classes_of_a_hundred_neurons_are_never_refused(dtype):
    rng = np.random.default_rng(0)
    for _ in range(50):
        scale, bias = rng.uniform(0.01, 0.5, 10).astype(dtype), rng.normal(0, 3, 10).astype(dtype)
        output = Output(rng.choice([-1, 1], (10, 100)), bias, scale)
        keys = score_keys(output)
        for hidden in rng.choice([-1, 1], (20, 100)):
            sums = (output.weights.astype(int) @ hidden).tolist()
            assert class_by_keys(keys, sums) == winner(output, sums, list(range(10)))


def test_scores_that_62_bits_cannot_order_are_refused_in_one_sentence():
    with pytest.raises(UnsupportedError, match=r"^output: 62-bit keys cannot order scores .* exactly; round them$"):
        score_keys(Output([[1, 1], [-1, 1]], [1e-30, 0], [1e30, 3e29]))


def test_equal_scores_go_to_the_first_in_the_order():
    output = Output([[1], [1], [1]])
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        assert class_by_keys(score_keys(output, order), [1, 1, 1]) == order[0]


def test_the_order_of_ties_is_lowest_first_but_for_label_and_target():
    assert tie_order(4) == (0, 1, 2, 3)
    assert tie_order(4, last=1) == (0, 2, 3, 1)
    assert tie_order(4, first=3, last=0) == (3, 1, 2, 0)
    assert tie_order(1, last=0) == (0,)


@pytest.mark.parametrize("n_classes", range(1, 18))
def test_a_key_names_its_class_however_many_there_are(n_classes):
    keys = score_keys(Output(np.ones((n_classes, 1), dtype=int)))
    assert [int(keys.classes[int(b) & (keys.classes.size - 1)]) for b in keys.offsets] == list(range(n_classes))
