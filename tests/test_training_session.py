"""A session writes its file whole, goes on after it was killed, and its verifier is right about what it trained."""

import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bnnverify.cli.main import main
from bnnverify.errors import ReplayError, UsageError
from bnnverify.formats import load
from bnnverify.inference import predict
from bnnverify.training.recipe import Verification, read_recipe
from tests.training_support import GREY, images, write_mnist

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from bnnverify.training import counterexamples  # noqa: E402
from bnnverify.training import session as session_module  # noqa: E402
from bnnverify.training.attacks import BitAttack, PixelAttack, flipped_pixels  # noqa: E402
from bnnverify.training.augmentation import Augmentation  # noqa: E402
from bnnverify.training.build import build_model  # noqa: E402
from bnnverify.training.checkpoints import save_checkpoint  # noqa: E402
from bnnverify.training.counterexamples import CounterexampleFeed, report_radius  # noqa: E402
from bnnverify.training.export import export  # noqa: E402
from bnnverify.training.logs import open_log  # noqa: E402
from bnnverify.training.material import material_of  # noqa: E402
from bnnverify.training.run import Epoch  # noqa: E402
from bnnverify.training.session import CHECKPOINT, Session, report  # noqa: E402


def tiny(name="bdd4bnn_16", epochs=3, **training):
    recipe = read_recipe(name).smoke()
    changed = replace(recipe.training, epochs=epochs, batch=20, **training)
    return replace(recipe, data=replace(recipe.data, held_out=60, images=200), training=changed)


def material_for(recipe):
    return material_of(recipe.data, images(260, GREY, 1), images(60, GREY, 2))


def test_a_session_writes_the_best_epochs_network_and_removes_its_checkpoint(tmp_path) -> None:
    recipe, seen = tiny(), []
    session = Session(recipe, material_for(recipe), tmp_path / "net.npz")
    trained = session.train(on_epoch=lambda epoch: seen.append((epoch.number, session.checkpoint.exists())))
    assert seen == [(1, True), (2, True), (3, True)]
    assert [path.name for path in tmp_path.iterdir()] == ["net.npz"]
    network, material = load(tmp_path / "net.npz"), session.material
    assert network.fingerprint == trained.network.fingerprint
    assert trained.best.validation_accuracy == max(epoch.validation_accuracy for epoch in trained.history)
    right = float((predict(network, material.test_pixels) == material.test_labels).mean())
    assert trained.test_accuracy == right


def test_an_ordinary_network_is_written_as_plain_arrays_and_has_nothing_to_verify(tmp_path) -> None:
    recipe = tiny("jaygshah_128_float", epochs=1)
    material = material_for(recipe)
    trained = Session(recipe, material, tmp_path / "net.npz").train()
    assert trained.network is None
    with np.load(tmp_path / "net.npz") as arrays:
        assert arrays["stages.0.layer.weight.latent"].shape == (64, 784)
    with pytest.raises(UsageError, match="expected a binarized one to verify"):
        report(trained, material, Verification("hamming"))


@pytest.mark.parametrize("name", ["small_robust", "torch7_mnist", "bits_mnist_64"])
def test_a_session_that_stops_after_any_epoch_resumes_to_the_same_file(name, tmp_path) -> None:
    recipe = tiny(name, epochs=2)
    material = material_for(recipe)
    Session(recipe, material, tmp_path / "whole.npz").train()

    class StoppedError(Exception):
        pass

    def stop(epoch):
        raise StoppedError

    with pytest.raises(StoppedError):
        Session(recipe, material, tmp_path / "parts.npz").train(on_epoch=stop)
    torch.rand(5)
    second = Session(recipe, material, tmp_path / "parts.npz")
    assert second.resume()
    assert [epoch.number for epoch in second.run.history] == [1]
    second.train()
    assert (tmp_path / "whole.npz").read_bytes() == (tmp_path / "parts.npz").read_bytes()


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path) -> None:
    recipe = tiny()
    session = Session(recipe, material_for(recipe), tmp_path / "net.npz")
    assert not session.resume()
    list(itertools.islice(session.run.epochs(), 1))
    save_checkpoint(session.run, session.checkpoint, recipe="another")
    with pytest.raises(UsageError, match="the checkpoint of another recipe; resume with"):
        session.resume()


def arguments(data, out, log):
    options = ["--smoke", "--epochs", "12", "--threads", "1", "--data", str(data), "--out", str(out), "--log", str(log)]
    return ["train", "small", *options]


def first_numbers(log):
    return [row.split(",")[:3] for row in log.read_text().splitlines()]


