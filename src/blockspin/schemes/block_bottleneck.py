"""Block-bottleneck: keep of each block what is worth its cost by what it tells of the environment, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from blockspin.claims import Claims, Semigroup
from blockspin.errors import StepNotPossibleError
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes._canonical import canonical, require_price, worth_keeping
from blockspin.schemes._correlation import independent_units
from blockspin.schemes._filters import FilterMap
from blockspin.schemes._frame import framed, require_frame
from blockspin.schemes.base import Scheme


@dataclass(frozen=True, eq=False)
class BlockBottleneckMap(FilterMap):
    """Weighted canonical variables of each block; a field of the map is the signal, without the noise of the encoder.

    Args:
        b: Ratio of new to old lattice spacing.
        members: int64 [blocks, block size]; the sites of each block.
        filters: float64 [block size * components, kept].
        patterns: float64 [kept, block size * components]; their product with the filters is the identity.
        information: What the kept numbers tell of the environment, in nats.
        available: What the whole block tells of it, in nats.
        cost: I(T; V) of the encoder with its noise, in nats.
        relevant: I(T; E) of the encoder with its noise, in nats.
    """

    cost: float
    relevant: float


@register
@dataclass(frozen=True)
class BlockBottleneck(Scheme):
    r"""Keep of each block what is worth its cost by what it tells of the environment, in the Gaussian closed form.

    The information bottleneck of real space: a block V of a lattice is compressed to T so as to minimise
    I(T; V) - beta I(T; E), E being the sites beyond a buffer. For jointly Gaussian V and E the optimum is
    :math:`T_i = \alpha_i w_i \cdot V` plus unit noise, with :math:`w_i` the canonical variables of V about E, of unit
    variance and correlation :math:`\rho_i`, and

    .. math:: \alpha_i^2 = \frac{\beta \rho_i^2 - 1}{1 - \rho_i^2} \quad (\beta \rho_i^2 > 1), \quad \text{else } 0.

    Where ``rsmi-gaussian`` keeps a number of variables that is given, here the price says how many: each enters at its
    threshold :math:`1 / \rho_i^2`, the most relevant first, and the coarse field has as many components as have
    entered. The map returns the signal without the noise. Covariances are averaged over blocks; on samples only
    correlations beyond chance count (Johnstone's 1 % level; units, not samples). Blocks of few
    patterns (spins) are for ``iterative-bottleneck``, which sees more than second moments.

    Args:
        b: Ratio of new to old lattice spacing, an integer of at least 2. Dimensionless.
        buffer: Sites between a block and its environment, in current lattice spacings.
        reach: Width of the environment, in current lattice spacings.
        beta: Nats of I(T; V) that a nat of I(T; E) is worth, above 1. Dimensionless.

    Shapes:
        in:  [samples, sites, components], every axis of the lattice divisible by b
        out: [samples, sites / b^d, kept]

    Raises:
        ConfigError: If an option cannot be used.
        IndivisibleBlocksError: If b does not divide the lattice.
        GeometryError: If there is no lattice, or no room for an environment.
        StepNotPossibleError: If there are too few samples, or as many variables are kept as a block has values.
        NothingFoundError: If no correlation is beyond chance, or worth its cost at this beta.

    Do not trust when:
        The field is far from Gaussian (spins, ReLU): thresholds are those of the Gaussian field with the same
        covariances. Two canonical correlations agree within their errors: their variables then mix. Samples are few
        against the values of a block and its environment, which makes correlations, and what is kept, too large.

    Tether:
        theory.information_bottleneck: thresholds and the optimal curve of blocks of a Gauss-Markov chain.

    Source:
        gordon2021 for blocks and environment; the closed form is that of chechik2005.

    Example:
        >>> from blockspin import Chain, GaussianLaw
        >>> gap = torch.arange(12)
        >>> C = (0.7 ** torch.minimum(gap, 12 - gap).double())[(gap[:, None] - gap) % 12]
        >>> law = GaussianLaw.of(C, Chain(12))
        >>> coarse = BlockBottleneck(b=2, beta=5.0).fit(law, generator=torch.Generator())
        >>> coarse.filters.shape[1], round(coarse.relevant, 4)  # of the mean and the difference, the mean alone
        (1, 0.1034)
    """

    name = "block-bottleneck"
    source = "gordon2021"
    claims = Claims(
        semigroup=Semigroup.NONE,
        linear=True,
        symmetries=("translation", "sign", "scale"),
        gauge="sign",
        exceptions={"rotation": "like components have equal correlations: rounding decides how their variables mix"},
    )
    b: int = 2
    buffer: int = 1
    reach: int = 1
    beta: float = 10.0

    def __post_init__(self):
        require_frame(self)
        require_price(self.beta)

    def fit(self, source: Source, *, generator: torch.Generator) -> BlockBottleneckMap:
        """Return the weighted canonical variables of a block that are worth their cost at beta."""
        frame = framed(source.geometry, self.b, self.buffer, self.reach)
        vv, ve, ee = frame.moments(source)
        found = canonical(vv, ve, ee, independent_units(source))
        encoder = worth_keeping(found, self.beta)
        kept = encoder.shape[1]
        if kept >= len(vv):
            raise StepNotPossibleError(
                f"at beta = {self.beta:g} all {kept} values of a block are worth keeping",
                "Take a smaller beta to forget more.",
            )
        signal = (encoder.T @ vv @ encoder).diagonal()  # canonical variables are uncorrelated
        told = -0.5 * torch.log1p(-found.correlations.square())
        open_ = 1 + signal * (1 - found.correlations[:kept].square())  # variance of T that E leaves open
        cost = 0.5 * torch.log1p(signal).sum()
        return BlockBottleneckMap(
            self.b,
            frame.members,
            encoder,
            encoder.T @ vv / signal[:, None],
            float(told[:kept].sum()),
            float(told.sum()),
            float(cost),
            float(cost - 0.5 * open_.log().sum()),
        )

    @classmethod
    def examples(cls) -> tuple[BlockBottleneck, ...]:
        """Return blocks of two at a moderate price, and blocks of three without a buffer at a high one."""
        return cls(b=2, beta=20.0), cls(b=3, buffer=0, beta=50.0)
