"""Every reified linear constraint of up to three literals with small weights, against truth tables; and heavy ones."""

from itertools import product

import pytest

from bnnverify.errors import UsageError
from bnnverify.solver.solver import Solver
from tests.solverworld import World

HEAVIEST = 1 << 60


def cases(n: int) -> list[tuple[tuple[int, ...], tuple[int, ...], int, int]]:
    """Weights, signs, a bound and the output's sign."""
    found = []
    for weights, signs in product(product((1, 2, 3), repeat=n), product((1, -1), repeat=n)):
        found += [(weights, signs, bound, sign) for bound in range(sum(weights) + 2) for sign in (1, -1)]
    return found


def world_of(weights: tuple[int, ...], signs: tuple[int, ...], bound: int, sign: int) -> World:
    n = len(weights)
    world = World(n + 1)
    world.add_linear(list(weights), [s * (i + 1) for i, s in enumerate(signs)], bound, sign * (n + 1))
    return world


@pytest.mark.parametrize("n", [1, 2])
def test_every_partial_assignment_is_answered_and_refuted_by_a_core_that_suffices(n: int) -> None:
    for case in cases(n):
        world = world_of(*case)
        for partial in product((-1, 0, 1), repeat=n + 1):
            assumptions = [value * (i + 1) for i, value in enumerate(partial) if value]
            world.check(world.solver.solve(assumptions), assumptions)


def test_what_a_partial_assignment_implies_is_found_without_a_decision() -> None:
    for case in cases(3)[::29]:
        world = world_of(*case)
        for partial in product((-1, 0, 1), repeat=4):
            known = [value * (i + 1) for i, value in enumerate(partial) if value]
            for implied in implied_by(world, known):
                before = world.solver.stats.conflicts
                assert world.solver.solve([*known, -implied]) is False
                assert world.solver.stats.conflicts == before


def implied_by(world: World, known: list[int]) -> list[int]:
    """Literals of open variables that every model with the known ones has; none where there is no model."""
    left = world.allowed & (world.weigh(known) == len(known))
    if not left.any():
        return []
    open_ones = {*range(1, world.n + 1)} - {abs(p) for p in known}
    return [p for v in open_ones for p in (v, -v) if world.column(p)[left].all()]


def test_weights_of_forty_bits_and_more_are_summed_exactly() -> None:
    for weights in ([HEAVIEST, HEAVIEST - 1, 3], [1 << 40, (1 << 40) - 1, 2]):
        for chosen in product((False, True), repeat=3):
            total = sum(w for w, c in zip(weights, chosen, strict=True) if c)
            for bound in (total - 1, total, total + 1):
                world = World(4)
                world.add_linear(weights, [1, 2, 3], bound, 4)
                literals = [(i + 1) if c else -(i + 1) for i, c in enumerate(chosen)]
                assert world.solver.solve([*literals, 4]) is (total >= bound)
                assert world.solver.solve([*literals, -4]) is (total < bound)


def test_any_integer_may_be_a_weight_and_a_variable_may_stand_there_twice() -> None:
    for weights in product((-2, 0, 1, 3), repeat=3):
        for bound in range(-3, 6, 2):
            world = World(3)
            world.add_linear(list(weights), [1, -1, 2], bound, 3)
            for partial in product((-1, 1), repeat=3):
                assumptions = [value * (i + 1) for i, value in enumerate(partial)]
                world.check(world.solver.solve(assumptions), assumptions)


def test_sums_past_62_bits_and_missing_weights_are_refused() -> None:
    solver = Solver()
    literals = [solver.new_var() for _ in range(3)]
    with pytest.raises(UsageError, match=r"expected less than 2\^62"):
        solver.add_linear([1 << 61, 1 << 61, 1], literals, 5)
    with pytest.raises(UsageError, match="2 weights for 3 literals"):
        solver.add_linear([1, 2], literals, 5)
