"""The enumerate engine against brute force, with its leaves shrunk so that every path of the search runs."""

import numpy as np
import pytest

from bnnverify.engines import enumerate as engine
from bnnverify.engines.residual import restrict
from tests.oracle import counts_by_cost, random_network, random_region, totals


@pytest.fixture(params=["usual leaves", "tiny leaves", "tree leaves without pairs"])
def leaves(request, monkeypatch):
    if request.param == "tree leaves without pairs":
        monkeypatch.setattr(engine, "PAIRED_ITEMS", 0)
        monkeypatch.setattr(engine, "SHORT_RUN", 0)
    if request.param == "tiny leaves":
        monkeypatch.setattr(engine, "TREE_LEAF", 1)
        monkeypatch.setattr(engine, "SMALL_TREE", 1)
        monkeypatch.setattr(engine, "TABLE_ROWS", 4)
        monkeypatch.setattr(engine, "FINEST_BUDGET", 2)
        monkeypatch.setattr(engine, "_unbounded_size", lambda tail: 0)


@pytest.mark.parametrize("seed", range(300))
def test_counts_profiles_and_searches_equal_brute_force(seed, leaves):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    region = random_region(rng, network)
    expected = counts_by_cost(network, region)
    residual = restrict(network, region)
    if residual.settled is not None:
        assert totals(expected) == {residual.settled: region.size}
        return
    assert engine.count_by_distance(residual, by_distance=False).rows == [totals(expected)]
    if region.unit_costs:
        rows = engine.count_by_distance(residual, by_distance=True).rows
        assert {cost: row for cost, row in enumerate(rows) if row} == expected
    for label in range(network.n_classes):
        found = engine.find(residual, [label]).candidates
        assert (found is not None) == (label in totals(expected))
