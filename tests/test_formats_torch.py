"""Torch state dicts: NPAQ's, Sequential ones run against torch itself, and every way to break one."""

import io
import pickle
import zipfile
from collections import OrderedDict
from fractions import Fraction

import numpy as np
import pytest

from bnnverify.errors import ModelFormatError
from bnnverify.formats import PixelScale, Unstated, load, load_with_notes
from bnnverify.formats.state_dict import from_tensors
from bnnverify.inference.reference import classify
from tests.formats_support import assert_refused
from tests.paths import PEERS, needs_peers

torch = pytest.importorskip("torch")
nn = torch.nn

NPAQ_SIZES = {
    "mnist-100-bnn_1blk_20": [100, 20, 10],
    "mnist-100-bnn_1blk_50_sparse=0.05": [100, 50, 10],
    "mnist-16-bnn_16_3blk_1": [16, 48, 32, 20, 10],
    "mnist-25-bnn_25_2blk_25_10": [25, 25, 10, 10],
    "mnist-400-bnn_2blk_50_20": [400, 50, 20, 10],
}


class Sign(nn.Module):
    def forward(self, x):
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(4)


def scrambled(model, generator):
    """Random parameters and statistics, a third of the BatchNorm weights negative; float64, evaluation mode."""
    for module in model:
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            n = module.num_features
            module.running_mean = torch.randn(n, generator=generator)
            module.running_var = torch.rand(n, generator=generator) + 0.5
            module.weight.data = torch.rand(n, generator=generator) * 1.5 - 0.5
            module.bias.data = torch.randn(n, generator=generator)
        elif isinstance(module, nn.Linear | nn.Conv2d):
            module.weight.data = torch.rand(module.weight.shape, generator=generator) - 0.5
    return model.double().eval()


def saved(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def torch_classes(model, inputs):
    """Classes by torch in float64, with the weights' signs."""
    with torch.no_grad():
        for module in model:
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.weight.copy_(torch.where(module.weight >= 0, 1.0, -1.0))
        return model(torch.as_tensor(inputs, dtype=torch.float64)).argmax(dim=1).numpy()


def random_bits(*shape):
    return np.random.default_rng(8).choice([-1, 1], size=shape).astype(np.int8)


def test_a_sequential_perceptron_answers_as_torch_does(generator, tmp_path):
    layers = [nn.Linear(12, 9), nn.BatchNorm1d(9), Sign(), nn.Linear(9, 7), nn.BatchNorm1d(7), Sign(), nn.Linear(7, 4)]
    model = scrambled(nn.Sequential(*layers), generator)
    network, notes = load_with_notes(saved(model, tmp_path))
    inputs = random_bits(500, 12)
    assert np.array_equal(classify(network, inputs), torch_classes(model, inputs))
    assert notes[0] == "BatchNorm epsilon taken as 1e-05, which a state dict does not hold"
    assert [note.split(":")[0] for note in notes[1:]] == ["0.weight", "3.weight", "6.weight"]


CONV_ORDERS = {
    "pool before BatchNorm": ([nn.MaxPool2d(2), nn.BatchNorm2d(5), Sign()], {"0": 2}),
    "pool behind BatchNorm": ([nn.BatchNorm2d(5), nn.MaxPool2d(2), Sign()], {"2": 2}),
    "pool behind the sign": ([nn.BatchNorm2d(5), Sign(), nn.MaxPool2d(2)], {"2": 2}),
}


@pytest.mark.parametrize("order", CONV_ORDERS)
def test_convolutions_answer_as_torch_does_wherever_they_pool(order, generator, tmp_path):
    """Negative BatchNorm weights before a pool make complemented channels, read by conv, pad and linear alike."""
    behind, _ = CONV_ORDERS[order]
    first = [nn.Conv2d(2, 5, 3, padding=1), *behind]
    second = [nn.Conv2d(5, 4, 3, padding=1, stride=1), nn.MaxPool2d(2), nn.BatchNorm2d(4), Sign()]
    model = nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(16, 6), nn.BatchNorm1d(6), Sign(), nn.Linear(6, 3))
    model = scrambled(model, generator)
    norm_name = next(str(i) for i, module in enumerate(model) if isinstance(module, nn.BatchNorm2d))
    pools = {"0" if order == "pool before BatchNorm" else norm_name: 2, "4": 2}
    unstated = Unstated(input_shape=(2, 8, 8), pools=pools, paddings={"0": 1, "4": 1})
    network, notes = load_with_notes(saved(model, tmp_path), unstated=unstated)
    inputs = random_bits(200, 2, 8, 8)
    assert np.array_equal(classify(network, inputs.reshape(200, -1)), torch_classes(model, inputs))
    assert any("4: taken with stride 1, padding 1, max-pool 2 before BatchNorm" in note for note in notes)


