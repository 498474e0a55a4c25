"""Polynomials of the couplings, and the flow that they generate over a step, with its derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement

import numpy as np

FINENESS = 24
"""Runge-Kutta steps for every e-fold of a step: an error of 1e-7 where couplings grow fourfold; falls as h^4."""
FEWEST, MOST = 4, 256
"""Runge-Kutta steps within one step; their number is a power of two, so that it hardly ever changes within a fit."""


@dataclass(frozen=True, eq=False)
class Basis:
    """Monomials up to a total degree of u = (g - centre) / width.

    Args:
        centre: Middle of the measured range, [couplings].
        width: Half of its length, [couplings].
        powers: Powers of each u in each monomial, [monomials, couplings].
    """

    centre: np.ndarray
    width: np.ndarray
    powers: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, degree: int) -> Basis:
        """Return the basis for couplings in the range of points [points, couplings]."""
        low, high = points.min(0), points.max(0)
        half = (high - low) / 2
        K = points.shape[1]
        chosen = (c for d in range(degree + 1) for c in combinations_with_replacement(range(K), d))
        rows = [np.bincount(np.array(c, dtype=int), minlength=K) for c in chosen]
        return cls((low + high) / 2, np.where(half > 0, half, 1.0), np.stack(rows))

    def at(self, g: np.ndarray) -> np.ndarray:
        """Return the monomials at couplings g [..., couplings]: [..., monomials]."""
        u = (g - self.centre) / self.width
        return (u[..., None, :] ** self.powers).prod(-1)

    def slopes(self, g: np.ndarray) -> np.ndarray:
        """Return their derivatives by the couplings: [..., monomials, couplings]."""
        return np.tensordot(self.at(g), self.lowering, 1)

    @cached_property
    def lowering(self) -> np.ndarray:
        """The derivatives as sums of monomials, which are all there: [monomials, monomials of which, couplings]."""
        M, K = self.powers.shape
        found = np.zeros((M, M, K))
        for a, row in enumerate(self.powers):
            for j in range(K):
                lower = (self.powers == row - np.eye(K, dtype=int)[j]).all(1)
                found[lower, a, j] = row[j] / self.width[j]
        return found


def flowed(basis: Basis, theta: np.ndarray, start: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, ...]:
    r"""Return where :math:`\dot g_i = \sum_a \theta_{ia} \phi_a(g)` leads, and the derivatives of that.

    Args:
        basis: The monomials phi.
        theta: Coefficients [couplings, monomials].
        start: Couplings before each step [steps, couplings].
        time: Length of each step [steps].

    Returns:
        g after the step [steps, K], its derivative by g before it [steps, K, K], and that by theta [steps, K, theta].
    """
    N, K = start.shape
    M = theta.shape[1]
    steps = _substeps(basis, theta, start, time)
    h = (time / steps)[:, None, None]
    # g in the first column, its derivatives in the others: what adds to a rate is linear in the monomials
    y = np.concatenate([start[..., None], np.tile(np.eye(K, K + theta.size), (N, 1, 1))], 2)
    added = np.zeros((M, K, 1 + K + theta.size))
    added[:, :, 0] = theta.T
    for i in range(K):
        added[:, i, 1 + K + i * M : 1 + K + (i + 1) * M] = np.eye(M)
    jacobian = np.einsum("ia,caj->cij", theta, basis.lowering).reshape(M, -1)
    added = added.reshape(M, -1)

    def rate(y: np.ndarray) -> np.ndarray:
        phi = basis.at(y[..., 0])
        found = (phi @ added).reshape(y.shape)
        found[..., 1:] += (phi @ jacobian).reshape(N, K, K) @ y[..., 1:]
        return found

    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            a = rate(y)
            b = rate(y + h / 2 * a)
            c = rate(y + h / 2 * b)
            d = rate(y + h * c)
            y = y + h / 6 * (a + 2 * (b + c) + d)
    return y[..., 0], y[..., 1 : K + 1], y[..., K + 1 :]


def _substeps(basis: Basis, theta: np.ndarray, start: np.ndarray, time: np.ndarray) -> int:
    """Return how many Runge-Kutta steps the fastest of some steps is divided into."""
    slope = np.abs(theta @ basis.slopes(start)).sum(-1).max(-1)
    needed = FINENESS * float(np.max(slope * np.abs(time)))
    return int(2 ** np.ceil(np.log2(np.clip(needed, FEWEST, MOST)))) if np.isfinite(needed) else FEWEST
