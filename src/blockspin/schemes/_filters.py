"""Filters: maps that read every block of a lattice through the same linear combinations."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from blockspin.geometry import Geometry
from blockspin.schemes.base import LiftingMap, Map


@dataclass(frozen=True, eq=False)
class FilterMap(LiftingMap):
    """Linear combinations of each block's values; lifting gives the block that is to be expected of them.

    Args:
        b: Ratio of new to old lattice spacing.
        members: int64 [blocks, block size]; the sites of each block.
        filters: float64 [block size * components, kept].
        patterns: float64 [kept, block size * components]; their product with the filters is the identity.
        information: What the kept numbers tell of the environment, in nats.
        available: What the whole block tells of it, in nats.
    """

    b: int
    members: Tensor
    filters: Tensor
    patterns: Tensor
    information: float
    available: float
    linear = True

    @property
    def log_b(self) -> float:
        """Logarithm of b."""
        return log(self.b)

    def values(self, values: Tensor) -> Tensor:
        """Apply the filters to each block."""
        return values[:, self.members].flatten(2) @ self.filters.to(values.dtype)

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the lattice of blocks."""
        return geometry.blocks(self.b).coarse

    def lift(self, values: Tensor) -> Tensor:
        """Return the field whose blocks are the patterns, in these proportions."""
        blocks = (values @ self.patterns.to(values.dtype)).unflatten(2, (self.members.shape[1], -1))
        fine = values.new_empty(len(values), self.members.numel(), blocks.shape[3])
        fine[:, self.members] = blocks
        return fine


@dataclass(frozen=True, eq=False)
class SignMap(Map):
    """Signs of linear combinations of each block's values about a centre; the corner decides where one is zero.

    Args:
        b: Ratio of new to old lattice spacing.
        members: int64 [blocks, block size]; the sites of each block, its corner first.
        filters: float64 [block size * components, kept].
        centre: The value half way between the two that the field takes.
        information: A lower bound, from held-out units, of what the signs tell of the environment, in nats.
        error: Its standard error.
    """

    b: int
    members: Tensor
    filters: Tensor
    centre: float
    information: float
    error: float
    linear = False

    @property
    def log_b(self) -> float:
        """Logarithm of b."""
        return log(self.b)

    def values(self, values: Tensor) -> Tensor:
        """Take the sign of each filtered block."""
        blocks = (values[:, self.members] - self.centre).flatten(2)
        found = blocks @ self.filters.to(values.dtype)
        return torch.where(found == 0, blocks[:, :, :1], found).sign()

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the lattice of blocks."""
        return geometry.blocks(self.b).coarse
