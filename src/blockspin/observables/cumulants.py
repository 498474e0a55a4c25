"""Cumulants: how far a field is from Gaussian, site by site and along fixed directions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isinf

import torch
from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import ConstantUnitsError, TooFewSamplesError
from blockspin.observables.base import Monoid, Observable, State, total_weight
from blockspin.observables.covariance import effective_samples
from blockspin.registry import register

DIRECTIONS = 64
"""Most directions along which the connected fourth order is taken; a tensor of order four is never made."""


@lru_cache(maxsize=8)
def directions(dimension: int) -> Tensor:
    """Return the fixed unit vectors of a dimension, float64 [dimension, min(64, dimension)], drawn once and for all."""
    generator = torch.Generator().manual_seed(dimension)
    drawn = torch.randn(dimension, min(DIRECTIONS, dimension), dtype=torch.float64, generator=generator)
    return drawn / drawn.norm(dim=0)


@dataclass(frozen=True)
class PowerSums(Monoid):
    """Centred power sums up to order four of every site, then along the fixed directions.

    State: "weight" [], "squares" [] (sum of squared weights), "mean", "second", "third" and "fourth" [D + directions],
    all float64: the sums over samples of weight * (x - mean)^p. Merged by the formulas of pebay2016. Batches are
    centred on their own mean before any power is taken.
    """

    def start(self) -> State:
        """Return the empty state."""
        return {}

    def add(self, state: State, *batches: Batch) -> State:
        """Add one batch."""
        (batch,) = batches
        if not len(batch):
            return state
        x, w, weight = batch.values.flatten(1), batch.weights, total_weight(batch)
        u = directions(x.shape[1])
        mean = (w @ x.to(torch.float64)) / weight
        centred = x - mean.to(x.dtype)
        c = torch.cat([centred, centred @ u.to(x.dtype)], dim=1)
        slip, second, third, fourth = (w @ power.to(torch.float64) for power in _powers(c))
        s = slip / weight  # rounding of the centre
        fourth = fourth - 4 * s * third + 6 * s**2 * second - 3 * weight * s**4
        third = third - 3 * s * second + 2 * weight * s**3
        second = second - weight * s**2
        part = {"weight": weight, "squares": w.square().sum(), "mean": torch.cat([mean, mean @ u])}
        return self.merge(state, {**part, "second": second, "third": third, "fourth": fourth})

    def merge(self, first: State, second: State) -> State:
        """Merge two parts."""
        if not first or not second:
            return first or second
        a, b = first["weight"], second["weight"]
        W, gap = a + b, second["mean"] - first["mean"]
        M2, N2, M3, N3 = first["second"], second["second"], first["third"], second["third"]
        fourth = first["fourth"] + second["fourth"] + gap**4 * (a * b / W) * (a**2 - a * b + b**2) / W**2
        fourth = fourth + 6 * gap**2 * (a**2 * N2 + b**2 * M2) / W**2 + 4 * gap * (a * N3 - b * M3) / W
        return {
            "weight": W,
            "squares": first["squares"] + second["squares"],
            "mean": first["mean"] + gap * (b / W),
            "second": M2 + N2 + gap**2 * (a * b / W),
            "third": M3 + N3 + gap**3 * (a * b / W) * (a - b) / W + 3 * gap * (a * N2 - b * M2) / W,
            "fourth": fourth,
        }


def _powers(c: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    square = c * c
    return c, square, square * c, square * square


@register
@dataclass(frozen=True)
class Cumulants(Observable):
    r"""Standardised third and fourth cumulants, zero for a Gaussian field.

    Quantities: "skewness" :math:`\kappa_3 / \kappa_2^{3/2}` and "kurtosis" :math:`\kappa_4 / \kappa_2^2` (excess), each
    the mean over the sites that vary; "fourth_order", the mean of :math:`\kappa_4 / \kappa_2^2` of the field's
    projections on at most 64 fixed random directions: the connected fourth order between sites. For D independent
    sites of kurtosis k it falls as 3 k / (D + 2) on average over all directions.

    From samples, with the corrections of joanes1998 for finite n (unbiased for independent Gaussian samples); exact on
    a law.

    Do not trust when:
        Tails are so heavy that the eighth moment does not exist: the error bar then means nothing.

    Source:
        pebay2016 for the sums, joanes1998 for the corrections.
    """

    name = "cumulants"
    source = "pebay2016"
    units = {"skewness": "1", "kurtosis": "1", "fourth_order": "1"}

    @property
    def monoid(self) -> PowerSums:
        """Power sums."""
        return PowerSums()

    def value(self, state: State) -> dict[str, Tensor]:
        """Standardise, correct, average.

        Raises:
            TooFewSamplesError: If there are fewer than four samples.
            ConstantUnitsError: If no site varies.
        """
        n = effective_samples(state)
        if n <= 3:
            raise TooFewSamplesError(f"a fourth cumulant needs at least four samples, not {n:g}", "Give more samples.")
        variance, mean = state["second"] / state["weight"], state["mean"]
        varies = variance > 1e-20 * (mean.square() + variance.max())  # beyond the rounding of the mean
        count = len(mean) - min(DIRECTIONS, _dimension(len(mean)))
        if not bool(varies[:count].any()):
            raise ConstantUnitsError("no site varies over the samples", "Check the data.")
        g1 = state["third"] / state["weight"] / variance**1.5
        g2 = state["fourth"] / state["weight"] / variance**2 - 3
        if not isinf(n):
            g1 = g1 * (n * (n - 1)) ** 0.5 / (n - 2)
            g2 = ((n + 1) * g2 + 6) * (n - 1) / ((n - 2) * (n - 3))
        sites, along = varies[:count], varies[count:]
        return {
            "skewness": g1[:count][sites].mean(),
            "kurtosis": g2[:count][sites].mean(),
            "fourth_order": g2[count:][along].mean(),
        }


def _dimension(columns: int) -> int:
    """Return D, given D + min(64, D)."""
    return columns - DIRECTIONS if columns >= 2 * DIRECTIONS else columns // 2
