"""Scaling curves: the surface of misfit of E + A N^-alpha in logarithms, and what lies below a threshold on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import norm

CLIP = 2.5
"""Seeds further than so many standard deviations from their size's location count no more than there."""
CAP = 0.97
"""Largest irreducible share at the middle of the range; beyond it the exponent is not bounded."""


def locations(logs: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Return Huber's location of each size and the common standard deviation of a seed (his second proposal)."""
    y = np.array([np.median(row) for row in logs])
    dof = sum(len(row) - 1 for row in logs)
    kept = 2 * norm.cdf(CLIP) - 1 - 2 * CLIP * norm.pdf(CLIP) + 2 * CLIP**2 * norm.sf(CLIP)  # E min(z^2, CLIP^2)
    s = float(np.sqrt(sum(np.square(row - row.mean()).sum() for row in logs) / dof))
    for _ in range(100 if s > 0 else 0):
        clipped = [np.clip((row - middle) / s, -CLIP, CLIP) for row, middle in zip(logs, y, strict=True)]
        y = y + s * np.array([row.mean() for row in clipped])
        s *= float(np.sqrt(sum(np.square(row).sum() for row in clipped) / (dof * kept)))
    return y, s


def curve(t: np.ndarray, slope: np.ndarray | float, share: np.ndarray | float) -> np.ndarray:
    """Return ln of (share + (1 - share) e^(-alpha t)) with alpha = slope / (1 - share), [..., sizes].

    Args:
        t: ln of the sizes, from that of the middle one.
        slope: Local exponent at the middle.
        share: Irreducible share of the loss at the middle.
    """
    slope, share = np.asarray(slope)[..., None], np.asarray(share)[..., None]
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log(share), np.log1p(-share) - slope / (1 - share) * t)


@dataclass(frozen=True, eq=False)
class Surface:
    """Misfit of the curves to the locations, the amplitude always the best one.

    Args:
        t: ln of the sizes, from that of the middle one.
        y: ln of the losses.
        weights: Inverse squared errors of y.
    """

    t: np.ndarray
    y: np.ndarray
    weights: np.ndarray

    def at(self, slope: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return chi squared and the best ln of the amplitude."""
        rest = self.y - curve(self.t, slope, share)
        a = rest @ self.weights / self.weights.sum()
        return np.square(rest - a[..., None]) @ self.weights, a

    def residuals(self, p: np.ndarray) -> np.ndarray:
        """Return the standardised residuals at one slope and share."""
        rest = self.y - curve(self.t, p[0], p[1])
        return np.sqrt(self.weights) * (rest - rest @ self.weights / self.weights.sum())

    def minimum(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the best (slope, share) from several starts, and the covariance of both by the curvature there."""
        centred = self.t - self.t @ self.weights / self.weights.sum()
        steep = -float((self.weights * centred) @ self.y / (self.weights @ centred**2))
        grid = np.meshgrid(steep * np.geomspace(0.2, 4, 40), np.linspace(0, 0.95, 40), indexing="ij")
        slopes, shares = (axis.ravel() for axis in grid)
        order = np.argsort(self.at(slopes, shares)[0])[[0, 10, 60]]
        fits = [
            least_squares(
                self.residuals, (slopes[k], shares[k]), bounds=([1e-12, 0], [np.inf, CAP]), x_scale=(steep, 0.3)
            )
            for k in order
        ]
        best = min(fits, key=lambda fit: fit.cost)
        return best.x, np.linalg.pinv(best.jac.T @ best.jac)


@dataclass(frozen=True, eq=False)
class Region:
    """The points whose misfit lies less than a threshold above the least: all that data leave possible.

    Args:
        slope: [points].
        share: [points].
        amplitude: ln of the amplitude, [points].
        excess: Misfit above the least, [points].
        bounded: Whether the region ends on all sides.
    """

    slope: np.ndarray
    share: np.ndarray
    amplitude: np.ndarray
    excess: np.ndarray
    bounded: bool


def region(surface: Surface, threshold: float, side: int = 91) -> Region:
    """Return the region of a surface, on a grid in coordinates whitened by the curvature, widened until it ends."""
    best, C = surface.minimum()
    L = np.linalg.cholesky(C + 1e-12 * np.trace(C) * np.eye(2))
    least = float(surface.at(best[0], best[1])[0])
    z = np.linspace(-1, 1, side)
    z1, z2 = (axis.ravel() for axis in np.meshgrid(z, z))
    border = np.maximum(abs(z1), abs(z2)) == 1
    for widen in (1.5, 3, 6, 12, 24, 48):
        radius = widen * threshold**0.5
        slope, share = best[:, None] + radius * L @ np.stack([z1, z2])
        line = best[0] + radius * (L[0, 0] + L[1, 1]) * np.linspace(-1, 1, 10 * side)  # pure powers
        slope, share = np.append(np.append(slope, line), best[0]), np.append(np.append(share, 0 * line), best[1])
        edge = np.append(border, np.zeros(len(line) + 1, dtype=bool))
        valid = (slope > 0) & (share >= 0) & (share <= CAP)
        slope, share, edge = slope[valid], share[valid], edge[valid]
        chi2, a = surface.at(slope, share)
        excess = np.maximum(chi2 - least, 0)
        inside = excess <= threshold
        if not (inside & edge).any():
            break
    capped = bool((share[inside] > CAP - 0.02).any())
    bounded = not capped and not bool((inside & edge).any())
    return Region(slope[inside], share[inside], a[inside], excess[inside], bounded)
