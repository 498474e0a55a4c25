"""Surrogate: random matrices whose population has the power-law tail that was fitted, and the p-value against them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from blockspin.couplings.power_law import Tail, find_tail

ROUNDS, DRAWS = 6, 3
"""Rounds in which the population is matched, and surrogates in each."""
ENOUGH = 10
"""Surrogates at least as far from a power law as the data, at which drawing stops."""
PILOTS = 20
"""Surrogates of the matched population, for the spread of alpha."""
STEEPER = 2.0
"""Spreads by which the tail that is tested against is steeper than the matched one."""
ZERO = np.finfo(np.float64).eps


@dataclass(frozen=True)
class SurrogateTest:
    """How a spectrum compares with random matrices that do have a power-law tail.

    Args:
        p_value: Probability of a fit as bad as this one if the tail were a power law.
        alpha_spread: Standard deviation of alpha over 20 surrogates of the matched population.
        drawn: How many surrogates the p-value rests on.
        population_alpha: Exponent of the population whose spectra give the alpha that was fitted.
    """

    p_value: float
    alpha_spread: float
    drawn: int
    population_alpha: float


def non_zero(eigenvalues: np.ndarray, rows: int) -> np.ndarray:
    """Return the eigenvalues that are not zero but for rounding of W^T W: above rows * 2.2e-16 of the largest."""
    return eigenvalues[eigenvalues > max(rows, len(eigenvalues)) * ZERO * eigenvalues.max()]


def wishart_spectra(population: np.ndarray, rows: int, count: int, rng: np.random.Generator) -> np.ndarray:
    r"""Return the eigenvalues, falling, of ``count`` matrices W^T W / rows, [count, N].

    W has ``rows`` independent Gaussian rows of N = len(population) <= rows independent entries with these variances. By
    Bartlett's decomposition W is replaced by a triangular N x N matrix of the same law of W^T W, which costs nothing
    more for many rows. Source: bartlett1933.
    """
    N = len(population)
    R = np.triu(rng.standard_normal((count, N, N)), 1)
    i = np.arange(N)
    R[:, i, i] = np.sqrt(rng.chisquare(rows - i, size=(count, N)))
    W = torch.from_numpy(R * np.sqrt(population / rows))
    return torch.linalg.eigvalsh(W.mT @ W).flip(1).clamp(min=0).numpy()


def power_law_population(tail: Tail, bulk: np.ndarray) -> np.ndarray:
    """Return variances, falling: ``tail.count`` quantiles of the power law above x_min, then the bulk, below it."""
    share = (np.arange(tail.count) + 0.5) / tail.count
    return np.concatenate([tail.x_min * share ** (-1 / (tail.alpha - 1)), np.minimum(np.sort(bulk)[::-1], tail.x_min)])


def matched_population(
    eigenvalues: np.ndarray, tail: Tail, rows: int, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Return the population with an exact power-law tail whose sample spectra look like the given one, and its alpha.

    A sample spectrum is wider than its population. So exponent, x_min and bulk of the population are moved, in rounds
    of falling steps, until surrogates fitted as the data were give the data's alpha on average, the data's
    eigenvalue at the foot of the tail, and (smoothed over ranks) the data's bulk.

    Args:
        eigenvalues: Of W^T W / rows, falling, positive.
        tail: What was fitted to them.
        rows: Rows of W, at least as many as eigenvalues.
        rng: Randomness.
    """
    m, target = tail.count, np.log(eigenvalues)
    width = max(2, len(target) // 10)
    bulk = _smooth(target, width)[m:]
    scale, foot = 1 / (tail.alpha - 1), np.log(tail.x_min)
    for turn in range(ROUNDS + 1):
        law = Tail(1 + 1 / scale, float(np.exp(foot)), m, 0.0, 0.0)
        population = power_law_population(law, np.exp(bulk))
        if turn == ROUNDS:
            break
        spectra = wishart_spectra(population, rows, DRAWS, rng)
        logs = np.log(np.maximum(spectra, ZERO * spectra[:, :1])).mean(0)
        found = np.mean([1 / (find_tail(non_zero(one, rows)).alpha - 1) for one in spectra])
        step = 1 / (1 + turn / 2)
        scale *= np.clip(1 / (tail.alpha - 1) / found, 0.5, 2) ** step
        foot += step * (target[m - 1] - logs[m - 1])
        bulk = np.sort(bulk + step * _smooth(target - logs, width)[m:])[::-1]
    return population, 1 + 1 / float(scale)


def surrogate_test(
    eigenvalues: np.ndarray, tail: Tail, rows: int, *, generator: torch.Generator, most: int = 99
) -> SurrogateTest:
    r"""Return the p-value of a power-law tail in the spectrum of a random matrix, and the spread of its exponent.

    The null: independent Gaussian rows whose population covariance has a smooth spectrum with an exact power law in its
    tail (``matched_population``). Every surrogate is fitted as the data were, x_min searched anew; the statistic is
    :math:`\sqrt m D`, distance times root of the number in the tail. It grows with the population's alpha, which is
    known to a spread only: surrogates are drawn at the upper end of its interval, two spreads up (berger1994), without
    which square matrices reject a true power law twice as often as they say. Drawing stops when ten are as far from a
    power law as the data (besag1991), else at ``most``.

    Args:
        eigenvalues: Of W^T W, any order, positive.
        tail: What ``find_tail`` gives on them.
        rows: Rows of W, at least as many as eigenvalues.
        generator: Randomness.
        most: Most surrogates.

    Do not trust when:
        The population's own eigenvalues are independent draws (they scatter more than quantiles: p is then too small),
        or entries of W are not near Gaussian. p is no smaller than it should be, but it is not uniform: it is too large
        where the tail is a small part of the spectrum. A p above the level is no proof of a power law: log-normal
        populations of 64 to 128 eigenvalues are rejected in a quarter of cases only.

    Source:
        clauset2009 for the refit of every surrogate, berger1994 for the interval, besag1991 for when to stop.
    """
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    falling = np.sort(eigenvalues)[::-1]
    unit = falling[0]  # the test has no scale
    given = Tail(tail.alpha, tail.x_min / unit, tail.count, tail.decades, tail.distance)
    population, population_alpha = matched_population(falling / unit, given, rows, rng)
    pilots = np.array([find_tail(non_zero(one, rows)).alpha for one in wishart_spectra(population, rows, PILOTS, rng)])
    foot = population[tail.count - 1]
    steeper = float(np.exp(-STEEPER * np.log(pilots - 1).std(ddof=1)))
    population[: tail.count] = foot * (population[: tail.count] / foot) ** steeper
    statistic, worse, drawn = tail.distance * tail.count**0.5, 0, 0
    while drawn < most and worse < ENOUGH:
        (spectrum,) = wishart_spectra(population, rows, 1, rng)
        fit = find_tail(non_zero(spectrum, rows))
        worse += fit.distance * fit.count**0.5 >= statistic
        drawn += 1
    p_value = worse / drawn if worse == ENOUGH else (worse + 1) / (drawn + 1)
    return SurrogateTest(p_value, float(pilots.std(ddof=1)), drawn, population_alpha)


def _smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Return values averaged over about ``width`` neighbours, odd about both ends so that slopes stay."""
    h = min(width, len(values) - 1)
    weights = np.hanning(2 * h + 3)[1:-1]
    padded = np.concatenate([2 * values[0] - values[h:0:-1], values, 2 * values[-1] - values[-2 : -h - 2 : -1]])
    return np.convolve(padded, weights / weights.sum(), "valid")
