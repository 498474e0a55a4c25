"""Rsmi-gaussian: keep the linear combinations of each block that tell most of its far environment, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from blockspin.claims import Claims, Semigroup
from blockspin.errors import StepNotPossibleError
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes._canonical import canonical
from blockspin.schemes._correlation import independent_units
from blockspin.schemes._filters import FilterMap
from blockspin.schemes._frame import framed, require_fewer, require_frame
from blockspin.schemes.base import Scheme


@register
@dataclass(frozen=True)
class RsmiGaussian(Scheme):
    r"""Keep the linear combinations of each block that tell most of its far environment, in closed form.

    For jointly Gaussian block V and environment E (the sites beyond a buffer), the ``modes`` linear combinations
    h of V that maximise I(h : E) are the leading canonical variables:

    .. math:: C_{VE} C_{EE}^{-1} C_{EV} \, \Lambda_i = \rho_i^2 \, C_{VV} \Lambda_i,
        \qquad I = -\tfrac12 \sum_i \ln(1 - \rho_i^2) .

    Covariances are averaged over blocks, so that one set of filters, scaled to unit length, serves them all. On
    samples only correlations beyond chance are kept (Johnstone's 1 % level; units count, not samples). Fields that are
    not Gaussian are read by their second moments alone; ``rsmi-infonce`` sees more.

    Args:
        b: Ratio of new to old lattice spacing, an integer of at least 2. Dimensionless.
        buffer: Sites between a block and its environment, in current lattice spacings.
        reach: Width of the environment, in current lattice spacings.
        modes: Linear combinations that are kept of each block; the coarse field has as many components.

    Shapes:
        in:  [samples, sites, components], every axis of the lattice divisible by b
        out: [samples, sites / b^d, modes]

    Raises:
        ConfigError: If an option cannot be used.
        IndivisibleBlocksError: If b does not divide the lattice.
        GeometryError: If there is no lattice, or no room for an environment.
        StepNotPossibleError: If there are too few samples, or ``modes`` are as many as a block has values.
        NothingFoundError: If fewer than ``modes`` correlations are beyond chance.

    Do not trust when:
        Two canonical correlations agree within their errors: the filters then mix. Or when the field is far from
        Gaussian (spins, ReLU): the information quoted is that of the Gaussian field with the same covariances.

    Tether:
        theory.gaussian_information on single sites; on a Gaussian ring the filter of a block of two is its mean.

    Source:
        kochjanusz2018 for the principle; the closed form is that of hotelling1936.

    Example:
        >>> from blockspin import Chain, GaussianLaw
        >>> gap = torch.arange(12)
        >>> C = (0.7 ** torch.minimum(gap, 12 - gap).double())[(gap[:, None] - gap) % 12]
        >>> coarse = RsmiGaussian(b=2).fit(GaussianLaw.of(C, Chain(12)), generator=torch.Generator())
        >>> [round(x, 4) for x in coarse.filters[:, 0].tolist()]
        [0.7071, 0.7071]
    """

    name = "rsmi-gaussian"
    source = "kochjanusz2018"
    claims = Claims(
        semigroup=Semigroup.NONE,
        linear=True,
        symmetries=("translation", "sign", "scale"),
        gauge="sign",
    )
    b: int = 2
    buffer: int = 1
    reach: int = 1
    modes: int = 1

    def __post_init__(self):
        require_frame(self, modes=1)

    def fit(self, source: Source, *, generator: torch.Generator) -> FilterMap:
        """Return the leading canonical variables of a block about its environment."""
        frame = framed(source.geometry, self.b, self.buffer, self.reach)
        vv, ve, ee = frame.moments(source)
        require_fewer(self.modes, len(vv))
        found = canonical(vv, ve, ee, independent_units(source))
        if len(found.correlations) < self.modes:
            raise StepNotPossibleError(
                f"{len(found.correlations)} modes of a block tell of its environment beyond chance, not {self.modes}",
                "Keep fewer modes, or give more samples.",
            )
        w, rho2 = found.filters[:, : self.modes], found.correlations.square()
        length = w.norm(dim=0)
        information = -0.5 * torch.log1p(-rho2)
        return FilterMap(
            self.b,
            frame.members,
            w / length,
            length[:, None] * w.T @ vv,  # what is to be expected of a block, given these combinations
            float(information[: self.modes].sum()),
            float(information.sum()),
        )

    @classmethod
    def examples(cls) -> tuple[RsmiGaussian, ...]:
        """Return one mode of blocks of two, and two modes of blocks of three."""
        return cls(b=2), cls(b=3, buffer=0, modes=2)
