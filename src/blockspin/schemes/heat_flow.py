"""Heat flow: smooth a lattice field by the heat kernel of its lattice, then keep every b-th site."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import log

import torch
from torch import Tensor

from blockspin.claims import Claims, Semigroup
from blockspin.errors import ConfigError, GeometryError, StepNotPossibleError
from blockspin.geometry import Chain, Geometry, Grid
from blockspin.law import Source
from blockspin.registry import register
from blockspin.schemes._correlation import site_covariance
from blockspin.schemes._diffusion import adjacency_of, laplacian
from blockspin.schemes.base import LiftingMap, Scheme, require_ratio

MOST_SITES = 8192
"""Beyond so many sites the matrix of the lift, [sites, coarse sites], takes gigabytes."""


@dataclass(frozen=True, eq=False)
class HeatFlowMap(LiftingMap):
    """Smoothing and thinning along each axis, and the posterior mean of what they forget.

    Args:
        b: Ratio of new to old lattice spacing.
        kernels: One matrix an axis, float64 [sites / b, sites]: rows of the heat kernel.
        mean: float64 [sites, components]; the mean field of what was fitted.
        gain: float64 [sites, coarse sites]; from a coarse deviation to the expected fine one.
    """

    b: int
    kernels: tuple[Tensor, ...]
    mean: Tensor
    gain: Tensor
    linear = True

    @property
    def log_b(self) -> float:
        """Logarithm of b."""
        return log(self.b)

    def values(self, values: Tensor) -> Tensor:
        """Let heat flow, and keep every b-th site."""
        return _along_axes(values, self.kernels)

    def coarse(self, geometry: Geometry) -> Geometry:
        """Return the lattice of the kept sites."""
        return geometry.sublattice(self.b).coarse

    def lift(self, values: Tensor) -> Tensor:
        """Return the mean of the fine field given the coarse one, exact for Gaussian fields."""
        mean = self.mean.to(values.dtype)[None]
        deviation = values - self.values(mean)
        return mean + torch.einsum("ij,njc->nic", self.gain.to(values.dtype), deviation)


@register
@dataclass(frozen=True)
class HeatFlow(Scheme):
    r"""Smooth a lattice field by the heat kernel of its lattice, then keep every b-th site.

    The smooth cutoff of Polchinski's equation where the momentum shell has a sharp one: with the Laplacian L = D - A of
    the lattice, waves are damped by

    .. math:: \phi' = \big(e^{-s L} \phi\big)_{b\text{-th sites}}, \qquad s = t \, (b^2 - 1),

    t being ``time``, the continuous scale of the smoothing in units of the squared spacing: heat that has spread over t
    and is then looked at from b times as far has spread over t b^2, less the t that it had. What is forgotten comes
    back as ``lift``, the exact denoiser of a Gaussian field: the posterior mean of the fine field given the coarse one,
    with the covariance C of the fit half (T is the map, the components being alike),

    .. math:: \operatorname{E}[\phi \mid \phi'] = \mu + C T^t (T C T^t)^{-1} (\phi' - T \mu) .

    Args:
        b: Ratio of new to old lattice spacing, an integer of at least 2. Dimensionless.
        time: Time of diffusion t, in squared lattice spacings; positive.

    Shapes:
        in:  [samples, sites, components], every axis of the lattice divisible by b
        out: [samples, sites / b^d, components]

    Raises:
        ConfigError: If b is not an integer of at least 2, or the time not a positive number.
        GeometryError: If sites lie on no lattice.
        IndivisibleBlocksError: If b does not divide the lattice.
        StepNotPossibleError: If there are more than 8192 sites.

    Do not trust when:
        Correlations of neighbours are read as couplings: heat has mixed them, so that white noise comes out correlated
        too; compare with shuffled data. The lift needs more samples than there are coarse sites, or it repeats the fit
        half. Short times (below about 0.2) let waves beyond the new zone boundary through, which are then mistaken for
        longer ones.

    Tether:
        theory.optimal_transport: the spectrum of a smoothed Gaussian field, exact, and the posterior variance of the
        lift.

    Source:
        polchinski1984; cotler2023 for the flow as a gradient flow of relative entropy.

    Example:
        >>> from blockspin import Ensemble
        >>> wave = torch.cos(2 * torch.pi * torch.arange(8) / 8)
        >>> field = Ensemble.of(torch.stack([wave, 2 * wave]), Chain(8))
        >>> coarse = HeatFlow(b=2, time=0.25).fit(field, generator=torch.Generator())(field)
        >>> [round(x, 3) + 0.0 for x in coarse.values[0, :, 0].tolist()]  # exp(-0.75 (2 - 2 cos(pi / 4))) = 0.644
        [0.644, 0.0, -0.644, 0.0]
    """

    name = "heat-flow"
    source = "polchinski1984"
    claims = Claims(
        semigroup=Semigroup.NONE,
        linear=True,
        symmetries=("translation", "sign", "scale", "rotation"),
        exceptions={"nulls": "heat mixes neighbours, so that white noise comes out correlated"},
    )
    b: int = 2
    time: float = 0.25

    def __post_init__(self):
        require_ratio(self.b)
        if isinstance(self.time, bool) or not isinstance(self.time, int | float) or not 0 < self.time < float("inf"):
            raise ConfigError("time", self.time, "a positive number of squared lattice spacings.")

    def fit(self, source: Source, *, generator: torch.Generator) -> HeatFlowMap:
        """Return the heat kernel of the lattice, and its lift by the moments of the source."""
        geometry = source.geometry
        if not isinstance(geometry, Grid):
            raise GeometryError(
                f"{type(geometry).__name__} is no lattice for heat to flow on",
                "Use laplacian on graphs, block-average on trees, principal-modes on unordered sites.",
            )
        geometry.blocks(self.b)  # refuses what does not divide
        if geometry.sites > MOST_SITES:
            raise StepNotPossibleError(
                f"{geometry.sites} sites are more than the {MOST_SITES} whose lift can be kept",
                "Use momentum-shell or block-average.",
            )
        s = self.time * (self.b**2 - 1)
        kernels = tuple(heat_kernel(n, geometry.periodic, s)[:: self.b] for n in geometry.shape)
        mean, covariance = site_covariance(source)
        return HeatFlowMap(self.b, kernels, mean, _gain(kernels, covariance))

    @classmethod
    def examples(cls) -> tuple[HeatFlow, ...]:
        """Return flows to a half and to a third of the sites along each axis."""
        return cls(b=2), cls(b=3, time=0.5)


def heat_kernel(sites: int, periodic: bool, s: float) -> Tensor:
    """Return exp(-s L) of a chain, float64 [sites, sites]."""
    L = torch.from_numpy(laplacian(adjacency_of(Chain(sites, periodic))).toarray())
    return torch.linalg.matrix_exp(-s * L)


def _along_axes(values: Tensor, kernels: tuple[Tensor, ...]) -> Tensor:
    """Apply one matrix [new, old] to each axis of a field [samples, sites, components]."""
    field = values.reshape(len(values), *(kernel.shape[1] for kernel in kernels), values.shape[2])
    for axis, kernel in enumerate(kernels, 1):
        field = torch.tensordot(field, kernel.to(values.dtype), dims=([axis], [1])).movedim(-1, axis)
    return field.reshape(len(values), -1, values.shape[2])


def _gain(kernels: tuple[Tensor, ...], covariance: Tensor) -> Tensor:
    """Return C T^t (T C T^t)^+, completed off the support of T C T^t so that T undoes it exactly."""
    T = reduce(torch.kron, kernels)
    CT = covariance @ T.T
    smallest = len(T) * torch.finfo(torch.float32).eps
    gain = CT @ torch.linalg.pinv(T @ CT, rtol=smallest, hermitian=True)
    missing = torch.eye(len(T), dtype=T.dtype) - T @ gain
    return gain + reduce(torch.kron, (torch.linalg.pinv(kernel) for kernel in kernels)) @ missing