def test_a_training_killed_by_the_system_resumes_to_the_same_file(tmp_path: Path) -> None:
    data = write_mnist(tmp_path / "data")
    whole, parts, log, other = (tmp_path / name for name in ("whole.npz", "parts.npz", "log.csv", "other.csv"))
    command = [sys.executable, "-m", "bnnverify", *arguments(data, parts, log)]
    victim = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not log.exists() or log.read_text().count("\n") < 4):
        time.sleep(0.005)
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert not parts.exists()
    assert parts.with_name(parts.name + CHECKPOINT).exists()
    assert 3 <= log.read_text().count("\n") - 1 < 12
    assert main([*arguments(data, parts, log), "--resume"]) == 0
    assert main(arguments(data, whole, other)) == 0
    assert whole.read_bytes() == parts.read_bytes()
    assert first_numbers(log) == first_numbers(other)


def pixel_classes(network, pixels, radius):
    """The classes of all images whose bits differ from those of ``pixels`` in at most ``radius`` places."""
    flat = pixels.reshape(-1).astype(np.int64)
    flips = [f for k in range(radius + 1) for f in itertools.combinations(range(flat.size), k)]
    return predict(network, np.array([network.input.realize(flat, np.array(f, dtype=np.intp)) for f in flips]))


def test_verified_accuracy_is_that_of_trying_every_input(tmp_path) -> None:
    recipe = tiny(epochs=6)
    material = material_for(recipe)
    trained = Session(recipe, material, tmp_path / "net.npz").train()
    asked = Verification("hamming", radii=(1, 2), images=40)
    rows = report(trained, material, asked)
    for row in rows:
        pixels, labels = material.test_pixels[:40], material.test_labels[:40]
        stays = [
            set(pixel_classes(trained.network, image, row.radius).tolist()) == {int(label)}
            for image, label in zip(pixels, labels, strict=True)
        ]
        assert row.n_verified == sum(stays)
        assert row.n_correct == int((predict(trained.network, pixels) == labels).sum())
        assert row.n_verified + row.n_violated == row.n_correct
        assert row.n_verified <= row.n_attacked <= row.n_correct
    assert rows[0].n_verified > 0


def test_an_attack_that_beats_a_verified_image_is_a_bug(tmp_path) -> None:
    recipe = tiny(epochs=6)
    material = material_for(recipe)
    trained = Session(recipe, material, tmp_path / "net.npz").train()

    def cheat(model, pixels, labels, generator):
        return flipped_pixels(model, pixels)

    asked = Verification("hamming", radii=(1,), images=40)
    with pytest.raises(ReplayError, match="changed the class of a verified image"):
        report_radius(trained.network, trained.model, cheat, material.test[:40], asked, 1)


def test_counterexamples_lie_within_the_radius_and_have_another_class(tmp_path) -> None:
    recipe = tiny(epochs=4)
    material = material_for(recipe)
    trained = Session(recipe, material, tmp_path / "net.npz").train()
    feed = CounterexampleFeed(30, "hamming", 2, 10.0)
    found = feed(trained.model, material.fit, 1)
    chosen = material.fit[30:60]
    bits = trained.network.input.to_bits
    assert len(found) > 3
    for pixels, label in zip(found.pixels.numpy(), found.labels.tolist(), strict=True):
        distances = (bits(chosen.pixels.numpy()) != bits(pixels[None])).sum(axis=1)
        assert distances[chosen.labels.numpy() == label].min() <= 2
        assert predict(trained.network, pixels[None].astype(np.int64))[0] != label


def test_where_nothing_is_found_nothing_feeds_the_training(monkeypatch) -> None:
    recipe = tiny()
    material = material_for(recipe)
    monkeypatch.setattr(CounterexampleFeed, "_counterexample", lambda self, network, pixels: None)
    found = CounterexampleFeed(10, "hamming", 1, 1.0)(build_model(recipe, material.shape), material.fit, 0)
    assert found.pixels.shape == (0, 1, 4, 4)
    assert len(material.fit[:3] + found) == 3


@pytest.mark.parametrize("radius", [0, 1, 3, 7, 40])
def test_a_bit_attack_flips_at_most_its_radius_by_the_least_change(radius) -> None:
    recipe = tiny()
    material = material_for(recipe)
    torch.manual_seed(1)
    model = build_model(recipe, material.shape).eval()
    pixels, labels = material.test.pixels, material.test.labels
    moved = BitAttack(radius, 3)(model, pixels, labels)
    layer = model.input.layer
    flips = layer.to_bits(pixels.numpy()) != layer.to_bits(moved.numpy())
    assert flips.sum(axis=1).max() <= radius
    expected = [
        layer.realize(image.reshape(-1).astype(np.int64), np.flatnonzero(row))
        for image, row in zip(pixels.numpy(), flips, strict=True)
    ]
    assert np.array_equal(moved.numpy().reshape(len(moved), -1), np.array(expected))
    if radius:
        assert flips.any()


