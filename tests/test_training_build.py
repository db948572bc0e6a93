"""Every recipe becomes a model that trains and is exported as it was trained, layer by layer."""

from dataclasses import replace

import numpy as np
import pytest

from bnnverify.errors import ModelFormatError, UnsupportedError, UsageError
from bnnverify.inference import predict
from bnnverify.training.recipe import Layer, read_recipe, recipe_names
from tests.training_support import COLOUR, GREY, images

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from bnnverify.training.build import build_model, build_optimizers, build_settings, seeded_model  # noqa: E402
from bnnverify.training.describe import describe  # noqa: E402
from bnnverify.training.export import export, fold_model  # noqa: E402
from bnnverify.training.material import material_of, resized  # noqa: E402
from bnnverify.training.model import CentredDropout  # noqa: E402
from bnnverify.training.run import Run  # noqa: E402

CPU = torch.device("cpu")


def shape_of(recipe):
    return COLOUR if recipe.data.name in ("cifar10", "svhn") else GREY


def small(name, **network):
    """A recipe at a size of a few batches."""
    recipe = read_recipe(name).smoke()
    data = replace(recipe.data, held_out=20, images=80)
    verify = recipe.verify and replace(recipe.verify, feed=0)
    training = replace(recipe.training, epochs=1, batch=40)
    return replace(recipe, data=data, training=training, verify=verify, network=replace(recipe.network, **network))


def trained(recipe):
    material = material_of(recipe.data, images(100, shape_of(recipe), 1), images(30, shape_of(recipe), 2))
    model = seeded_model(recipe, material.shape, CPU)
    run = Run(model, material.fit, material.held_out, build_settings(recipe), build_optimizers(recipe, model))
    list(run.epochs())
    return model, material, run


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_trains_and_its_export_equals_it_in_every_neuron(name: str) -> None:
    recipe = small(name)
    first = [p.clone() for p in seeded_model(recipe, material_shape(recipe), CPU).parameters()]
    model, material, run = trained(recipe)
    assert np.isfinite(run.history[0].loss)
    assert any(not torch.equal(old, new) for old, new in zip(first, model.parameters(), strict=True))
    if recipe.network.is_binary:
        network = export(model, material.test_pixels)
        found = model(material.test.pixels).argmax(dim=1).numpy()
        assert np.array_equal(predict(network, material.test_pixels), found)
    else:
        with pytest.raises(UnsupportedError, match="real weights or activations"):
            fold_model(model)


def material_shape(recipe):
    return material_of(recipe.data, images(100, shape_of(recipe)), images(2, shape_of(recipe))).shape


@pytest.mark.parametrize("name", [name for name in recipe_names() if read_recipe(name).quirks])
def test_the_originals_quirks_train_too(name: str) -> None:
    recipe = small(name).with_quirks()
    model, _, run = trained(recipe)
    assert np.isfinite(run.history[0].loss)
    assert not model.is_binary
    frozen = [p.requires_grad for p in model.scores.parameters()]
    assert all(frozen) == recipe.network.train_scores


@pytest.mark.parametrize(
    "network",
    [
        {"scores": "sums"},
        {"weights": "masked", "score_weights": "binary"},
        {"bit_flips": 0.05},
        {"weights": "stochastic", "slope": "swish"},
        {"slope": "approx-sign", "norm": "shift", "scores": "normalized"},
    ],
)
@pytest.mark.parametrize("kind", ["levels", "learned", "quantized"])
def test_every_choice_of_layers_exports_as_it_was_trained(network, kind) -> None:
    recipe = small("jaygshah_128", **network)
    recipe = replace(recipe, input=replace(recipe.input, kind=kind))
    model, material, _ = trained(recipe)
    export(model, material.test_pixels)


