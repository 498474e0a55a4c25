"""Feature learning: the kernel that a finite tanh network learns against the linear response of its prior."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.tethers._readout import draws, posterior_mean
from blockspin.tethers.base import Row, Tether
from blockspin.theory.feature_learning import kernel_shift
from blockspin.theory.noisy_training import hidden_moments

INPUTS = np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 1]])
TARGETS, NOISE = np.array([2.0, -1, 0.5]), 0.1
PUBLISHED = np.array([[0.707, -1.222, -0.157], [-1.222, 0.119, -0.661], [-0.157, -0.661, -0.235]])
"""N dC of the linear response, from an independent computation of three decimals or so."""
BATCH, BATCHES = 20_000, 10


@register
@dataclass(frozen=True)
class FeatureLearningTether(Tether):
    """Weigh drawn hidden layers by their evidence and follow the mean of their kernel."""

    name = "feature-learning"
    system = "kernel of a finite tanh network after training"
    source = "fischer2024"
    fast = False
    minutes = 0.1

    def rows(self) -> Iterator[Row]:
        """Yield N dC of the theory against print, and sampled ones of 25 and of 100 hidden units against the theory."""
        K, V = hidden_moments(*tanh_units(INPUTS))
        theory = kernel_shift(K, V, TARGETS, NOISE, 1)
        generator = torch.Generator().manual_seed(0)
        found = {width: _sampled(width, K, generator) for width in (25, 100)}
        for a, b in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
            which, known = f"N dC of inputs {a} and {b}", float(theory[a, b])
            yield Row(f"{which}, linear response", PUBLISHED[a, b], Measurement(known, 0.0), 0.003)
            for width, allowed in ((25, 0.1 * abs(theory).max()), (100, 0.03)):
                # what the next order may be, beside the errors of the sample
                measured = found[width][a, b]
                yield Row(f"{which}, {width} units", known, measured, allowed + 4 * float(measured.error))
        label = np.outer(TARGETS, TARGETS)
        alignment = float((theory * label).sum())
        yield Row("sign of the overlap of dC with y y^T", 1.0, Measurement(float(np.sign(alignment)), 0.0), 0.0)


def tanh_units(x: np.ndarray, step: float = 0.3, reach: float = 7.5) -> tuple[np.ndarray, np.ndarray]:
    """Return tanh of three weights of variance one [nodes, n] on a regular grid of them, and its weights.

    The trapezoidal rule's error falls as exp(-pi^2 / step): tanh is analytic to a distance of pi / 2.
    """
    node = np.arange(-reach, reach + step / 2, step)
    weight = np.exp(-(node**2) / 2)
    grid = np.stack([axis.ravel() for axis in np.meshgrid(node, node, node, indexing="ij")], axis=1)
    weights = np.einsum("a,b,c->abc", weight, weight, weight).ravel()
    return np.tanh(grid @ x.T), weights / weights.sum()


def _sampled(width: int, K: np.ndarray, generator: torch.Generator) -> dict[tuple[int, int], Measurement]:
    """Return N times the posterior mean of the kernel less K, for each pair of inputs."""
    x, y = torch.from_numpy(INPUTS), torch.from_numpy(TARGETS)
    parts = []
    for _ in range(BATCHES):
        W = torch.randn(BATCH, x.shape[1], width, generator=generator, dtype=x.dtype)
        parts.append(draws((x @ W).tanh(), y, NOISE))
    evidence, kernel = torch.cat([p.log_evidence for p in parts]), torch.cat([p.kernel for p in parts])
    shift = width * (kernel - torch.from_numpy(K))
    return {(a, b): posterior_mean(evidence, shift[:, a, b]) for a in range(len(x)) for b in range(a, len(x))}
