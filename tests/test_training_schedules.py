"""Learning rates over a run, against the numbers that the published recipes name."""

from math import cos, pi

import pytest

from bnnverify.errors import UsageError

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from bnnverify.training.schedules import Constant, Cosine, Exponential, Halving  # noqa: E402

N_EPOCHS, STEPS = 10, 4


def rates(schedule, start=0.003):
    """The rate of every step of a run, and of one step beyond it, of two groups."""
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": start * factor} for factor in (1, 5)]
    optimizer = torch.optim.SGD(groups)
    scheduler = schedule(optimizer, N_EPOCHS, STEPS)
    found = []
    for _ in range(N_EPOCHS * STEPS + 1):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    assert all(second == pytest.approx(5 * first) for first, second in found)
    return [first for first, _ in found]


def test_a_constant_rate_stays() -> None:
    assert rates(Constant()) == pytest.approx([0.003] * (N_EPOCHS * STEPS + 1))


def test_an_exponential_rate_shrinks_after_every_epoch_down_to_its_ratio() -> None:
    found = rates(Exponential(1e-4))
    assert found == pytest.approx([0.003 * 1e-4 ** (step // STEPS / N_EPOCHS) for step in range(len(found))])
    assert found[-1] == pytest.approx(3e-7)


def test_a_halving_rate_halves_after_its_epochs() -> None:
    found = rates(Halving(3), start=2.0**-6)
    assert found[:: 3 * STEPS] == pytest.approx([2.0**-6, 2.0**-7, 2.0**-8, 2.0**-9])
    assert found[3 * STEPS - 1] == pytest.approx(2.0**-6)


def test_a_cosine_ends_at_zero() -> None:
    n = N_EPOCHS * STEPS
    assert rates(Cosine()) == pytest.approx([0.0015 * (1 + cos(pi * step / n)) for step in range(n + 1)], abs=1e-9)


@pytest.mark.parametrize("make", [lambda: Exponential(0.0), lambda: Halving(0)])
def test_a_schedule_out_of_range_is_refused(make) -> None:
    with pytest.raises(UsageError, match="schedule"):
        make()


def test_a_schedule_names_itself() -> None:
    assert [repr(s) for s in (Cosine(), Exponential(0.1), Halving(20))] == [
        "Cosine()",
        "Exponential(ratio=0.1)",
        "Halving(every=20)",
    ]
