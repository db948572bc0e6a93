"""A training run learns, repeats to the bit by its seed, and keeps latent weights in their interval."""

import errno
from pathlib import Path

import numpy as np
import pytest

from bnnverify.errors import UsageError
from bnnverify.inference import predict
from bnnverify.network import QuantizedInput

torch = pytest.importorskip("torch", reason="training needs torch")

torch.set_num_threads(1)

from torch import nn  # noqa: E402

from bnnverify.training.adamax import ShiftAdaMax  # noqa: E402
from bnnverify.training.attacks import PixelAttack  # noqa: E402
from bnnverify.training.binarizers import Binarize, TanhSlope  # noqa: E402
from bnnverify.training.bop import Bop  # noqa: E402
from bnnverify.training.checkpoints import resume, save_checkpoint  # noqa: E402
from bnnverify.training.export import export  # noqa: E402
from bnnverify.training.images import Images  # noqa: E402
from bnnverify.training.inputs import QuantizedPixels  # noqa: E402
from bnnverify.training.layers import BinaryLinear, BinaryWeight, MaskedWeight, Scores  # noqa: E402
from bnnverify.training.losses import squared_hinge  # noqa: E402
from bnnverify.training.measures import accuracy, zero_weights  # noqa: E402
from bnnverify.training.model import BinaryModel, Stage  # noqa: E402
from bnnverify.training.rates import parameter_groups  # noqa: E402
from bnnverify.training.run import Run  # noqa: E402
from bnnverify.training.schedules import Exponential  # noqa: E402
from bnnverify.training.settings import Settings  # noqa: E402

SHAPE = (1, 4, 4)


