"""Epsilon expansion: exponents of one-component phi^4 theory just below four dimensions."""

from __future__ import annotations


def coupling_flow(r: float, u: float, eps: float) -> tuple[float, float]:
    r"""Return (dr/dl, du/dl) of a sharp momentum shell to one loop, in d = 4 - eps, with the shell's constant in u.

    .. math:: \frac{dr}{dl} = 2 r + \frac{3 u}{1 + r}, \qquad \frac{du}{dl} = \epsilon u - \frac{9 u^2}{(1 + r)^2}

    Valid for small u and eps; lengths in units of the cutoff. Source: wilson1974.
    """
    return 2 * r + 3 * u / (1 + r), eps * u - 9 * u**2 / (1 + r) ** 2


def correlation_exponent(eps: float, order: int = 1) -> float:
    r"""Return nu in d = 4 - eps, expanded.

    .. math:: \nu = \tfrac12 + \tfrac{\epsilon}{12} + \tfrac{7 \epsilon^2}{162}

    Args:
        eps: 4 - d. At eps = 1: 0.5833 to first order and 0.6265 to second, where three dimensions have 0.62997; the
            series is asymptotic.
        order: 1 or 2.

    Source:
        wilson1972.
    """
    return 0.5 + eps / 12 + (7 * eps**2 / 162 if order == 2 else 0.0)


def from_two_loop_functions(eps: float) -> float:
    r"""Return nu from the field-theoretic functions to two loops, their zero taken numerically.

    .. math:: \beta(g) = -\epsilon g + 3 g^2 - \tfrac{17}{3} g^3, \qquad
        \frac1\nu = 2 - g + \tfrac56 g^2 \ \text{ at } \beta(g) = 0

    Differs from ``correlation_exponent(eps, 2)`` by terms of order eps^3. Valid for eps < 9/68, where a zero exists.
    Source: wilson1974.
    """
    root = (9 - 68 * eps / 3) ** 0.5  # beta / g = 0 is a quadratic equation
    g = (3 - root) / (34 / 3)
    return 1 / (2 - g + 5 * g**2 / 6)
