"""Learning coefficient: how fast the posterior volume shrinks at a minimum, in closed form and at a temperature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Coefficient:
    """The volume of loss below e falls as e^value (-ln e)^(multiplicity - 1).

    Args:
        value: lambda; half the number of parameters where the minimum is regular.
        multiplicity: m.
    """

    value: Fraction
    multiplicity: int


def normal_crossing(powers: Sequence[int]) -> Coefficient:
    r"""Return that of :math:`K = \prod_i w_i^{2 k_i}`: the least 1 / (2 k_i), as often as it occurs.

    Parameters that the loss does not depend on (k = 0) do not count; one of them must. Source: watanabe2009.
    """
    value = Fraction(1, 2 * max(powers))
    return Coefficient(value, sum(k == max(powers) for k in powers))


def reduced_rank(shape: tuple[int, int, int], rank: int) -> Coefficient:
    """Return that of a linear network with one hidden layer, whose true map has a given rank.

    Args:
        shape: Inputs M, hidden units H and outputs N.
        rank: r, at most the least of the three.

    Source:
        aoyagi2005.
    """
    (M, H, N), r = shape, rank
    if N + r > M + H:
        return Coefficient(Fraction(H * M - H * r + N * r, 2), 1)
    if M + r > N + H:
        return Coefficient(Fraction(H * N - H * r + M * r, 2), 1)
    if H + r > M + N:
        return Coefficient(Fraction(M * N, 2), 1)
    eighths = -((H + r) ** 2) - M**2 - N**2 + 2 * (H + r) * (M + N) + 2 * M * N
    odd = (M + H + N + r) % 2
    return Coefficient(Fraction(eighths + odd, 8), 1 + odd)


def deep_linear(widths: Sequence[int], rank: int) -> Coefficient:
    r"""Return that of a linear network of any depth, whose true map has a given rank.

    With :math:`M_s = H_s - r`, S the l + 1 layers of least excess that satisfy
    :math:`l \max_S M \le \sum_S M < l \min_{\bar S} M`, and :math:`a = \sum_S M - (\lceil \sum_S M / l \rceil - 1) l`,

    .. math:: \lambda = \frac{r (H_1 + H_{L+1}) - r^2}{2} + \frac{a (l - a)}{4 l}
        - \frac{l (l - 1)}{4} \Big( \frac{\sum_S M}{l} \Big)^2 + \frac12 \sum_{i < j \in S} M_i M_j

    and m = a (l - a) + 1.

    Args:
        widths: H_1 (inputs) to H_{L+1} (outputs).
        rank: r, at most the least of the widths.

    Source:
        aoyagi2024.
    """
    M = sorted(h - rank for h in widths)
    for l in range(1, len(M)):  # noqa: E741
        S, rest = M[: l + 1], M[l + 1 :]
        total = sum(S)
        if total >= l * S[-1] and (not rest or (S[-1] < rest[0] and total < l * rest[0])):
            break
    a = total - (-(-total // l) - 1) * l
    pairs = Fraction(total**2 - sum(m * m for m in S), 4)
    outer = Fraction(rank * (widths[0] + widths[-1]) - rank**2, 2)
    value = outer + Fraction(a * (l - a), 4 * l) - Fraction((l - 1) * total**2, 4 * l) + pairs
    return Coefficient(value, a * (l - a) + 1)


def running_normal_crossing(powers: tuple[int, int], t: float, panels: int = 60) -> float:
    r"""Return :math:`\lambda(t) = t \langle K \rangle_t` of :math:`K = w_1^{2 k_1} w_2^{2 k_2}` on [-1, 1]^2.

    The posterior is exp(-t K), t = n beta. With a multiplicity above 1 it tends to lambda as slowly as 1 / ln t, so
    that an estimate at a finite temperature has to be compared with this. To 1e-8 for t up to 1e12.

    Args:
        powers: k_1 and k_2.
        t: Scale: number of data times inverse temperature.
        panels: Of eight Gauss-Legendre nodes each, in -ln w from 0 to 45.

    Source:
        watanabe2009.
    """
    node, weight = np.polynomial.legendre.leggauss(8)
    h = 45 / panels
    u = ((np.arange(panels)[:, None] + (node + 1) / 2) * h).ravel()
    w = np.tile(weight * h / 2, panels) * np.exp(-u)
    K = np.exp(-2 * (powers[0] * u[:, None] + powers[1] * u[None]))
    p = np.exp(-t * K)
    return float(t * (w @ (K * p) @ w) / (w @ p @ w))


def loss_kernel(hessians: np.ndarray, gradients: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    r"""Return the covariance of the samples' losses over a Gaussian posterior, [n, n], each loss a quadratic.

    .. math:: \operatorname{Cov}(\ell_i, \ell_j) = \tfrac12 \operatorname{tr}(H_i S H_j S) + g_i^T S g_j

    Args:
        hessians: H [n, d, d].
        gradients: g [n, d] at the posterior's mean.
        covariance: S [d, d], as of :math:`(t H + \gamma)^{-1}`.

    Source:
        watanabe2009 for the tempered posterior; the moments are Wick's.
    """
    HS = hessians @ covariance
    return np.einsum("iab,jba->ij", HS, HS) / 2 + gradients @ covariance @ gradients.T
