"""Principal modes: keep the leading eigenvectors of the covariance and forget the others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.errors import StepNotPossibleError
from blockspin.law import Source
from blockspin.observables.covariance import moments
from blockspin.registry import register
from blockspin.schemes._modes import ModesMap
from blockspin.schemes.base import Scheme, require_ratio


class PrincipalModesMap(ModesMap):
    """Coordinates along the leading eigenvectors of a covariance, in descending order of variance, from the mean."""

    @property
    def mean(self) -> Tensor:
        """The centre, float64 [sites, components]."""
        return self.origin


@register
@dataclass(frozen=True)
class PrincipalModes(Scheme):
    r"""Keep the leading eigenvectors of the covariance and forget the others.

    The momentum shell of fields without a lattice: the eigenvalue of a mode plays the part of 1 / k^2, and a step
    integrates out the modes of least variance,

    .. math:: \phi'_\mu = u_\mu \cdot (\phi - \langle\phi\rangle), \qquad \mu \le N / b .

    Modes must come from other samples than those that are measured (``flows.iterate`` sees to it): modes fitted to the
    same samples inflate the fourth cumulants and fake a non-Gaussian fixed point.

    Args:
        b: Ratio of the number of sites before to that after a step, an integer of at least 2. Dimensionless.

    Shapes:
        in:  [samples, sites, components]
        out: [samples, floor(sites * components / b), 1]

    Raises:
        ConfigError: If b is not an integer of at least 2.
        StepNotPossibleError: If no mode would be left, or more would be kept than vary.

    Do not trust when:
        The data mix several fields of different spectrum: variance is then the wrong order of importance. Or when there
        are fewer samples than sites: the trailing modes are noise.

    Tether:
        theory.marchenko_pastur for the spectrum of noise; on a Gaussian law the kept variance is the exact sum of the
        leading eigenvalues.

    Source:
        bradde2017.

    Example:
        >>> from blockspin import GaussianLaw, Unordered
        >>> law = GaussianLaw.of(torch.diag(torch.tensor([4.0, 3.0, 2.0, 1.0])), Unordered(4))
        >>> coarse = PrincipalModes(b=2).fit(law, generator=torch.Generator())(law)
        >>> coarse.covariance.diagonal().tolist()
        [4.0, 3.0]
    """

    name = "principal-modes"
    source = "bradde2017"
    claims = Claims(
        semigroup=Semigroup.EXACT,
        linear=True,
        symmetries=("sign", "scale", "permutation"),
        gauge="rotation",
        fixed_points=("white-noise",),
    )
    b: int = 2

    def __post_init__(self):
        require_ratio(self.b)

    def fit(self, source: Source, *, generator: torch.Generator) -> PrincipalModesMap:
        """Return the projection on the leading modes of the source's covariance."""
        mean, covariance = moments(source)
        size, geometry = len(mean), source.geometry
        kept = size // self.b
        if kept < 1:
            raise StepNotPossibleError(f"fewer than {self.b} modes are left ({size}), of which a step would keep none")
        eigenvalues, modes = eigenmodes(covariance)
        require_modes(eigenvalues, kept, torch.finfo(torch.float32).eps)
        return PrincipalModesMap(mean.reshape(geometry.sites, -1), modes[:, :kept])

    @classmethod
    def examples(cls) -> tuple[PrincipalModes, ...]:
        """Return projections on a half and on a third of the modes."""
        return cls(b=2), cls(b=3)


def eigenmodes(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues [size] in descending order, and eigenvectors [size, size] with a positive largest entry.

    Args:
        matrix: float64 [size, size], symmetric.
    """
    eigenvalues, vectors = (part.flip(-1) for part in torch.linalg.eigh(matrix))
    return eigenvalues, vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()


def require_modes(eigenvalues: Tensor, kept: int, resolution: float) -> None:
    """Check that there are as many modes as are to be kept.

    Args:
        eigenvalues: [size], in descending order.
        kept: How many are to be kept.
        resolution: Rounding of the numbers that the matrix was made of, as a share of the largest.

    Raises:
        StepNotPossibleError: If fewer eigenvalues are above rounding.
    """
    rank = int((eigenvalues > eigenvalues[0] * len(eigenvalues) * resolution).sum())
    if kept > rank:
        raise StepNotPossibleError(
            f"only {rank} of {len(eigenvalues)} modes vary, fewer than the {kept} to be kept",
            "Give more samples to fit on, or a larger b.",
        )
