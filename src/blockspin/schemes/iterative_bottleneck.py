"""Iterative-bottleneck: group the patterns of a block by what they tell of its environment, at a price."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.errors import ConfigError, StepNotPossibleError
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes._blahut_arimoto import bottleneck, relevance_spectrum
from blockspin.schemes._frame import framed, require_frame
from blockspin.schemes._patterns import PatternMap
from blockspin.schemes._tables import table_of
from blockspin.schemes.base import Scheme

MOST = 512
"""Most patterns of a block: an iteration costs their number squared times the environments."""
LEAN = 0.99
"""Share of each pattern in a cluster of its own, to begin with."""
DIGITS = 9
"""Digits to which the iteration has converged: what symmetry makes equal is equal."""


@dataclass(frozen=True, eq=False)
class BottleneckMap(PatternMap):
    """One number for every pattern that a block can show, equal for patterns of the same clusters.

    Args:
        b: Ratio of new to old lattice spacing.
        members: int64 [blocks, block size]; the sites of each block.
        patterns: float64 [n, block size * components], in lexicographic order.
        reading: float64 [n]; what each is read as.
        beta: The price that was used.
        kept: I(T; V) of the soft encoder, in nats.
        relevant: I(T; E) of the soft encoder, in nats.
    """

    beta: float
    kept: float
    relevant: float


@register
@dataclass(frozen=True)
class IterativeBottleneck(Scheme):
    r"""Group the patterns of a block by what they tell of its environment, at a price of information.

    The bottleneck compresses a block V to T so as to minimise I(T; V) - beta I(T; E), E being the sites beyond a
    buffer. Iterating its self-consistent equations

    .. math:: p(t | v) \propto p(t) \, e^{-\beta D(p(e | v) \| p(e | t))}

    from one cluster a pattern leaves as many distinct ones as beta pays for. Below
    :math:`\beta_1 = 1 / s_1^2`, with :math:`s_1` the largest singular value of
    :math:`p(v, e) / \sqrt{p(v) p(e)}` but one, nothing is kept; price is therefore given as a multiple of it. The map
    returns the signal without the noise of the encoder: each cluster stands for the mean over it of the leading
    relevance function (the scaling operator that becomes relevant first, gordon2021), and a block is read as the mean
    of that over its clusters.

    Args:
        b: Ratio of new to old lattice spacing, an integer of at least 2. Dimensionless.
        buffer: Sites between a block and its environment, in current lattice spacings.
        reach: Width of the environment, in current lattice spacings.
        price: beta as a multiple of the first threshold, above 1; large values tell all patterns apart.

    Shapes:
        in:  [samples, sites, components], every axis of the lattice divisible by b
        out: [samples, sites / b^d, 1]

    Raises:
        ConfigError: If an option cannot be used.
        IndivisibleBlocksError: If b does not divide the lattice.
        GeometryError: If there is no lattice, or no room for an environment.
        StepNotPossibleError: If values are real, or patterns too many to count: use rsmi-gaussian or rsmi-infonce.
        NothingFoundError: If blocks tell nothing of their environment beyond chance.
        FitFailedError: If the iteration does not become stationary.

    Do not trust when:
        The leading singular value is degenerate, so that the order of the readings means nothing; or the price is
        within a per cent of a threshold, where the iteration is slow. Counts of samples bias s_1 upwards.

    Tether:
        theory.information_bottleneck: thresholds of the critical Ising cylinder by its scaling dimensions.

    Source:
        tishby1999.

    Example:
        >>> from blockspin import Chain
        >>> from blockspin.law import enumerate_law
        >>> law = enumerate_law(Chain(6, periodic=False), (-1.0, 1.0), lambda s: (s[:, 1:] * s[:, :-1]).sum(1))
        >>> coarse = IterativeBottleneck(b=2).fit(law, generator=torch.Generator())
        >>> coarse.reading.sign().tolist()
        [-1.0, 0.0, 0.0, 1.0]
    """

    name = "iterative-bottleneck"
    source = "tishby1999"
    claims = Claims(semigroup=Semigroup.NONE, linear=False, symmetries=("translation", "sign"), gauge="sign")
    b: int = 2
    buffer: int = 1
    reach: int = 1
    price: float = 2.0

    def __post_init__(self):
        require_frame(self)
        number = isinstance(self.price, int | float) and not isinstance(self.price, bool)
        if not number or not isfinite(self.price) or self.price <= 1:
            raise ConfigError("price", self.price, "a finite number above 1: below, nothing is kept.")

    def fit(self, source: Source, *, generator: torch.Generator) -> BottleneckMap:
        """Iterate to the encoder, and read every pattern as the mean over its clusters."""
        frame = framed(source.geometry, self.b, self.buffer, self.reach)
        table = table_of(source, frame)
        n = len(table.patterns)
        if n > MOST:
            raise StepNotPossibleError(f"{n} patterns of a block are too many to iterate", "Take a smaller b.")
        s, functions = relevance_spectrum(table.joint)
        beta = self.price / float(s[0]) ** 2
        start = LEAN * torch.eye(n, dtype=torch.float64) + (1 - LEAN) / n
        found = bottleneck(table.joint, beta, start)
        leading = _upwards(functions[:, 0], table.patterns.double().sum(1), table.joint.sum(1))
        own = found.encoder * table.joint.sum(1)[:, None]
        means = own.T @ leading / own.sum(0).clamp(min=1e-300)
        reading = (found.encoder @ means).round(decimals=DIGITS)
        return BottleneckMap(self.b, frame.members, table.patterns.double(), reading, beta, found.kept, found.relevant)

    @classmethod
    def examples(cls) -> tuple[IterativeBottleneck, ...]:
        """Return a low and a high price."""
        return cls(b=2), cls(b=3, price=20.0)


def _upwards(function: Tensor, field: Tensor, weights: Tensor) -> Tensor:
    """Return a function of patterns with the sign that makes it grow with the field, or its largest value positive."""
    slope = (weights * function) @ field
    along = slope if float(slope.abs()) > 1e-9 else function[function.abs().argmax()]
    return function * along.sign()