def test_complemented_channels_reach_the_output_layer(generator, tmp_path):
    layers = [nn.Conv2d(1, 6, 2), nn.MaxPool2d(3), nn.BatchNorm2d(6), Sign(), nn.Flatten(), nn.Linear(24, 4)]
    model = scrambled(nn.Sequential(*layers), generator)
    assert (model[2].weight < 0).any()
    network = load(saved(model, tmp_path), unstated=Unstated(input_shape=(1, 7, 7), pools={"0": 3}))
    inputs = random_bits(300, 1, 7, 7)
    assert np.array_equal(classify(network, inputs.reshape(300, -1)), torch_classes(model, inputs))


@pytest.mark.parametrize("scale", [PixelScale(), PixelScale(Fraction(2, 255), Fraction(-1))])
def test_raw_pixels_become_integers(scale, generator, tmp_path):
    layers = [nn.Linear(10, 8), nn.BatchNorm1d(8), Sign(), nn.Linear(8, 3)]
    model = scrambled(nn.Sequential(*layers), generator)
    network = load(saved(model, tmp_path), unstated=Unstated(pixels=scale))
    pixels = np.random.default_rng(2).integers(0, 256, size=(400, 10))
    fed = pixels * float(scale.scale) + float(scale.offset)
    assert np.array_equal(classify(network, pixels), torch_classes(model, fed))


def test_a_batchnorm_before_the_first_layer_binarizes_pixels(generator, tmp_path):
    layers = [nn.BatchNorm2d(2), Sign(), nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), Sign(), nn.Flatten(), nn.Linear(27, 3)]
    model = scrambled(nn.Sequential(*layers), generator)
    network = load(saved(model, tmp_path), unstated=Unstated(input_shape=(2, 4, 4), pixels=PixelScale()))
    pixels = np.random.default_rng(2).integers(0, 256, size=(300, 2, 4, 4))
    assert np.array_equal(classify(network, pixels.reshape(300, -1)), torch_classes(model, pixels / 255))


def test_an_output_batchnorm_is_rounded_and_says_so(generator, tmp_path):
    layers = [nn.Linear(6, 5), nn.BatchNorm1d(5), Sign(), nn.Linear(5, 3), nn.BatchNorm1d(3)]
    model = scrambled(nn.Sequential(*layers), generator)
    network, notes = load_with_notes(saved(model, tmp_path))
    inputs = random_bits(64, 6)
    assert np.array_equal(classify(network, inputs), torch_classes(model, inputs))
    assert notes[-1].startswith("3: BatchNorm behind the output makes irrational scores")


def test_a_missing_batchnorm_is_a_plain_sign_and_says_so(generator, tmp_path):
    model = scrambled(nn.Sequential(nn.Linear(6, 5), Sign(), nn.Linear(5, 3)), generator)
    network, notes = load_with_notes(saved(model, tmp_path))
    inputs = random_bits(64, 6)
    assert np.array_equal(classify(network, inputs), torch_classes(model, inputs))
    assert notes[0] == "no BatchNorm behind 0: taken as the sign of the sum and bias"


def test_a_batchnorm_without_affine_parameters_and_a_layer_without_bias_are_read(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.BatchNorm1d(2, affine=False), Sign(), nn.Linear(2, 2))
    model[0].weight.data = torch.tensor([[1.0, -1.0, 0.0], [1.0, 1.0, 1.0]])
    model[1].running_mean = torch.tensor([0.5, -0.5])
    network = load(saved(model.eval(), tmp_path))
    assert network.blocks[0].weights.tolist() == [[1, -1, 0], [1, 1, 1]]
    assert network.blocks[0].thresholds.tolist() == [1, 0]


def test_a_sequential_is_read_by_index_not_by_the_order_of_the_dict(generator, tmp_path):
    model = scrambled(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), Sign(), nn.Linear(4, 4)), generator)
    expected = load(saved(model, tmp_path)).fingerprint
    torch.save(OrderedDict(reversed(model.state_dict().items())), tmp_path / "model.pt")
    assert load(tmp_path / "model.pt").fingerprint == expected


def test_a_checkpoint_and_half_precision_are_read(generator, tmp_path):
    model = scrambled(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), Sign(), nn.Linear(3, 2)), generator)
    for dtype in (torch.bfloat16, torch.float16):
        rounded = {name: value.to(dtype) for name, value in model.state_dict().items()}
        torch.save({"state_dict": rounded, "epoch": 3}, tmp_path / "model.pt")
        wide = {name: value.to(dtype).float().numpy() for name, value in model.state_dict().items()}
        assert load(tmp_path / "model.pt").fingerprint == fingerprint_of(wide)


