"""The least number of flipped weights: every set of flips tried, on small networks of every kind."""

from itertools import product

import numpy as np
import pytest

from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.inference import predict
from bnnverify.network import BitInput, Block, ConvBlock, MaxPool, Network, Output, QuantizedInput
from bnnverify.presolve.flips import flips_of
from bnnverify.queries.asking import ask
from bnnverify.queries.results import Ties, Verdict
from bnnverify.regions import FreeBits, HammingBall
from bnnverify.solver.solver import Solver
from bnnverify.weightfaults import least, tolerance, tolerance_of_set
from bnnverify.weightfaults.encoding import Encoding
from bnnverify.weightfaults.places import places_in
from bnnverify.weightfaults.search import FOUND, FULL, NONE, Toggles
from bnnverify.weightfaults.winning import Target
from bnnverify.weightflips import flip_weights
from tests import oracle
from tests.toleranceworld import KINDS, Asked, affordable, least_by_trying, members, random_question, wanted_of

QUICK, MANY = 7, 130


def require_agreement(asked):
    """The answer of the package is the answer of trying, as far as that goes, and its witness holds."""
    most = affordable(asked)
    expected = least_by_trying(asked, most)
    found = tolerance(asked.network, asked.instance, asked.region, **asked.options)
    if expected is None:
        assert found.impossible or found.value > most, asked
    else:
        assert found.value == expected, asked
    if not found.impossible:
        require_witness(asked, found)


def require_witness(asked, found):
    """The flips are as many as said, lie where they may, and change the class of an input of the region."""
    bits, (wanted, order) = found.witness.bits, wanted_of(asked)
    assert len(set(bits)) == found.value == found.lower == found.tolerated + 1
    layers, rows = asked.options.get("layers"), asked.options.get("rows")
    assert all((layers is None or bit.block in layers) and (rows is None or bit.row in rows) for bit in bits)
    layer = asked.network.input
    read = layer.to_levels if isinstance(layer, QuantizedInput) else layer.to_bits
    values = read(found.witness.input)
    assert (members(asked) == values).all(axis=1).any()
    assert oracle.classes_of(flip_weights(asked.network, bits), values[None], order)[0] == found.witness.label
    assert found.witness.label in wanted


@pytest.mark.parametrize("kind", KINDS)
def test_no_smaller_set_of_flips_does_it_and_the_witness_does(kind):
    rng = np.random.default_rng(KINDS.index(kind))
    for _ in range(QUICK):
        require_agreement(random_question(rng, kind))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_on_hundreds_of_networks(kind):
    rng = np.random.default_rng(100 + KINDS.index(kind))
    for _ in range(MANY):
        require_agreement(random_question(rng, kind))


def test_networks_of_two_inputs_and_two_neurons():
    signs = [np.array(rows) for rows in product(product((-1, 1), repeat=2), repeat=2)]
    for weights, limits, votes in product(signs[::5], ((-1, 1), (1, 1), (1, 3)), signs[::7]):
        network = Network([Block(weights, np.array(limits))], Output(votes))
        require_agreement(Asked(network, np.array([1, -1])))


def test_the_formulas_agree_where_the_search_gives_up(monkeypatch):
    monkeypatch.setattr(least.Toggles, "within", lambda *_: (FULL, None))
    rng = np.random.default_rng(7)
    for _ in range(QUICK):
        asked = random_question(rng, "targets")
        require_agreement(asked)


def test_some_network_needs_the_knapsacks_exhaustive_end():
    # class 2 must beat two rivals: best against one of them alone is not best against both
    rng = np.random.default_rng(11)
    for _ in range(12):
        hidden = Block(rng.choice([-1, 1], (6, 3)), rng.integers(-1, 2, 6))
        network = Network([hidden], Output(rng.choice([-1, 1], (4, 6)), scale=rng.choice([0.5, 1, 2], 4)))
        instance = rng.choice([-1, 1], 3)
        label = int(predict(network, instance)[0])
        options = {"target": (label + 1) % 4, "layers": [0, 1], "rows": [0, 1, 2, 3]}
        require_agreement(Asked(network, instance, None, options))


def test_a_search_of_too_many_nodes_says_so():
    network, image = bundled_network(), bundled_images().values[0]
    question = ask(network, image, FreeBits(image, ()).on(network), Ties.LOWEST, None)
    target = Target(question.wanted, (question.label,), question.order)
    toggles = Toggles.of(network, places_in(network, None, None), question.bits.center.astype(np.int64), target)
    least_flips = tolerance(network, image).value
    assert toggles.within(least_flips - 1, 3)[0] == FULL
    assert toggles.within(least_flips - 1)[0] == NONE
    assert toggles.within(least_flips)[0] == FOUND


@pytest.fixture(scope="module")
def net():
    return Network([Block([[1, 1, 1]], [0])], Output([[1], [-1]]))


def test_an_equal_score_is_no_flip_where_it_violates():
    tied = Network([Block([[1, 1, 1]], [0])], Output([[1], [1]]))
    assert tolerance(tied, [1, 1, 1]).value == 1
    answer = tolerance(tied, [1, 1, 1], ties=Ties.VIOLATE)
    assert (answer.value, answer.tolerated, answer.witness.bits) == (0, -1, ())


def test_a_region_that_is_not_robust_takes_no_flip(net):
    answer = tolerance(net, [1, 1, 1], HammingBall([1, 1, 1], 2))
    assert (answer.value, answer.witness.bits, len(answer.witness.flips)) == (0, (), 2)
    assert answer.region.size == 7


