"""Rsmi: read each block of discrete sites as the two-valued variable that tells most of its far environment."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes._frame import framed, require_frame
from blockspin.schemes._patterns import PatternMap
from blockspin.schemes._tables import best_reading, information, readings, table_of
from blockspin.schemes.base import Scheme


@dataclass(frozen=True, eq=False)
class RsmiMap(PatternMap):
    """A two-valued reading of every pattern that a block can show.

    Args:
        b: Ratio of new to old lattice spacing.
        members: int64 [blocks, block size]; the sites of each block.
        patterns: float64 [n, block size * components], in lexicographic order.
        reading: float64 [n]; +1 or -1.
        information: What the reading tells of the environment, in nats.
        available: What the whole block tells of it, in nats.
    """

    information: float
    available: float

    @property
    def up(self) -> Tensor:
        """Whether each pattern is read as +1, bool [n]."""
        return self.reading > 0


@register
@dataclass(frozen=True)
class Rsmi(Scheme):
    r"""Read each block of discrete sites as the two-valued variable that tells most of its far environment.

    Real-space mutual information: of all ways to read a block V as h = +-1 the one is taken that maximises

    .. math:: I(h : E) = \sum_{h, e} p(h, e) \ln \frac{p(h, e)}{p(h) \, p(e)},

    E being the sites beyond a buffer around the block, so that short-range correlations do not count. Readings are
    compared one by one: all of them, or the odd ones where patterns come with their negatives (spins), which keeps the
    symmetry between up and down. One reading serves all blocks; the map also tells how much of I(V : E) it keeps. On
    the Ising ring the best reading is decimation, on the square lattice the majority.

    Args:
        b: Ratio of new to old lattice spacing, an integer of at least 2. Dimensionless.
        buffer: Sites between a block and its environment, in current lattice spacings.
        reach: Width of the environment, in current lattice spacings.

    Shapes:
        in:  [samples, sites, components], every axis of the lattice divisible by b
        out: [samples, sites / b^d, 1], of values +-1

    Raises:
        ConfigError: If an option cannot be used.
        IndivisibleBlocksError: If b does not divide the lattice.
        GeometryError: If there is no lattice, or no room for an environment.
        StepNotPossibleError: If values are real, or patterns too many to count or to compare: use rsmi-gaussian or
            rsmi-infonce.
        NothingFoundError: If blocks tell nothing of their environment beyond chance.

    Do not trust when:
        Several readings tell nearly the same: which one is best then hangs on the samples. Counted information is too
        large by about (patterns - 1) (environments - 1) / 2 n nats; ten samples an entry are asked for.

    Tether:
        theory.rsmi: a block of two on a chain keeps .356393 of .469195 bits at K = 1, by decimation.

    Source:
        kochjanusz2018; that the best reading reverses between one and two dimensions is checked here by enumeration.

    Example:
        >>> from blockspin import Chain
        >>> from blockspin.law import enumerate_law
        >>> law = enumerate_law(Chain(6, periodic=False), (-1.0, 1.0), lambda s: (s[:, 1:] * s[:, :-1]).sum(1))
        >>> coarse = Rsmi(b=2).fit(law, generator=torch.Generator())
        >>> round(coarse.information / coarse.available, 4), coarse.up.tolist()
        (0.7596, [False, False, True, True])
    """

    name = "rsmi"
    source = "kochjanusz2018"
    claims = Claims(
        semigroup=Semigroup.NONE,
        linear=False,
        symmetries=("translation", "sign"),
        exceptions={
            "semigroup": "On the Ising ring, the one world it can read, the best reading is decimation, twice."
        },
    )
    b: int = 2
    buffer: int = 1
    reach: int = 1

    def __post_init__(self):
        require_frame(self)

    def fit(self, source: Source, *, generator: torch.Generator) -> RsmiMap:
        """Count patterns of blocks and environments, and compare all readings."""
        frame = framed(source.geometry, self.b, self.buffer, self.reach)
        table = table_of(source, frame)
        up, kept = best_reading(table.joint, readings(table.patterns))
        reading = 2 * up.to(torch.float64) - 1
        return RsmiMap(self.b, frame.members, table.patterns.double(), reading, kept, information(table.joint))

    @classmethod
    def examples(cls) -> tuple[Rsmi, ...]:
        """Return readings of blocks of two about the sites next to them but one, and about those next to them."""
        return cls(b=2), cls(b=2, buffer=0)
