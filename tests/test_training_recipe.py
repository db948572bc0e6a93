"""Recipes are data: every one that ships is valid, and a mistake in one is a sentence that names the key."""

import sys
from pathlib import Path

import pytest

from bnnverify.errors import UsageError
from bnnverify.training.recipe import Recipe, read_recipe, recipe_names
from bnnverify.training.tables import Within, read_table

MINIMAL = """
title = "tiny"
[data]
name = "mnist"
[network]
layers = [{ dense = 5 }]
[training]
epochs = 1
"""


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_reads_back_as_itself_and_so_do_its_variants(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.title
    assert recipe.source
    for variant in (recipe, recipe.smoke(), recipe.twin(), recipe.deterministic(), recipe.stochastic_twin()):
        assert read_table(Recipe, variant.to_dict(), "again") == variant
    assert not recipe.twin().network.is_binary
    assert recipe.deterministic().network.is_binary
    assert "stochastic" in (recipe.stochastic_twin().network.weights, recipe.stochastic_twin().network.activations)


def test_the_founding_recipes_are_those_of_their_papers() -> None:
    theano, torch7 = read_recipe("theano_mnist"), read_recipe("torch7_mnist")
    assert [layer.dense for layer in theano.network.layers] == [4096] * 3
    assert (theano.training.rate, theano.training.final_rate, theano.training.epochs) == (3e-3, 3e-7, 1000)
    assert (theano.network.input_dropout, theano.network.dropout, theano.network.norm_eps) == (0.2, 0.5, 1e-4)
    assert (theano.training.rate_scale, theano.training.loss) == ("glorot", "squared-hinge")
    assert [layer.dense for layer in torch7.network.layers] == [2048] * 3
    assert (torch7.training.rate, torch7.training.halve_every) == (2**-6, 20)
    assert (torch7.network.activations, torch7.network.norm) == ("stochastic", "shift")
    assert read_recipe("torch7_svhn").training.rate == 2**-7
    for name, first in (("theano_cifar10", 128), ("theano_svhn", 64), ("torch7_cifar10", 128)):
        layers = read_recipe(name).network.layers
        assert [layer.conv for layer in layers[:6]] == [first * 2 ** (k // 2) for k in range(6)]
        assert [layer.pool for layer in layers[:6]] == [None, 2] * 3
        assert [layer.dense for layer in layers[6:]] == [1024, 1024]


def test_quirks_are_off_until_they_are_asked_for() -> None:
    recipe = read_recipe("akshaychawla_mnist_binary")
    assert (recipe.network.activations, recipe.network.train_scores) == ("sign", True)
    original = recipe.with_quirks()
    assert (original.network.activations, original.network.train_scores) == ("relu", False)
    assert not original.network.is_binary
    with pytest.raises(UsageError, match="small: lists no quirks"):
        read_recipe("small").with_quirks()


def test_a_file_may_start_from_a_recipe_that_ships_and_from_one_beside_it(tmp_path: Path) -> None:
    written(tmp_path, 'base = "small"\n[training]\nepochs = 3\n', "first.toml")
    second = read_recipe(written(tmp_path, 'base = "first.toml"\n[training]\nseed = 9\n'))
    assert (second.training.epochs, second.training.seed, second.training.batch) == (3, 9, 200)
    assert second.network == read_recipe("small").network
    assert second.name == "mine"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("colour = 1", "mine: unknown key 'colour', expected one of title"),
        ("input = 3", "mine: input: found 3, expected a table"),
        ("[training]\nepoch = 1", "mine: training: unknown key 'epoch'"),
        ("[training]\nepochs = 0", "mine: training: epochs: found 0, expected at least 1"),
        ("[training]\nepochs = 1.5", "mine: training: epochs: found 1.5, expected a whole number"),
        ("[training]\nepochs = true", "mine: training: epochs: found True, expected a whole number"),
        ("[training]\nrate = nan", "mine: training: rate: found nan, expected a finite number"),
        ("[training]\nrate = 0", "mine: training: rate: found 0.0, expected above 0"),
        ("[training]\noptimizer = 'adm'", "mine: training: optimizer: found 'adm', expected one of adam"),
        ("[training]\noptimizer = ['adam']", "found .'adam'., expected one of adam"),
        ("[training]\nrecalibrate = 1", "recalibrate: found 1, expected true or false"),
        ("[network]\nlayers = 3", "mine: network: layers: found 3, expected a list"),
        ("[network]\nlayers = [3]", "mine: network: layers 1: found 3, expected a table"),
        ("[network]\nlayers = [{ }]", "a layer is either dense or conv"),
        ("[network]\nlayers = [{ dense = 3, conv = 3 }]", "a layer is either dense or conv"),
        ("[network]\ndropout = 1", "dropout: found 1.0, expected at least 0 and at most 0.95"),
        ("[data]\nsize = [4]", "mine: data: size: a list of 1, expected 2"),
        ("[data]\nname = 3", "mine: data: name: found 3, expected text"),
        ("[input]\nkind = 'quantized'\nstep = 'much'", "input: step 'much', expected a decimal"),
        ("[input]\nstep = '1/0'", "input: step '1/0', expected a decimal"),
        ("[attack]\nradius = 3", "mine: attack: no key 'norm', which has no default"),
        ("[attack]\nnorm = 'hamming'\nradius = 3", "expected input kind = 'threshold', found 'levels'"),
        ("[quirks.network]\nlayers = 3", "mine: network: layers: found 3, expected a list"),
        ("[float_twin]\ncolour = 3", "mine: unknown key 'colour'"),
        ("base = 3", "base: found 3, expected the name of a recipe"),
        ("base = 'nothing'", "no recipe 'nothing': expected a file that ends in .toml"),
        ("base = 'mine.toml'", "more than 8 recipes, each the base of another"),
    ],
)
def test_a_mistake_is_a_sentence_that_names_the_key(tmp_path: Path, change: str, expected: str) -> None:
    base = written(tmp_path, MINIMAL, "base.toml")
    text = change if change.startswith("base") else f'base = "{base.name}"\n{change}\n'
    with pytest.raises(UsageError, match=expected):
        read_recipe(written(tmp_path, text))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"title = ", r"mine\.toml: not a TOML file \("),
        (b"\xff\xfe", "not a TOML file, expected tables"),
        (b"a=" + b"[" * 5000, "not a TOML file"),
        (b"#" * (1 << 20) + b"##", "more than 1048576 bytes, expected a recipe"),
        (b"title = 'x'", "mine: no key 'data', which has no default"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_in_one_sentence(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=expected):
        read_recipe(path)


@pytest.mark.parametrize("name", ["nothing.toml", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        read_recipe(folder if name == "." else tmp_path / name)


def test_a_range_says_what_it_accepts() -> None:
    assert str(Within(above=0, most=1)) == "above 0 and at most 1"
    assert [Within(above=0, most=1).accepts(value) for value in (0, 0.5, 1, 1.1)] == [False, True, True, False]


def test_reading_recipes_needs_no_torch() -> None:
    import subprocess

    code = "import sys; from bnnverify.training.recipe import *; read_recipe('small'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
