"""Compare: outputs of maps, up to the gauge that a scheme declares."""

from __future__ import annotations

import torch
from torch import Tensor

from blockspin.schemes.base import Map, Scheme
from blockspin.testing.worlds import World


def fitted(scheme: Scheme, world: World) -> Map:
    """Return the scheme's map, fitted to the exact law."""
    return scheme.fit(world.law, generator=torch.Generator().manual_seed(0))


def gap(one: Tensor, two: Tensor) -> float:
    """Return the largest difference as a share of the largest value; infinite where shapes differ."""
    if one.shape != two.shape:
        return float("inf")
    return float((one - two).abs().max() / one.abs().max().clamp(min=torch.finfo(one.dtype).tiny))


def close(one: Tensor, two: Tensor) -> bool:
    """Whether two outputs agree to rounding: 64 units in the last place times the root of their size."""
    return gap(one, two) <= 64 * torch.finfo(one.dtype).eps * max(one.numel(), 1) ** 0.5


def same_up_to(gauge: str, one: Tensor, two: Tensor) -> bool:
    """Whether two outputs [samples, sites, components] agree up to the gauge."""
    if one.shape != two.shape:
        return False
    if gauge == "sign":
        return close(one.abs(), two.abs())
    if gauge == "permutation":
        return close(*(x.flatten(1)[:, x.flatten(1)[0].argsort()] for x in (one, two)))
    if gauge == "rotation":
        return close(*(x.flatten(1) @ x.flatten(1).T for x in (one, two)))
    return close(one, two)
