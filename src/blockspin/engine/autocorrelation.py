"""Autocorrelation: how many samples of a chain count as one independent sample."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from blockspin.errors import ConstantUnitsError, NonFiniteError, ShapeError, TooFewSamplesError
from blockspin.measurement import Measurement

WINDOW = 5
"""Sokal's factor: the sum stops at the first lag of at least five times the sum so far."""
LEAST = 50
"""Series shorter than 50 tau are refused, as emcee does: tau comes out too small on them."""


def integrated_time(series: Tensor) -> Measurement:
    r"""Return the integrated autocorrelation time of a number along independent stationary chains, in samples.

    .. math:: \tau = 1 + 2 \sum_{t=1}^{W} \rho(t), \qquad W = \min\{t : t \ge 5 \tau(t)\}

    n samples are worth n / tau independent ones (many texts call half of this tau). The autocorrelation is averaged
    over the chains about their common mean. The error is Madras and Sokal's, tau sqrt(2 (2W + 1) / n). To choose the
    stretch of a source: a unit should be some tens of tau long, for the slowest number that is measured.

    Args:
        series: [chains, times] or [times]; a number of the samples, such as the energy.

    Raises:
        ShapeError: If there are not one or two axes.
        NonFiniteError: If a number is NaN or infinite.
        ConstantUnitsError: If the series does not vary.
        TooFewSamplesError: If a chain is shorter than 50 tau; the message holds the estimate, a lower bound.

    Source:
        sokal1997 for the window, madras1988 for the error, foreman2013 for the refusal.
    """
    x = torch.atleast_2d(series).to(torch.float64).numpy()
    if series.ndim not in (1, 2) or x.shape[1] < 2:
        raise ShapeError(f"a series of shape {tuple(series.shape)} is not [chains, times]", "Give a number a sample.")
    if not np.isfinite(x).all():
        raise NonFiniteError("the series holds NaN or infinity", "Remove that sample or mend its source.")
    covariance = _autocovariance(x - x.mean())
    if covariance[0] <= 1e-24 * max(1.0, float(np.square(x).mean())):
        raise ConstantUnitsError("the series does not vary", "Give a number that differs between samples.")
    sums = 2 * np.cumsum(covariance / covariance[0]) - 1  # tau for each window
    closed = np.arange(len(sums)) >= WINDOW * sums
    window = int(np.argmax(closed)) if closed.any() else len(sums) - 1
    tau, times = float(sums[window]), x.shape[1]
    if times < LEAST * tau or not closed.any():
        raise TooFewSamplesError(
            f"chains of {times} samples are shorter than {LEAST} autocorrelation times (tau is at least {tau:.3g})",
            "Give longer chains, or keep samples further apart.",
        )
    error = tau * (2 * (2 * window + 1) / x.size) ** 0.5
    return Measurement(tau, error, "samples", x.size / tau, f"sum of autocorrelations up to lag {window}")


def _autocovariance(x: np.ndarray) -> np.ndarray:
    """Return the mean over chains of x_s x_{s+t} for every lag t, by fast Fourier transform."""
    times = x.shape[1]
    padded = np.fft.rfft(x, n=2 ** int(np.ceil(np.log2(2 * times))), axis=1)
    total = np.fft.irfft(np.abs(padded) ** 2, axis=1)[:, :times].mean(0)
    return total / (times - np.arange(times))
