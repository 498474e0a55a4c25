"""Linear response: what regression says of an intervention, with and without all parents; exact."""

from __future__ import annotations

from math import erf, pi, sqrt

import numpy as np


def regression(jacobian: np.ndarray, covariance: np.ndarray, kept: list[int]) -> np.ndarray:
    r"""Return the regression of y = J x + noise on some entries K of x, the others O being left out: [outputs, kept].

    .. math:: J_K + J_O C_{OK} C_{KK}^{-1}

    The response to an intervention on an entry of K is J_K alone: the second term is what parents that are left out
    add. It is zero where all parents are kept, or those left out are independent of the kept. Noise is independent of
    x. Pure numbers where both are. Exact. Source: baldovin2020.
    """
    left_out = [k for k in range(len(covariance)) if k not in kept]
    inner = np.linalg.inv(covariance[np.ix_(kept, kept)])
    return jacobian[:, kept] + jacobian[:, left_out] @ covariance[np.ix_(left_out, kept)] @ inner


def slope(measured: np.ndarray, predicted: np.ndarray) -> float:
    """Return the slope through the origin of measured on predicted responses. Exact."""
    return float((measured * predicted).sum() / (predicted * predicted).sum())


def share_explained(measured: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of the squared measured responses that predictions give; 1 where they are equal. Exact."""
    return float(1 - ((measured - predicted) ** 2).sum() / (measured**2).sum())


def erf_shift(shift: float, variance: float) -> float:
    r"""Return the mean of (erf(h + s) - erf(h - s)) / 2 over a Gaussian h of mean zero.

    .. math:: \operatorname{erf}\left(\frac{s}{\sqrt{1 + 2 \sigma^2}}\right)

    Exact for any shift and variance. Source: williams1997.
    """
    return erf(shift / sqrt(1 + 2 * variance))


def erf_slope(variance: float) -> float:
    r"""Return the regression of erf(h) on a Gaussian h of mean zero, which is the mean derivative (Bussgang).

    .. math:: \frac{2}{\sqrt{\pi (1 + 2 \sigma^2)}}

    For Gaussian x the regression on x of any function of x is its mean response to an infinitesimal shift. Exact.
    Source: bussgang1952.
    """
    return 2 / sqrt(pi * (1 + 2 * variance))
