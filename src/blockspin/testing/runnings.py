"""Runnings: families of couplings that run in known ways, to see how often intervals at scales held out cover them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from blockspin.flow import Axis
from blockspin.running.base import Running

Family = Callable[[np.random.Generator, np.ndarray, int], np.ndarray]
"""From randomness, steps x = 0, 1, 2 ... and how many of them are accessible, to the coupling at each."""
DOF = 19
"""Degrees of freedom of measured errors: 20 groups."""


def power(rng: np.random.Generator, x: np.ndarray, count: int) -> np.ndarray:
    """Return a power of the position, with or without a limit: exponents of -2 to 1.5."""
    return rng.integers(0, 2) * rng.normal() + rng.normal() * (x + rng.uniform(0.5, 2)) ** rng.uniform(-2, 1.5)


def exponential(rng: np.random.Generator, x: np.ndarray, count: int) -> np.ndarray:
    """Return what nears or leaves a fixed point exponentially, by up to two e-folds over the accessible scales."""
    return rng.normal() + rng.normal() * np.exp(rng.uniform(-2, 2) * x / (count - 1))


def crossover(rng: np.random.Generator, x: np.ndarray, count: int) -> np.ndarray:
    """Return what goes from one fixed point to another: the middle lies anywhere in the accessible range."""
    where, width = rng.uniform(0, 1) * (count - 1), rng.uniform(0.1, 0.4) * (count - 1)
    return rng.normal() + rng.normal() / (1 + np.exp(-(x - where) / width))


def hump(rng: np.random.Generator, x: np.ndarray, count: int) -> np.ndarray:
    """Return a parabola with its top anywhere in the accessible range."""
    return rng.normal() + rng.normal() * (x / (count - 1) - rng.uniform(0, 1)) ** 2


def smooth(rng: np.random.Generator, x: np.ndarray, count: int) -> np.ndarray:
    """Return a Gaussian process whose correlation length is the accessible range."""
    t = x / (count - 1)
    K = np.exp(-((t[:, None] - t) ** 2) / 2)
    return np.linalg.cholesky(K + 1e-9 * np.eye(len(x))) @ rng.standard_normal(len(x))


def scattered(rng: np.random.Generator, x: np.ndarray, count: int) -> np.ndarray:
    """Return what runs exponentially, each scale off it by 0.2 to 2 of its spread: layers are no smooth curve."""
    exact = exponential(rng, x, count)
    return exact + rng.uniform(0.2, 2) * exact[:count].std() * rng.standard_normal(len(x))


def alternating(rng: np.random.Generator, x: np.ndarray, count: int) -> np.ndarray:
    """Return what runs exponentially, every other scale off the same way: attention and MLP in turn."""
    exact = exponential(rng, x, count)
    return exact + rng.uniform(0.2, 1) * exact[:count].std() * (-1.0) ** x


def walk(rng: np.random.Generator, x: np.ndarray, count: int) -> np.ndarray:
    """Return a random walk."""
    return rng.normal() + np.cumsum(rng.standard_normal(len(x)))


def drifting_walk(rng: np.random.Generator, x: np.ndarray, count: int) -> np.ndarray:
    """Return a random walk with a drift."""
    return np.cumsum(rng.normal() + rng.standard_normal(len(x)))


def jump(rng: np.random.Generator, x: np.ndarray, count: int) -> np.ndarray:
    """Return a plateau that ends after the last accessible scale: what no method can foresee."""
    return rng.normal() + np.where(x < count, 0.0, rng.choice([-1, 1]) * rng.uniform(1, 3))


SMOOTH: dict[str, Family] = {
    "power": power,
    "exponential": exponential,
    "crossover": crossover,
    "hump": hump,
    "smooth": smooth,
}
ROUGH: dict[str, Family] = {
    "scattered": scattered,
    "alternating": alternating,
    "walk": walk,
    "drifting walk": drifting_walk,
}
BLIND: dict[str, Family] = {"jump": jump}


def drawn(family: Family, seed: int, count: int, held: int, noise: float) -> tuple[Running, np.ndarray]:
    """Return a running as it would be measured, independently at each scale, and the exact coupling, [scales].

    Args:
        family: How the coupling runs.
        seed: Of the randomness.
        count: Accessible scales, the first.
        held: Scales to hold out, after them.
        noise: Error of a measurement, in units of the spread of the coupling over all scales.
    """
    rng = np.random.default_rng(seed)
    x = np.arange(count + held, dtype=float)
    exact = family(rng, x, count)
    error, n = noise * float(exact.std()), len(x)
    measured = exact + error * rng.standard_normal(n)
    C = torch.diag(torch.from_numpy(error**2 * rng.chisquare(DOF, n) / DOF))
    where = (Axis("planted", "steps"), tuple(f"step {k}" for k in range(n)), torch.from_numpy(x))
    lengths = torch.full((n,), torch.nan)
    about = ((None,) * n, (), "planted")
    return Running(*where, lengths, ("g",), ("1",), torch.from_numpy(measured)[:, None], C, DOF, *about), exact
