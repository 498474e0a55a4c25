"""Graph Laplacian: closed-form spectra of lattices, and plateaus of the heat capacity of graphs of known dimension."""

from __future__ import annotations

from math import log

import numpy as np


def torus_spectrum(shape: tuple[int, ...]) -> np.ndarray:
    """Return the eigenvalues sum over axes of 2 - 2 cos(2 pi m / n) of D - A on a periodic lattice, [sites], unsorted.

    Exact for axes of at least three sites. Source: villegas2023 for the setting; Fourier modes diagonalise it.
    """
    axes = [2 - 2 * np.cos(2 * np.pi * np.arange(n) / n) for n in shape]
    total = axes[0]
    for axis in axes[1:]:
        total = (total[:, None] + axis[None]).reshape(-1)
    return total


def star_spectrum(leaves: int) -> np.ndarray:
    """Return the eigenvalues 0, 1 (leaves - 1 times) and leaves + 1 of a star. Exact for at least one leaf."""
    return np.array([0.0, *[1.0] * (leaves - 1), leaves + 1.0])


def sierpinski_spectrum(level: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the distinct eigenvalues of 4 (1 - D^-1 A) of the Sierpinski gasket, ascending, and their multiplicities.

    Each level's eigenvalues come from those of the one before by :math:`\lambda (5 - \lambda) = \lambda'` (spectral
    decimation: the forgotten nodes are summed out exactly), but for 2, and for 5 below 0, with 6 born
    :math:`(3^m + 3)/2` and 5 born :math:`(3^{m-1} - 1)/2` times at level m. A triangle is level 0;
    :math:`(3^{m+1} + 3)/2` nodes. Exact. Source: fukushima1992.
    """
    found = {0.0: 1, 6.0: 2}
    for m in range(1, level + 1):
        new = {0.0: 1, 6.0: (3**m + 3) // 2}
        if m > 1:
            new[5.0] = (3 ** (m - 1) - 1) // 2
        for value, count in found.items():
            root = max(25 - 4 * value, 0.0) ** 0.5
            for child in ((5 - root) / 2, (5 + root) / 2):
                if value and child != 2.0:
                    new[child] = new.get(child, 0) + count
        found = new
    values = np.array(sorted(found))
    return values, np.array([found[value] for value in values])


def plateau(spectral_dimension: float) -> float:
    """Return C = d_s / 2, the heat capacity where the density of eigenvalues is a power law of exponent d_s / 2 - 1.

    Between the inverse of the largest and of the smallest non-zero eigenvalue. Dimensionless. Source: villegas2023.
    """
    return spectral_dimension / 2


SIERPINSKI_DIMENSION = 2 * log(3) / log(5)
"""Spectral dimension of the Sierpinski gasket in the plane, exact; C swings about half of it, log-periodically."""
TREE_DIMENSION = 4 / 3
"""Spectral dimension of large uniform random trees."""
GROWN_TREE_DIMENSION = 2.0
"""Spectral dimension of trees grown by preferential attachment, as measured by villegas2023."""