def fingerprint_of(tensors):
    from bnnverify.formats.floatmodel import fold

    return fold(from_tensors(tensors, "x", Unstated())).network.fingerprint


@needs_peers
@pytest.mark.parametrize("name", NPAQ_SIZES)
def test_npaq_networks_load_with_their_published_shape(name):
    network, notes = load_with_notes(PEERS / "npaq" / f"{name}.pt")
    assert [shape[0] for shape in network.shapes] + [network.n_classes] == NPAQ_SIZES[name]
    assert network.name == name
    assert any("latent weights binarized" in note for note in notes)


@needs_peers
def test_a_sparse_layer_keeps_its_zeros_and_a_latent_one_has_none():
    network = load(PEERS / "npaq" / "mnist-100-bnn_1blk_50_sparse=0.05.pt")
    assert np.count_nonzero(network.output.weights == 0) == 262
    assert np.count_nonzero(network.blocks[0].weights == 0) == 0


def plain(**changes):
    tensors = {
        "0.weight": torch.ones(3, 4),
        "0.bias": torch.zeros(3),
        "1.weight": torch.ones(3),
        "1.bias": torch.zeros(3),
        "1.running_mean": torch.zeros(3),
        "1.running_var": torch.ones(3),
        "3.weight": torch.ones(2, 3),
        "3.bias": torch.zeros(2),
    }
    renamed = {name.replace("_at_", ".", 1).removeprefix("k"): value for name, value in changes.items()}
    merged = tensors | renamed
    return {name: value for name, value in merged.items() if value is not None}


