"""Groups of units and how often an interval covers the truth, for the tests of couplings."""

from collections.abc import Callable

import torch
from scipy.stats import binom

from blockspin.ensemble import Ensemble, group_of
from blockspin.observables.base import Estimator, State, accumulate

GROUPS = 20  # groups of units, as the engine has them by default


def group_states(estimator: Estimator, *ensembles: Ensemble, chain: bool) -> list[State]:
    group = group_of(ensembles[0].units, GROUPS, chain=chain)
    parts = [(group == g).nonzero().flatten() for g in range(GROUPS)]
    return [accumulate(estimator.monoid, *(e.select(part) for e in ensembles)) for part in parts]


def covered(measure: Callable[[int], tuple[float, float]], truth: float, seeds: int = 200) -> int:
    """Count the seeds whose interval (low, high) holds the truth."""
    intervals = torch.tensor([measure(seed) for seed in range(seeds)], dtype=torch.float64)
    return int(((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])).sum())


def within_binomial(count: int, seeds: int, level: float) -> bool:
    """Whether so many successes are compatible with the level (two-sided, one in a thousand)."""
    low, high = binom.interval(0.999, seeds, level)
    return low <= count <= high
