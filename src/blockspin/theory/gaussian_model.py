"""Gaussian model: its flow under a momentum shell, block averages as exact sums, and the hierarchical tree."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import numpy as np
from numpy.typing import ArrayLike


def mass_after_shell(mass: float, b: float, eta: float = 0.0) -> float:
    """Return r' = b^(2 - eta) r, the mass term after modes beyond pi / b are integrated out and lengths rescaled.

    The field is renormalised so that the coefficient of |k|^(2 - eta) stays 1; exact, since Gaussian modes do not
    couple. r in spacings^-(2-eta), b >= 1. Its logarithmic derivative y = 2 - eta makes r relevant. Source: wilson1974.
    """
    return b ** (2 - eta) * mass


def wave_numbers(sites: int) -> np.ndarray:
    """Return 2 pi n / L in [-pi, pi), in order of n = 0, 1, ..., -1, in inverse spacings."""
    n = np.arange(sites)
    return 2 * pi * np.where(n <= (sites - 1) // 2, n, n - sites) / sites


def spectrum(shape: Sequence[int], mass: float, eta: float = 0.0) -> np.ndarray:
    r"""Return S(k) of every mode of a periodic lattice, an array of its shape.

    .. math:: S(k) = 1 / (|k|^{2 - \eta} + r)

    The mode k = 0 is left out (0) where r = 0. Valid for r >= 0, eta <= 2. Source: wilson1974.
    """
    k_squared = sum(k**2 for k in np.meshgrid(*(wave_numbers(n) for n in shape), indexing="ij"))
    bare = np.asarray(k_squared) ** ((2 - eta) / 2) + mass
    return np.divide(1.0, bare, out=np.zeros_like(bare), where=bare > 0) if mass == 0 else 1 / bare


def block_average_variance(shape: Sequence[int], mass: float, b: int, eta: float = 0.0) -> float:
    r"""Return the variance of the mean over a block of b^d sites, exactly, on a finite periodic lattice.

    .. math:: \frac1N \sum_k S(k) \prod_a \left[\frac{\sin(b k_a/2)}{b \sin(k_a/2)}\right]^2

    Units of the field squared. Valid for b >= 1 and every lattice. For 1 << b << L and r = 0 it falls as
    b^(2 - eta - d), and the sum over the block grows with K = b^d sites as K^(1 + (2 - eta)/d). Source: wilson1974.
    """
    window = np.ones(())
    for sites in shape:
        k = wave_numbers(sites)
        half = np.sin(k / 2)
        form = np.where(np.abs(half) < 1e-12, 1.0, np.sin(b * k / 2) / (b * np.where(half == 0, 1.0, half)))
        window = window[..., None] * form**2
    return float((spectrum(shape, mass, eta) * window).mean())


def rank_exponent(dimension: int, eta: float = 0.0) -> float:
    """Return mu = (2 - eta) / d: covariance eigenvalues of a scale-free field fall as rank^-mu. Source: wilson1974."""
    return (2 - eta) / dimension


def block_sum_exponent(dimension: int, eta: float = 0.0) -> float:
    """Return 1 + (2 - eta) / d: sums over blocks of K sites of a scale-free field have variance K to that power.

    2 - d - eta > -d is needed; without correlations (eta = 2) it is 1. Source: wilson1974.
    """
    return 1 + rank_exponent(dimension, eta)


def block_sum_slopes(shape: Sequence[int], sizes: Sequence[int], eta: float = 0.0) -> np.ndarray:
    """Return the local slopes of ln(variance of block sums) against ln K between given block sides, exactly.

    For a massless field without its mode k = 0. They stay below ``block_sum_exponent``, on 256 x 256 sites by 0.03 to
    0.2: by the lattice at one end and the missing mode at the other. Source: wilson1974.
    """
    d, b = len(shape), np.asarray(sizes, dtype=float)
    variances = [block_average_variance(shape, 0.0, int(size), eta) * size ** (2 * d) for size in sizes]
    return np.diff(np.log(variances)) / (d * np.diff(np.log(b)))


def rank_slope(shape: Sequence[int], ranks: tuple[int, int], eta: float = 0.0) -> float:
    """Return minus the slope of ln(eigenvalue) against ln(rank) over a range of ranks, by least squares, exactly.

    For the covariance of a massless periodic field; it tends to ``rank_exponent``, from which the corners of the zone
    of wave vectors keep it. Source: wilson1974.
    """
    S = np.sort(spectrum(shape, 0.0, eta).reshape(-1))[::-1][ranks[0] - 1 : ranks[1]]
    rank = np.arange(ranks[0], ranks[0] + len(S))
    return -float(np.polyfit(np.log(rank), np.log(S), 1)[0])


def tree_level_variances(variances: ArrayLike, branching: int) -> np.ndarray:
    """Return the level variances of a hierarchical field after each lowest subtree is replaced by its mean.

    The leaves' own noise is averaged (v_0 / B) and joins their parent's: v'_0 = v_0 / B + v_1, v'_l = v_{l+1}. Exact,
    for two levels or more. Units of the field squared. Source: dyson1969.
    """
    v = np.asarray(variances, dtype=float)
    coarse = v[1:].copy()
    coarse[0] += v[0] / branching
    return coarse


def tree_spectrum(variances: ArrayLike, branching: int) -> np.ndarray:
    r"""Return the covariance eigenvalues of a hierarchical field on the leaves of a tree, in descending order.

    Differences between the children of a node at height l (there are B^(D-l) (B - 1) of them) have eigenvalue
    :math:`\sum_{j<l} v_j B^j`, and the mean over all leaves has :math:`\sum_{j \le D} v_j B^j`. Exact.
    Source: dyson1969.
    """
    v = np.asarray(variances, dtype=float)
    depth = len(v) - 1
    partial = np.cumsum(v * float(branching) ** np.arange(depth + 1))
    counts = [branching ** (depth - level) * (branching - 1) for level in range(1, depth + 1)]
    return np.sort(np.concatenate([np.repeat(partial[:-1], counts), partial[-1:]]))[::-1]
