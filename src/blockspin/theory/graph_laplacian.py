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
