"""Random pairing: add up sites two by two, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from blockspin.claims import Claims, Semigroup
from blockspin.errors import StepNotPossibleError
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes._pairs import PairSumMap
from blockspin.schemes.base import Scheme


@register
@dataclass(frozen=True)
class RandomPairing(Scheme):
    r"""Add up sites two by two, drawn at random.

    The control of ``correlation-pairing``: the same sums of pairs,

    .. math:: \phi'_a = \phi_i + \phi_{j},

    with nothing of the data in the choice of the pairs. What remains under it is no consequence of pairing by
    correlation. With an odd number of sites the one that is left over is carried along alone.

    Shapes:
        in:  [samples, sites, components]
        out: [samples, ceil(sites / 2), components]

    Raises:
        StepNotPossibleError: If there is only one site.

    Do not trust when:
        It is taken for a coarse-graining of its own: pairs of distant sites destroy whatever is local. And one draw is
        one draw: repeat it with other generators.

    Tether:
        Independent sites: the variance of the sums grows as their number, and -ln of the probability that a sum is
        zero as well.

    Source:
        meshulam2019.

    Example:
        >>> from blockspin import GaussianLaw, Unordered
        >>> law = GaussianLaw.of(torch.eye(5), Unordered(5))
        >>> coarse = RandomPairing().fit(law, generator=torch.Generator().manual_seed(0))(law)
        >>> sorted(coarse.covariance.diagonal().tolist())
        [1.0, 2.0, 2.0]
    """

    name = "random-pairing"
    source = "meshulam2019"
    claims = Claims(
        semigroup=Semigroup.NONE,
        linear=True,
        symmetries=("sign", "scale", "rotation"),
        gauge="permutation",
        fixed_points=("white-noise",),
    )

    def fit(self, source: Source, *, generator: torch.Generator) -> PairSumMap:
        """Return pairs that are neighbours in a random order."""
        sites = source.geometry.sites
        if sites < 2:
            raise StepNotPossibleError("a single site is left, which cannot be paired")
        order = torch.randperm(sites, generator=generator)
        order = torch.cat([order, order[-1:]]) if sites % 2 else order
        return PairSumMap(order.reshape(-1, 2).sort(dim=1).values, sites)

    @classmethod
    def examples(cls) -> tuple[RandomPairing, ...]:
        """Return the one there is."""
        return (cls(),)
