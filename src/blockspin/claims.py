"""What a scheme may promise; each field names the check that tests it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from blockspin.errors import DeclarationError


class Semigroup(Enum):
    """How two steps compose: does coarse-graining by b twice equal coarse-graining by b squared?"""

    EXACT = "exact"
    """Sample by sample, up to the declared gauge."""
    IN_LAW = "in law"
    """The two results have the same distribution, but not the same samples."""
    NONE = "none"
    """They differ even in distribution."""


SYMMETRIES = {
    "translation": "moving the fine lattice by one block moves the coarse one by one site",
    "sign": "the negative of a field goes to the negative",
    "scale": "a positive multiple of a field goes to the same multiple",
    "permutation": "renumbering the sites changes nothing but the gauge",
    "rotation": "a rotation of the components commutes with the map",
}

GAUGES = {
    "none": "outputs are compared number by number",
    "sign": "each coarse site is known up to its sign",
    "permutation": "coarse sites are known up to their order",
    "rotation": "coarse sites are known up to an orthogonal map; compare Gram matrices",
}

FIXED_POINTS = {"white-noise": "independent unit Gaussians stay independent unit Gaussians, after rescaling"}


@dataclass(frozen=True)
class Claims:
    """The promises of one coarse-graining scheme, strict both ways.

    A claimed property must hold on every exact world; an unclaimed one that holds exactly on every world must be
    claimed or explained under ``exceptions``.

    Args:
        semigroup: How steps compose.
        linear: Whether the fitted map is affine in the field (linear after centring).
        symmetries: Keys of ``SYMMETRIES`` that the map commutes with.
        gauge: Key of ``GAUGES``: what outputs are known up to.
        fixed_points: Keys of ``FIXED_POINTS`` that a step with unit-variance rescaling leaves alone.
        exceptions: ``{check: reason}`` for a check that cannot apply, or a property that holds unclaimed.
    """

    semigroup: Semigroup = field(metadata={"check": "semigroup"})
    linear: bool = field(metadata={"check": "linear"})
    symmetries: tuple[str, ...] = field(metadata={"check": "symmetries"})
    gauge: str = field(default="none", metadata={"check": "semigroup"})
    fixed_points: tuple[str, ...] = field(default=(), metadata={"check": "fixed_points"})
    exceptions: dict[str, str] = field(default_factory=dict, metadata={"check": "declared"})

    def __post_init__(self):
        for given, known in ((self.symmetries, SYMMETRIES), ((self.gauge,), GAUGES), (self.fixed_points, FIXED_POINTS)):
            unknown = set(given) - set(known)
            if unknown:
                raise DeclarationError(f"claims name {sorted(unknown)}", f"Known: {', '.join(known)}.")
