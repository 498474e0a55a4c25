"""Bijectors: invertible maps of blocks of a lattice, level upon level, with the logarithm of their volume."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from math import log, pi

import torch
from torch import Tensor

from blockspin.geometry import Grid

STEEPEST = 3.0
"""Bound on the logarithm of the factor that one coupling multiplies by."""


@dataclass(frozen=True, eq=False)
class Coupling:
    """An affine coupling: one half of a vector is scaled and shifted by what a small network reads off the other half.

    Args:
        first: float64 [hidden, half]; weights of the network's first layer.
        offset: float64 [hidden].
        second: float64 [2 * half, hidden]; of its second layer.
        constant: float64 [2 * half].
        even: Whether the entries of even number are read, and the odd ones changed.
    """

    first: Tensor
    offset: Tensor
    second: Tensor
    constant: Tensor
    even: bool

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """What is trained."""
        return self.first, self.offset, self.second, self.constant

    def apply(self, x: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """Return the vectors [..., size] after (or before) the coupling, and the log-volume [...] of what was done."""
        read, changed = (x[..., 0::2], x[..., 1::2]) if self.even else (x[..., 1::2], x[..., 0::2])
        hidden = torch.tanh(read @ self.first.T + self.offset)
        raw, shift = (hidden @ self.second.T + self.constant).chunk(2, dim=-1)
        steep = STEEPEST * torch.tanh(raw / STEEPEST)
        changed = (changed - shift) * torch.exp(-steep) if inverse else changed * torch.exp(steep) + shift
        pair = (read, changed) if self.even else (changed, read)
        return torch.stack(pair, dim=-1).flatten(-2), (-steep if inverse else steep).sum(-1)


@dataclass(frozen=True, eq=False)
class Level:
    """One level: blocks across the corners are disentangled, blocks are mixed and mapped, each one's first site kept.

    Args:
        blocks: int64 [blocks, 2^d]; the blocks.
        across: int64 [blocks across, 2^d]; blocks moved by one site along every axis.
        haar: float64 [2^d, 2^d]; orthogonal, its first row the mean of a block times the root of its size.
        disentangle: Couplings of the blocks across.
        decimate: Couplings of the blocks, after their Haar transform.
    """

    blocks: Tensor
    across: Tensor
    haar: Tensor
    disentangle: tuple[Coupling, ...]
    decimate: tuple[Coupling, ...]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return slow [n, blocks, components], fast [n, blocks, 2^d - 1, components], and the log-volume [n]."""
        x, volume = self._across(x, inverse=False)
        block = torch.einsum("ij,nbjc->nbic", self.haar, x[:, self.blocks])
        flat = block.flatten(2)
        for coupling in self.decimate:
            flat, more = coupling.apply(flat)
            volume = volume + more.sum(1)
        block = flat.reshape(block.shape)
        return block[:, :, 0], block[:, :, 1:], volume

    def inverse(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        """Return the field [n, sites, components] of slow and fast parts, and the log-volume [n] of going back."""
        block = torch.cat([slow[:, :, None], fast], dim=2)
        flat, volume = block.flatten(2), slow.new_zeros(len(slow))
        for coupling in reversed(self.decimate):
            flat, more = coupling.apply(flat, inverse=True)
            volume = volume + more.sum(1)
        block = torch.einsum("ij,nbic->nbjc", self.haar, flat.reshape(block.shape))
        x = torch.empty(len(slow), self.blocks.numel(), slow.shape[2], dtype=slow.dtype)
        x = x.index_copy(1, self.blocks.reshape(-1), block.flatten(1, 2))
        x, more = self._across(x, inverse=True)
        return x, volume + more

    def _across(self, x: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        volume = x.new_zeros(len(x))
        if not len(self.across):
            return x, volume
        block = x[:, self.across]
        flat = block.flatten(2)
        for coupling in reversed(self.disentangle) if inverse else self.disentangle:
            flat, more = coupling.apply(flat, inverse)
            volume = volume + more.sum(1)
        return x.index_copy(1, self.across.reshape(-1), flat.reshape(block.shape).flatten(1, 2)), volume


def new_levels(
    grid: Grid, components: int, *, hidden: int, depth: int, generator: torch.Generator
) -> tuple[Level, ...]:
    """Return untrained levels, down to a lattice that does not divide by two: the orthogonal Haar transform."""
    size = 2**grid.dimension * components
    pair = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / 2**0.5
    haar = reduce(torch.kron, [pair] * grid.dimension)
    levels = []
    while grid.divisors() and all(n % 2 == 0 for n in grid.shape):
        tiling = grid.blocks(2)
        stacks = [tuple(_coupling(size, hidden, layer % 2 == 0, generator) for layer in range(depth)) for _ in range(2)]
        levels.append(Level(tiling.members, _shifted(grid, tiling.members), haar, *stacks))
        grid = replace(grid, shape=tuple(n // 2 for n in grid.shape))
    return tuple(levels)


def _coupling(size: int, hidden: int, even: bool, generator: torch.Generator) -> Coupling:
    """Return a coupling of vectors of even size that does nothing yet: its second layer is zero."""
    first = torch.randn(hidden, size // 2, dtype=torch.float64, generator=generator) / (size // 2) ** 0.5
    zeros = torch.zeros(size, hidden, dtype=torch.float64)
    return Coupling(first, torch.zeros(hidden, dtype=torch.float64), zeros, zeros[:, 0].clone(), even)


def _shifted(grid: Grid, blocks: Tensor) -> Tensor:
    """Return the blocks moved by one site along every axis; on an open lattice only those that lie in it."""
    position = grid.coordinates()[blocks] + 1
    shape = torch.tensor(grid.shape)
    inside = torch.ones(len(blocks), dtype=torch.bool) if grid.periodic else (position < shape).all(-1).all(-1)
    stride = torch.tensor([int(shape[axis + 1 :].prod()) for axis in range(len(grid.shape))])
    return ((position % shape) * stride).sum(-1)[inside]


def to_latents(levels: tuple[Level, ...], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return all latents [n, sites * components], fast ones of the finest level first, and the log-volume [n]."""
    parts, volume = [], x.new_zeros(len(x))
    for level in levels:
        x, fast, more = level.forward(x)
        parts.append(fast.flatten(1))
        volume = volume + more
    return torch.cat([*parts, x.flatten(1)], dim=1), volume


def from_latents(levels: tuple[Level, ...], z: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Return the field [n, sites, components] of latents, and the log-volume [n] of the way from them."""
    sizes = [level.blocks.shape[0] * (level.blocks.shape[1] - 1) * components for level in levels]
    *parts, x = torch.split(z, [*sizes, z.shape[1] - sum(sizes)], dim=1)
    x, volume = x.reshape(len(z), -1, components), z.new_zeros(len(z))
    for level, fast in zip(reversed(levels), reversed(parts), strict=True):
        blocks, size = level.blocks.shape
        x, more = level.inverse(x, fast.reshape(len(z), blocks, size - 1, components))
        volume = volume + more
    return x, volume


def log_density(levels: tuple[Level, ...], x: Tensor, symmetric: bool = False) -> Tensor:
    """Return the logarithm of the density [n] of fields whose latents are unit Gaussians; averaged over both signs."""
    z, volume = to_latents(levels, x)
    found = volume + log_normal(z)
    return torch.logaddexp(found, log_density(levels, -x)) - log(2) if symmetric else found


def drawn_fields(
    levels: tuple[Level, ...], z: Tensor, components: int, symmetric: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the fields [n, sites, components] of unit Gaussian latents, and what ``log_density`` says of them."""
    x, volume = from_latents(levels, z, components)
    found = log_normal(z) - volume
    return x, torch.logaddexp(found, log_density(levels, -x)) - log(2) if symmetric else found


def log_normal(z: Tensor) -> Tensor:
    """Return the logarithm of the density [n] of independent unit Gaussians [n, size]."""
    return -(z.square() + log(2 * pi)).sum(1) / 2


def couplings_of(levels: tuple[Level, ...]) -> list[Coupling]:
    """Return the couplings of all levels."""
    return [coupling for level in levels for coupling in (*level.disentangle, *level.decimate)]


def with_gradients(levels: tuple[Level, ...], wanted: bool) -> tuple[Level, ...]:
    """Return the levels with parameters that are copies, and that record gradients or do not."""

    def copied(stack: tuple[Coupling, ...]) -> tuple[Coupling, ...]:
        rows = []
        for item in stack:
            first, offset, second, constant = (p.detach().clone().requires_grad_(wanted) for p in item.parameters)
            rows.append(Coupling(first, offset, second, constant, item.even))
        return tuple(rows)

    return tuple(replace(item, disentangle=copied(item.disentangle), decimate=copied(item.decimate)) for item in levels)
