"""Polynomials of the couplings, and the flow that they generate over a step, with its derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

SUBSTEPS = 32
"""Runge-Kutta steps within one step: an error of 1e-7 where couplings grow fourfold; it falls as the fourth power."""


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
        u = (g - self.centre) / self.width
        parts = []
        for j, width in enumerate(self.width):
            lowered = self.powers.copy()
            lowered[:, j] = np.maximum(lowered[:, j] - 1, 0)
            parts.append(self.powers[:, j] / width * (u[..., None, :] ** lowered).prod(-1))
        return np.stack(parts, -1)


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
    g, S = start.copy(), np.concatenate([np.eye(K), np.zeros((K, theta.size))], 1)[None].repeat(N, 0)
    h = (time / SUBSTEPS)[:, None]

    def rate(g: np.ndarray, S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        phi = basis.at(g)
        dS = np.einsum("ia,naj->nij", theta, basis.slopes(g)) @ S
        dS[:, :, K:] += np.einsum("ij,na->nija", np.eye(K), phi).reshape(N, K, -1)
        return phi @ theta.T, dS

    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(SUBSTEPS):
            a, A = rate(g, S)
            b, B = rate(g + h / 2 * a, S + h[..., None] / 2 * A)
            c, C = rate(g + h / 2 * b, S + h[..., None] / 2 * B)
            d, D = rate(g + h * c, S + h[..., None] * C)
            g, S = g + h / 6 * (a + 2 * b + 2 * c + d), S + h[..., None] / 6 * (A + 2 * B + 2 * C + D)
    return g, S[:, :, :K], S[:, :, K:]
