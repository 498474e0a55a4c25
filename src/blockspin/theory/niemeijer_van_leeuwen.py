"""Niemeijer-van Leeuwen: majority of three spins on the triangular lattice, to first order between the blocks."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

RATIO = sqrt(3)
"""b: three sites of the triangular lattice make a block, b^2 = 3."""


@dataclass(frozen=True)
class FirstCumulant:
    """The critical point of the first cumulant and what it says of the exponents.

    Args:
        coupling: K*, in k_B T; Wannier's exact value for this lattice is ln(3) / 4 = 0.2747.
        thermal_exponent: y_t; exactly 1.
        field_exponent: y_h; exactly 15/8.
    """

    coupling: float
    thermal_exponent: float
    field_exponent: float


def block_response(K: float) -> float:
    r"""Return the mean of one spin of a triangle that stands alone, given that its majority is up.

    .. math:: p(K) = \frac{e^{3K} + e^{-K}}{e^{3K} + 3 e^{-K}}

    Valid for every K. Dimensionless. Source: niemeijer1973.
    """
    return (exp(4 * K) + 1) / (exp(4 * K) + 3)


def renormalised_coupling(K: float) -> float:
    """Return K' = 2 K p(K)^2: two bonds join neighbouring blocks. First order in the bonds between blocks.

    In k_B T. The truncation is not controlled: exponents are off by 12 % and 27 %. Source: niemeijer1973.
    """
    return 2 * K * block_response(K) ** 2


def renormalised_field(h: float, K: float) -> float:
    """Return h' = 3 h p(K), to first order in a small field. In k_B T. Source: niemeijer1973."""
    return 3 * h * block_response(K)


def first_cumulant() -> FirstCumulant:
    r"""Return the critical point in closed form.

    p(K*)^2 = 1/2 gives :math:`K^* = \tfrac14 \ln(1 + 2\sqrt2)`; there dK'/dK = 1 + 2 K p' / p with
    :math:`p' = 8 e^{4K} / (e^{4K} + 3)^2`, and dh'/dh = 3 / sqrt 2. Source: niemeijer1973.
    """
    K = log(1 + 2 * sqrt(2)) / 4
    w = exp(4 * K)
    slope = 1 + 2 * K * (8 * w / (w + 3) ** 2) / block_response(K)
    return FirstCumulant(K, log(slope) / log(RATIO), log(3 / sqrt(2)) / log(RATIO))
