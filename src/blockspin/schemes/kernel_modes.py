"""Kernel modes: keep the leading principal components in the feature space of a Gaussian kernel."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.ensemble import draw
from blockspin.errors import ConfigError, ConstantUnitsError, StepNotPossibleError, check_whole
from blockspin.geometry import Geometry, Unordered
from blockspin.law import EnumeratedLaw, GaussianLaw, Source
from blockspin.registry import register
from blockspin.schemes.base import Map, Scheme, require_ratio

SUPPORT = 1e-6
"""Directions of the landmarks' kernel below this share of the largest are rounding, and left out."""


@dataclass(frozen=True, eq=False)
class KernelModesMap(Map):
    """Coordinates along modes in feature space, extended to any sample by its kernel with fixed landmarks.

    Args:
        landmarks: float64 [landmarks, sites * components].
        length: Width of the kernel, in units of the field.
        weights: float64 [landmarks, kept]; from kernels to coordinates.
        offset: float64 [kept]; what is subtracted, so that coordinates have mean zero on what was fitted.
        variances: float64 [directions]; all eigenvalues of the covariance in feature space, in descending order.
        sites: Number of fine sites.
    """

    landmarks: Tensor
    length: float
    weights: Tensor
    offset: Tensor
    variances: Tensor
    sites: int
    linear = False

    @property
    def log_b(self) -> float:
        """Logarithm of the ratio of site counts."""
        return log(self.sites / len(self.offset))

    @property
    def effective_number(self) -> float:
        """How many modes share the variance in feature space: the participation ratio of the eigenvalues."""
        return float(self.variances.sum() ** 2 / self.variances.square().sum())

    def values(self, values: Tensor) -> Tensor:
        """Return the coordinates [samples, kept, 1]."""
        kernel = gaussian_kernel(values.flatten(1).to(torch.float64), self.landmarks, self.length)
        return (kernel @ self.weights - self.offset).to(values.dtype)[:, :, None]

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return as many unordered sites as there are modes."""
        kept = len(self.offset)
        return Unordered(kept, geometry.spacing * geometry.sites / kept)


@register
@dataclass(frozen=True)
class KernelModes(Scheme):
    r"""Keep the leading principal components in the feature space of a Gaussian kernel.

    Nonlinear principal modes: with k(x, y) = exp(-|x - y|^2 / 2 l^2), l being ``width`` times the median distance of
    samples, the covariance operator of the features is diagonalised on the fit half and a step keeps

    .. math:: \phi'_\mu(x) = w \, l \, v_\mu \cdot \big(k(x, \cdot) - \langle k \rangle\big), \qquad \mu \le N / b,

    restricted to the span of at most ``landmarks`` samples (Nystroem's method: all samples of the fit half enter the
    averages, and the map is defined on any new sample). For large widths the modes become the principal modes, up to
    their signs, with a deviation that falls as 1 / width^2; the prefactor keeps the units of the field in that limit.

    Args:
        b: Ratio of the number of sites before to that after a step, an integer of at least 2. Dimensionless.
        width: Width of the kernel in units of the median distance of samples, between 0.01 and 1000.
        landmarks: Most samples that features are made of, at least 2; the cost grows as its cube.

    Shapes:
        in:  [samples, sites, components]
        out: [samples, floor(sites * components / b), 1]

    Raises:
        ConfigError: If an option cannot be used.
        StepNotPossibleError: If no mode would be left, more would be kept than vary, or the source is a Gaussian law.
        ConstantUnitsError: If all samples are the same.

    Do not trust when:
        The width is so small that samples hardly see each other: every sample is then a mode of its own, and
        ``effective_number`` of the map comes near the number of landmarks.

    Tether:
        theory.gaussian_kernel for the eigenvalues of normal data; principal modes in the limit of large width.

    Source:
        scholkopf1998; the extension to new samples is that of williams2001.

    Example:
        >>> from blockspin import Ensemble
        >>> field = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
        >>> coarse = KernelModes(b=2).fit(Ensemble.of(field), generator=torch.Generator())
        >>> coarse.values(field[:, :, None]).shape
        torch.Size([50, 2, 1])
    """

    name = "kernel-modes"
    source = "scholkopf1998"
    claims = Claims(semigroup=Semigroup.NONE, linear=False, symmetries=("permutation",), gauge="sign")
    b: int = 2
    width: float = 1.0
    landmarks: int = 500

    def __post_init__(self):
        require_ratio(self.b)
        if isinstance(self.width, bool) or not isinstance(self.width, int | float) or not 0.01 <= self.width <= 1000:
            raise ConfigError("width", self.width, "a number between 0.01 and 1000.")
        check_whole("landmarks", self.landmarks, 2)

    def fit(self, source: Source, *, generator: torch.Generator) -> KernelModesMap:
        """Return the projection on the leading modes in feature space."""
        if isinstance(source, GaussianLaw):
            raise StepNotPossibleError("the modes of a kernel need samples, not a Gaussian law", "Use law.sample(n).")
        ensemble = source.ensemble if isinstance(source, EnumeratedLaw) else source
        x = ensemble.values.flatten(1).to(torch.float64)
        w = ensemble.weights / ensemble.weights.sum()
        chosen = x[draw(ensemble.ids, self.landmarks)]
        distance = torch.pdist(chosen)
        if not bool((distance > 0).any()):
            raise ConstantUnitsError("all samples are the same", "Check the data.")
        length = self.width * float(distance[distance > 0].median())
        root = _inverse_root(gaussian_kernel(chosen, chosen, length))
        features = gaussian_kernel(x, chosen, length) @ root
        mean = w @ features
        centred = (features - mean) * w.sqrt()[:, None]
        variances, vectors = (part.flip(-1) for part in torch.linalg.eigh(centred.T @ centred))
        vectors = self._leading(variances, vectors, x.shape[1])
        return KernelModesMap(
            chosen, length, length * root @ vectors, length * mean @ vectors, variances, source.geometry.sites
        )

    def _leading(self, variances: Tensor, vectors: Tensor, size: int) -> Tensor:
        kept = size // self.b
        if kept < 1:
            raise StepNotPossibleError(f"fewer than {self.b} modes are left ({size}), of which a step would keep none")
        rank = int((variances > variances[0] * SUPPORT).sum())
        if kept > rank:
            raise StepNotPossibleError(
                f"only {rank} modes of the kernel vary, fewer than the {kept} to be kept",
                "Give more samples to fit on, a larger b, a smaller width, or more landmarks.",
            )
        leading = vectors[:, :kept]
        return leading * leading.gather(0, leading.abs().argmax(0, keepdim=True)).sign()

    @classmethod
    def examples(cls) -> tuple[KernelModes, ...]:
        """Return kernels of one and of three median distances."""
        return cls(b=2, landmarks=100), cls(b=3, width=3.0, landmarks=100)


def gaussian_kernel(x: Tensor, y: Tensor, length: float) -> Tensor:
    """Return exp(-|x - y|^2 / 2 length^2), [rows of x, rows of y]."""
    square = (x.square().sum(1)[:, None] + y.square().sum(1)[None] - 2 * x @ y.T).clamp(min=0)
    return torch.exp(-square / (2 * length**2))


def _inverse_root(kernel: Tensor) -> Tensor:
    """Return R [landmarks, rank] with K R R^t K = K on the support of K."""
    eigenvalues, vectors = torch.linalg.eigh(kernel)
    kept = eigenvalues > SUPPORT * SUPPORT * eigenvalues[-1]
    return vectors[:, kept] / eigenvalues[kept].sqrt()
