"""Noisy training: a quadratic network's posterior mean against Gaussian processes and their width correction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.tethers._readout import draws, posterior_mean
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import noisy_training as theory

INPUTS = np.array(
    [
        [0.61898402, -0.77509971, 0.12680390],
        [-0.74957682, -0.59759348, -0.28463418],
        [-0.91414907, -0.10496150, -0.39155404],
        [0.99215440, 0.06741355, -0.10528566],
    ]
)
"""Three inputs with targets and one without, of norm one."""
TARGETS, NOISE = np.array([1.2, -1.2, 0.6]), 0.2
WIDTH, BATCH, BATCHES = 40, 20_000, 8


@register
@dataclass(frozen=True)
class NoisyTrainingTether(Tether):
    """Draw hidden layers of a network of squares, solve the read-out of each, and weigh them by their evidence."""

    name = "noisy-training"
    system = "networks of finite width trained by noisy gradients"
    source = "naveh2021"
    minutes = 0.05

    def rows(self) -> Iterator[Row]:
        """Yield the mean of the wide limit, its correction, and both again from samples of finite networks."""
        K, V = theory.hidden_moments(*square_units(INPUTS))
        mean = float(theory.gaussian_mean(K, TARGETS, NOISE)[0])
        first = float(theory.width_correction(K, V, TARGETS, NOISE)[0])
        yield exact("mean output of infinitely wide networks", 0.2346555, mean, 1e-6)
        yield exact("its correction, times the width", -0.5338174, first, 1e-6)
        closed, inner = INPUTS @ INPUTS.T, (INPUTS**2).sum(1)
        wick = (np.outer(inner, inner) + 2 * closed**2) / 3
        yield exact("kernel against its closed form, largest difference", 0.0, float(abs(K - wick).max()), 1e-12)
        generator = torch.Generator().manual_seed(0)
        small, large = (_sampled(width, generator) for width in (WIDTH, 2 * WIDTH))
        before = Measurement(0.22857, 0.00024)  # of an earlier importance sample
        both = 4 * float(np.hypot(before.error, large.error))
        yield Row(f"mean output of {2 * WIDTH} hidden units", float(before.value), large, both)
        yield sampled("correction, times the width, from both widths", first, _without_next_order(small, large, mean))


def _without_next_order(small: Measurement, large: Measurement, mean: float) -> Measurement:
    """Return f1 from means at widths N and 2 N, such that the terms of order N^-2 cancel."""
    value = 4 * WIDTH * (large.value - mean) - WIDTH * (small.value - mean)
    error = float(np.hypot(4 * WIDTH * large.error, WIDTH * small.error))
    how = f"means at {WIDTH} and {2 * WIDTH} units, extrapolated; errors of the two samples"
    return Measurement(value, error, "1", large.n_eff, how, large.dof)


def square_units(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return units z^2 / sqrt(3) at the nodes of a rule over three Gaussian weights [nodes, n], and its weights.

    Exact for the eighth power of z, as ten nodes along each axis integrate degree 19.
    """
    node, weight = np.polynomial.hermite_e.hermegauss(10)
    grid = np.stack([axis.ravel() for axis in np.meshgrid(node, node, node, indexing="ij")], axis=1)
    weights = np.einsum("a,b,c->abc", weight, weight, weight).ravel()
    return (grid @ x.T) ** 2 / 3**0.5, weights / weights.sum()


def _sampled(width: int, generator: torch.Generator) -> Measurement:
    """Return the posterior mean at the fourth input by importance sampling over hidden layers."""
    x, y = torch.from_numpy(INPUTS), torch.from_numpy(TARGETS)
    parts = []
    for _ in range(BATCHES):
        W = torch.randn(BATCH, x.shape[1], width, generator=generator, dtype=x.dtype)
        parts.append(draws((x @ W).square() / 3**0.5, y, NOISE))
    return posterior_mean(torch.cat([p.log_evidence for p in parts]), torch.cat([p.mean[:, 0] for p in parts]))
