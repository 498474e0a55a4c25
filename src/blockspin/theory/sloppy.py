"""Sloppy models: the Fisher metric of hopping on a line, seen after some steps, and counts of relevant directions."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np


def hopping_scores(steps: int, reach: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the derivatives of ln(density) after t steps by the hopping rates, at uniform rates, and the density.

    .. math:: y = \theta^{*t}, \qquad \partial \ln y_x / \partial\theta_\mu = t \, (\theta^{*(t-1)})_{x - \mu} / y_x

    with the 2 R + 1 rates theta_mu = 1 / (2 R + 1), mu = -R..R; by convolution in integers, so that nothing cancels.

    Args:
        steps: How often particles hop before they are seen, t >= 1.
        reach: Farthest hop R.

    Returns:
        float64 [2 R t + 1, 2 R + 1], a row a place, and the probabilities [2 R t + 1] of the places.
        Source: machta2013.
    """
    rates = 2 * reach + 1
    counts = [1]  # ways to come to each place in t - 1 steps
    for _ in range(steps - 1):
        counts = _convolved(counts, rates)
    ways = _convolved(counts, rates)
    J = np.zeros((len(ways), rates))
    for mu in range(rates):
        for x, count in enumerate(counts):
            J[mu + x, mu] = float(Fraction(steps * rates * count, ways[mu + x]))
    return J, np.array([float(Fraction(way, rates**steps)) for way in ways])


def _convolved(counts: list[int], width: int) -> list[int]:
    padded = [0] * (width - 1) + counts + [0] * (width - 1)
    return [sum(padded[x : x + width]) for x in range(len(counts) + width - 1)]


def stiffest(steps: int, reach: int) -> tuple[float, float]:
    """Return the two largest eigenvalues of the hopping metric, (2 R + 1) t^2 and (2 R + 1) t, exactly.

    In units of the inverse squared rate; the metric is the second moment of the scores. Source: machta2013 for the
    model; both were found by exact arithmetic.
    """
    return float((2 * reach + 1) * steps**2), float((2 * reach + 1) * steps)


def ratios_of_two_steps(reach: int) -> list[float]:
    """Return lambda_n / lambda_0 of the hopping metric after two steps, 1 / (n (n + 1)) for n = 1 ... 2 R.

    Exact. Source: machta2013 for the model; the ratios were found by exact arithmetic.
    """
    return [1 / (n * (n + 1)) for n in range(1, 2 * reach + 1)]


def relevant_directions(data: float, decay: float) -> int:
    r"""Return the number of directions with n lambda_i > 1 where lambda_i = i^-decay, i = 1, 2, ...

    .. math:: \lceil n^{1 / \text{decay}} \rceil - 1

    Exact for n >= 1, decay > 0. Source: berman2023.
    """
    return ceil(data ** (1 / decay)) - 1