@pytest.mark.parametrize("optimizer", ["adam", "adamax", "shift-adamax", "sgd", "bop"])
@pytest.mark.parametrize("loss", ["cross-entropy", "squared-hinge", "modified-hinge"])
def test_every_optimizer_lowers_every_loss(optimizer, loss) -> None:
    recipe = small("small")
    rate = {"sgd": 0.3 if loss == "modified-hinge" else 3e-3, "bop": 0.01, "shift-adamax": 2**-8}.get(optimizer, 0.01)
    training = replace(recipe.training, epochs=5, batch=10, optimizer=optimizer, loss=loss, rate=rate, margin=8.0)
    _, _, run = trained(replace(recipe, training=training))
    assert run.history[-1].loss < run.history[0].loss


def test_bop_refuses_weights_that_are_not_plain_signs() -> None:
    recipe = small("eev_mlp_step1_plain")
    recipe = replace(recipe, training=replace(recipe.training, optimizer="bop"))
    with pytest.raises(UsageError, match="bop flips binary weights"):
        build_optimizers(recipe, build_model(recipe, (1, *GREY)))


def test_a_broken_fold_of_normalized_scores_is_caught() -> None:
    model, material, _ = trained(small("theano_mnist"))
    real = model.scores.forward
    model.scores.forward = lambda values: -real(values)
    with pytest.raises(ModelFormatError, match="differ at output: torch finds class"):
        export(model, material.test_pixels)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([Layer(dense=4, pool=2)], "layer 1: pools a dense layer"),
        ([Layer(dense=4), Layer(conv=4)], "layer 2: a convolution behind a dense layer"),
        ([Layer(conv=4, kernel=40)], "layer 1: nothing is left of an image of 28x28"),
    ],
)
def test_layers_that_do_not_fit_are_refused_by_number(layers, expected) -> None:
    with pytest.raises(UsageError, match=expected):
        build_model(small("small", layers=tuple(layers)), (1, *GREY))


def test_facts_of_a_model_are_those_of_its_layers() -> None:
    recipe = small("eev_conv_step1_plain")
    facts = describe(build_model(recipe, (1, *GREY)), (1, *GREY))
    assert [layer.reads for layer in facts.layers] == ["levels", "bits", "bits", "bits"]
    assert [layer.output_shape for layer in facts.layers] == [(8, 14, 14), (8, 7, 7), (64,), (10,)]
    assert [layer.bits for layer in facts.layers] == [2] * 4
    assert facts.layers[1].n_accumulated == 8 * 8 * 16 * 49
    assert facts.layers[0].n_other == 16
    assert facts.layers[-1].n_other == 11
    assert facts.arithmetic_uj == pytest.approx(facts.n_accumulated * 0.1e-6)
    twin = describe(build_model(recipe.twin(), (1, *GREY)), (1, *GREY))
    assert twin.n_accumulated == facts.n_accumulated
    assert twin.arithmetic_uj == pytest.approx(facts.n_accumulated * 4.6e-6)
    assert twin.memory_uj > 16 * facts.memory_uj


def test_dropped_pixels_count_as_the_middle_of_their_range() -> None:
    levels = torch.randint(0, 256, (40, 50)).float()
    drop = CentredDropout(0.25, 127.5).train()
    torch.manual_seed(3)
    found = drop(levels) - 127.5
    grown = 4 / 3 * (levels - 127.5)
    assert torch.all((found == 0) | torch.isclose(found, grown))
    assert (found == 0).float().mean().item() == pytest.approx(0.25, abs=0.05)
    assert torch.equal(drop.eval()(levels), levels)


def test_a_smaller_image_is_the_mean_of_the_areas_of_the_larger() -> None:
    pixels = images(5, (1, 28, 28)).images
    halves = resized(pixels, (14, 14))
    means = pixels.reshape(5, 1, 14, 2, 14, 2).mean(axis=(3, 5))
    assert np.array_equal(halves, np.floor(means + 0.5))
    assert np.array_equal(resized(pixels, (28, 28)), pixels)
    thirds = resized(np.array([[[[0, 0, 255]]]], dtype=np.uint8), (1, 2))
    assert thirds.tolist() == [[[[0, 170]]]]


def test_too_few_images_to_hold_some_out_are_refused() -> None:
    recipe = read_recipe("small")
    with pytest.raises(UsageError, match="bands0: 30 images, of which the recipe holds 6000 out"):
        material_of(recipe.data, images(30), images(5))
