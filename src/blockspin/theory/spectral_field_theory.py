"""Spectral field theory: a covariance spectrum as the momenta of a field, and how its couplings scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from blockspin.theory.marchenko_pastur import density, edges, share_below


@dataclass(frozen=True)
class CanonicalDimensions:
    """Canonical dimensions per e-fold of the number of modes; a positive one is that of a relevant coupling.

    Args:
        quadratic: That of u2, which is also d ln x / d ln I: 2 / d where modes fill d dimensions evenly.
        quartic: That of u4: (4 - d) / d there.
        sextic: That of u6: (6 - 2 d) / d there.
    """

    quadratic: float
    quartic: float
    sextic: float

    @property
    def effective_dimension(self) -> float:
        """The number of dimensions that a lattice with that many slow modes would have, 2 / quadratic."""
        return 2 / self.quadratic

    @property
    def field(self) -> float:
        """How chi = phi^2 / 2 is rescaled: quadratic - quartic; 1 - quadratic where the density is a power."""
        return self.quadratic - self.quartic


def dimensions(share: float, weight: float, slope: float) -> CanonicalDimensions:
    r"""Return the canonical dimensions at one scale from the number of modes and their density.

    With I(x) modes of squared momentum below x, :math:`\rho = I'`, and Litim's regulator at :math:`k^2 = x`, the
    potential flows by

    .. math:: \partial_\tau U = \frac{x\,\delta\, I}{x + U' + 2 \chi U''}, \qquad \tau = \ln I, \quad
        \delta = \frac{d \ln x}{d\tau} = \frac{I}{x \rho}.

    U is measured in units of I delta, which makes the loop's coefficient constant, and U' in units of x, so that chi is
    measured in units of I delta / x. What these units grow by gives

    .. math:: [u_2] = \delta, \quad [u_4] = \delta \Big(3 + \frac{d \ln \rho}{d \ln x}\Big) - 2, \quad
        [u_6] = 2 [u_4] - [u_2].

    Args:
        share: I(x), in any unit.
        weight: x rho(x), in the same unit.
        slope: d ln rho / d ln x.

    Source:
        lahoche2021, re-derived.
    """
    quadratic = share / weight
    quartic = quadratic * (3 + slope) - 2
    return CanonicalDimensions(quadratic, quartic, 2 * quartic - quadratic)


def power_law_dimensions(dimension: float) -> CanonicalDimensions:
    """Return the dimensions of modes that fill d dimensions evenly, rho ~ x^(d/2 - 1). Source: bradde2017."""
    d = dimension
    return CanonicalDimensions(2 / d, (4 - d) / d, (6 - 2 * d) / d)


def squared_momentum(eigenvalue: np.ndarray, ratio: float, variance: float = 1.0) -> np.ndarray:
    r"""Return :math:`x = 1/(\lambda - \lambda_-) - 1/(\lambda_+ - \lambda_-)`: 0 at the upper edge of the bulk.

    Eigenvalues above the edge have x < 0: they count as slower than every mode of the bulk. Those at or below the lower
    edge have an infinite x. Units of 1 / field^2. Source: lahoche2021.
    """
    low, high = edges(ratio, variance)
    gap = np.asarray(eigenvalue, dtype=float) - low
    inverse = np.divide(1.0, gap, out=np.full_like(gap, np.inf), where=gap > 0)
    return inverse - 1 / (high - low)


def noise_dimensions(x: float, ratio: float) -> CanonicalDimensions:
    r"""Return the canonical dimensions of the Marchenko-Pastur spectrum of unit variance at squared momentum x > 0.

    The density of x is :math:`\mu(\lambda) (\lambda - \lambda_-)^2` at :math:`\lambda = \lambda_- + 1/(x + m^2)`. As
    x goes to 0 the dimensions tend to 2/3, 1/3 and 0 for every ratio, those of three dimensions: the square root at the
    edge. Error below 1e-5 for ratios in (0, 1). Source: lahoche2021.
    """
    low, high = edges(ratio)
    gap = 1 / (x + 1 / (high - low))
    eigenvalue = low + gap
    share = 1 - share_below(eigenvalue, ratio) if x > 0.3 else _share_above(eigenvalue, ratio)
    weight = x * float(density(np.array(eigenvalue), ratio)) * gap**2
    bend = 0.5 / gap - 0.5 / (high - eigenvalue) - 1 / eigenvalue  # d ln mu / d lambda
    return dimensions(share, weight, x * (-bend * gap**2 - 2 * gap))


def _share_above(eigenvalue: float, ratio: float, points: int = 400) -> float:
    """Return the share of the bulk above a point near the upper edge, the root at the edge taken out."""
    _, high = edges(ratio)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    reach = np.sqrt(high - eigenvalue)
    y = (nodes + 1) * reach / 2  # lambda = high - y^2
    values = density(high - y**2, ratio) * 2 * y
    return float(values @ weights * reach / 2)


@dataclass(frozen=True)
class Couplings:
    """Couplings of the potential u2 chi + a u4 chi^2 + b u6 chi^3, with the normalisation of ``beta_functions``.

    Args:
        quadratic: u2.
        quartic: u4.
        sextic: u6.
    """

    quadratic: float
    quartic: float
    sextic: float


def beta_functions(couplings: Couplings, scaling: CanonicalDimensions) -> Couplings:
    r"""Return d/dtau of the couplings in the symmetric phase, tau = ln(number of modes), flowing up in momentum.

    .. math::
        \dot u_2 &= -[u_2] u_2 - \frac{2 u_4}{(1 + u_2)^2} \\
        \dot u_4 &= -[u_4] u_4 - \frac{10}{3} \frac{u_6}{(1 + u_2)^2} + \frac{12 u_4^2}{(1 + u_2)^3} \\
        \dot u_6 &= -[u_6] u_6 + \frac{60 u_4 u_6}{(1 + u_2)^3} - \frac{108 u_4^3}{(1 + u_2)^4}

    from :math:`\dot V = c / (1 + V' + 2 \chi V'')` to third order in chi, with a c = 1/3 and b = 2 a^2 / 3. Valid while
    u2 > -1 and the potential's minimum is at 0. Source: lahoche2021, loop coefficients re-derived.
    """
    u2, u4, u6 = couplings.quadratic, couplings.quartic, couplings.sextic
    g = 1 / (1 + u2)
    return Couplings(
        -scaling.quadratic * u2 - 2 * u4 * g**2,
        -scaling.quartic * u4 - 10 / 3 * u6 * g**2 + 12 * u4**2 * g**3,
        -scaling.sextic * u6 + 60 * u4 * u6 * g**3 - 108 * u4**3 * g**4,
    )


def flow(
    start: Couplings, scaling: Callable[[float], CanonicalDimensions], interval: tuple[float, float], steps: int = 400
) -> list[Couplings]:
    """Return the couplings along tau, from interval[0] to interval[1], by the classical Runge-Kutta method.

    Args:
        start: Couplings at the first tau.
        scaling: Canonical dimensions at a given tau.
        interval: First and last tau = ln(number of modes); decreasing towards slow modes.
        steps: Steps of equal length; [steps + 1] couplings come back.

    Source:
        lahoche2021.
    """
    h = (interval[1] - interval[0]) / steps

    def slope(tau: float, u: np.ndarray) -> np.ndarray:
        found = beta_functions(Couplings(*u), scaling(tau))
        return np.array([found.quadratic, found.quartic, found.sextic])

    u, path = np.array([start.quadratic, start.quartic, start.sextic]), [start]
    for n in range(steps):
        tau = interval[0] + n * h
        a = slope(tau, u)
        b = slope(tau + h / 2, u + h / 2 * a)
        c = slope(tau + h / 2, u + h / 2 * b)
        d = slope(tau + h, u + h * c)
        u = u + h / 6 * (a + 2 * b + 2 * c + d)
        path.append(Couplings(*u))
    return path
