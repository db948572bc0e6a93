"""Products of bits with weights of bits, in the narrowest numbers that hold them exactly.

A product of signs is an integer of at most the number of inputs, so int8 factors summed in int32 give what float32
would, on processors with instructions for it four times sooner and from a quarter of the memory. On a GPU the factors
are bfloat16 and the sums float32, exact below 2^24. Gradients are real numbers and stay float32, against the same
signs: :func:`sign_product` differs from a float32 product of sign tensors in nothing but its time. The gradient of the
signs is passed to the latent values as it is: those are clipped to [-1, 1], where the hard-tanh window is open.

Cost of a step of a layer of n weights on a processor, beside the three products: one pass that writes n bytes of signs,
and one that widens them for the gradient of the inputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def exact_product(bits: Tensor, signs: Tensor) -> Tensor:
    """``bits @ signs.T`` in float32, summed exactly.

    Args:
        bits: ``(batch, n_inputs)`` of -1, 0 and +1, in any type.
        signs: ``(n_outputs, n_inputs)`` int8.
    """
    if bits.device.type == "cuda":
        return torch.mm(bits.bfloat16(), signs.bfloat16().t(), out_dtype=torch.float32)
    if torch.cpu._is_vnni_supported():
        return torch._int_mm(bits.to(torch.int8), signs.t()).float()
    return bits.float() @ signs.float().t()


def int8_signs(latent: Tensor) -> Tensor:
    """+1 where a latent value is at least 0, else -1; no gradient."""
    return (latent.detach() >= 0).view(torch.int8).mul_(2).sub_(1)


class _SignProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, latent: Tensor, signs: Tensor) -> Tensor:
        ctx.save_for_backward(values, signs)
        return exact_product(values.sign(), signs).mul_(values.abs().amax())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        values, signs = ctx.saved_tensors
        (gradient,) = gradients
        of_values = gradient @ signs.to(gradient.dtype) if ctx.needs_input_grad[0] else None
        of_latent = gradient.t() @ values if ctx.needs_input_grad[1] else None
        return of_values, of_latent, None


def sign_product(values: Tensor, latent: Tensor, signs: Tensor) -> Tensor:
    """``values @ signs.T`` whose gradient reaches the latent values behind the signs.

    Args:
        values: ``(batch, n_inputs)`` float32: signs times one magnitude, and zeros where dropout struck.
        latent: ``(n_outputs, n_inputs)`` float32 in [-1, 1].
        signs: ``(n_outputs, n_inputs)`` int8, of the latent values.
    """
    product: Tensor = _SignProduct.apply(values, latent, signs)  # type: ignore[no-untyped-call]
    return product
