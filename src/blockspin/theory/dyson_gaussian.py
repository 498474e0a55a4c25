"""Dyson Gaussian: the recursion of the hierarchical model with Gaussian spins, and its fixed point."""

from __future__ import annotations

from math import log


def mass_after_step(mass: float, strength: float, branching: int = 2) -> float:
    """Return r' = (B / c) r - 1 after B spins are replaced by sqrt(c) times their mean; the depth falls by one.

    Exact for every r that the law can be normalised at and 0 < c < B. Dimensionless. Source: collet1978.
    """
    return branching / strength * mass - 1


def critical_mass(strength: float, branching: int = 2) -> float:
    """Return r* = c / (B - c), which the recursion leaves unchanged; 0 < c < B. Source: collet1978."""
    return strength / (branching - strength)


def mass_exponent(strength: float, branching: int = 2) -> float:
    """Return y = 1 - ln c / ln B, of r - r* per factor B of length (the number of leaves). Source: collet1978."""
    return 1 - log(strength) / log(branching)
