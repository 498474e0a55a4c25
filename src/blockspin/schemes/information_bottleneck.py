"""Information-bottleneck: keep what one part of a field tells of another, in the Gaussian closed form."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.errors import ConfigError, StepNotPossibleError
from blockspin.geometry import Geometry, Unordered
from blockspin.law import Source
from blockspin.observables.covariance import moments
from blockspin.registry import register
from blockspin.schemes._canonical import canonical, require_price, worth_keeping
from blockspin.schemes._correlation import independent_units
from blockspin.schemes.base import LiftingMap, Scheme


@dataclass(frozen=True, eq=False)
class BottleneckMap(LiftingMap):
    """Weighted canonical variables.

    Args:
        mean: float64 [sites, components]; the centre.
        encoder: float64 [sites * components, kept].
        patterns: float64 [kept, sites * components]; the field to be expected of each alone.
        correlations: float64; the canonical correlation of each pair of variables beyond chance, descending.
    """

    mean: Tensor
    encoder: Tensor
    patterns: Tensor
    correlations: Tensor
    linear = True

    @property
    def log_b(self) -> float:
        """Logarithm of the ratio of site counts."""
        return log(self.mean.shape[0] / self.encoder.shape[1])

    def values(self, values: Tensor) -> Tensor:
        """Return the weighted variables [samples, kept, 1]."""
        return ((values - self.mean.to(values.dtype)).flatten(1) @ self.encoder.to(values.dtype))[:, :, None]

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return as many unordered sites as there are variables."""
        kept = self.encoder.shape[1]
        return Unordered(kept, geometry.spacing * geometry.sites / kept)

    def lift(self, values: Tensor) -> Tensor:
        """Return the field that is to be expected of these variables."""
        field = (values[:, :, 0] @ self.patterns.to(values.dtype)).reshape(len(values), *self.mean.shape)
        return field + self.mean.to(values.dtype)


