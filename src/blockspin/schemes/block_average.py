"""Block average: replace each block of sites by its mean."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.geometry import Geometry
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes.base import LiftingMap, Scheme, require_ratio


@dataclass(frozen=True, eq=False)
class BlockAverageMap(LiftingMap):
    """The mean over fixed blocks.

    Args:
        b: Ratio of new to old lattice spacing.
        members: int64 [blocks, block size]; the sites of each block.
    """

    b: int
    members: Tensor
    linear = True

    @property
    def log_b(self) -> float:
        """Logarithm of b."""
        return log(self.b)

    def values(self, values: Tensor) -> Tensor:
        """Average over each block."""
        return values[:, self.members].mean(dim=2)

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the lattice of blocks."""
        return geometry.blocks(self.b).coarse

    def lift(self, values: Tensor) -> Tensor:
        """Give every site of a block the block's mean."""
        fine = values.new_empty(len(values), self.members.numel(), values.shape[2])
        fine[:, self.members] = values[:, :, None].expand(-1, -1, self.members.shape[1], -1)
        return fine


@register
@dataclass(frozen=True)
class BlockAverage(Scheme):
    r"""Replace each block of sites by its mean.

    Kadanoff's blocking of a real field: linear, so that a Gaussian field stays Gaussian,

    .. math:: \phi'_B = b^{-d} \sum_{i \in B} \phi_i .

    Args:
        b: Ratio of new to old lattice spacing, an integer of at least 2. Dimensionless.

    Shapes:
        in:  [samples, sites, components], every axis of the lattice divisible by b
        out: [samples, sites / b^d, components]

    Raises:
        ConfigError: If b is not an integer of at least 2.
        IndivisibleBlocksError: If b does not divide the lattice.
        GeometryError: If sites have no neighbours (``Unordered``, general graphs).

    Do not trust when:
        The order parameter is staggered: the mean over a block then cancels what matters.

    Tether:
        theory.central_limit: for independent sites the k-th standardised cumulant falls as b^(-d (k/2 - 1)), exactly.

    Source:
        kadanoff1966.

    Example:
        >>> import torch
        >>> from blockspin import Chain, Ensemble
        >>> field = Ensemble.of(torch.tensor([[1.0, 3.0, 5.0, 7.0], [0.0, 2.0, 4.0, 6.0]]), Chain(4))
        >>> coarse = BlockAverage(b=2).fit(field, generator=torch.Generator())
        >>> coarse(field).values[0, :, 0].tolist()
        [2.0, 6.0]
    """

    name = "block-average"
    source = "kadanoff1966"
    claims = Claims(
        semigroup=Semigroup.EXACT,
        linear=True,
        symmetries=("translation", "sign", "scale", "rotation"),
        fixed_points=("white-noise",),
    )
    b: int = 2

    def __post_init__(self):
        require_ratio(self.b)

    def fit(self, source: Source, *, generator: torch.Generator) -> BlockAverageMap:
        """Return the average over the geometry's blocks; nothing is learned."""
        return BlockAverageMap(self.b, source.geometry.blocks(self.b).members)

    @classmethod
    def examples(cls) -> tuple[BlockAverage, ...]:
        """Return block averages by two and by three."""
        return cls(b=2), cls(b=3)
