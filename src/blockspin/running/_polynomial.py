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
        return self._products(self._table(g), self.powers)

    def slopes(self, g: np.ndarray) -> np.ndarray:
        """Return their derivatives by the couplings: [..., monomials, couplings]."""
        return self._slopes(self._table(g))

    def both(self, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the monomials and their derivatives."""
        table = self._table(g)
        return self._products(table, self.powers), self._slopes(table)

    @cached_property
    def _lowered(self) -> list[np.ndarray]:
        """Powers after a derivative by each coupling; 0 stays 0, where the derivative vanishes by its factor."""
        return [np.maximum(self.powers - row, 0) for row in np.eye(self.powers.shape[1], dtype=int)]

    def _table(self, g: np.ndarray) -> np.ndarray:
        """Return all powers of each u up to the degree, by products: [..., couplings, degree + 1]."""
        u = (g - self.centre) / self.width
        table = np.ones((*u.shape, int(self.powers.max()) + 1))
        for d in range(1, table.shape[-1]):
            table[..., d] = table[..., d - 1] * u
        return table

    def _products(self, table: np.ndarray, powers: np.ndarray) -> np.ndarray:
        found = table[..., 0, :].take(powers[:, 0], axis=-1)
        for j in range(1, powers.shape[1]):
            found = found * table[..., j, :].take(powers[:, j], axis=-1)
        return found

    def _slopes(self, table: np.ndarray) -> np.ndarray:
        parts = [
            self.powers[:, j] / width * self._products(table, self._lowered[j]) for j, width in enumerate(self.width)
        ]
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
    steps = _substeps(basis, theta, start, time)
    g, S = start.copy(), np.concatenate([np.eye(K), np.zeros((K, theta.size))], 1)[None].repeat(N, 0)
    h, M = (time / steps)[:, None], theta.shape[1]
    coefficients = [slice(K + i * M, K + (i + 1) * M) for i in range(K)]

    def rate(g: np.ndarray, S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        phi, slopes = basis.both(g)
        dS = theta @ slopes @ S
        for i, own in enumerate(coefficients):
            dS[:, i, own] += phi
        return phi @ theta.T, dS

    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            a, A = rate(g, S)
            b, B = rate(g + h / 2 * a, S + h[..., None] / 2 * A)
            c, C = rate(g + h / 2 * b, S + h[..., None] / 2 * B)
            d, D = rate(g + h * c, S + h[..., None] * C)
            g, S = g + h / 6 * (a + 2 * b + 2 * c + d), S + h[..., None] / 6 * (A + 2 * B + 2 * C + D)
    return g, S[:, :, :K], S[:, :, K:]


def _substeps(basis: Basis, theta: np.ndarray, start: np.ndarray, time: np.ndarray) -> int:
    """Return how many Runge-Kutta steps the fastest of some steps is divided into."""
    slope = np.abs(theta @ basis.slopes(start)).sum(-1).max(-1)
    needed = FINENESS * float(np.max(slope * np.abs(time)))
    return int(2 ** np.ceil(np.log2(np.clip(needed, FEWEST, MOST)))) if np.isfinite(needed) else FEWEST
