"""Gaussian precision: pair couplings of a Gaussian theory, by distance or for given pairs of sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, log, pi, sqrt
from typing import ClassVar

import torch
from scipy.stats import chi2
from torch import Tensor

from blockspin.couplings._sums import PowerSums, covariance_of, degrees_of_freedom, support
from blockspin.couplings.base import Coupling, Goodness
from blockspin.errors import FitFailedError, ShapeError, TooFewSamplesError, check_between, check_whole
from blockspin.geometry import Geometry
from blockspin.measurement import Measurement
from blockspin.observables.base import State
from blockspin.registry import register


@register
@dataclass(frozen=True)
class GaussianPrecision(Coupling):
    r"""The couplings of the Gaussian theory that has the measured mean and covariance.

    .. math:: P(\phi) \propto \exp\Big(-\tfrac12 \sum_{ij} (\phi_i - m_i) A_{ij} (\phi_j - m_j)\Big), \qquad A = C^{-1}

    C is first projected to its numerical support, whose rank is reported (features after a layer norm are linearly
    dependent); A is the inverse there and 0 elsewhere. On independent Gaussian samples A is unbiased: the inverse of a
    sample covariance is too large by (n - 1) / (n - rank - 2), and that factor is taken out.

    Quantities: "diagonal" (mean of A_ii), "rank"; with a geometry "coupling" [reach], the mean of A_ij over all pairs
    at the first, second, ... nearest distance, -1 times the coupling that aligns them; with pairs "pair" [pairs].

    Args:
        geometry: Distances between sites, of a field of one component; None where sites have none.
        reach: Number of distance classes.
        pairs: Pairs of sites (of flattened components) whose A_ij is wanted; choose them on other data
            (``strongest_pairs`` on the fit half), or the largest are largest by chance.
        tolerance: Directions with less than this share of the largest variance are not in the support.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        Values have atoms or hard edges (ReLU, spins): the p-value then says so. Samples are correlated: the p-value
        takes them as independent, the error bars do not.

    Source:
        dempster1972; the kurtosis test is that of anscombe1983 for each site.
    """

    name = "gaussian-precision"
    source = "dempster1972"
    units: ClassVar[Mapping[str, str]] = {
        "diagonal": "field^-2",
        "rank": "1",
        "coupling": "field^-2",
        "pair": "field^-2",
    }
    left_out: ClassVar[tuple[str, ...]] = ("connected correlations of third and higher order",)
    noted: ClassVar[tuple[str, ...]] = ("rank",)
    geometry: Geometry | None = None
    reach: int = 4
    pairs: tuple[tuple[int, int], ...] = ()
    tolerance: float = 1e-6

    def __post_init__(self):
        check_whole("reach", self.reach, 1)
        check_between("tolerance", self.tolerance, 0, 1)

    @property
    def monoid(self) -> PowerSums:
        """Second moments, and third and fourth of each site."""
        return PowerSums()

    def value(self, state: State) -> dict[str, Tensor]:
        """Return the couplings.

        Raises:
            TooFewSamplesError: If there are not more samples than directions in the support.
            ShapeError: If the geometry is not that of the field.
        """
        A, rank = self.precision(state)
        found = {"diagonal": A.diagonal().mean(), "rank": torch.tensor(float(rank), dtype=torch.float64)}
        if self.geometry is not None:
            if self.geometry.sites != len(A):
                raise ShapeError(
                    f"a field of {len(A)} sites and components does not fit a geometry of {self.geometry.sites} sites",
                    "Distance classes need one component a site.",
                )
            found["coupling"] = torch.stack([A[mask].mean() for mask in distance_classes(self.geometry, self.reach)])
        if self.pairs:
            i, j = torch.tensor(self.pairs).T
            found["pair"] = A[i, j]
        return found

    def precision(self, state: State) -> tuple[Tensor, int]:
        """Return A [D, D] and the rank of the support.

        Raises:
            TooFewSamplesError: If there are not more samples than directions in the support.
        """
        C, dof = covariance_of(state)
        basis = support(C, self.tolerance)
        rank = basis.shape[1]
        if rank == 0:
            raise FitFailedError("no direction of the field varies", "There is no Gaussian theory of a constant.")
        if dof <= rank + 1:
            raise TooFewSamplesError(
                f"{dof + 1:.0f} effective samples do not determine a precision over {rank} directions",
                "Give more samples, or coarse-grain the field first.",
            )
        unbiased = 1.0 if dof == inf else (dof - rank - 1) / dof
        return unbiased * basis @ torch.linalg.inv(basis.T @ C @ basis) @ basis.T, rank

    def remarks(self, state: State) -> dict[str, float]:
        """Return the condition number of the covariance that is inverted, within its support."""
        C, _ = covariance_of(state)
        basis = support(C, self.tolerance)
        eigenvalues = torch.linalg.eigvalsh(basis.T @ C @ basis)
        return {"condition": float(eigenvalues[-1] / eigenvalues[0])}

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return the held-out log-likelihood a sample on the fitted support, and a p-value of Gaussianity.

        The error of the score is that of Gaussian samples. The p-value is that of the sites' fourth cumulants being
        zero, by chi-squared with the correlations that a Gaussian field gives them; None on a law.
        """
        C, dof = covariance_of(held_out)
        fit_C, _ = covariance_of(fitted)
        U = support(fit_C, self.tolerance)
        A = U.T @ self.precision(fitted)[0] @ U
        slip = U.T @ (held_out["mean"] - fitted["mean"])
        spread = A @ (U.T @ C @ U)
        quadratic = float(spread.trace() + slip @ A @ slip)
        score = -0.5 * (quadratic - float(torch.linalg.slogdet(A)[1]) + U.shape[1] * log(2 * pi))
        error = 0.0 if dof == inf else sqrt(float((spread @ spread).trace()) / 2 / (dof + 1))
        measured = Measurement(score, error, "nats", dof + 1, "held-out samples, Gaussian error")
        return Goodness("held-out log-likelihood a sample", measured, kurtosis_p_value(held_out, self.tolerance))