def images(n, seed):
    """Images whose class is the brighter half: upper or lower, with noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, size=n)
    pixels = rng.integers(0, 120, size=(n, 4, 4))
    pixels[labels == 0, :2] += 90
    pixels[labels == 1, 2:] += 90
    return pixels, labels


def fresh_model(weight=MaskedWeight, stochastic=False):
    pixels = QuantizedPixels(QuantizedInput(SHAPE, 255, np.array([60, 120, 180])))
    binarize = Binarize(TanhSlope(), stochastic=stochastic)
    stage = Stage(BinaryLinear(weight((24, 16))), nn.BatchNorm1d(24), binarize, dropout=0.2 if stochastic else 0.0)
    return BinaryModel(pixels, [stage], Scores(weight((2, 24))), name="halves")


def data():
    return (Images.of(*images(n, seed), SHAPE) for n, seed in ((1200, 1), (300, 2)))


def fresh_run(settings, **options):
    torch.manual_seed(settings.seed)
    return Run(fresh_model(**options), *data(), settings)


def trained(settings):
    run = fresh_run(settings)
    return run.model, list(run.epochs())


PLAIN = Settings(2, batch_size=50, learning_rate=5e-3, seed=3)
ATTACKED = Settings(2, batch_size=50, learning_rate=5e-3, seed=3, attack=PixelAttack(15, 2), bound_decay=1e-3)


@pytest.mark.parametrize("settings", [PLAIN, ATTACKED])
def test_a_run_learns_and_its_export_is_as_accurate(settings) -> None:
    model, epochs = trained(settings)
    pixels, labels = images(300, 2)
    network = export(model, pixels)
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert epochs[-1].loss < epochs[0].loss
    assert epochs[-1].validation_accuracy > 0.95
    assert float((predict(network, pixels) == labels).mean()) == pytest.approx(epochs[-1].validation_accuracy)


@pytest.mark.parametrize("settings", [PLAIN, ATTACKED])
def test_the_same_seed_gives_the_same_network(settings) -> None:
    pixels, _ = images(50, 2)
    first, second = (export(trained(settings)[0], pixels).fingerprint for _ in range(2))
    assert first == second


def test_latent_values_stay_within_one() -> None:
    model, _ = trained(Settings(1, batch_size=50, learning_rate=0.5))
    for weight in model.weights():
        assert weight.latent.abs().max().item() <= 1
        assert weight.mask.abs().max().item() <= 1


def test_zero_weights_counts_all_layers_by_their_size() -> None:
    model = fresh_model()
    with torch.no_grad():
        model.scores.weight.mask.fill_(-1)
    assert zero_weights(model) == pytest.approx(48 / (24 * 16 + 48))


def test_the_radius_of_the_attack_grows_to_its_full_size() -> None:
    settings = Settings(10, attack=PixelAttack(40), ramp=0.4)
    radii = [settings.attack_in(epoch).radius for epoch in range(10)]
    assert radii == [10, 20, 30, *[40] * 7]
    assert Settings(10).attack_in(3) is None


@pytest.mark.parametrize("changes", [{"n_epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}])
def test_a_run_that_cannot_move_is_refused(changes) -> None:
    with pytest.raises(UsageError, match="expected all above 0"):
        Settings(**{"n_epochs": 1, **changes})


@pytest.mark.parametrize("settings", [PLAIN, ATTACKED])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(settings, tmp_path) -> None:
    whole = fresh_run(settings, stochastic=True)
    list(whole.epochs())
    first = fresh_run(settings, stochastic=True)
    next(first.epochs())
    save_checkpoint(first, tmp_path / "run.pt")
    torch.rand(7)
    second = fresh_run(settings, stochastic=True)
    resume(second, tmp_path / "run.pt")
    assert [epoch.number for epoch in second.epochs()] == [2]
    for name, values in whole.model.state_dict().items():
        assert torch.equal(values, second.model.state_dict()[name]), name
    assert [epoch.loss for epoch in whole.history] == [epoch.loss for epoch in second.history]


def test_a_checkpoint_of_other_settings_is_refused_by_name(tmp_path) -> None:
    save_checkpoint(fresh_run(PLAIN), tmp_path / "run.pt")
    with pytest.raises(UsageError, match="made with attack None, expected PixelAttack"):
        resume(fresh_run(ATTACKED), tmp_path / "run.pt")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no archive", b"\x80\x04K\x01."])
def test_a_file_that_is_no_checkpoint_is_refused_in_one_sentence(tmp_path, content) -> None:
    path = tmp_path / "run.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"run\.pt: (cannot be read|not a checkpoint)"):
        resume(fresh_run(PLAIN), path)


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch) -> None:
    path = tmp_path / "run.pt"
    save_checkpoint(fresh_run(PLAIN), path)
    before = path.read_bytes()

    def write_half(self, content):
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(UsageError, match=r"cannot be written \(No space left on device\)"):
        save_checkpoint(fresh_run(PLAIN), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_the_best_epoch_can_be_had_back() -> None:
    run = fresh_run(Settings(4, batch_size=50, learning_rate=0.3))
    list(run.epochs())
    best = run.restore_best()
    assert best.validation_accuracy == max(epoch.validation_accuracy for epoch in run.history)
    assert accuracy(run.model.eval(), run.held_out) == best.validation_accuracy


def test_a_run_that_has_not_begun_has_no_best_epoch() -> None:
    with pytest.raises(UsageError, match="no epoch has been trained"):
        fresh_run(PLAIN).restore_best()


def test_shift_based_adamax_with_rates_by_layer_and_squared_hinge_learns() -> None:
    torch.manual_seed(1)
    settings = Settings(3, batch_size=50, loss=squared_hinge, schedule=Exponential(0.1))
    model = fresh_model()
    run = Run(model, *data(), settings, [ShiftAdaMax(parameter_groups(model, 2.0**-10))])
    assert list(run.epochs())[-1].validation_accuracy > 0.95


def test_bop_with_adam_beside_it_learns() -> None:
    torch.manual_seed(1)
    model = fresh_model(BinaryWeight)
    others = [p for p in model.parameters() if all(p is not weight.latent for weight in model.weights())]
    run = Run(model, *data(), Settings(3, batch_size=50), [Bop(model.weights(), lr=0.01), torch.optim.Adam(others)])
    assert list(run.epochs())[-1].validation_accuracy > 0.95
    assert set(model.scores.weight.latent.abs().flatten().tolist()) == {1.0}
