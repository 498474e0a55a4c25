"""Migdal-Kadanoff: coupling recursions of the Ising model by moving bonds and decimating, exact on diamond lattices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cosh, exp, expm1, inf, log, log1p, sinh, tanh

from scipy.optimize import brentq

from blockspin.errors import FitFailedError


@dataclass(frozen=True)
class FixedPoint:
    """An unstable fixed point of a recursion of one coupling.

    Args:
        coupling: K*, in k_B T.
        thermal_exponent: y_t = ln(dK'/dK) / ln b.
    """

    coupling: float
    thermal_exponent: float

    @property
    def correlation_exponent(self) -> float:
        """Nu = 1 / y_t: the correlation length diverges as |K - K*|^-nu."""
        return 1 / self.thermal_exponent


def in_series(K: float, b: float) -> float:
    """Return artanh(tanh(K)^b), what b bonds in a row amount to once the spins between them are summed over.

    Digits are kept for strong couplings, where tanh K is 1 but for rounding. Valid for K >= 0 and real b > 0.
    Source: kadanoff1976.
    """
    if K == 0:
        return 0.0
    power = b * (log1p(-exp(-2 * K)) - log1p(exp(-2 * K)))
    return -log(-expm1(power) / (1 + exp(power))) / 2


def moved_then_decimated(K: float, dimension: float, b: float = 2) -> float:
    r"""Return K' where the bonds are moved together first and the spins between them are summed over afterwards.

    .. math:: K' = \operatorname{artanh}\big(\tanh^b(b^{d-1} K)\big)

    An approximation on Bravais lattices of d > 1 dimensions, for every K >= 0 and real b > 1. Couplings in k_B T.
    Source: kadanoff1976, after migdal1976.
    """
    return in_series(b ** (dimension - 1) * K, b)


def decimated_then_moved(K: float, dimension: float, b: float = 2) -> float:
    r"""Return K' where the spins are summed over first and the bonds are moved together afterwards.

    .. math:: K' = b^{d-1} \operatorname{artanh}(\tanh^b K)

    Exact on the diamond lattice whose bonds are each replaced by b^(d-1) branches of b bonds (berker1979), where
    b^(d-1) is whole. Its fixed point is b^(d-1) times that of the other order, with the same exponents.
    Source: migdal1976.
    """
    return b ** (dimension - 1) * in_series(K, b)


def linearised(K: float, dimension: float, b: float = 2) -> float:
    r"""Return dK'/dK of ``decimated_then_moved``, by differentiating the formula.

    .. math:: b^d \, t^{b-1} \frac{1 - t^2}{1 - t^{2b}}, \quad t = \tanh K

    Valid for K > 0. At the fixed points it is that of the other order as well. Source: kadanoff1976.
    """
    t = tanh(K)
    rest = -expm1(2 * b * (log1p(-exp(-2 * K)) - log1p(exp(-2 * K))))  # 1 - t^(2 b)
    return b**dimension * t ** (b - 1) / cosh(K) ** 2 / rest


def fixed_point(dimension: float, b: float = 2, *, moved_first: bool = True) -> FixedPoint:
    """Return the critical fixed point, K* to 1e-14 of itself.

    Args:
        dimension: d > 1, not necessarily whole.
        b: Ratio of new to old lattice spacing, b > 1, not necessarily whole.
        moved_first: Whether K* is that of ``moved_then_decimated`` or of ``decimated_then_moved``.

    Raises:
        FitFailedError: If there is none: in one dimension and below the only fixed points are 0 and infinity.

    Source:
        kadanoff1976.
    """
    _require_more_than_one(dimension)

    def excess(K: float) -> float:
        return decimated_then_moved(K, dimension, b) - K

    K = _root(excess)
    exponent = log(linearised(K, dimension, b)) / log(b)
    return FixedPoint(K / b ** (dimension - 1) if moved_first else K, exponent)


def infinitesimal_flow(K: float, dimension: float) -> float:
    r"""Return dK/dl for b = e^dl near 1, where the two orders agree.

    .. math:: \frac{dK}{dl} = (d - 1) K + \tfrac12 \sinh(2K) \ln\tanh K

    Valid for K > 0. In two dimensions it vanishes at Onsager's critical coupling. Source: migdal1976.
    """
    return (dimension - 1) * K + sinh(2 * K) * log(tanh(K)) / 2


def infinitesimal_fixed_point(dimension: float) -> FixedPoint:
    """Return the critical fixed point of ``infinitesimal_flow``; y_t = d + cosh(2K) ln tanh K there.

    Raises:
        FitFailedError: If d <= 1.

    Source:
        migdal1976.
    """
    _require_more_than_one(dimension)
    K = _root(lambda K: infinitesimal_flow(K, dimension))
    return FixedPoint(K, dimension + cosh(2 * K) * log(tanh(K)))


def _require_more_than_one(dimension: float) -> None:
    if not 1 < dimension < inf:
        raise FitFailedError(
            f"the Ising model in {dimension} dimensions has no critical coupling", "Use a dimension above one."
        )


def _root(excess: Callable[[float], float]) -> float:
    """Return the only zero above 0 of a flow that falls at first and rises at last."""
    low, high = 1e-3, 1.0
    while excess(low) >= 0:
        low /= 10
    while excess(high) <= 0:
        high *= 2
    return float(brentq(excess, low, high, xtol=1e-15, rtol=8.9e-16))
