"""Linear features: scale, prediction and weight covariance of linear networks, by quadrature and by sampling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from blockspin.registry import register
from blockspin.tethers._readout import draws, posterior_mean
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import linear_features as theory

INPUTS = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0]])
TESTED, TARGETS, NOISE = np.array([1.0, -1, 0.5, 0]), np.array([2.0, -1, 0.5]), 0.1
KNOWN = {
    2: (2.634929, 2.799183, 2.439518, 2.474534, 2.882085),
    5: (1.942454, 1.994208, 2.347786, 2.381335, 1.953631),
    20: (1.331539, 1.337496, 2.208765, 2.230662, 1.303965),
    100: (1.077014, 1.077301, 2.120592, 2.127649, 1.068079),
    1000: (1.008024, 1.008027, 2.091992, 2.092802, 1.007030),
}
"""By width: Q* and E Q, the mean output exactly and at Q*, and d times the posterior mean of a squared weight."""


def task(width: int) -> theory.Task:
    """Return the instance of the tethers at one width."""
    return theory.Task(INPUTS, TARGETS, NOISE, width)


@register
@dataclass(frozen=True)
class LinearFeaturesTether(Tether):
    """Integrate over the scale of the kernel, and sample whole hidden layers with their read-out solved."""

    name = "linear-features"
    system = "linear networks of finite width after training"
    source = "rubin2025"
    minutes = 0.05

    def rows(self) -> Iterator[Row]:
        """Yield the table of five widths, and importance samples of 5 and of 20 hidden units."""
        for width, (best, scale, output, at_best, weight) in KNOWN.items():
            data = task(width)
            Q = theory.saddle(data)
            yield exact(f"Q* of {width} units", best, Q, 1e-5)
            yield exact(f"E Q of {width} units", scale, theory.mean_over_scales(data, lambda Q: Q), 1e-5)
            found = theory.mean_over_scales(data, lambda Q, data=data: theory.predicted(data, TESTED, Q))  # type: ignore[misc]
            yield exact(f"mean output of {width} units", output, found, 1e-5)
            yield exact(f"output at Q* of {width} units", at_best, theory.predicted(data, TESTED, Q), 1e-5)
            if width in (5, 20):
                aligned = float(theory.weight_covariance(data)[0, 0]) * INPUTS.shape[1]
                yield exact(f"squared weight on the first input, times d, {width} units", weight, aligned, 1e-5)
                yield from _sampled(width, found, aligned)


def _sampled(width: int, output: float, weight: float) -> Iterator[Row]:
    """Draw hidden layers and weigh each by its evidence."""
    generator = torch.Generator().manual_seed(0)
    x = torch.from_numpy(np.vstack([INPUTS, TESTED]))
    d = x.shape[1]
    W = torch.randn(60_000, d, width, generator=generator, dtype=x.dtype) / d**0.5
    found = draws(x @ W, torch.from_numpy(TARGETS), NOISE)
    squared = d * W[:, 0].square().mean(1)
    yield sampled(f"mean output of {width} sampled units", output, posterior_mean(found.log_evidence, found.mean[:, 0]))
    yield sampled(f"their squared weight, times d ({width})", weight, posterior_mean(found.log_evidence, squared))
