"""Momentum shell: keep the long waves of a lattice field and forget the short ones."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.errors import GeometryError
from blockspin.geometry import Geometry, Grid
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes.base import LiftingMap, Scheme, require_ratio


@dataclass(frozen=True, eq=False)
class MomentumShellMap(LiftingMap):
    """Resampling of a periodic lattice field by its Fourier modes below the new zone boundary.

    Args:
        b: Ratio of new to old lattice spacing.
        shape: Sites along each axis of the fine lattice.
    """

    b: int
    shape: tuple[int, ...]
    linear = True

    @property
    def log_b(self) -> float:
        """Logarithm of b."""
        return log(self.b)

    def values(self, values: Tensor) -> Tensor:
        """Cut off the modes at and beyond the new zone boundary."""
        return _resampled(values, self.shape, tuple(n // self.b for n in self.shape))

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the lattice of the new spacing."""
        return geometry.blocks(self.b).coarse

    def lift(self, values: Tensor) -> Tensor:
        """Interpolate: the fine field that has the coarse modes and no other."""
        return _resampled(values, tuple(n // self.b for n in self.shape), self.shape)


@register
@dataclass(frozen=True)
class MomentumShell(Scheme):
    r"""Keep the long waves of a lattice field and forget the short ones.

    Wilson's shell: the Fourier modes with :math:`|k_i| < \pi / b` on every axis are kept and sampled on the lattice of
    spacing b; the mode on the new zone boundary itself is forgotten, since a real field holds only half of it. A
    Gaussian field keeps its spectrum on the kept modes, so that with k in units of the new spacing a field of spectrum
    1/(k^2 + r) has

    .. math:: r' = b^2 r .

    Args:
        b: Ratio of new to old lattice spacing, an integer of at least 2. Dimensionless.

    Shapes:
        in:  [samples, sites, components], a periodic lattice whose axes are divisible by b
        out: [samples, sites / b^d, components]

    Raises:
        ConfigError: If b is not an integer of at least 2.
        GeometryError: If the geometry is not a periodic lattice.
        IndivisibleBlocksError: If b does not divide the lattice.

    Do not trust when:
        The field has edges or sharp walls: a sharp cutoff rings around them, and generates couplings of long range.

    Tether:
        theory.gaussian_model: r' = b^2 r, exact.

    Source:
        wilson1974.

    Example:
        >>> from blockspin import Chain, Ensemble
        >>> wave = torch.cos(2 * torch.pi * torch.arange(8) / 8)
        >>> field = Ensemble.of(torch.stack([wave, 2 * wave]), Chain(8))
        >>> coarse = MomentumShell(b=2).fit(field, generator=torch.Generator())(field)
        >>> [round(x, 6) + 0.0 for x in coarse.values[0, :, 0].tolist()]
        [1.0, 0.0, -1.0, 0.0]
    """

    name = "momentum-shell"
    source = "wilson1974"
    claims = Claims(
        semigroup=Semigroup.EXACT,
        linear=True,
        symmetries=("translation", "sign", "scale", "rotation"),
        exceptions={
            "nulls": "noise without the mode on the zone boundary of an even lattice of m sites has neighbours that "
            "correlate by 1 / m, exactly"
        },
    )
    b: int = 2

    def __post_init__(self):
        require_ratio(self.b)

    def fit(self, source: Source, *, generator: torch.Generator) -> MomentumShellMap:
        """Return the cutoff of the geometry's lattice; nothing is learned."""
        geometry = source.geometry
        if not isinstance(geometry, Grid) or not geometry.periodic:
            raise GeometryError(
                f"{type(geometry).__name__} is no periodic lattice and has no Fourier modes",
                "Use block-average on open lattices, principal-modes on unordered sites.",
            )
        geometry.blocks(self.b)  # refuses what does not divide
        return MomentumShellMap(self.b, geometry.shape)

    @classmethod
    def examples(cls) -> tuple[MomentumShell, ...]:
        """Return cutoffs at a half and at a third of the zone."""
        return cls(b=2), cls(b=3)


def _resampled(values: Tensor, shape: tuple[int, ...], other: tuple[int, ...]) -> Tensor:
    """Carry the modes that both lattices hold in full from one to the other; values at sites keep their size."""
    field = values.reshape(len(values), *shape, values.shape[2])
    axes = tuple(range(1, len(shape) + 1))
    modes = torch.fft.fftn(field, dim=axes, norm="forward")
    for axis, (n, m) in zip(axes, zip(shape, other, strict=True), strict=True):
        kept = (min(n, m) - 1) // 2  # waves of both signs below the zone boundary of the smaller lattice
        front, back = modes.narrow(axis, 0, kept + 1), modes.narrow(axis, n - kept, kept)
        gap = list(front.shape)
        gap[axis] = m - 2 * kept - 1
        modes = torch.cat([front, modes.new_zeros(gap), back], dim=axis)
    coarse = torch.fft.ifftn(modes, dim=axes, norm="forward").real
    return coarse.reshape(len(values), -1, values.shape[2]).to(values.dtype)
