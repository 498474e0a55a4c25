"""Dual activations: what one layer of infinitely many units makes of a covariance, in closed form or by a series."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import pi, sqrt
from typing import Protocol

import torch
from torch import Tensor

from blockspin.errors import ConfigError, FitFailedError
from blockspin.theory.gaussian_average import Function, averages, slope


class Dual(Protocol):
    """How an activation phi acts on Gaussian variables; everything is float64."""

    def single(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """Return <phi(u)^2> and <phi'(u)^2> for variances k [n]."""

    def pairs(self, K: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return <phi(u) phi(v)> and <phi'(u) phi'(v)> for covariances K [n, m]; may overwrite K.

        Args:
            K: Covariances.
            left: Variances of u [n].
            right: Variances of v [m].
        """


@dataclass(frozen=True)
class PiecewiseLinear:
    r"""Two slopes that meet at zero: ReLU (0, 1), leaky ReLU, the modulus (-1, 1), the identity (1, 1).

    .. math:: \langle \phi \phi \rangle = s^2 K + d^2 \tfrac{2}{\pi} \sqrt{k k'} \,(\sqrt{1 - c^2} + c \arcsin c),
        \qquad \langle \phi' \phi' \rangle = s^2 + d^2 \tfrac{2}{\pi} \arcsin c

    with s and d half of the sum and of the difference of the slopes, c the correlation. Exact; rounding of c leaves an
    error of 1e-8 in the second where c is within 1e-16 of 1.

    Args:
        negative: Slope below zero.
        positive: Slope above zero.

    Source:
        cho2009.
    """

    negative: float = 0.0
    positive: float = 1.0

    def single(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """Return (a^2 + b^2) k / 2 and (a^2 + b^2) / 2.

        Raises:
            ConfigError: If a variance is 0: two such variables have no correlation.
        """
        if (k <= 0).any():
            raise ConfigError("variance", 0.0, "above 0: an input that is zero, without bias, has no correlation")
        square = (self.negative**2 + self.positive**2) / 2
        return square * k, torch.full_like(k, square)

    def pairs(self, K: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two averages; overwrites K."""
        s, d = (self.positive + self.negative) / 2, (self.positive - self.negative) / 2
        a, b = left.sqrt()[:, None], right.sqrt()
        c = K.mul_(1 / a).mul_(1 / b).clamp_(-1, 1)
        angle = c.asin()
        root = torch.addcmul(c.new_ones(()), c, c, value=-1).sqrt_()
        share = 2 * d**2 / pi
        both = root.addcmul_(c, angle).mul_(share).add_(c, alpha=s**2).mul_(a).mul_(b)
        return both, angle.mul_(share).add_(s**2)


@dataclass(frozen=True)
class Erf:
    r"""The error function erf(g z) of gain g; g = sqrt(pi) / 2 makes its slope at zero 1.

    .. math:: \langle \phi \phi \rangle = \tfrac{2}{\pi} \arcsin\rho, \quad
        \langle \phi' \phi' \rangle = \frac{4 g^2}{\pi \sqrt{(1 + 2 g^2 k)(1 + 2 g^2 k')}} \frac{1}{\sqrt{1 - \rho^2}},
        \quad \rho = \frac{2 g^2 K}{\sqrt{(1 + 2 g^2 k)(1 + 2 g^2 k')}}

    Exact. Args: gain: g. Source: williams1997.
    """

    gain: float = 1.0

    def single(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two averages of one variable."""
        k = 2 * self.gain**2 * k
        return (2 / pi) * (k / (1 + k)).asin(), 4 * self.gain**2 / pi / (1 + 2 * k).sqrt()

    def pairs(self, K: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two averages; overwrites K."""
        g = 2 * self.gain**2
        a, b = (1 + g * left).rsqrt()[:, None], (1 + g * right).rsqrt()
        rho = K.mul_(g * a).mul_(b)
        bent = torch.addcmul(rho.new_ones(()), rho, rho, value=-1).rsqrt_().mul_(2 * g / pi * a).mul_(b)
        return rho.asin_().mul_(2 / pi), bent


@dataclass(frozen=True)
class Series:
    r"""Any smooth activation, by Mehler's series in the correlation.

    .. math:: \langle \phi(u) \phi(v) \rangle = \sum_n a_n(k)\, a_n(k')\, c^n, \qquad
        a_n(k) = \langle \phi(\sqrt{k}\, x)\, h_n(x) \rangle

    with orthonormal Hermite polynomials. By Parseval what the terms beyond the last sum up to is at most
    <phi^2> - sum a_n^2, and as many are taken as make that less than ``tolerance`` of <phi^2>; likewise for phi'. Where
    all of them do not, as at a kink, the sum is refused.

    Args:
        phi: The activation, in torch.
        tolerance: Largest part of the average that may be left out; from 1e-13.
        most: Largest number of terms, up to 400.
    """

    phi: Function
    tolerance: float = 1e-10
    most: int = 400

    def __post_init__(self):
        if not (1 <= self.most <= 400 and self.tolerance >= 1e-13):
            raise ConfigError("most, tolerance", (self.most, self.tolerance), "from 1 to 400 terms, and from 1e-13")

    def single(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two averages of one variable, by quadrature."""
        derivative = slope(self.phi)
        return averages(lambda z: self.phi(z).square(), k), averages(lambda z: derivative(z).square(), k)

    def pairs(self, K: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two averages.

        Raises:
            FitFailedError: If the terms do not suffice, as for activations with a kink.
        """
        c = (K / left.sqrt()[:, None] / right.sqrt()).clamp_(-1, 1)
        return self._summed(self.phi, c, left, right), self._summed(slope(self.phi), c, left, right)

    def _summed(self, phi: Function, c: Tensor, left: Tensor, right: Tensor) -> Tensor:
        a, b = _coefficients(phi, left, self.most), _coefficients(phi, right, self.most)
        out, last = torch.zeros_like(c), max(self._needed(phi, left, a), self._needed(phi, right, b))
        for n in range(last, -1, -1):
            out = out.mul_(c).addr_(a[n], b[n])
        return out

    def _needed(self, phi: Function, k: Tensor, a: Tensor) -> int:
        """Return the last term needed."""
        square = averages(lambda z: phi(z).square(), k)
        rest = ((square - a.square().cumsum(0)) / square).amax(1)
        if rest[-1] > self.tolerance:
            raise FitFailedError(
                f"{self.most} terms leave out {float(rest[-1]):.1e} of the average",
                "Use more, or a closed form for a kink.",
            )
        return int((rest <= self.tolerance).nonzero()[0])


def _coefficients(phi: Function, k: Tensor, terms: int) -> Tensor:
    """Return a_n [terms, n]."""
    x, w = _rule()
    y = phi(torch.outer(x, k.sqrt())) * w[:, None]
    a, last, h = torch.empty(terms, len(k), dtype=k.dtype), torch.zeros_like(x), torch.ones_like(x)
    for n in range(terms):
        a[n] = h @ y
        last, h = h, (x * h - sqrt(n) * last) / sqrt(n + 1)
    return a


@cache
def _rule() -> tuple[Tensor, Tensor]:
    """Return a rule for N(0, 1) that resolves 400 Hermite polynomials, the last of which ends at 40 deviations.

    The trapezoidal rule is exponentially accurate for analytic functions that vanish at both ends.
    """
    nodes = torch.linspace(-44, 44, 2401, dtype=torch.float64)
    return nodes, (-nodes.square() / 2).exp() * (nodes[1] - nodes[0]) / sqrt(2 * pi)
