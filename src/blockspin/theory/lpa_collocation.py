"""LPA collocation: the fixed-point equation of the local potential solved on a Chebyshev grid of field values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from blockspin.errors import FitFailedError


@dataclass(frozen=True, eq=False)
class CollocatedPotential:
    """A fixed-point potential as a polynomial on an interval, and its linearised flow.

    Args:
        reach: The interval is 0 <= rho <= reach.
        coefficients: Of Chebyshev polynomials on it, float64 [points].
        eigenvalues: Of the linearised flow d/d ln k, ascending real part, the constant's own (-d) left out.
    """

    reach: float
    coefficients: np.ndarray
    eigenvalues: np.ndarray

    def value(self, rho: np.ndarray, derivative: int = 0) -> np.ndarray:
        """Return u or one of its derivatives at 0 <= rho <= reach."""
        series = chebyshev.chebder(self.coefficients, derivative, scl=2 / self.reach)
        return chebyshev.chebval(2 * np.asarray(rho) / self.reach - 1, series)

    @property
    def minimum(self) -> float:
        """Where the potential has its minimum."""
        roots = chebyshev.chebroots(chebyshev.chebder(self.coefficients))
        real = roots[(np.abs(roots.imag) < 1e-9) & (np.abs(roots.real) <= 1)].real
        return float((real.max() + 1) * self.reach / 2)


def lpa_collocation(dimension: float, components: float, points: int = 40, stretch: float = 3.0) -> CollocatedPotential:
    """Return the Wilson-Fisher fixed point for Litim's regulator; the equation is that of ``functional_rg``.

    The equation is asked for at the roots of a Chebyshev polynomial. No boundary condition is needed: at rho = 0 the
    equation is singular, and of the solutions that are regular there all but the fixed points end at a finite rho, so
    that a polynomial that reaches far enough is one of those. Likewise for the eigenfunctions, of which those are kept
    that the grid resolves. Newton's method starts at twelve components, where the answer is nearly that of very many.

    Args:
        dimension: d from 2.7 to 3, where the start is still near enough.
        components: N >= 1.
        points: Points of the grid; with 40 the exponents of d = 3 have eight digits.
        stretch: Largest rho, in units of N + 0.8, near which the minimum lies.

    Raises:
        FitFailedError: If Newton's method does not converge.

    Source:
        litim2002 for the equation.
    """
    count = max(1, int(np.ceil(6 * np.log(12 / components))) if components < 12 else 1)
    ladder = np.geomspace(max(12.0, components), components, count + 1)
    c, last = np.zeros(0), 1.0
    for N in ladder:
        scale = (N + 0.8) / (dimension - 2)
        x = np.cos(np.pi * (np.arange(points) + 0.5) / points)
        rho = (x + 1) * stretch * scale / 2
        basis = [chebyshev.chebvander(x, points - 1) @ _derivative(points, stretch * scale, n) for n in range(3)]
        start = c * scale / last if len(c) else _many_components(rho, basis, scale)
        c, last = _newton(start, rho, basis, dimension, N), scale
    linear = np.linalg.solve(basis[0], _linearised(c, rho, basis, dimension, components))
    values = _resolved(*np.linalg.eig(linear))
    return CollocatedPotential(stretch * scale, c, np.delete(values, np.abs(values + dimension).argmin()))


def _resolved(values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return, ascending, the eigenvalues whose eigenfunctions have died out in the last fifth of their coefficients."""
    rest = np.abs(vectors[-len(values) // 5 :]).max(0) / np.abs(vectors).max(0)
    kept = values[rest < 1e-4]
    return kept[np.argsort(kept.real)]


def _many_components(rho: np.ndarray, basis: list[np.ndarray], scale: float) -> np.ndarray:
    r"""Return coefficients of the three-dimensional potential for many components, stretched: a start for Newton.

    There rho / N = 3/2 - 1 / (2 (1 + w)) + (3/2) sqrt(w) arctan(sqrt(w)) with w = u', which solves the equation.
    """
    w = np.concatenate([-np.geomspace(0.5, 1e-9, 2000), np.geomspace(1e-9, 1e3, 4000)])
    root = np.sqrt(np.abs(w))
    bent = np.where(w < 0, -root * np.arctanh(np.minimum(root, 0.9)), root * np.arctan(root))
    slope = np.interp(rho / scale, 1.5 - 0.5 / (1 + w) + 1.5 * bent, w)
    system = np.vstack([basis[1], basis[0].mean(0)[None]])
    return np.linalg.lstsq(system, np.append(slope, 0.0), rcond=None)[0]


def _derivative(points: int, reach: float, order: int) -> np.ndarray:
    """Return the matrix from Chebyshev coefficients to those of a derivative by rho."""
    matrix = np.zeros((points, points))
    for n, column in enumerate(np.eye(points)):
        series = chebyshev.chebder(column, order, scl=2 / reach)
        matrix[: len(series), n] = series
    return matrix


def _flow(c: np.ndarray, rho: np.ndarray, basis: list[np.ndarray], d: float, N: float) -> np.ndarray:
    u, first, second = (matrix @ c for matrix in basis)
    return -d * u + (d - 2) * rho * first + (N - 1) / (1 + first) + 1 / (1 + first + 2 * rho * second)


def _linearised(c: np.ndarray, rho: np.ndarray, basis: list[np.ndarray], d: float, N: float) -> np.ndarray:
    """Return the derivative of the flow at the points by the coefficients."""
    _, first, second = (matrix @ c for matrix in basis)
    goldstone = (N - 1) / (1 + first) ** 2
    radial = 1 / (1 + first + 2 * rho * second) ** 2
    slope = ((d - 2) * rho - goldstone - radial)[:, None] * basis[1]
    return -d * basis[0] + slope - (2 * rho * radial)[:, None] * basis[2]


def _newton(c: np.ndarray, rho: np.ndarray, basis: list[np.ndarray], d: float, N: float) -> np.ndarray:
    """Return the zero of the flow, each step cut until the propagators stay positive and the flow does not grow."""

    def allowed(trial: np.ndarray, largest: float) -> bool:
        _, first, second = (matrix @ trial for matrix in basis)
        positive = min(first.min(), (first + 2 * rho * second).min()) > -1
        return bool(positive and np.abs(_flow(trial, rho, basis, d, N)).max() <= largest + 1e-11)

    for _ in range(200):
        flow = _flow(c, rho, basis, d, N)
        step = np.linalg.solve(_linearised(c, rho, basis, d, N), flow)
        size = 1.0
        while size > 1e-4 and not allowed(c - size * step, np.abs(flow).max()):
            size /= 2
        c = c - size * step
        if size == 1 and np.abs(basis[1] @ step).max() < 1e-9:
            return c
    raise FitFailedError(
        f"no fixed point was found for d = {d}, N = {N}", "Use another number of points, or another reach."
    )