def distance_classes(geometry: Geometry, reach: int) -> list[Tensor]:
    """Return masks [sites, sites] of the pairs at the first, second, ... nearest positive distance.

    Raises:
        GeometryError: If sites have no distance.
    """
    r = torch.round(geometry.distances(), decimals=9)
    return [r == distance for distance in torch.unique(r[(r > 0) & r.isfinite()])[:reach]]


def strongest_pairs(coupling: GaussianPrecision, state: State, count: int) -> tuple[tuple[int, int], ...]:
    """Return the pairs with the largest |partial correlation| |A_ij| / sqrt(A_ii A_jj), strongest first."""
    A, _ = coupling.precision(state)
    root = A.diagonal().clamp(min=1e-300).sqrt()
    partial = torch.triu((A / torch.outer(root, root)).abs(), diagonal=1)
    order = partial.flatten().topk(count).indices.tolist()
    return tuple((index // len(A), index % len(A)) for index in order)


def kurtosis_p_value(state: State, tolerance: float = 1e-6) -> float | None:
    """Return the probability of fourth cumulants as far from zero as these if the field were Gaussian.

    Each site's kurtosis is made normal by the transformation of Anscombe and Glynn; between sites these scores have the
    correlation rho^4 for large samples, where rho is that of the field. None on a law. Needs some hundred samples.

    Raises:
        TooFewSamplesError: If there are fewer than 20 effective samples.
    """
    dof = degrees_of_freedom(state)
    if dof == inf:
        return None
    if dof < 19:
        raise TooFewSamplesError(f"{dof + 1:.0f} effective samples are too few to test Gaussianity", "Give 20 or more.")
    variance = state["scatter"].diagonal() / state["weight"]
    varies = variance > tolerance**2 * variance.max()
    z = _anscombe_glynn((state["fourth"] / state["weight"])[varies] / variance[varies] ** 2, dof + 1)
    root = variance[varies].sqrt()
    rho = (state["scatter"] / state["weight"])[varies][:, varies] / torch.outer(root, root)
    eigenvalues, vectors = torch.linalg.eigh(rho**4)
    kept = eigenvalues > 1e-3 * eigenvalues[-1]  # sites that copy each other say the same once
    statistic = ((vectors.T @ z)[kept].square() / eigenvalues[kept]).sum()
    return float(chi2.sf(float(statistic), int(kept.sum())))


def _anscombe_glynn(b2: Tensor, n: float) -> Tensor:
    """Return standard normal scores of sample kurtoses of n Gaussian samples."""
    mean = 3 * (n - 1) / (n + 1)
    variance = 24 * n * (n - 2) * (n - 3) / ((n + 1) ** 2 * (n + 3) * (n + 5))
    skewness = 6 * (n * n - 5 * n + 2) / ((n + 7) * (n + 9)) * sqrt(6 * (n + 3) * (n + 5) / (n * (n - 2) * (n - 3)))
    a = 6 + 8 / skewness * (2 / skewness + sqrt(1 + 4 / skewness**2))
    x = (b2 - mean) / sqrt(variance)
    ratio = (1 - 2 / a) / (1 + x * sqrt(2 / (a - 4)))
    cube_root = ratio.sign() * ratio.abs() ** (1 / 3)
    return (1 - 2 / (9 * a) - cube_root) / sqrt(2 / (9 * a))
