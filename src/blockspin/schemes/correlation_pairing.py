"""Correlation pairing: add up the most correlated sites, two by two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.errors import StepNotPossibleError
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes._correlation import correlation_of, require_silent
from blockspin.schemes._pairs import PairSumMap
from blockspin.schemes.base import Scheme


@register
@dataclass(frozen=True)
class CorrelationPairing(Scheme):
    r"""Add up the most correlated sites, two by two.

    The phenomenological renormalization group of data without a lattice: the pair of largest correlation coefficient is
    taken first, then the largest among the sites that are left, from one list of all pairs sorted once,

    .. math:: \phi'_a = \phi_i + \phi_{j(i)} .

    With an odd number of sites the one that is left over is carried along alone. With several components a site's
    correlation is that of their sum over components.

    Args:
        silent: Share of the largest variance up to which a site counts as silent, correlated with nothing; at 0 sites
            that do not vary are refused.

    Shapes:
        in:  [samples, sites, components]
        out: [samples, ceil(sites / 2), components]

    Raises:
        ConfigError: If ``silent`` is no share.
        ConstantUnitsError: If a site does not vary and ``silent`` is 0, naming the first.
        StepNotPossibleError: If there is only one site.

    Do not trust when:
        Samples are few: the greedy choice selects correlations of noise, which fakes an exponent; and latent drivers
        without any interaction give power laws too. Compare with random pairs and with shuffled data.

    Tether:
        Independent sites: the variance of the sums grows as their number, exactly, for any pairing.

    Source:
        meshulam2019.

    Example:
        >>> from blockspin import GaussianLaw, Unordered
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

    silent: float = 0.0

    def __post_init__(self):
        require_silent(self.silent)

    def fit(self, source: Source, *, generator: torch.Generator) -> PairSumMap:
        """Return the greedy pairs of the source's correlation matrix."""
        sites = source.geometry.sites
        if sites < 2:
            raise StepNotPossibleError("a single site is left, which cannot be paired")
        return PairSumMap(greedy_pairs(correlation_of(source, self.silent)), sites)

    @classmethod
    def examples(cls) -> tuple[CorrelationPairing, ...]:
        """Return the one there is."""
        return (cls(),)


def greedy_pairs(correlation: Tensor) -> Tensor:
    """Return greedy pairs int64 [ceil(sites / 2), 2] in order of their smaller site.

    The pairs are those of one list of all pairs, sorted once: it is made in stretches, each of the pairs of free sites
    above a threshold, since the pairs further down are mostly of sites that are taken by then. Ties are broken by the
    sites' numbers, after rounding away what the order of summation decides.

    Args:
        correlation: [sites, sites], symmetric, at least two sites.
    """
    C = correlation.numpy()
    digits = 10 if C.dtype == np.float64 else 5
    free = np.arange(len(C))
    C = np.tril(np.full_like(C, -np.inf)) + C  # each pair once
    pairs: list[tuple[int, int]] = []
    while len(free) > 1:
        threshold = np.round(np.median(C[:-1].max(axis=1)), digits) - 0.5 * 10.0**-digits
        i, j = np.nonzero(threshold <= C)  # in order of the sites' numbers
        order = np.argsort(-np.round(C[i, j], digits), kind="stable")
        taken = np.zeros(len(free), dtype=bool)
        for a, b in zip(i[order].tolist(), j[order].tolist(), strict=True):
            if not (taken[a] or taken[b]):
                taken[a] = taken[b] = True
                pairs.append((int(free[a]), int(free[b])))
        free, C = free[~taken], C[~taken][:, ~taken]
    pairs += [(site, site) for site in free.tolist()]
    return torch.tensor(sorted(pairs), dtype=torch.int64)