@register
@dataclass(frozen=True)
class InformationBottleneck(Scheme):
    r"""Keep what one part of a field tells of another, in the Gaussian closed form.

    The bottleneck compresses X to T so as to minimise I(T; X) - beta I(T; Y). For Gaussian X and Y the optimum is
    :math:`T_i = \alpha_i w_i \cdot X` plus unit noise, with :math:`w_i` the canonical variables, of unit variance and
    canonical correlation :math:`\rho_i`, and

    .. math:: \alpha_i^2 = \frac{\beta \rho_i^2 - 1}{1 - \rho_i^2} \quad (\beta \rho_i^2 > 1), \quad \text{else } 0.

    The map returns the signal without the noise, so that it stays a function of the field; a variable fades out as
    beta falls to its threshold :math:`1 / \rho_i^2`. What is relevant is said by ``relevant``: the numbers of the sites
    that stand for Y (a label, a readout, the last token), of which X, all other sites, is then the past and is what is
    kept. Without it the field is its own relevance: even-numbered sites are compressed about odd-numbered ones and the
    other way round, both are kept, pair by pair, and what belongs to one half alone is forgotten. On a chain these are
    neighbours; on unordered sites any two halves do, as long as what matters is spread over many sites.

    On samples each part is first projected on a tenth as many principal components as there are independent units,
    and only correlations beyond chance count (Johnstone's 1 % level). A relation without noise is given
    :math:`1 - \rho^2 = 10^{-6}`.

    Args:
        beta: Nats of I(T; X) that a nat of I(T; Y) is worth, above 1. Dimensionless.
        relevant: Numbers of the sites that are Y; empty for halves.

    Shapes:
        in:  [samples, sites, components]
        out: [samples, kept, 1], one site a variable, two a pair of halves

    Raises:
        ConfigError: If an option cannot be used.
        StepNotPossibleError: If there are too few samples, sites that are not there are named, or nothing is forgotten:
            the second of two steps at the same beta.
        NothingFoundError: If no correlation is beyond chance, or worth its cost at this beta.

    Do not trust when:
        The relation between the parts is not linear, or n is not large against the number of variables kept: the
        canonical correlations of samples are too large. Numbering matters without ``relevant``: permute the sites to
        see how much.

    Tether:
        theory.information_bottleneck: thresholds, weights and the optimal curve, also against brute force.

    Source:
        chechik2005; the principle is that of tishby1999.

    Example:
        >>> from blockspin import GaussianLaw
        >>> law = GaussianLaw.of(torch.tensor([[1.0, 0.8], [0.8, 1.0]]), Unordered(2))
        >>> coarse = InformationBottleneck(beta=4.0, relevant=(1,)).fit(law, generator=torch.Generator())
        >>> round(float(coarse(law).covariance), 4)  # alpha^2 = 13 / 3
        4.3333
    """

    name = "information-bottleneck"
    source = "chechik2005"
    claims = Claims(semigroup=Semigroup.NONE, linear=True, symmetries=("sign", "scale"), gauge="sign")
    beta: float = 10.0
    relevant: tuple[int, ...] = ()

    def __post_init__(self):
        require_price(self.beta)
        distinct = len(set(self.relevant)) == len(self.relevant)
        if not distinct or any(type(site) is not int or site < 0 for site in self.relevant):
            raise ConfigError("relevant", self.relevant, "distinct site numbers, from 0 on.")

    def fit(self, source: Source, *, generator: torch.Generator) -> BottleneckMap:
        """Return the weighted canonical variables that are worth their cost at beta."""
        sites = source.geometry.sites
        mean, covariance = moments(source)
        components = len(mean) // sites
        x, y = self._parts(sites)
        index = [(part[:, None] * components + torch.arange(components)).flatten() for part in (x, y)]
        units = independent_units(source)
        one, rho = self._encoder(covariance, index, units)
        if self.relevant:
            encoder = one
        else:
            two, _ = self._encoder(covariance, index[::-1], units)
            encoder = torch.stack([one, two], dim=2).flatten(1)  # pair by pair
        if encoder.shape[1] >= sites:
            raise StepNotPossibleError(
                f"at beta = {self.beta:g} all {sites} sites are worth keeping", "Take a smaller beta to forget more."
            )
        kept = encoder.T @ covariance
        patterns = torch.linalg.lstsq(kept @ encoder, kept, driver="gelsd").solution
        return BottleneckMap(mean.reshape(sites, -1), encoder, patterns, rho)

    def _parts(self, sites: int) -> tuple[Tensor, Tensor]:
        """Return the numbers of the sites of X and of Y."""
        if not self.relevant:
            if sites < 2:
                raise StepNotPossibleError("a single site is left, which has no other half")
            return torch.arange(0, sites, 2), torch.arange(1, sites, 2)
        missing = [site for site in self.relevant if site >= sites]
        if missing or len(self.relevant) >= sites:
            raise StepNotPossibleError(
                f"{sites} sites hold no relevant site {missing[0]}" if missing else "every site is a relevant one",
                "Name sites of this field; after a step they are forgotten.",
            )
        relevant = torch.tensor(self.relevant)
        rest = torch.ones(sites, dtype=torch.bool)
        rest[relevant] = False
        return rest.nonzero()[:, 0], relevant

    def _encoder(self, C: Tensor, index: list[Tensor], units: float) -> tuple[Tensor, Tensor]:
        """Return weighted filters [sites * components, kept] of the first part, and all correlations."""
        x, y = index
        found = canonical(C[x][:, x], C[x][:, y], C[y][:, y], units)
        weighted = worth_keeping(found, self.beta)
        encoder = torch.zeros(len(C), weighted.shape[1], dtype=torch.float64)
        encoder[x] = weighted
        return encoder, found.correlations

    @classmethod
    def examples(cls) -> tuple[InformationBottleneck, ...]:
        """Return the halves of a field at two betas, and a field about its first two sites."""
        return cls(beta=3.0), cls(beta=100.0, relevant=(0, 1))
