"""The networks of ``examples/train_eev.py`` can be made, in the shapes and with the levels that EEV used."""

import importlib
from dataclasses import replace
from fractions import Fraction

import pytest

from tests.paths import REPOSITORY
from tests.training_support import images

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from bnnverify.training.inputs import uniform_steps  # noqa: E402
from bnnverify.training.material import material_of  # noqa: E402


@pytest.fixture(scope="module")
def example():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "examples"))
        return importlib.import_module("train_eev")


@pytest.mark.parametrize("name", [pytest.param("conv_step.61_adv", marks=pytest.mark.slow), "mlp_step.1_plain"])
def test_a_recipe_makes_a_network_of_its_shape_and_says_how(example, name, tmp_path) -> None:
    recipe = example.recipe_of(name, 1, 40)
    recipe = replace(recipe, data=replace(recipe.data, held_out=40))
    network, facts = example.make(recipe, material_of(recipe.data, images(80, seed=1), images(40, seed=2)))
    example.write(tmp_path, name, network, facts)
    shape = {"conv": [(16, 14, 14), (32, 7, 7), (100,)], "mlp": [(500,), (300,), (200,), (100,)]}[name.split("_")[0]]
    step = {"step.61": "0.61", "step.1": "0.1"}[name.split("_")[1]]
    assert list(network.shapes) == [(1, 28, 28), *shape]
    assert network.input.steps.tolist() == uniform_steps(Fraction(step)).tolist()
    assert facts["recipe"]["training"]["epochs"] == len(facts["curve"]) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{name}.json", f"{name}.npz"]


def test_the_recipes_attack_as_eev_did(example) -> None:
    attacks = {name: example.recipe_of(name, None, None).attack for name in example.RECIPES}
    assert {name: attack and attack.radius for name, attack in attacks.items()} == {
        **{f"{shape}_step.61_adv": int(0.3 * 255) for shape in ("mlp", "conv")},
        **{f"{shape}_step.1_adv": int(0.1 * 255) for shape in ("mlp", "conv")},
        **{f"{shape}_step.{step}_plain": None for shape in ("mlp", "conv") for step in ("61", "1")},
    }