def test_a_bit_attack_harms_more_than_chance() -> None:
    recipe = tiny("small", epochs=3)
    material = material_for(recipe)
    model, test = build_model(recipe, material.shape).eval(), material.test
    flips = torch.zeros_like(test.pixels).flatten(1)
    flips.scatter_(1, torch.rand_like(flips).topk(10).indices, 1)
    chance = torch.where(flips.reshape(test.pixels.shape) > 0, flipped_pixels(model, test.pixels), test.pixels)

    def loss(pixels):
        return float(torch.nn.functional.cross_entropy(model(pixels), test.labels).detach())

    assert loss(BitAttack(10, 5)(model, test.pixels, test.labels)) > loss(chance)


def test_a_bit_attack_needs_bits_of_single_pixels() -> None:
    recipe = tiny("jaygshah_128")
    material = material_for(recipe)
    with pytest.raises(UsageError, match="flips bits, expected an input of bits"):
        BitAttack(2)(build_model(recipe, material.shape), material.test.pixels, material.test.labels)
    with pytest.raises(UsageError, match="radius 1 and 0 steps"):
        BitAttack(1, 0)


def test_linf_is_verified_on_quantized_pixels_too(tmp_path) -> None:
    recipe = tiny("eev_mlp_step1_plain", epochs=2)
    recipe = replace(recipe, data=replace(recipe.data, size=(6, 6)))
    material = material_for(recipe)
    trained = Session(recipe, material, tmp_path / "net.npz").train()
    asked = Verification("linf", radii=(2,), images=4, timeout=20.0)
    row = report_radius(trained.network, trained.model, PixelAttack(2), material.test[:4], asked, 2)
    assert row.n_verified + row.n_violated + row.n_undecided == row.n_correct <= 4


def test_augmented_images_are_mirrored_and_moved_ones() -> None:
    pixels = torch.arange(2 * 3 * 6 * 5, dtype=torch.float32).reshape(2, 3, 6, 5) + 1
    generator = torch.Generator().manual_seed(3)
    moved = Augmentation(mirror=True, shift=2)(pixels, generator)
    padded = torch.nn.functional.pad(pixels, [2] * 4)
    for image, changed in zip(padded, moved, strict=True):
        places = [
            torch.equal(whole[:, top : top + 6, left : left + 5], changed)
            for whole in (image, image.flip(2))
            for top in range(5)
            for left in range(5)
        ]
        assert sum(places) == 1


def test_augmentation_repeats_by_its_generator_and_off_changes_nothing() -> None:
    pixels = torch.rand(4, 1, 6, 6)
    first, second = (Augmentation(True, 1)(pixels, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert Augmentation()(pixels, torch.Generator()) is pixels


def test_a_log_holds_the_whole_curve_after_a_resume(tmp_path) -> None:
    epochs = [Epoch(k, 1.0, 0.5, 0.0, 1.0, 2.0) for k in (1, 2, 3)]
    for suffix in (".csv", ".jsonl"):
        path = tmp_path / f"log{suffix}"
        path.write_text("what an earlier run left\n")
        append = open_log(path, epochs[:2])
        append(epochs[2])
        rows = path.read_text().splitlines()
        assert len(rows) == 3 + (suffix == ".csv")
        assert "3" in rows[-1]
    with pytest.raises(UsageError, match=r"expected a name that ends in .csv or .jsonl"):
        open_log(tmp_path / "log.txt", [])
    with pytest.raises(UsageError, match="cannot be written"):
        open_log(tmp_path / "nowhere" / "log.csv", [])


def test_every_test_image_takes_part_in_the_check_of_the_export(tmp_path, monkeypatch) -> None:
    recipe, seen = tiny(epochs=1), []

    def counted(model, pixels):
        seen.append(len(pixels))
        return export(model, pixels)

    monkeypatch.setattr(session_module, "export", counted)
    Session(recipe, material_for(recipe), tmp_path / "net.npz").train()
    assert seen == [60]


@pytest.mark.parametrize("radius", [1, 3, 25, 76, 255])
def test_a_radius_in_grey_levels_stays_the_same_number(radius) -> None:
    assert counterexamples.region_around(np.zeros((1, 2, 2)), "linf", radius).reach(255) == radius
