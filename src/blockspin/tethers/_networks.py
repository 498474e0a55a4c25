"""Draws of random fully connected networks of finite width, many at once, for tethers of their laws."""

from __future__ import annotations

import torch
from torch import Tensor


def through_weights(
    h: Tensor, width: int, initialisation: tuple[float, float], *, generator: torch.Generator
) -> Tensor:
    """Return pre-activations [networks, inputs, width] of a layer whose weights and biases are drawn.

    Args:
        h: What feeds it [networks, inputs, units].
        width: Its units.
        initialisation: (C_b, C_W): variances of a bias, and of a weight times the number of units before.
        generator: Source of randomness.
    """
    nets, _, before = h.shape
    C_b, C_W = initialisation
    W = torch.randn(nets, before, width, generator=generator, dtype=h.dtype)
    b = torch.randn(nets, 1, width, generator=generator, dtype=h.dtype)
    return torch.baddbmm(C_b**0.5 * b, h, W, alpha=(C_W / before) ** 0.5)


def in_law(h: Tensor, width: int, initialisation: tuple[float, float], *, generator: torch.Generator) -> Tensor:
    """Return pre-activations [networks, width] of one input without drawing the weights.

    Given the units before, those of the next layer are independent Gaussian variables of the variance that ``h`` has,
    at every width.

    Args:
        h: What feeds it [networks, units].
        width: Its units.
        initialisation: (C_b, C_W).
        generator: Source of randomness.
    """
    C_b, C_W = initialisation
    q = C_b + C_W * h.square().mean(1, keepdim=True)
    return q.sqrt() * torch.randn(len(h), width, generator=generator, dtype=h.dtype)
