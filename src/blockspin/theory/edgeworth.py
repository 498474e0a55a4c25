"""Edgeworth: densities and actions of nearly Gaussian fields from their cumulants, and how local the actions are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blockspin.errors import FitFailedError

WORST_CONDITION = 1e10
"""Condition number beyond which four multiplications by an inverse covariance leave no digit."""


@dataclass(frozen=True)
class Cumulants:
    """Cumulants of one value of mean zero.

    Args:
        variance: v.
        fourth: k4.
        sixth: k6.
    """

    variance: float
    fourth: float = 0.0
    sixth: float = 0.0


def density(f: np.ndarray, cumulants: Cumulants, order: int = 2) -> np.ndarray:
    r"""Return the density of f to an order in 1 / width, where k4 ~ 1 / N and k6 ~ 1 / N^2.

    .. math:: P = \mathcal N(f; 0, v) \Big[1 + \frac{k_4}{24 v^2} He_4 + \frac{k_6}{720 v^3} He_6
        + \frac{k_4^2}{1152 v^4} He_8\Big]

    Order 0 is Gaussian, order 1 adds the first correction, order 2 all. No density in the strict sense: it goes
    negative in the tails, and the series diverges where the cumulants grow like those of a log-normal law.

    Args:
        f: Values.
        cumulants: Of f.
        order: 0, 1 or 2.

    Source:
        demirtas2023.
    """
    v, k4, k6 = cumulants.variance, cumulants.fourth, cumulants.sixth
    series = np.zeros(9)
    series[0] = 1
    if order >= 1:
        series[4] = k4 / (24 * v**2)
    if order >= 2:
        series[6], series[8] = k6 / (720 * v**3), k4**2 / (1152 * v**4)
    x = f / np.sqrt(v)
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi * v) * np.polynomial.hermite_e.hermeval(x, series)


@dataclass(frozen=True, eq=False)
class QuarticAction:
    r"""The action :math:`S = \tfrac12 f K^{-1} f - \tfrac{1}{4!} g_4 f f f f` on n points, to leading order.

    Args:
        quadratic: K^-1 [n, n].
        quartic: g4 [n, n, n, n].
        condition: Of the covariance that was inverted; about as many digits are lost of g4 as four times its logarithm.
    """

    quadratic: np.ndarray
    quartic: np.ndarray
    condition: float

    def log_density(self, f: np.ndarray) -> np.ndarray:
        """Return -S of fields [m, n], without the normalisation."""
        return (
            -np.einsum("ma,ab,mb->m", f, self.quadratic, f) / 2
            + np.einsum("abcd,ma,mb,mc,md->m", self.quartic, f, f, f, f) / 24
        )


def quartic_action(covariance: np.ndarray, connected: np.ndarray, ridge: float = 0.0) -> QuarticAction:
    r"""Return the action of a field on n points with a small connected four-point function.

    .. math:: g_4(x_1, .., x_4) = \int \prod_i dy_i\, K^{-1}(x_i, y_i)\, G_{4,c}(y_1, .., y_4)

    Error of relative order 1 / N, G_4c ~ 1 / N. Do not trust at large condition numbers: smooth kernels on near points.

    Args:
        covariance: K [n, n].
        connected: G_4c [n, n, n, n].
        ridge: Added to the diagonal of K before it is inverted, in its units.

    Raises:
        FitFailedError: If the condition number exceeds 1e10.

    Source:
        demirtas2023.
    """
    K = covariance + ridge * np.eye(len(covariance))
    condition = float(np.linalg.cond(K))
    if not condition < WORST_CONDITION:
        raise FitFailedError(f"the covariance has condition number {condition:.1e}", "Take fewer points, or a ridge.")
    P = np.linalg.inv(K)
    return QuarticAction(P, np.einsum("ai,bj,ck,dl,ijkl->abcd", P, P, P, P, connected, optimize=True), condition)


def locality(quartic: np.ndarray) -> float:
    """Return the share of a vertex's squared weight that lies on the diagonal: 1 where it acts at single points.

    What a vertex of equal entries everywhere has is n^-3. Networks of one hidden layer have non-local vertices. On a
    lattice of points; as a score, not as a measure. Source: demirtas2023 for the question.
    """
    diagonal = np.einsum("aaaa->a", quartic)
    return float(np.square(diagonal).sum() / np.square(quartic).sum())


def local_vertex(coupling: float, covariance: np.ndarray) -> np.ndarray:
    r"""Return G_4c of :math:`\tfrac12 f K^{-1} f + \tfrac{\lambda}{4!} \sum_x f(x)^4` to first order in lambda.

    .. math:: G_{4,c}(x_1, .., x_4) = -\lambda \sum_y \prod_i K(x_i, y)

    Source: demirtas2023.
    """
    K = covariance
    return -coupling * np.einsum("ay,by,cy,dy->abcd", K, K, K, K, optimize=True)
