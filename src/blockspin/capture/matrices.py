"""Matrices: every weight of a network as matrices, one module in memory at a time, and what cannot be read by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from blockspin.capture._weights import aligned


@dataclass(frozen=True, eq=False)
class WeightMatrix:
    """One weight as a matrix.

    Args:
        name: Path of the parameter; of a stack of matrices with the index of each, ``experts.up[3]``.
        values: [rows, columns], real, dense, a detached copy only where it had to be (dequantised, brought in).
    """

    name: str
    values: Tensor


@dataclass(frozen=True)
class Unread:
    """A weight that has no matrix here, and why."""

    name: str
    reason: str


def weight_matrices(module: nn.Module) -> Iterator[WeightMatrix | Unread]:
    """Yield every weight of a network once, in the order of its modules: a matrix, or the reason for which it is none.

    Two axes are a matrix as stored (Linear, Embedding, the transformers library's Conv1D, fused projections whole). A
    convolution is unfolded to [first axis, all others], the matrix that acts on patches. Three and more axes elsewhere
    are a stack of matrices over the last two (experts). Offloaded weights are brought in module by module; quantised
    ones are dequantised where the tensor itself knows how. Tied weights are read once, under their first name.
    """
    first = {name for name, _ in module.named_parameters()}  # one name of each tied weight
    for path, child in module.named_modules():
        with aligned(child):
            for name, value in _own_weights(f"{path}." if path else "", child, first):
                yield from _read(name, value, child)


def state_matrices(state: Mapping[str, Tensor]) -> Iterator[WeightMatrix | Unread]:
    """Yield every tensor of a state dict once, in its order, as ``weight_matrices`` does without knowing the network.

    Two axes are a matrix. Of more axes a state dict does not say whether they are a convolution or a stack of matrices.
    """
    seen: set[tuple[int, torch.Size]] = set()
    for name, value in state.items():
        place = (value.data_ptr(), value.shape)
        if place in seen and value.numel():
            continue  # tied
        seen.add(place)
        if value.ndim > 2:
            axes = f"{value.ndim} axes may be a convolution or a stack of matrices"
            yield Unread(name, f"{axes}: name the model that the state dict belongs to")
        else:
            yield from _read(name, value, nn.Module())


def _own_weights(prefix: str, child: nn.Module, wanted: set[str]) -> Iterator[tuple[str, Tensor]]:
    """Yield a module's own parameters; modules with packed weights (quantised) hold them behind a method."""
    for key, value in child.named_parameters(recurse=False):
        if prefix + key in wanted:
            yield prefix + key, value.detach()
    packed = getattr(child, "weight", None)
    if callable(packed) and not isinstance(packed, Tensor | nn.Module):
        yield f"{prefix}weight", packed()


def _read(name: str, stored: Tensor, child: nn.Module) -> Iterator[WeightMatrix | Unread]:
    value, reason = _dense(stored)
    if reason or value is None:
        yield Unread(name, reason)
    elif value.ndim < 2:
        yield Unread(name, f"a vector of {value.numel()} has no spectrum")
    elif isinstance(child, _ConvNd) and child.groups > 1:
        yield Unread(name, f"a convolution of {child.groups} groups is {child.groups} maps side by side, not one")
    elif isinstance(child, _ConvNd) or value.ndim == 2:
        yield WeightMatrix(name, value.flatten(1))
    else:
        stack = value.reshape(-1, *value.shape[-2:])
        for index, matrix in enumerate(stack):
            yield WeightMatrix(f"{name}[{index}]", matrix)


def _dense(value: Tensor) -> tuple[Tensor | None, str]:
    """Return (real dense values, "") or (None, why there are none)."""
    if value.is_meta:
        return None, "its values are on no device (meta) and no hook brings them"
    known = type(value) in (Tensor, nn.Parameter)
    if value.is_quantized or not known:
        dequantise = getattr(value, "dequantize", None)
        if not callable(dequantise):
            return None, f"a {type(value).__name__} does not say how it is dequantised"
        value = dequantise()
    if value.is_sparse or value.layout != torch.strided:
        return None, f"its layout is {value.layout}: make it dense"
    if not value.is_floating_point():
        return (
            None,
            f"its type is {value.dtype}: packed or quantised without its scales; dequantise it, or load it plain",
        )
    if value.dtype.itemsize == 1:
        return None, f"its type is {value.dtype}, whose scales are kept elsewhere: dequantise it, or load it plain"
    return value, ""
