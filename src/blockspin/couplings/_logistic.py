"""Logistic: the convex fit of log-odds to a table of counts, and tests of what the table has beyond it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy.stats import f as fisher
from torch import Tensor

from blockspin.errors import FitFailedError

ROUNDS = 60
LARGEST = 60.0
"""Log-odds beyond this are those of spins that follow their neighbours without fail: e^-60 is not measured."""
COLLINEAR = 1e12

Slope = tuple[Tensor, Tensor, Tensor]
"""Log-likelihood [], its gradient [K] and minus its second derivatives [K, K]."""


def maximum(slope: Callable[[Tensor], Slope], start: Tensor) -> Tensor:
    """Return where a concave function is largest, by Newton's method with halved steps where one overshoots.

    Args:
        slope: The function with its derivatives at some couplings [K].
        start: Where to begin.

    Raises:
        FitFailedError: If it has no maximum, or more than one.
    """
    g = start
    here = slope(g)
    for _ in range(ROUNDS):
        value, gradient, curvature = here
        step = _newton(gradient, curvature)
        gain = float(gradient @ step)
        size = 1.0
        while True:
            here = slope(g + size * step)
            if float(here[0]) >= float(value) - 1e-12 * abs(float(value)) or size < 1e-6:
                break
            size /= 2
        g = g + size * step
        if gain < 1e-13 * abs(float(value)) or gain < 1e-25:  # the step just taken has squared what was missing
            return g
    raise FitFailedError("the pseudo-likelihood grows without end", "Some spin follows its neighbours without fail.")


def _newton(gradient: Tensor, curvature: Tensor) -> Tensor:
    root = curvature.diagonal().clamp(min=0).sqrt()
    if not bool((root > 0).all()):
        raise FitFailedError("an operator does not vary, or decides the spin", "Give more samples, or leave it out.")
    scaled = curvature / torch.outer(root, root)
    if float(torch.linalg.cond(scaled)) > COLLINEAR:
        raise FitFailedError(
            "the couplings are not identified: operators are collinear on what was seen",
            "Leave some out, or give more samples.",
        )
    return torch.linalg.solve(scaled, gradient / root) / root


def fit_logistic(X: Tensor, counts: Tensor, start: Tensor | None = None) -> Tensor:
    r"""Return the couplings g [K] of :math:`\ln P(\uparrow) - \ln P(\downarrow) = 2 X g`.

    Args:
        X: What multiplies the spin, float64 [patterns, K].
        counts: How often it is down and up, float64 [patterns, 2].
        start: Where to begin.

    Raises:
        FitFailedError: If the counts do not determine them.
    """
    often = counts.sum(1) > 0
    X, (down, up) = X[often], counts[often].T

    def slope(g: Tensor) -> Slope:
        odds = 2 * (X @ g)
        p = torch.sigmoid(odds)
        n = up + down
        value = -(up @ torch.nn.functional.softplus(-odds) + down @ torch.nn.functional.softplus(odds))
        w = 4 * n * p * (1 - p)
        return value, 2 * X.T @ (up - n * p), X.T @ (w[:, None] * X)

    g = maximum(slope, torch.zeros(X.shape[1], dtype=torch.float64) if start is None else start)
    if float((2 * X @ g).abs().max()) > LARGEST:
        raise FitFailedError(
            "the pseudo-likelihood grows without end", "Some spin follows its neighbours without fail."
        )
    return g


def log_likelihoods(X: Tensor, g: Tensor, counts: Tensor) -> Tensor:
    """Return the sum of log-probabilities of the spins of each block [...], counts [..., patterns, 2]."""
    odds = 2 * (X @ g)
    log_p = -torch.nn.functional.softplus(torch.stack([odds, -odds], -1))
    return (counts * log_p).sum((-1, -2))


def extra_p_value(X: Tensor, blocks: Tensor, first: int) -> float:
    """Return the probability of further couplings as far from zero as these if they were zero.

    Wald's test with the covariance of the delete-block jackknife, that of the likelihood being wrong for a
    pseudo-likelihood; Hotelling's T^2 by the F distribution.

    Args:
        X: What multiplies the spin, the couplings of the theory first [patterns, K].
        blocks: Counts of each block [blocks, patterns, 2].
        first: Number of couplings of the theory; the others are tested.

    Raises:
        FitFailedError: If the counts do not determine all couplings.
    """
    total, count = blocks.sum(0), len(blocks)
    g = fit_logistic(X, total)
    without = torch.stack([fit_logistic(X, total - block, g) for block in blocks])[:, first:]
    gap = without - without.mean(0)
    covariance = (count - 1) / count * gap.T @ gap
    extra = g[first:]
    q = len(extra)
    t2 = float(extra @ torch.linalg.solve(covariance, extra))
    return float(fisher.sf(t2 * (count - q) / (q * (count - 1)), q, count - q))
