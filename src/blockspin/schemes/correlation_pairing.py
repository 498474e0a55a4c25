"""Correlation pairing: add up the most correlated sites, two by two."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.errors import ConstantUnitsError, StepNotPossibleError
from blockspin.geometry import Geometry, Unordered
from blockspin.law import Source
from blockspin.observables.covariance import moments
from blockspin.registry import register
from blockspin.schemes.base import LiftingMap, Scheme


@dataclass(frozen=True, eq=False)
class CorrelationPairingMap(LiftingMap):
    """Sums over fixed pairs of sites.

    Args:
        pairs: int64 [coarse sites, 2]; a site that was left alone stands twice.
        sites: Number of fine sites.
    """

    pairs: Tensor
    sites: int
    linear = True

    @property
    def log_b(self) -> float:
        """Logarithm of the ratio of site counts."""
        return log(self.sites / len(self.pairs))

    def values(self, values: Tensor) -> Tensor:
        """Add up each pair; a site that was left alone is carried along as it is."""
        first, second = values[:, self.pairs[:, 0]], values[:, self.pairs[:, 1]]
        alone = (self.pairs[:, 0] == self.pairs[:, 1])[None, :, None]
        return torch.where(alone, first, first + second)

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return as many unordered sites as there are sums."""
        return Unordered(len(self.pairs), geometry.spacing * self.sites / len(self.pairs))

    def lift(self, values: Tensor) -> Tensor:
        """Give both sites of a pair half of its sum."""
        alone = (self.pairs[:, 0] == self.pairs[:, 1])[None, :, None]
        half = torch.where(alone, values, values / 2)
        fine = values.new_empty(len(values), self.sites, values.shape[2])
        fine[:, self.pairs[:, 0]] = half
        fine[:, self.pairs[:, 1]] = half
        return fine


@register
@dataclass(frozen=True)
class CorrelationPairing(Scheme):
    r"""Add up the most correlated sites, two by two.

    The phenomenological renormalization group of data without a lattice: the pair of largest correlation coefficient is
    taken first, then the largest among the sites that are left, from one list of all pairs sorted once,

    .. math:: \phi'_a = \phi_i + \phi_{j(i)} .

    With an odd number of sites the one that is left over is carried along alone. With several components a site's
    correlation is that of their sum over components.

    Shapes:
        in:  [samples, sites, components]
        out: [samples, ceil(sites / 2), components]

    Raises:
        ConstantUnitsError: If a site does not vary, naming the first.
        StepNotPossibleError: If there is only one site.

    Do not trust when:
        Samples are few: the greedy choice selects correlations of noise, which fakes an exponent; and latent drivers
        without any interaction give power laws too. Compare with random pairs and with shuffled data.

    Tether:
        Independent sites: the variance of the sums grows as their number, exactly, for any pairing.

    Source:
        meshulam2019.

    Example:
        >>> from blockspin import GaussianLaw
        >>> C = torch.tensor([[1.0, 0.1, 0.8, 0.0], [0.1, 1.0, 0.0, 0.3], [0.8, 0.0, 1.0, 0.0], [0.0, 0.3, 0.0, 1.0]])
        >>> coarse = CorrelationPairing().fit(GaussianLaw.of(C, Unordered(4)), generator=torch.Generator())
        >>> coarse.pairs.tolist()
        [[0, 2], [1, 3]]
    """

    name = "correlation-pairing"
    source = "meshulam2019"
    claims = Claims(
        semigroup=Semigroup.NONE,
        linear=True,
        symmetries=("sign", "scale", "rotation", "permutation"),
        gauge="permutation",
        fixed_points=("white-noise",),
    )

    def fit(self, source: Source, *, generator: torch.Generator) -> CorrelationPairingMap:
        """Return the greedy pairs of the source's correlation matrix."""
        sites = source.geometry.sites
        if sites < 2:
            raise StepNotPossibleError("a single site is left, which cannot be paired")
        correlation = _correlation(moments(source)[1], sites)
        return CorrelationPairingMap(_greedy_pairs(correlation), sites)

    @classmethod
    def examples(cls) -> tuple[CorrelationPairing, ...]:
        """Return the one there is."""
        return (cls(),)


def _correlation(covariance: Tensor, sites: int) -> Tensor:
    components = len(covariance) // sites
    summed = covariance.reshape(sites, components, sites, components).diagonal(dim1=1, dim2=3).sum(-1)
    variance = summed.diagonal()
    constant = (variance <= 1e-12 * variance.max()).nonzero()[:, 0]
    if len(constant):
        raise ConstantUnitsError(
            f"{len(constant)} of {sites} sites do not vary (the first is site {int(constant[0])})", "Leave them out."
        )
    return summed / (variance[:, None] * variance[None]).sqrt()


def _greedy_pairs(correlation: Tensor) -> Tensor:
    """Return pairs in order of their smaller site, from one sorted list of all pairs.

    Ties are broken by the sites' numbers, after rounding away what the order of summation decides.
    """
    sites = len(correlation)
    i, j = torch.triu_indices(sites, sites, offset=1)
    order = torch.argsort(torch.round(correlation[i, j], decimals=10), descending=True, stable=True)
    free = [True] * sites
    pairs: list[tuple[int, int]] = []
    missing = sites // 2
    for block in order.split(max(sites * 4, 4096)):
        for a, b in zip(i[block].tolist(), j[block].tolist(), strict=True):
            if free[a] and free[b]:
                free[a] = free[b] = False
                pairs.append((a, b))
        if len(pairs) == missing:
            break
    pairs += [(site, site) for site in range(sites) if free[site]]
    return torch.tensor(sorted(pairs), dtype=torch.int64)
