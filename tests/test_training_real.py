"""Every recipe on the data that it names: what was trained is exported, neuron by neuron, on all test images."""

import pytest

from bnnverify.errors import InputFormatError
from bnnverify.training.recipe import read_recipe, recipe_names
from tests.paths import DATA, needs_data

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from bnnverify.training import export as export_module  # noqa: E402
from bnnverify.training.material import load_material  # noqa: E402
from bnnverify.training.session import Session  # noqa: E402


def material_of(recipe):
    try:
        return load_material(recipe.data, DATA)
    except InputFormatError as error:
        pytest.skip(str(error))


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("name", [name for name in recipe_names() if read_recipe(name).network.is_binary])
def test_the_smoke_model_of_a_recipe_agrees_with_the_bit_engine_on_all_test_images(name, tmp_path, monkeypatch) -> None:
    compare, compared = export_module.first_difference, []

    def counted(model, folded, instances):
        compared.append(len(instances))
        return compare(model, folded, instances)

    monkeypatch.setattr(export_module, "first_difference", counted)
    recipe = read_recipe(name).smoke()
    material = material_of(recipe)
    trained = Session(recipe, material, tmp_path / "net.npz").train()
    assert trained.network is not None
    assert compared == [len(material.test_labels)]
