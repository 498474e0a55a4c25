"""Dual activations: what one layer of infinitely many units makes of a covariance, in closed form or by a series."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import pi, sqrt
from typing import Protocol

import numpy as np
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
        """Return (a^2 + b^2) k / 2 and (a^2 + b^2) / 2."""
        square = (self.negative**2 + self.positive**2) / 2
        return square * k, torch.full_like(k, square)

    def pairs(self, K: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two averages; overwrites K."""
        s, d = (self.positive + self.negative) / 2, (self.positive - self.negative) / 2
        if (left <= 0).any() or (right <= 0).any():
            raise ConfigError("variance", 0.0, "above 0: an input that is zero, without bias, has no correlation")
        a, b = left.sqrt()[:, None], right.sqrt()
        c = K.div_(a).div_(b).clamp_(-1, 1)
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
    <phi^2> - sum a_n^2; where that is more than ``tolerance`` of <phi^2>, or of <phi'^2>, the sum is refused.

    Args:
        phi: The activation, in torch.
        terms: Number of terms; at most 150, where the quadrature of the coefficients ends.
        tolerance: Largest part of the average that may be left out.
    """

    phi: Function
    terms: int = 100
    tolerance: float = 1e-9

    def __post_init__(self):
        if not 1 <= self.terms <= 150:
            raise ConfigError("terms", self.terms, "from 1 to 150")

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
        a, b = self._coefficients(phi, left), self._coefficients(phi, right)
        out = torch.outer(a[-1], b[-1])
        for n in range(self.terms - 2, -1, -1):
            out = out.mul_(c).addr_(a[n], b[n])
        return out

    def _coefficients(self, phi: Function, k: Tensor) -> Tensor:
        """Return a_n [terms, n], and refuse where their squares fall short of the average of the square."""
        x, w = _rule()
        y = phi(torch.outer(x, k.sqrt())) * w[:, None]
        square = (y.square() / w[:, None]).sum(0)
        a, last, h = torch.empty(self.terms, len(k), dtype=k.dtype), torch.zeros_like(x), torch.ones_like(x)
        for n in range(self.terms):
            a[n] = h @ y
            last, h = h, (x * h - sqrt(n) * last) / sqrt(n + 1)
        rest = float(((square - a.square().sum(0)) / square).max())
        if rest > self.tolerance:
            raise FitFailedError(
                f"{self.terms} terms leave out {rest:.1e} of the average", "Use more, or a closed form for a kink."
            )
        return a


@cache
def _rule() -> tuple[Tensor, Tensor]:
    """Return a rule for N(0, 1) that resolves 150 Hermite polynomials, the last of which ends at 25 deviations."""
    x, w = np.polynomial.legendre.leggauss(800)
    nodes = torch.from_numpy(x * 28.0)
    return nodes, torch.from_numpy(w * 28.0) * (-nodes.square() / 2).exp() / sqrt(2 * pi)
