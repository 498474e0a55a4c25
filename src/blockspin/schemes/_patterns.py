"""Patterns: every block of sites read by looking up what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from blockspin.ensemble import distinct
from blockspin.geometry import Geometry
from blockspin.schemes.base import Map


@dataclass(frozen=True, eq=False)
class PatternMap(Map):
    """One number for every pattern that a block can show; a pattern never seen is read as the nearest one.

    Args:
        b: Ratio of new to old lattice spacing.
        members: int64 [blocks, block size]; the sites of each block.
        patterns: float64 [n, block size * components], in lexicographic order.
        reading: float64 [n]; what each is read as.
    """

    b: int
    members: Tensor
    patterns: Tensor
    reading: Tensor
    linear = False

    @property
    def log_b(self) -> float:
        """Logarithm of b."""
        return log(self.b)

    def values(self, values: Tensor) -> Tensor:
        """Look each block up."""
        blocks = values[:, self.members].flatten(2)
        patterns, index = distinct(blocks.flatten(0, 1))
        gap = torch.cdist(patterns, self.patterns.to(values.dtype), compute_mode="donot_use_mm_for_euclid_dist")
        read = self.reading.to(values.dtype)[gap.argmin(1)]
        return read[index].reshape(len(values), len(self.members), 1)

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the lattice of blocks."""
        return geometry.blocks(self.b).coarse
