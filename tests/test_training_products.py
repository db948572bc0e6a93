"""Products in narrow numbers: equal to float32 ones to the bit, forwards and backwards, whatever dropout does."""

from copy import deepcopy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from torch.nn import functional  # noqa: E402

from bnnverify.training import products  # noqa: E402
from bnnverify.training.layers import BinaryLinear, BinaryWeight  # noqa: E402

SHAPES = [(1, 1, 1), (2, 7, 3), (100, 784, 64), (33, 1000, 10), (17, 4096, 5)]
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


def factors(shape, device="cpu"):
    batch, n_inputs, n_outputs = shape
    generator = torch.Generator().manual_seed(n_inputs)
    bits = torch.randint(-1, 2, (batch, n_inputs), generator=generator).float()
    signs = torch.randint(0, 2, (n_outputs, n_inputs), generator=generator).mul_(2).sub_(1).to(torch.int8)
    return bits.to(device), signs.to(device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_product_in_narrow_numbers_is_the_integer_product(shape, device) -> None:
    bits, signs = factors(shape, device)
    expected = bits.cpu().numpy().astype(np.int64) @ signs.cpu().numpy().astype(np.int64).T
    np.testing.assert_array_equal(products.exact_product(bits, signs).cpu().numpy(), expected)


def test_sums_past_the_precision_of_bfloat16_are_exact() -> None:
    ones = torch.ones(20, 4095)
    assert products.exact_product(ones, torch.ones(8, 4095, dtype=torch.int8)).unique().tolist() == [4095]


def test_a_processor_without_narrow_products_gets_wide_ones(monkeypatch) -> None:
    bits, signs = factors((20, 300, 9))
    narrow = products.exact_product(bits, signs)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    assert torch.equal(products.exact_product(bits, signs), narrow)


def test_int8_signs_call_zero_and_minus_zero_positive() -> None:
    latent = torch.tensor([[0.0, -0.0, 0.3, -0.3]])
    space = products.Workspace(latent)
    space.sign()
    assert space.signs.tolist() == [[1, 1, 1, -1]]


@pytest.mark.parametrize("magnitude", [1.0, 2.0, 1 / 0.9])
def test_sums_and_gradients_equal_those_of_float32_weights(magnitude) -> None:
    torch.manual_seed(0)
    weight = BinaryWeight((12, 40))
    bits = torch.randint(-1, 2, (20, 40)).float()
    wanted = torch.randn(20, 12)
    found = []
    for reads_bits in (True, False):
        values = (bits * magnitude).requires_grad_()
        weight.zero_grad()
        sums = BinaryLinear(weight, reads_bits=reads_bits)(values)
        (sums * wanted).sum().backward()
        found.append((sums.detach(), values.grad, weight.latent.grad.clone()))
    for narrow, wide in zip(*found, strict=True):
        torch.testing.assert_close(narrow, wide, rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("reads_bits", [True, False])
def test_gradients_of_several_backward_passes_add_up(reads_bits) -> None:
    torch.manual_seed(0)
    layer = BinaryLinear(BinaryWeight((6, 9)), reads_bits=reads_bits)
    batches = [torch.randint(0, 2, (5, 9)).float() * 2 - 1 for _ in range(3)]
    for batch in batches:
        values = batch.clone().requires_grad_()
        layer(values).square().sum().backward()
        torch.testing.assert_close(values.grad, 2 * (batch @ layer.weight().detach().T) @ layer.weight().detach())
    expected = sum(2 * (batch @ layer.weight().detach().T).T @ batch for batch in batches)
    torch.testing.assert_close(layer.weight.latent.grad, expected)


def test_the_gradient_takes_no_new_memory_from_step_to_step() -> None:
    layer = BinaryLinear(BinaryWeight((6, 9)), reads_bits=True)
    places = set()
    for _ in range(3):
        layer.zero_grad()
        layer(torch.ones(5, 9)).sum().backward()
        places.add(layer.weight.latent.grad.data_ptr())
    assert len(places) == 1


def test_signs_that_changed_before_the_backward_pass_are_refused() -> None:
    layer = BinaryLinear(BinaryWeight((6, 9)), reads_bits=True)
    first = layer(torch.ones(5, 9, requires_grad=True)).sum()
    layer(torch.ones(5, 9))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        first.backward()


def test_a_first_layer_makes_no_gradient_of_its_inputs(monkeypatch) -> None:
    monkeypatch.setattr(products._OfValues, "backward", None)
    layer = BinaryLinear(BinaryWeight((6, 9)))
    layer(torch.ones(5, 9)).sum().backward()
    assert layer.weight.latent.grad.tolist() == [[5.0] * 9] * 6


def test_a_copy_of_a_model_has_a_workspace_of_its_own() -> None:
    layer = BinaryLinear(BinaryWeight((6, 9)))
    layer(torch.ones(5, 9)).sum().backward()
    twin = deepcopy(layer)
    twin(torch.ones(5, 9)).sum().backward()
    assert twin.weight.latent.grad.tolist() == layer.weight.latent.grad.tolist()
    assert twin.weight.latent.grad.data_ptr() != layer.weight.latent.grad.data_ptr()


def test_a_batch_that_dropout_emptied_sums_to_zero() -> None:
    layer = BinaryLinear(BinaryWeight((3, 5)), reads_bits=True)
    assert layer(torch.zeros(4, 5)).abs().sum() == 0


def test_images_of_bits_are_flattened_channel_by_channel() -> None:
    layer = BinaryLinear(BinaryWeight((6, 12)), reads_bits=True)
    bits = torch.randint(0, 2, (20, 3, 2, 2)).float() * 2 - 1
    assert torch.equal(layer(bits), functional.linear(bits.flatten(1), layer.weight()))


def test_an_attack_can_take_the_gradient_of_the_inputs_alone() -> None:
    layer = BinaryLinear(BinaryWeight((6, 12)), reads_bits=True)
    bits = torch.ones(20, 12, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(bits).sum(), bits)
    assert torch.equal(gradient, layer.weight().detach().sum(dim=0).expand(20, 12))
    assert layer.weight.latent.grad is None
