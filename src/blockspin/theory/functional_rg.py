"""Functional RG: O(N) fixed points in the local potential approximation, by expansion about the running minimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blockspin.errors import ConfigError, FitFailedError


@dataclass(frozen=True, eq=False)
class LocalPotential:
    """A fixed point of the local potential approximation and its linearised flow.

    Args:
        minimum: rho_0, where the potential has its minimum; rho = phi^2 / 2 in units of the threshold constant.
        coefficients: c_2 .. c_M of u(rho) = sum_n c_n (rho - rho_0)^n, float64 [M - 1].
        eigenvalues: Eigenvalues of the linearised flow d/d ln k, ascending real part, complex128 [M]; one is negative.
    """

    minimum: float
    coefficients: np.ndarray
    eigenvalues: np.ndarray

    @property
    def correlation_exponent(self) -> float:
        """Nu, minus one over the negative eigenvalue."""
        return -1 / float(self.eigenvalues[0].real)

    @property
    def correction_exponent(self) -> float:
        """Omega, the smallest positive eigenvalue: how the leading correction to scaling dies."""
        return float(self.eigenvalues[1].real)


def lpa_fixed_point(dimension: float, components: float, order: int = 20) -> LocalPotential:
    r"""Return the Wilson-Fisher fixed point for Litim's regulator.

    .. math:: k \partial_k u = -d u + (d - 2) \rho u' + \frac{N - 1}{1 + u'} + \frac{1}{1 + u' + 2 \rho u''}

    The expansion is carried to ever higher order, each order starting from the one below, and from three dimensions to
    fewer in small steps. Its error oscillates about zero and falls, at d = 3 and N = 1 to 1e-7 for order 20; an
    expansion about rho = 0 would not converge. The anomalous dimension is 0 in this approximation, so that nu is 3 %
    too large for N = 1: an error of the scheme, not of the solution.

    Args:
        dimension: 2.8 <= d < 4; it need not be whole. Below, use ``lpa_collocation``.
        components: N >= 1; it need not be whole.
        order: M >= 2.

    Raises:
        ConfigError: If the dimension is one in which the expansion does not converge.
        FitFailedError: If Newton's method does not converge.

    Source:
        litim2002, with the regulator of litim2001.
    """
    if not 2.8 <= dimension < 4:
        raise ConfigError("dimension", dimension, "at least 2.8 and below 4; lpa_collocation goes down to 2.7.")
    start = max(dimension, 3.0)
    x = _first_guess(start, components)
    for M in range(2, order + 1):
        x = _newton(np.concatenate([x, [0.0] * (M - len(x))]), start, components)
    for d in np.arange(start - 0.05, dimension, -0.05):
        x = _newton(x, float(d), components)
    x = _newton(x, dimension, components)
    values = np.linalg.eigvals(_jacobian(x, dimension, components))
    return LocalPotential(float(x[0]), x[1:], values[np.argsort(values.real)])


def lpa_flow(x: np.ndarray, dimension: float, components: float) -> np.ndarray:
    """Return k d/dk of (rho_0, c_2, ..., c_M), complex or real [M], in the truncation to order M.

    Source: litim2002.
    """
    order = len(x)
    rho_0 = x[0]
    u = np.concatenate([[0, 0], x[1:], np.zeros(3)])  # u' vanishes at the minimum; c_0 is of no interest
    n = np.arange(len(u))
    first = np.concatenate([(n * u)[1:], [0]])
    second = np.concatenate([(n * first)[1:], [0]])
    around = rho_0 * first + np.concatenate([[0], first[:-1]])  # rho u'
    bent = rho_0 * second + np.concatenate([[0], second[:-1]])  # rho u''
    rhs = -dimension * u + (dimension - 2) * around
    rhs = rhs + (components - 1) * _inverse(first) + _inverse(first + 2 * bent)
    moved = -rhs[1] / (2 * u[2])
    flow = rhs[2 : order + 1] + (n[2 : order + 1] + 1) * u[3 : order + 2] * moved
    return np.concatenate([[moved], flow])


def _inverse(series: np.ndarray) -> np.ndarray:
    """Return the coefficients of 1 / (1 + series)."""
    a = series.copy()
    a[0] += 1
    out = np.zeros_like(a)
    out[0] = 1 / a[0]
    for n in range(1, len(a)):
        out[n] = -(a[1 : n + 1] @ out[n - 1 :: -1][:n]) / a[0]
    return out


def _first_guess(dimension: float, components: float) -> np.ndarray:
    """Return (rho_0, c_2) of the truncation to order 2, from its one equation for w = 4 c_2 rho_0.

    Raises:
        FitFailedError: If it has no solution.
    """
    d, N = dimension, components
    w = np.geomspace(1e-6, 1e3, 4000)
    minimum = (N - 1 + 3 / (1 + w) ** 2) / (d - 2)
    excess = w * (N - 1 + 9 / (1 + w) ** 3) - (4 - d) * minimum
    found = np.flatnonzero((excess[:-1] < 0) & (excess[1:] >= 0) & (minimum[:-1] > 0))
    if not len(found):
        raise FitFailedError(f"the expansion does not start for d = {d}, N = {N}", "Use N >= 1.")
    return np.array([minimum[found[0]], w[found[0]] / (4 * minimum[found[0]])])


def _newton(x: np.ndarray, dimension: float, components: float) -> np.ndarray:
    """Return the zero of the flow nearest to x; the last steps are those in which rounding stops the progress."""
    last = np.inf
    for _ in range(60):
        flow = lpa_flow(x, dimension, components)
        step = np.linalg.solve(_jacobian(x, dimension, components), flow)
        size = 1.0
        while size > 1e-3 and not _smaller(x - size * step, flow, dimension, components):
            size /= 2
        x = x - size * step
        moved = np.abs(step[:2] / x[:2]).max()
        if moved < 1e-9 and moved >= last / 4:
            return x
        last = moved
    raise FitFailedError(
        f"no fixed point was found for d = {dimension}, N = {components} at order {len(x)}",
        "Use another order, or a dimension nearer to three.",
    )


def _smaller(x: np.ndarray, flow: np.ndarray, dimension: float, components: float) -> bool:
    """Return whether the flow at x is smaller, each coefficient counted at rho - rho_0 = 1."""
    return bool(x[0] > 0 and x[1] > 0) and bool(
        np.linalg.norm(lpa_flow(x, dimension, components)) <= 2 * np.linalg.norm(flow)
    )


def _jacobian(x: np.ndarray, dimension: float, components: float) -> np.ndarray:
    """Return the derivative of the flow by complex steps: exact to rounding."""
    columns = []
    for i in range(len(x)):
        shifted = x.astype(complex)
        shifted[i] += 1e-30j
        columns.append(lpa_flow(shifted, dimension, components).imag / 1e-30)
    return np.stack(columns, axis=1)
