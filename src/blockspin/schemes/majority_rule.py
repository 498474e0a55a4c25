"""Majority rule: replace each block of spins by the sign of its sum."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.errors import StepNotPossibleError
from blockspin.geometry import Geometry
from blockspin.law import GaussianLaw, Source
from blockspin.registry import register
from blockspin.schemes.base import Map, Scheme, require_ratio


@dataclass(frozen=True, eq=False)
class MajorityRuleMap(Map):
    """The sign of the sum over fixed blocks; the corner's spin where the sum is zero.

    Args:
        b: Ratio of new to old lattice spacing.
        members: int64 [blocks, block size]; the sites of each block, its corner first.
    """

    b: int
    members: Tensor
    linear = False

    @property
    def log_b(self) -> float:
        """Logarithm of b."""
        return log(self.b)

    def values(self, values: Tensor) -> Tensor:
        """Let each block vote."""
        block = values[:, self.members]
        vote = block.sum(dim=2)
        return torch.where(vote == 0, block[:, :, 0], vote).sign()

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the lattice of blocks."""
        return geometry.blocks(self.b).coarse


@register
@dataclass(frozen=True)
class MajorityRule(Scheme):
    r"""Replace each block of spins by the sign of its sum.

    Ties go to the spin at the block's corner: a fixed value would break the symmetry between up and down, and a coin
    would make the map random.

    .. math:: s'_B = \operatorname{sign} \sum_{i \in B} s_i

    Args:
        b: Ratio of new to old lattice spacing, an integer of at least 2. Dimensionless.

    Shapes:
        in:  [samples, sites, components], values of -1 and +1, every axis of the lattice divisible by b
        out: [samples, sites / b^d, components]

    Raises:
        ConfigError: If b is not an integer of at least 2.
        StepNotPossibleError: If the field has other values than -1 and +1.
        IndivisibleBlocksError: If b does not divide the lattice.
        GeometryError: If sites have no neighbours (``Unordered``, general graphs).

    Do not trust when:
        Two steps are compared with one of twice the size: voting twice is not voting once. For even blocks the corner's
        casting vote makes blocks slightly lopsided.

    Tether:
        Swendsen's matrix on blocked two-dimensional Ising: y_t = 1 and y_h = 15/8.

    Source:
        niemeijer1973.

    Example:
        >>> from blockspin import Chain, Ensemble
        >>> field = Ensemble.of(torch.tensor([[1.0, 1.0, -1.0], [-1.0, 1.0, -1.0]]), Chain(3))
        >>> MajorityRule(b=3).fit(field, generator=torch.Generator())(field).values[:, 0, 0].tolist()
        [1.0, -1.0]
    """

    name = "majority-rule"
    source = "niemeijer1973"
    claims = Claims(
        semigroup=Semigroup.NONE,
        linear=False,
        symmetries=("translation", "sign"),
    )
    b: int = 2

    def __post_init__(self):
        require_ratio(self.b)

    def fit(self, source: Source, *, generator: torch.Generator) -> MajorityRuleMap:
        """Return the vote of the geometry's blocks; nothing is learned."""
        if isinstance(source, GaussianLaw) or bool((source.values.abs() != 1).any()):
            raise StepNotPossibleError(
                "the majority rule needs values of -1 and +1",
                "Take the sign of the field, or use block-average (lattices) or correlation-pairing (unordered sites).",
            )
        return MajorityRuleMap(self.b, source.geometry.blocks(self.b).members)

    @classmethod
    def examples(cls) -> tuple[MajorityRule, ...]:
        """Return votes of two and of three."""
        return cls(b=2), cls(b=3)
