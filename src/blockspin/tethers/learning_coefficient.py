"""Learning coefficient: two formulas against one another, quadrature at a temperature, and sampled posteriors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import log

import numpy as np

from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import learning_coefficient as theory

SCALE, CHAINS, STEPS, BURN = 1000.0, 300, 6000, 2000


@register
@dataclass(frozen=True)
class LearningCoefficientTether(Tether):
    """Count degeneracy of linear networks, and of a product of two weights at finite temperatures."""

    name = "learning-coefficient"
    system = "singular minima of linear networks"
    source = "aoyagi2005"

    def rows(self) -> Iterator[Row]:
        """Yield agreement of the formulas, known values, running coefficients, and a sampled one."""
        cases = [(M, H, N, r) for M, H, N in product(range(1, 8), repeat=3) for r in range(min(M, H, N) + 1)]
        same = sum(theory.reduced_rank(c[:3], c[3]) == theory.deep_linear(c[:3], c[3]) for c in cases)
        yield exact("networks of one hidden layer on which two formulas agree", len(cases), same, 0.0)
        known: dict[tuple[tuple[int, ...], int], float] = {
            ((5, 3, 5), 0): 6.5,
            ((5, 3, 5), 3): 10.5,
            ((4, 3, 8), 3): 13.5,
            ((3, 8, 4), 3): 6.0,
        }
        known |= {((2, 2, 2, 2), 0): 1.5, ((2, 2, 2, 2), 1): 2.0, ((4,) * 4, 2): 7.5, ((10, 5, 3, 10), 3): 25.5}
        for (widths, rank), value in known.items():
            found = theory.deep_linear(widths, rank)
            yield exact(f"lambda of widths {widths}, rank {rank}", value, float(found.value), 0.0)
        printed = {1000 / log(1000): (0.35588, 0.20898), 1e4: (0.41051, 0.23715)}
        printed |= {1e6: (0.43662, 0.24607), 1e9: (0.45592, 0.24931)}
        for t, values in printed.items():
            for powers, value in zip(((1, 1), (1, 2)), values, strict=True):
                found_at = theory.running_normal_crossing(powers, t)
                yield exact(f"lambda({t:.6g}) of k = {powers}", value, found_at, 1e-4)
        # the table's tolerance, which covers the sample's error and what is left of the temperature
        measured = sampled_reduced_rank(SCALE, np.random.default_rng(0))
        value = float(theory.reduced_rank((2, 1, 2), 1).value)
        yield Row(f"lambda({SCALE:g}) of widths (2, 1, 2), rank 1, sampled", value, measured, 0.03)


def sampled_reduced_rank(t: float, rng: np.random.Generator) -> Measurement:
    """Return t <K>, K = |B A - e e^T|^2 / 2, on the box [-2, 2]^4 by Metropolis chains from the minimum."""
    truth = np.zeros((2, 2))
    truth[0, 0] = 1

    def loss(w: np.ndarray) -> np.ndarray:
        return np.square(w[:, :2, None] * w[:, None, 2:] - truth).sum((1, 2)) / 2

    w = np.tile([1.0, 0, 1, 0], (CHAINS, 1))
    K, total = loss(w), np.zeros(CHAINS)
    for step in range(STEPS):
        size = t**-0.5 * np.exp(rng.uniform(-1, 2, (CHAINS, 1)))
        new = w + size * rng.standard_normal(w.shape)
        K_new = loss(new)
        taken = (abs(new).max(1) < 2) & (np.log(rng.random(CHAINS)) < t * (K - K_new))
        w, K = np.where(taken[:, None], new, w), np.where(taken, K_new, K)
        if step >= BURN:
            total += K
    values = t * total / (STEPS - BURN)
    error = values.std(ddof=1) / CHAINS**0.5
    return Measurement(values.mean(), error, "1", CHAINS, f"{CHAINS} independent Metropolis chains", CHAINS - 1)
