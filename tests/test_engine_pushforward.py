"""The pushforward engine against brute force, on both of its roads and past 63 bits."""

import numpy as np
import pytest

from bnnverify.engines import pushforward as engine
from bnnverify.engines.residual import restrict
from tests.oracle import counts_by_cost, random_network, random_region, totals


@pytest.fixture(params=["halves", "polynomials", "halves by residues", "polynomials by residues"])
def road(request, monkeypatch):
    if request.param.startswith("polynomials"):
        monkeypatch.setattr(engine._Problem, "by_polynomials", True)
    if request.param.endswith("residues"):
        monkeypatch.setattr(engine, "PLAIN_BITS", 0)
        monkeypatch.setattr(engine.flipsums, "fits_plain", lambda n_items, radius: False)


@pytest.mark.parametrize("seed", range(150))
def test_counts_profiles_and_searches_equal_brute_force(seed, road):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    region = random_region(rng, network, unit_costs=True)
    expected = counts_by_cost(network, region)
    residual = restrict(network, region)
    if residual.settled is not None:
        return
    assert engine.count_by_distance(residual, by_distance=False).rows == [totals(expected)]
    rows = engine.count_by_distance(residual, by_distance=True).rows
    assert {cost: row for cost, row in enumerate(rows) if row} == expected
    for label in range(network.n_classes):
        found = engine.find(residual, [label]).candidates
        assert (found is not None) == (label in totals(expected))
        if found is not None:
            (flips,) = found
            assert label in expected[len(flips)]
            assert all(label not in expected[d] for d in range(len(flips)))
