"""Spin glass: Migdal-Kadanoff recursion of random couplings, as pools of bonds and as a density at zero temperature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from blockspin.errors import FitFailedError

Pool = np.ndarray
"""Couplings J / T of independent bonds, float64 [bonds]."""


def gaussian_pool(bonds: int, rng: np.random.Generator) -> Pool:
    """Return bonds of mean 0 and variance 1. Source: edwards1975."""
    return rng.standard_normal(bonds)


def plus_minus_pool(bonds: int, rng: np.random.Generator) -> Pool:
    """Return bonds that are 1 or -1, either with probability one half. Source: edwards1975."""
    return rng.integers(0, 2, bonds) * 2.0 - 1


def in_series(first: Pool, second: Pool) -> Pool:
    r"""Return artanh(tanh J_1 tanh J_2), exactly and for bonds of any strength.

    .. math:: \tfrac12 \ln\frac{\cosh(J_1 + J_2)}{\cosh(J_1 - J_2)}

    Source: southern1977.
    """
    total, gap = np.abs(first + second), np.abs(first - second)
    return (total - gap + np.log1p(np.exp(-2 * total)) - np.log1p(np.exp(-2 * gap))) / 2


def weaker(first: Pool, second: Pool) -> Pool:
    """Return the bond of smaller modulus with the product of the signs: ``in_series`` at zero temperature."""
    return np.sign(first * second) * np.minimum(np.abs(first), np.abs(second))


def renormalised_pool(
    pool: Pool,
    dimension: int,
    rng: np.random.Generator,
    join: Callable[[Pool, Pool], Pool] = in_series,
) -> Pool:
    r"""Return as many bonds after one step by b = 2: each is a sum over 2^(d-1) branches of two bonds drawn at random.

    .. math:: K' = \sum_{i=1}^{2^{d-1}} \operatorname{artanh}(\tanh K_{i1} \tanh K_{i2})

    Exact in law on the diamond lattice for a pool of infinite size. ``join`` is ``weaker`` at zero temperature.
    Source: southern1977.
    """
    branches = 2 ** (dimension - 1)
    drawn = pool[rng.integers(0, len(pool), (2, branches, len(pool)))]
    return join(drawn[0], drawn[1]).sum(axis=0)


def pool_widths(
    pool: Pool, dimension: int, steps: int, rng: np.random.Generator, join: Callable[[Pool, Pool], Pool] = in_series
) -> np.ndarray:
    """Return the root mean square coupling after 0, 1, ... steps, float64 [steps + 1].

    Above the critical temperature it falls in the end, below it grows as length^theta. At zero temperature (``join``
    is ``weaker``) its growth is log2-linear with slope theta once the shape has settled. Source: southern1977.
    """
    widths = [np.sqrt(np.mean(pool**2))]
    for _ in range(steps):
        pool = renormalised_pool(pool, dimension, rng, join)
        widths.append(np.sqrt(np.mean(pool**2)))
    return np.array(widths)


def density_widths(temperature: float, dimension: int, steps: int, cells: int = 400) -> np.ndarray:
    r"""Return what ``pool_widths`` tends to for infinitely many Gaussian bonds of variance 1 / T^2, without randomness.

    The density of |K| is carried on a grid that grows with its width. Two bonds in a row exceed k with probability
    :math:`\int 2 p(K) \, P(|K'| > \operatorname{artanh}(\tanh k / \tanh K)) \, dK`, and branches are convolved by
    Fourier transform. T = 0 takes the weaker bond instead, and rescales to unit width at each step.

    Args:
        temperature: T in units of the couplings' width, at least 0.
        dimension: d, a whole number of at least 2; b = 2.
        steps: How many.
        cells: Cells of the half axis; the error falls as their square and is below 1e-3 of a width for 400.

    Source:
        southern1977.
    """
    branches = 2 ** (dimension - 1)
    width = 1 / temperature if temperature > 0 else 1.0
    grid = _half_axis(cells)
    density = np.exp(-(grid**2) / 2)  # of K / width
    widths = [width]
    for _ in range(steps):
        tail = _series_tail(density, grid, width if temperature > 0 else np.inf)
        ratio, density = _convolved(-np.diff(tail), grid, branches)
        width *= ratio
        widths.append(width)
    return np.array(widths)


def stiffness_exponent(dimension: int) -> float:
    """Return theta = log2 of the growth of the couplings at zero temperature, from the density; error below 2e-3.

    A spin-glass phase exists where it is positive. Dimensionless, b = 2. Source: southern1977.
    """
    widths = density_widths(0.0, dimension, 24)
    return float(np.log2(widths[-1] / widths[-2]))


def critical_temperature(dimension: int, steps: int = 16) -> float:
    """Return T_c in units of the Gaussian couplings' width, by bisection on whether the width grows in the end.

    Error below 1 % for d = 3. b = 2. Source: southern1977.

    Raises:
        FitFailedError: If the couplings shrink even at T = 0.1: there is no spin-glass phase.
    """

    def grows(temperature: float) -> bool:
        widths = density_widths(temperature, dimension, steps, 200)
        return bool(widths[-1] > widths[-2])

    low, high = 0.1, 4.0
    if not grows(low):
        raise FitFailedError(f"no spin-glass phase in {dimension} dimensions", "Use three dimensions or more.")
    while high - low > 2e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if grows(middle) else (low, middle)
    return (low + high) / 2


def _half_axis(cells: int, reach: float = 7.0) -> np.ndarray:
    """Return cell centres above 0, in widths."""
    return (np.arange(cells) + 0.5) * reach / cells


def _series_tail(density: np.ndarray, grid: np.ndarray, width: float) -> np.ndarray:
    """Return P(|K| > k) of two bonds in a row at the edges of the cells; an infinite width is zero temperature."""
    share = density / density.sum()  # of |K|
    beyond = np.concatenate([[1.0], 1 - np.cumsum(share)])
    edges = np.arange(len(grid) + 1) * (grid[1] - grid[0])
    if np.isinf(width):
        return beyond**2
    k, K = edges[:, None] * width, grid[None] * width
    gap = np.where(k < K, K - k, 1.0)
    needed = k + (np.log(-np.expm1(-2 * (K + k))) - np.log(-np.expm1(-2 * gap))) / 2  # artanh(tanh k / tanh K)
    return np.where(k < K, np.interp(needed / width, edges, beyond), 0.0) @ share


def _convolved(density: np.ndarray, grid: np.ndarray, copies: int) -> tuple[float, np.ndarray]:
    """Return the width of a sum of symmetric variables, and its density on the grid in units of that width."""
    step, n = grid[1] - grid[0], len(grid)
    whole = np.concatenate([density[::-1], density])
    wave = np.fft.rfft(whole / whole.sum(), 2 * n * copies)
    total = np.fft.irfft(wave**copies, 2 * n * copies)
    position = (np.arange(len(total)) - copies * (n - 0.5)) * step
    width = float(np.sqrt((total * position**2).sum()))
    return width, np.interp(grid * width, position, total)
