"""Constrained least squares: a curve through points all of whose coordinates carry correlated errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isinf

import numpy as np
import torch
from scipy.stats import chi2
from scipy.stats import t as student

DRAWS = 1000
"""Simulated data sets behind the p-value and the calibration of errors, where the covariance was estimated itself."""

ROUNDS, TOLERANCE = 60, 1e-7
"""Gauss-Newton rounds, and the change of the parameters, in their errors, at which they end."""

Constraints = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""From (points, parameters) to the constraints [m], their derivatives by points [m, n] and by parameters [m, p]."""


@dataclass(frozen=True, eq=False)
class Solution:
    """What least squares under constraints found.

    Args:
        theta: The parameters, [p].
        covariance: Of the parameters, [p, p].
        points: The points, moved to where the constraints hold, [n].
        misfit: Squared distance of the points from where they were measured, by the working covariance.
        p_value: Probability of a larger misfit if the constraints were true.
        spare: Constraints less parameters.
    """

    theta: np.ndarray
    covariance: np.ndarray
    points: np.ndarray
    misfit: float
    p_value: float
    spare: int


def working(covariance: np.ndarray, dof: float, rows: int) -> np.ndarray:
    """Return an estimated covariance [..., n, n] with its correlations drawn toward 0, so that it can be inverted.

    By rows / (rows + dof): not at all where it is known, by half where it was estimated from as many degrees of freedom
    as it is asked to weigh rows.
    """
    share = 0.0 if isinf(dof) else rows / (rows + dof)
    return covariance * np.where(np.eye(covariance.shape[-1], dtype=bool), 1.0, 1 - share)


def solve(
    y: np.ndarray,
    covariance: np.ndarray,
    dof: float,
    constraints: Constraints,
    start: np.ndarray,
    *,
    generator: torch.Generator,
) -> Solution | None:
    r"""Return the parameters for which points nearest to the measured ones satisfy the constraints, or None.

    .. math:: \min_{g, \theta} (y - g)^T W^{-1} (y - g) \quad\text{subject to}\quad c(g, \theta) = 0

    by Gauss-Newton steps on the linearised constraints, so that errors of every coordinate enter and none attenuates a
    slope. W is the working covariance; the covariance of the parameters is that of the estimator under the measured
    covariance (sandwich), and where that was itself estimated both it and the p-value are calibrated by simulated data
    sets, each with a covariance of its own drawn from Wishart's distribution.

    Args:
        y: The measured points, [n].
        covariance: Theirs, [n, n].
        dof: Degrees of freedom of the covariance; infinite where it is known.
        constraints: c with its derivatives.
        start: Parameters to start from.
        generator: Randomness of the simulated data sets.

    Returns:
        None where the iteration does not converge, or the parameters are not identified.

    Source:
        britt1973.
    """
    g, theta, shift = y.copy(), start.copy(), np.inf
    W = working(covariance, dof, len(constraints(y, start)[0]))
    for _ in range(ROUNDS):
        c, J, F = constraints(g, theta)
        if not all(np.isfinite(part).all() for part in (c, J, F)):
            return None
        r = c + J @ (y - g)
        with np.errstate(over="ignore", invalid="ignore"):
            V = J @ W @ J.T
        estimator, weight = _estimator(V, F)
        if estimator is None:
            return None
        step = -estimator @ r
        g = y - W @ J.T @ weight @ (r + F @ step)
        theta = theta + step
        C = estimator @ J @ covariance @ J.T @ estimator.T
        shift = float(np.max(np.abs(step) / np.sqrt(np.diag(C)).clip(1e-300)))
        if shift < TOLERANCE:
            break
    if not shift < 1e-3:
        return None
    rest = r + F @ step
    misfit, spare = float(rest @ weight @ rest), len(c) - len(theta)
    if isinf(dof):
        return Solution(theta, C, g, misfit, float(chi2.sf(misfit, spare)), spare)
    inflation, null = _simulated(J, F, W, dof, generator)
    p_value = (1 + int((null >= misfit).sum())) / (1 + len(null))
    return Solution(theta, inflation * C, g, misfit, p_value, spare)


def _estimator(V: np.ndarray, F: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Return (F' V^-1 F)^-1 F' V^-1, or None where that is not determined, and V^-1; both for stacks of V too."""
    root = np.sqrt(np.diagonal(V, axis1=-2, axis2=-1).clip(0))
    if not (np.isfinite(V).all() and (root > 0).all()):
        return None, V
    weight = np.linalg.inv(V / root[..., :, None] / root[..., None, :]) / root[..., :, None] / root[..., None, :]
    squares = np.einsum("...ap,...ab,...bp->...p", F, weight, F)
    scale = np.sqrt(squares.clip(0))
    if not (squares > 0).all():  # below it where V is singular to rounding
        return None, weight
    unit = F / scale[..., None, :]
    normal = np.swapaxes(unit, -1, -2) @ weight @ unit
    if float(np.min(np.linalg.eigvalsh(normal))) < 1e-12:
        return None, weight
    return np.linalg.solve(normal, np.swapaxes(unit, -1, -2) @ weight) / scale[..., :, None], weight


def _simulated(
    J: np.ndarray, F: np.ndarray, W: np.ndarray, dof: float, generator: torch.Generator
) -> tuple[float, np.ndarray]:
    """Return by how much the sandwich falls short of Student's t for ``dof``, and misfits of data sets without misfit.

    Noise and covariances are drawn in the space of the constraints, as if W were the true covariance.
    """
    V = J @ W @ J.T
    m, n = J.shape
    root = np.linalg.cholesky(W + 1e-14 * np.diag(np.diag(W)))
    rows = max(round(dof), 1)
    noise = torch.randn(DRAWS, n, generator=generator, dtype=torch.float64).numpy() @ root.T @ J.T
    z = torch.randn(DRAWS, rows, n, generator=generator, dtype=torch.float64).numpy() @ root.T
    S = np.swapaxes(z, -1, -2) @ z / rows
    sandwich, again = J @ S @ J.T, J @ working(S, dof, m) @ J.T
    estimator, weight = _estimator(again, F[None])
    if estimator is None:
        estimator, weight = _estimator(V, F)
        assert estimator is not None  # the fit itself went by it
        estimator, weight = np.broadcast_to(estimator, (DRAWS, *estimator.shape)), np.broadcast_to(weight, again.shape)
    theta = np.einsum("dpm,dm->dp", estimator, noise)
    variance = np.einsum("dpm,dmk,dpk->dp", estimator, sandwich, estimator)
    rest = noise - theta @ F.T
    return max(1.0, _excess(theta / np.sqrt(variance), dof)), np.einsum("dm,dmk,dk->d", rest, weight, rest)


def _excess(z: np.ndarray, dof: float) -> float:
    """Return the square of the ratio of the 95 % quantile of |z| to that of Student's t, at the worst parameter."""
    return float((np.quantile(np.abs(z), 0.95, axis=0) / student.ppf(0.975, dof)).max() ** 2)
