"""Cylinder: scaling dimensions of the critical square-lattice Ising model from its row-to-row transfer matrix."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np


@dataclass(frozen=True)
class Dimensions:
    """Scaling dimensions read off a cylinder, with corrections of order L^-2.

    Args:
        spin: That of the spin; 1/8 on the infinite lattice.
        energy: That of the energy; 1 on the infinite lattice.
    """

    spin: float
    energy: float


def mode_energy(k: np.ndarray) -> np.ndarray:
    """Return gamma(k) >= 0 with cosh gamma = 2 - cos k, a fermion's energy at Onsager's coupling, per row.

    Source: kaufman1949.
    """
    return 2 * np.arcsinh(np.abs(np.sin(np.asarray(k, dtype=float) / 2)))  # cosh gamma - 1 = 2 sin^2(k/2)


def log_ratios(circumference: int) -> tuple[float, float]:
    r"""Return ln(Lambda_0 / Lambda_spin) and ln(Lambda_0 / Lambda_energy) of the transfer matrix of a ring of L spins.

    .. math:: \tfrac12 \Big[\sum_{k \in NS} \gamma(k) - \sum_{k \in R} \gamma(k)\Big], \qquad 2 \gamma(\pi / L),

    with k an odd (NS) or even (R) multiple of pi / L. Exact at the critical coupling for every L >= 2.
    Source: kaufman1949.
    """
    odd = pi * (2 * np.arange(circumference) + 1) / circumference
    even = odd - pi / circumference
    spin = float(mode_energy(odd).sum() - mode_energy(even).sum()) / 2
    return spin, float(2 * mode_energy(np.array(pi / circumference)))


def scaling_dimensions(circumference: int) -> Dimensions:
    r"""Return :math:`\Delta = (L / 2\pi) \ln(\Lambda_0 / \Lambda)` of the spin and of the energy.

    Correlations along the cylinder fall as exp(-2 pi Delta x / L) (cardy1984). Dimensionless; L in lattice spacings.
    Source: kaufman1949 for the eigenvalues.
    """
    return Dimensions(*(circumference / (2 * pi) * ratio for ratio in log_ratios(circumference)))
