"""Tables: the joint probabilities of what a block and its environment show, and the best two-valued reading of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from scipy.stats import chi2
from torch import Tensor

from blockspin.ensemble import Ensemble, check_finite, distinct
from blockspin.errors import NothingFoundError, StepNotPossibleError
from blockspin.law import GaussianLaw, Source
from blockspin.schemes._correlation import independent_units
from blockspin.schemes._frame import Frame

MAPS = 2**15
"""Most two-valued readings that are compared."""
ENTRIES = 2**28
"""Most probabilities of readings and environments that are looked at."""
ROUNDING = 1e-12
"""Information of a law below it, in nats, is none; readings that differ by less are equally good."""
LEVEL = 0.01
UNITS_AN_ENTRY = 10


@dataclass(frozen=True, eq=False)
class Table:
    """A joint law of block and environment.

    Args:
        patterns: [n, values of a block]; what a block can show, in lexicographic order.
        joint: float64 [n, m]; probability of each with each environment.
    """

    patterns: Tensor
    joint: Tensor


def table_of(source: Source, frame: Frame) -> Table:
    """Return the table of a law, or of samples that are many against its entries.

    Raises:
        StepNotPossibleError: If the source is a Gaussian law, or there are too few samples for so many patterns.
        NothingFoundError: If block and environment are independent, as far as can be told.
    """
    if isinstance(source, GaussianLaw):
        raise StepNotPossibleError("real values cannot be counted", "Use rsmi-gaussian, which has the closed form.")
    ensemble = source if isinstance(source, Ensemble) else source.ensemble
    check_finite(ensemble.values, "the field whose blocks are asked for")
    x, y, weights = frame.samples(ensemble)
    patterns, i = distinct(x)
    others, j = distinct(y)
    units, entries = independent_units(source), len(patterns) * len(others)
    if units < UNITS_AN_ENTRY * entries:
        raise StepNotPossibleError(
            f"{units:g} independent samples are too few to count {len(patterns)} patterns of a block with "
            f"{len(others)} of its environment",
            "Use rsmi-infonce or rsmi-gaussian, a smaller b or reach, or more samples.",
        )
    if len(patterns) < 2 or len(others) < 2:
        raise NothingFoundError("a block or its environment never changes", "Leave out what is constant.")
    joint = torch.zeros(len(patterns), len(others), dtype=torch.float64).index_put_((i, j), weights, accumulate=True)
    known = information(joint)
    chance = ROUNDING
    if units < inf:
        chance = float(chi2.isf(LEVEL, (len(patterns) - 1) * (len(others) - 1))) / (2 * units)
    if known <= chance:
        raise NothingFoundError(
            f"blocks tell nothing of their environment beyond chance ({known:.3g} nats, chance up to {chance:.3g})",
            "Give more samples, a smaller buffer, or take it that sites are independent.",
        )
    return Table(patterns, joint)


def information(joint: Tensor) -> float:
    """Return the mutual information in nats of a table of probabilities [n, m]."""
    product = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return float((torch.special.xlogy(joint, joint) - torch.special.xlogy(joint, product)).sum())


def readings(patterns: Tensor) -> Tensor:
    """Return the two-valued readings of patterns that are to be compared, bool [readings, n].

    Where the negative of every pattern is one too, the odd readings: they keep the symmetry between up and down.
    Otherwise all of them; in both cases one of each pair that differs by exchange of the two values alone.

    Raises:
        StepNotPossibleError: If there are too many.
    """
    n = len(patterns)
    mirrored, _ = distinct(-patterns)
    odd = torch.equal(mirrored, patterns) and bool((patterns != 0).any(1).all())
    free = n // 2 if odd else n
    if free > MAPS.bit_length():
        raise StepNotPossibleError(
            f"{n} patterns of a block have too many two-valued readings to compare", "Use rsmi-infonce, or a smaller b."
        )
    code = torch.arange(2 ** (free - 1)).flip(0)  # the last pattern always reads up; the corner's own value comes first
    bits = ((code[:, None] >> torch.arange(free - 1)) & 1).bool()
    upper = torch.cat([bits, torch.ones(len(code), 1, dtype=torch.bool)], dim=1)
    # in lexicographic order the negative of the k-th pattern is the k-th from the end
    return torch.cat([~upper.flip(1), upper], dim=1) if odd else upper


def informations(joint: Tensor, candidates: Tensor) -> Tensor:
    """Return what each two-valued reading bool [readings, n] tells of the environment, float64 [readings], in nats.

    Raises:
        StepNotPossibleError: If there are too many readings of too many environments.
    """
    if candidates.shape[0] * joint.shape[1] > ENTRIES:
        raise StepNotPossibleError(
            f"{candidates.shape[0]} readings of {joint.shape[1]} environments are too many to compare",
            "Use rsmi-infonce, or a smaller b or reach.",
        )
    environment = joint.sum(0)
    size = max(1, 2**22 // joint.shape[1])
    found = []
    for part in candidates.split(size):
        up = part.to(torch.float64) @ joint
        down = (environment - up).clamp(min=0)
        shares = torch.special.xlogy(up, up).sum(1) + torch.special.xlogy(down, down).sum(1)
        own = torch.stack([up.sum(1), down.sum(1)])
        found.append(shares - torch.special.xlogy(own, own).sum(0))
    return torch.cat(found) - torch.special.xlogy(environment, environment).sum()


def best_reading(joint: Tensor, candidates: Tensor) -> tuple[Tensor, float]:
    """Return the reading bool [n] that tells most, the first of equally good ones, and how much, in nats."""
    found = informations(joint, candidates)
    best = int((found >= found.max() - ROUNDING).nonzero()[0])
    return candidates[best], float(found[best])