def test_input_flips_and_weight_flips_join(net):
    assert tolerance(net, [1, 1, 1], layers=[0]).value == 2
    assert tolerance(net, [1, 1, 1], HammingBall([1, 1, 1], 1), layers=[0]).value == 1
    assert tolerance(net, [1, 1, 1], FreeBits([1, 1, 1], (0,)), layers=[0]).value == 1


def test_constant_neurons_never_toggle():
    network = Network([Block([[1, 1]], [9])], Output([[1], [-1]]))
    answer = tolerance(network, [1, 1], layers=[0])
    assert (answer.impossible, answer.value, answer.tolerated, answer.witness) == (True, None, None, None)
    assert answer.kind == "exact"
    assert "impossible" in repr(answer)


def test_one_class_cannot_change():
    assert tolerance(Network([Block([[1]], [0])], Output([[1]])), [1]).impossible


def test_every_layer_alone(net):
    answer = tolerance(net, [1, 1, 1], per_layer=True)
    assert answer.per_layer == {0: 2, 1: 2}
    pooled = Network([ConvBlock([[[[1]]]], [0]), MaxPool((1, 2))], Output([[1], [-1]]), BitInput((1, 1, 2)))
    assert tolerance(pooled, [1, 1], per_layer=True).per_layer == {0: 1, 2: 2}


def test_a_layer_that_cannot_change_the_class_is_told_apart(net):
    constant = Network([Block([[1, 1]], [-9])], Output([[1], [-1]]))
    assert tolerance(constant, [1, 1], per_layer=True).per_layer == {0: None, 1: 2}


def test_a_greatest_number_leaves_a_bound(net):
    answer = tolerance(net, [1, 1, 1], layers=[0], greatest=1)
    assert (answer.verdict, answer.kind, answer.value, answer.lower) == (Verdict.ANSWERED, "bound", None, 2)
    assert (answer.tolerated, answer.upper, answer.witness) == (1, None, None)


def test_the_bundled_networks_witnesses_replay_and_the_formula_finds_nothing_smaller():
    network, images = bundled_network(), bundled_images().values[:8]
    found = tolerance_of_set(network, images)
    values = [result.value for result in found.results]
    assert found.verdict is Verdict.ANSWERED
    assert (found.value, found.lower, sum(found.histogram.values())) == (min(values), min(values), 8)
    for image, result in zip(images, found.results, strict=True):
        twin = flip_weights(network, result.witness.bits)
        assert len(result.witness.bits) == result.value
        assert predict(twin, image)[0] == result.witness_class != result.input_class
        assert not formula_finds(network, image, min(result.value - 1, 3))


def formula_finds(network, image, budget):
    """Whether the formula, which shares nothing with the search, has a model."""
    question = ask(network, image, FreeBits(image, ()).on(network), Ties.LOWEST, None)
    target = Target(question.wanted, (question.label,), question.order)
    flips = flips_of(question.region)
    solver = Solver()
    solver.add_formula(Encoding(network, places_in(network, None, None), flips, target, budget).formula())
    return solver.solve()


def test_a_limit_is_a_verdict_and_keeps_what_was_proved():
    network, images = bundled_network(), bundled_images().values
    least.load()
    answer = tolerance(network, images[1], HammingBall(images[1], 3), timeout=0.7)
    assert answer.verdict is Verdict.TIMEOUT
    assert (answer.kind, answer.value) == ("bound", None)
    assert 1 <= answer.lower <= answer.upper == len(answer.witness.bits)


def test_options_that_do_not_fit_are_one_sentence(net):
    with pytest.raises(UsageError, match=r"layer 5: expected 0\.\.1"):
        tolerance(net, [1, 1, 1], layers=[5])
    with pytest.raises(UsageError, match=r"row 3: expected 0\.\.1"):
        tolerance(net, [1, 1, 1], rows=[3])
    with pytest.raises(UsageError, match="greatest -1"):
        tolerance(net, [1, 1, 1], greatest=-1)
    with pytest.raises(UsageError, match="differs from the centre"):
        tolerance(net, [1, 1, 1], HammingBall([1, 1, -1], 1))
    with pytest.raises(UsageError, match="instance: found 6 values, expected 3"):
        tolerance(net, [[1, 1, 1], [1, 1, 1]])
    pooled = Network([MaxPool((1, 2))], Output([[1], [-1]]), BitInput((1, 1, 2)))
    with pytest.raises(UsageError, match="a MaxPool has no weights"):
        tolerance(pooled, [1, 1], layers=[0])
    levels = Network([Block([[-128]], [0])], Output([[1], [-1]]), QuantizedInput((1,), 3))
    with pytest.raises(UnsupportedError, match="-128"):
        tolerance(levels, [1])


def test_an_answer_is_a_row_of_json(net):
    told = tolerance(net, [1, 1, 1], layers=[0]).to_dict()
    assert {name: told[name] for name in ("value", "tolerated", "lower", "upper", "impossible", "kind")} == {
        "value": 2, "tolerated": 1, "lower": 2, "upper": 2, "impossible": False, "kind": "exact",
    }  # fmt: skip
    assert told["witness"]["weights"] == ["0:0:0", "0:0:1"]
    assert tolerance_of_set(net, [[1, 1, 1]]).to_dict()["histogram"] == {"2": 1}
