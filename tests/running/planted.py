"""Runnings whose beta function is known, with noise of a known covariance."""

from functools import cache
from math import inf, log

import numpy as np
import torch

from blockspin.flow import Axis, Direction
from blockspin.measurement import Measurement
from blockspin.running.base import Running

COARSENING = Axis("planted", "steps", Direction.COARSENING)
FIXED, SLOPE, CURVE = 0.5, 1.0, 0.3


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def running(values, covariance, dof=inf, *, axis=COARSENING, lengths=True, positions=None):
    values = np.asarray(values, dtype=float)
    values = values[:, None] if values.ndim == 1 else values
    n, K = values.shape
    steps = torch.arange(n, dtype=torch.float64)
    return Running(
        axis,
        tuple(f"{k}" for k in range(n)),
        steps if positions is None else torch.as_tensor(positions),
        steps * log(2) if lengths else torch.full((n,), torch.nan),
        tuple("ghijk"[:K]),
        ("1",) * K,
        torch.from_numpy(values),
        torch.as_tensor(np.asarray(covariance)),
        dof,
        (None,) * n,
        (),
        "planted",
    )


def beta(g):
    return SLOPE * (g - FIXED) + CURVE * (g - FIXED) ** 2


def exact_flow(start, scales, rate=beta, substeps=100):
    """A slow twin of what the fit integrates: Euler steps, extrapolated once."""
    found = []
    for n in (substeps, 2 * substeps):
        g, row = np.array(start, dtype=float), [np.array(start, dtype=float)]
        for _ in range(scales - 1):
            for _ in range(n):
                middle = g + log(2) / n / 2 * rate(g)
                g = g + log(2) / n * rate(middle)
            row.append(g)
        found.append(np.array(row))
    return (4 * found[1] - found[0]) / 3


@cache
def planted_flow(start, scales):
    return exact_flow(start, scales)


def noisy(seed, dof=inf, sigma=0.01, starts=(0.40, 0.46, 0.53, 0.60), scales=5):
    """Independent runnings toward and away from the fixed point; scales share most of their noise."""
    rng = np.random.default_rng(seed)
    runs = []
    for start in starts:
        C = sigma**2 * (0.6 * np.ones((scales, scales)) + 0.4 * np.eye(scales))
        root = np.linalg.cholesky(C)
        values = planted_flow(start, scales) + root @ rng.standard_normal(scales)
        if np.isfinite(dof):
            z = rng.standard_normal((int(dof), scales)) @ root.T
            C = z.T @ z / dof
        runs.append(running(values, C, dof))
    return runs


def covers(measured: Measurement, truth: float, level: float = 0.9) -> bool:
    low, high = measured.interval(level)
    return low <= truth <= high