NAN = float("nan")
BROKEN = {
    "an empty dict": ({}, "an empty state dict"),
    "a list": ([torch.ones(2)], "holds a list, expected a state dict"),
    "a bare tensor": (torch.ones(2), "holds a Tensor, expected a state dict"),
    "a number": (plain(k0_at_bias=3), "0.bias: a int, expected a tensor"),
    "a parameter of another module": (plain(k0_at_alpha=torch.ones(1)), "0.alpha: not a parameter of Linear"),
    "a tensor without a module": ({"weight": torch.ones(2, 2)}, "weight: not a parameter"),
    "NaN weights": (plain(k0_at_weight=torch.full((3, 4), NAN)), "0.weight: found NaN or infinity"),
    "an infinite bias": (plain(k0_at_bias=torch.tensor([0, float("inf"), 0])), "0 bias: found inf at index 1"),
    "a NaN mean": (plain(k1_at_running_mean=torch.tensor([NAN, 0, 0])), "1.running_mean: found nan at index 0"),
    "a negative variance": (plain(k1_at_running_var=-torch.ones(3)), "1: variance -1.0 of feature 0"),
    "no variance": (plain(k1_at_running_var=None), "1.running_var: missing"),
    "a short BatchNorm": (plain(k1_at_bias=torch.zeros(2)), "1.bias: shape (2,), expected (3,)"),
    "no weight": (plain(k0_at_weight=None), "0.weight: missing"),
    "weights of three axes": (plain(k0_at_weight=torch.ones(3, 4, 1)), "0.weight: shape (3, 4, 1)"),
    "empty weights": (plain(k0_at_weight=torch.ones(3, 0)), "0.weight: shape (3, 0)"),
    "layers that do not chain": (plain(k3_at_weight=torch.ones(2, 5)), "3: 5 inputs, expected 3"),
    "a LayerNorm": (plain(k1_at_running_var=None, k1_at_running_mean=None), "1: a weight of one axis"),
    "complex weights": (
        plain(k0_at_weight=torch.ones(3, 4, dtype=torch.complex64)),
        "a tensor of torch.complex64",
    ),
    "sparse weights": (plain(k0_at_weight=torch.ones(3, 4).to_sparse()), "0.weight: a tensor of torch.float32"),
    "a tensor that expands": (
        plain(k0_at_weight=torch.ones(1).expand(1 << 20, 1 << 20)),
        "0.weight: claims 1099511627776 numbers",
    ),
    "a last convolution": (plain(k3_at_weight=torch.ones(2, 3, 1, 1)), "3: the last layer is pooled or a convolution"),
    "two BatchNorms": (
        plain(k2_at_running_mean=torch.zeros(3), k2_at_running_var=torch.ones(3)),
        "2: a BatchNorm behind a BatchNorm",
    ),
    "a BatchNorm first": (
        {"0.running_mean": torch.zeros(3), "0.running_var": torch.ones(3), "1.weight": torch.ones(2, 3)},
        "0: a BatchNorm before the first layer binarizes pixels",
    ),
    "only a BatchNorm": ({"0.running_mean": torch.zeros(3), "0.running_var": torch.ones(3)}, "only a BatchNorm"),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_broken_state_dict_is_refused_naming_the_tensor(fault, zipped, tmp_path):
    content, message = BROKEN[fault]
    torch.save(content, tmp_path / "model.pt", _use_new_zipfile_serialization=zipped)
    assert_refused(tmp_path / "model.pt", message)


def conv_tensors():
    return plain(k0_at_weight=torch.ones(3, 1, 2, 2), k3_at_weight=torch.ones(2, 27))


CONV_REFUSALS = {
    "no image size": ({}, "give input_shape=(1, height, width)"),
    "another number of channels": ({"input_shape": (2, 4, 4)}, "0: a convolution of 1 channels cannot read"),
    "an image too small": ({"input_shape": (1, 1, 1)}, "is larger than the image"),
    "an image of the wrong size": ({"input_shape": (1, 5, 5)}, "3: 27 inputs, expected 48"),
    "a pool at no module": ({"input_shape": (1, 4, 4), "pools": {"9": 2}}, "9: given by the caller but no module"),
    "padding as wide as the kernel": ({"input_shape": (1, 4, 4), "paddings": {"0": 2}}, "conv padding (2, 2)"),
    "a stride of zero": ({"input_shape": (1, 4, 4), "strides": {"0": 0}}, "stride (0, 0)"),
    "padded pixels that are shifted": (
        {"input_shape": (1, 4, 4), "paddings": {"0": 1}, "pixels": PixelScale(offset=Fraction(-1))},
        "0: pads pixels that are shifted by -1",
    ),
}


@pytest.mark.parametrize("fault", CONV_REFUSALS)
def test_what_a_state_dict_leaves_unstated_is_asked_for_or_checked(fault, tmp_path):
    options, message = CONV_REFUSALS[fault]
    torch.save(conv_tensors(), tmp_path / "model.pt")
    assert_refused(tmp_path / "model.pt", message, unstated=Unstated(**options))


def test_pooling_on_both_sides_of_a_negative_batchnorm_is_refused(tmp_path):
    tensors = conv_tensors() | {"1.weight": -torch.ones(3), "3.weight": torch.ones(2, 3)}
    torch.save(tensors, tmp_path / "model.pt")
    unstated = Unstated(input_shape=(1, 5, 5), pools={"0": 2, "1": 2})
    assert_refused(
        tmp_path / "model.pt", "0: pooled before and behind a BatchNorm of negative weights", unstated=unstated
    )


class Trap:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        import os

        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_pickle_that_wants_code_run_is_refused_and_not_run(zipped, tmp_path):
    folder = tmp_path / "ran"
    torch.save({"0.weight": Trap(str(folder))}, tmp_path / "model.pt", _use_new_zipfile_serialization=zipped)
    assert_refused(tmp_path / "model.pt", "not a plain state dict: it is damaged or needs code to be run")
    assert not folder.exists()


def test_a_plain_pickle_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "model.pt").write_bytes(pickle.dumps({"0.weight": Trap(str(tmp_path / "ran"))}))
    assert_refused(tmp_path / "model.pt", "a pickle, which could run code")
    assert not (tmp_path / "ran").exists()


def test_a_whole_module_is_refused_with_the_remedy(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    assert_refused(tmp_path / "model.pt", "save model.state_dict() instead")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file_is_refused(share, zipped, tmp_path):
    stream = io.BytesIO()
    torch.save(plain(), stream, _use_new_zipfile_serialization=zipped)
    content = stream.getvalue()
    (tmp_path / "model.pt").write_bytes(content[: int(share * len(content))])
    assert_refused(tmp_path / "model.pt", "damage")


def test_a_torch_archive_that_unpacks_beyond_the_limit_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("bnnverify.formats.torch_tensors.MAX_BYTES", 1 << 20)
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2 << 20))
    assert path.stat().st_size < 10_000
    assert_refused(path, "2097152 bytes of tensors, expected at most 1048576")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_random_damage_never_escapes_as_another_exception(zipped, tmp_path):
    rng = np.random.default_rng(6)
    stream = io.BytesIO()
    torch.save(plain(), stream, _use_new_zipfile_serialization=zipped)
    whole, path, refusals = stream.getvalue(), tmp_path / "model.pt", []
    for _ in range(150):
        content = bytearray(whole)
        for position in rng.integers(0, len(whole), size=4):
            content[position] = int(rng.integers(256))
        path.write_bytes(bytes(content))
        try:
            load(path)
        except ModelFormatError as error:
            refusals.append(str(error))
    assert len(refusals) > 20
    assert not any("\n" in text for text in refusals)
