"""Products with weights of bits, in the narrowest numbers that hold them exactly, in memory that stays.

A product of signs is an integer of at most the number of inputs, so int8 factors summed in int32 give what float32
would, on processors with instructions for it four times sooner and from a quarter of the memory. On a GPU the factors
are bfloat16 and the sums float32, exact below 2^24. Gradients are real numbers and stay float32, against the same
signs: :func:`sign_product` differs from a float32 product of sign tensors in nothing but its time. The gradient of the
signs is passed to the latent values as it is: those are clipped to [-1, 1], where the hard-tanh window is open.

A layer of n weights keeps n bytes of signs and 4 n of gradient (:class:`Workspace`). Allocated anew every step, as
torch would, they come from the kernel as fresh pages, which costs more than the products do. Between a forward pass and
its backward pass the signs must not be made anew; torch refuses that by itself.
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


class Workspace:
    """What the products of a layer need in every step, allocated once.

    Args:
        latent: ``(n_outputs, n_inputs)`` float32 in [-1, 1], a leaf.
    """

    def __init__(self, latent: Tensor) -> None:
        self.latent = latent
        self.signs = torch.empty_like(latent, dtype=torch.int8)
        self.wide = torch.empty_like(latent)

    @property
    def fits(self) -> bool:
        """Whether the latent values are still on the device that they were on."""
        return self.wide.device == self.latent.device

    def sign(self) -> None:
        """Signs of the latent values: +1 where one is at least 0, else -1."""
        torch.ge(self.latent.detach(), 0, out=self.signs.view(torch.bool))
        self.signs.mul_(2).sub_(1)

    def widened(self) -> Tensor:
        """The signs in float32, where the gradient will be; elsewhere while it is there."""
        gradient = self.latent.grad
        is_gradient = gradient is not None and gradient.data_ptr() == self.wide.data_ptr()
        return self.signs.to(self.wide.dtype) if is_gradient else self.wide.copy_(self.signs)

    def accumulate(self, gradient: Tensor, values: Tensor) -> None:
        """Add ``gradient.T @ values`` to the gradient of the latent values, as torch would, but in place."""
        if self.latent.grad is None:
            self.latent.grad = torch.mm(gradient.t(), values, out=self.wide)
        else:
            self.latent.grad.addmm_(gradient.t(), values)


class _OfValues(torch.autograd.Function):
    """The product, with the gradient of the values alone."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, space: Workspace, of_bits: bool) -> Tensor:
        ctx.save_for_backward(space.signs)
        ctx.space = space
        if of_bits:
            return exact_product(values.sign(), space.signs).mul_(values.abs().amax())
        return values @ space.widened().t()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        assert ctx.saved_tensors, "reading them is what makes torch refuse signs that have changed since"
        return gradients[0] @ ctx.space.widened(), None, None


class _OfLatent(torch.autograd.Function):
    """Zeros in the shape of the product, which bring its gradient to the latent values.

    A function of its own, so that torch leaves it out where only the gradient of the values is asked for.
    """

    @staticmethod
    def forward(ctx: Any, latent: Tensor, values: Tensor, space: Workspace) -> Tensor:
        ctx.save_for_backward(values)
        ctx.space = space
        return latent.new_zeros(()).expand(len(values), len(latent))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, None]:
        (values,) = ctx.saved_tensors
        ctx.space.accumulate(gradients[0], values)
        return None, None, None


def sign_product(values: Tensor, space: Workspace, *, of_bits: bool) -> Tensor:
    """``values @ space.signs.T``; a backward pass adds to ``space.latent.grad`` without making a gradient first.

    Args:
        values: ``(batch, n_inputs)`` float32.
        space: with the signs of the latent values.
        of_bits: values are signs times one magnitude, and zeros where dropout struck.
    """
    product: Tensor = _OfValues.apply(values, space, of_bits)  # type: ignore[no-untyped-call]
    if not (torch.is_grad_enabled() and space.latent.requires_grad):
        return product
    reached: Tensor = _OfLatent.apply(space.latent, values.detach(), space)  # type: ignore[no-untyped-call]
    return product + reached
