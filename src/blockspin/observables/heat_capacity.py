"""Heat capacity: when diffusion on the graph of nearest samples loses information, and its spectral dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from blockspin.errors import TooFewSamplesError, check_whole
from blockspin.observables._rows import OfRows
from blockspin.observables.base import State
from blockspin.registry import register

TIMES = np.geomspace(0.1, 1000.0, 33)
"""Diffusion times at which the observable is taken, eight to a decade."""


def entropy(eigenvalues: np.ndarray, tau: np.ndarray) -> np.ndarray:
    r"""Return S = -Tr rho ln rho of rho = exp(-tau L) / Tr exp(-tau L) at each time, in nats.

    Args:
        eigenvalues: Spectrum of L [nodes], non-negative; every connected component has a zero.
        tau: Diffusion times [times].
    """
    log_z, mean, _ = _moments(eigenvalues, tau)
    return tau * mean + log_z


def heat_capacity(eigenvalues: np.ndarray, tau: np.ndarray) -> np.ndarray:
    r"""Return C = -dS / d ln tau = tau^2 Var_rho(lambda) at each time, dimensionless.

    A plateau at C = d_s / 2 belongs to a graph of spectral dimension d_s; a mere peak marks one characteristic scale.

    Args:
        eigenvalues: Spectrum of L [nodes].
        tau: Diffusion times [times].
    """
    return tau**2 * _moments(eigenvalues, tau)[2]


def _moments(eigenvalues: np.ndarray, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ln Z, and mean and variance of the eigenvalue under rho, at each time."""
    rows = []
    for t in np.atleast_1d(tau):
        weight = np.exp(-t * (eigenvalues - eigenvalues.min()))
        Z = weight.sum()
        mean = (weight @ eigenvalues) / Z
        rows.append((np.log(Z) - t * eigenvalues.min(), mean, (weight @ (eigenvalues - mean) ** 2) / Z))
    log_z, mean, variance = np.array(rows).T
    return log_z, mean, variance


def plateau_of(tau: np.ndarray, capacity: np.ndarray, spread: float = 0.1, span: float = 8.0) -> float | None:
    """Return the mean of C over its longest plateau, or None where it has none.

    A plateau is a stretch over which C is positive and stays within +-``spread`` of its middle, and the last time is at
    least ``span`` times the first.

    Args:
        tau: Diffusion times in ascending order [times].
        capacity: C at each of them.
        spread: Relative half-width.
        span: Least ratio of the last to the first time.
    """
    best: tuple[float, float] | None = None
    for first in range(len(tau)):
        for last in range(first + 2, len(tau)):
            part = capacity[first : last + 1]
            low, high = part.min(), part.max()
            if low <= 0 or high - low > spread * (high + low):
                break
            ratio = tau[last] / tau[first]
            if ratio >= span and (best is None or ratio > best[0]):
                best = (ratio, float(part.mean()))
    return None if best is None else best[1]


@register
@dataclass(frozen=True)
class HeatCapacity(OfRows):
    r"""Heat capacity of diffusion on the graph that joins every sample with its nearest ones.

    .. math:: C(\tau) = -\frac{dS}{d \ln \tau} = \tau^2 \operatorname{Var}_\rho(\lambda),
        \qquad \rho = \frac{e^{-\tau L}}{\operatorname{Tr} e^{-\tau L}},

    with L the Laplacian D - A of the mutual or one-sided ``neighbours``-nearest-neighbour graph in Euclidean distance.
    Quantities: "capacity" at the fixed times ``TIMES``; "spectral_dimension", twice the plateau of C, absent where C
    has none over a factor of eight in time: one or several peaks are then characteristic scales, not a dimension.

    Args:
        limit: Most units whose graph is made; the cost grows as its cube.
        neighbours: Nearest samples that each is joined with.

    Raises:
        ConfigError: If ``neighbours`` is not at least 2.

    Do not trust when:
        ``neighbours`` is not much smaller than the number of samples, or the dimension is high: a few thousand samples
        then hold no two scales. Noise in many dimensions has no plateau.

    Source:
        villegas2023.
    """

    name = "heat-capacity"
    source = "villegas2023"
    units = {"capacity": "1", "spectral_dimension": "1"}
    limit: int = 500
    neighbours: int = 6

    def __post_init__(self):
        check_whole("neighbours", self.neighbours, 2)

    def value(self, state: State) -> dict[str, Tensor]:
        """Diagonalise the Laplacian of the graph.

        Raises:
            TooFewSamplesError: If there are fewer than four samples a neighbour.
        """
        points = state["first"].to(torch.float64).numpy() if state else np.zeros((0, 1))
        if len(points) < 4 * self.neighbours:
            raise TooFewSamplesError(
                f"{len(points)} samples are too few for a graph of {self.neighbours} neighbours", "Give more samples."
            )
        _, near = cKDTree(points).query(points, k=self.neighbours + 1)
        A = np.zeros((len(points), len(points)))
        A[np.arange(len(points))[:, None], near] = 1.0
        A = np.maximum(A, A.T)
        np.fill_diagonal(A, 0.0)
        C = heat_capacity(np.linalg.eigvalsh(np.diag(A.sum(0)) - A).clip(min=0), TIMES)
        found = {"capacity": torch.from_numpy(C)}
        level = plateau_of(TIMES, C)
        if level is not None:
            found["spectral_dimension"] = torch.tensor(2 * level, dtype=torch.float64)
        return found
