"""Decimation: keep one site of each block and forget the others."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.geometry import Geometry
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes.base import Map, Scheme, require_ratio


@dataclass(frozen=True, eq=False)
class DecimationMap(Map):
    """The sites of a sublattice: the corners of blocks, or the coarser generations of a diamond lattice.

    Args:
        b: Ratio of new to old lattice spacing.
        kept: int64 [coarse sites]; the sites that are kept.
    """

    b: int
    kept: Tensor
    linear = True

    @property
    def log_b(self) -> float:
        """Logarithm of b."""
        return log(self.b)

    def values(self, values: Tensor) -> Tensor:
        """Keep the sublattice."""
        return values[:, self.kept]

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the sublattice."""
        return geometry.sublattice(self.b).coarse


@register
@dataclass(frozen=True)
class Decimation(Scheme):
    r"""Keep one site of each block and forget the others.

    Summing over the forgotten spins of a nearest-neighbour Ising ring gives another nearest-neighbour ring, so that
    this is one of the few schemes whose flow is known exactly:

    .. math:: \tanh K' = (\tanh K)^b

    On a ``Diamond`` lattice of p branches the same sum gives Migdal and Kadanoff's recursion,
    :math:`K' = p \operatorname{artanh}(\tanh^b K)`, exactly.

    Args:
        b: Ratio of new to old lattice spacing, an integer of at least 2. Dimensionless.

    Shapes:
        in:  [samples, sites, components], every axis of the lattice divisible by b (Diamond: b one of its divisors)
        out: [samples, sites / b^d, components] (Diamond: the sites of the coarser generations)

    Raises:
        ConfigError: If b is not an integer of at least 2.
        IndivisibleBlocksError: If b does not divide the lattice.
        GeometryError: If sites have no neighbours (``Unordered``, general graphs).

    Do not trust when:
        A grid has two dimensions or more: couplings of every range are then generated, and truncating them is
        uncontrolled. The field's own scaling dimension is lost as well: what is kept is not averaged.

    Tether:
        theory.ising_ring.decimated_coupling and, on diamond lattices, theory.migdal_kadanoff.decimated_then_moved; both
        exact for every K and b.

    Source:
        nelson1975.

    Example:
        >>> from blockspin import Chain, Ensemble
        >>> field = Ensemble.of(torch.tensor([[1.0, 3.0, 5.0, 7.0], [0.0, 2.0, 4.0, 6.0]]), Chain(4))
        >>> Decimation(b=2).fit(field, generator=torch.Generator())(field).values[0, :, 0].tolist()
        [1.0, 5.0]
    """

    name = "decimation"
    source = "nelson1975"
    claims = Claims(
        semigroup=Semigroup.EXACT,
        linear=True,
        symmetries=("translation", "sign", "scale", "rotation"),
        fixed_points=("white-noise",),
    )
    b: int = 2

    def __post_init__(self):
        require_ratio(self.b)

    def fit(self, source: Source, *, generator: torch.Generator) -> DecimationMap:
        """Return the geometry's sublattice; nothing is learned."""
        return DecimationMap(self.b, source.geometry.sublattice(self.b).kept)

    @classmethod
    def examples(cls) -> tuple[Decimation, ...]:
        """Return decimations by two and by three."""
        return cls(b=2), cls(b=3)
