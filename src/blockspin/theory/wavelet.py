"""Wavelet: the Gaussian field of spectrum 1/k^2 and its conditional covariances under Haar's transform."""

from __future__ import annotations

import numpy as np


def massless_covariance(side: int) -> np.ndarray:
    """Return the covariance [side^2, side^2] of the field of spectrum 1 / k^2 on a square torus.

    k^2 is the lattice's, 4 - 2 cos k_x - 2 cos k_y; the mode at zero gets the smallest other k^2. Source: marchand2022.
    """
    k = 2 - 2 * np.cos(2 * np.pi * np.arange(side) / side)
    square = k[:, None] + k[None]
    square[0, 0] = k[1]
    line = np.fft.ifft2(1 / square).real
    i = np.arange(side)
    gap = (i[:, None] - i[None]) % side
    return line[gap[:, None, :, None], gap[None, :, None, :]].reshape(side * side, side * side)


def full_condition(side: int) -> float:
    """Return the condition number of the field, 8 / (2 - 2 cos(2 pi / side)) for even sides. Closed form."""
    return 8 / (2 - 2 * np.cos(2 * np.pi / side))


def haar(side: int) -> np.ndarray:
    """Return the orthogonal matrix of a level of Haar's transform in the plane, [side^2, side^2], coarse rows first."""
    pair = np.kron(np.eye(side // 2), np.ones((1, 2))) / np.sqrt(2)
    jump = np.kron(np.eye(side // 2), np.array([[1.0, -1.0]])) / np.sqrt(2)
    return np.concatenate([np.kron(a, b) for a, b in ((pair, pair), (pair, jump), (jump, pair), (jump, jump))])


def coarse_covariance(covariance: np.ndarray, side: int) -> np.ndarray:
    """Return the covariance [side^2 / 4, side^2 / 4] of the coarse field of one level of Haar's transform. Exact."""
    rows = haar(side)[: side * side // 4]
    return rows @ covariance @ rows.T


def conditional_condition(covariance: np.ndarray, side: int) -> float:
    """Return the condition number of the details given the coarse field, from the precision matrix.

    The conditional covariance is the inverse of the details' block of the precision in Haar's basis; scaled to unit
    diagonal. Exact for any positive covariance [side^2, side^2]. Source: marchand2022.
    """
    H = haar(side)
    precision = H @ np.linalg.inv(covariance) @ H.T
    conditional = np.linalg.inv(precision[side * side // 4 :, side * side // 4 :])
    root = np.sqrt(conditional.diagonal())
    return float(np.linalg.cond(conditional / root / root[:, None]))
