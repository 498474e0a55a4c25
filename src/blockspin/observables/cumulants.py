"""Cumulants: how far a field is from Gaussian, site by site and along fixed or chosen directions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isinf

import torch
from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import ConstantUnitsError, ShapeError, TooFewSamplesError
from blockspin.observables._merging import third_scale
from blockspin.observables._running import centred_of, weighed
from blockspin.observables.base import Observable, PartMonoid, State, effective_samples, weights_of
from blockspin.registry import register

DIRECTIONS = 64
"""Most directions along which the connected fourth order is taken; a tensor of order four is never made."""

SLICE = 128
"""Samples whose powers are taken at once: sums inside it are in the dtype of the field, beyond it in float64."""


@lru_cache(maxsize=8)
def directions(dimension: int) -> Tensor:
    """Return the fixed unit vectors of a dimension, float64 [dimension, min(64, dimension)], drawn once and for all."""
    generator = torch.Generator().manual_seed(dimension)
    drawn = torch.randn(dimension, min(DIRECTIONS, dimension), dtype=torch.float64, generator=generator)
    return drawn / drawn.norm(dim=0)


@dataclass(frozen=True, eq=False)
class Directions:
    """Chosen unit vectors, equal when their numbers are; make them with ``of``.

    Args:
        vectors: float64 [D, directions], columns of length one.
    """

    vectors: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> Directions:
        """Normalise vectors [D, directions], for instance eigenvectors of a covariance fitted on other samples.

        Raises:
            ShapeError: If they are not 1 to 64 columns.
            ConstantUnitsError: If one of them has no direction: zero, NaN or infinite.
        """
        if vectors.ndim != 2 or not 1 <= vectors.shape[1] <= DIRECTIONS:
            raise ShapeError(f"{tuple(vectors.shape)} is not [D, directions]", f"Give 1 to {DIRECTIONS} columns.")
        v = vectors.detach().to("cpu", torch.float64)
        v = v / v.abs().amax(0)  # so that no square is out of range
        bad = ~torch.isfinite(v).all(0)
        if bool(bad.any()):
            raise ConstantUnitsError(
                f"vector {int(bad.nonzero()[0])} has no direction", "Give finite vectors, none zero."
            )
        return cls(v / v.norm(dim=0))

    @cached_property
    def key(self) -> str:
        """A hash of the numbers."""
        return hashlib.sha256(self.vectors.contiguous().numpy().tobytes()).hexdigest()[:16]

    def __repr__(self) -> str:
        D, count = self.vectors.shape
        return f"Directions({count} of {D}, {self.key})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Directions) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


@dataclass(frozen=True)
class PowerSums(PartMonoid):
    """Centred power sums up to order four of every site, then along some directions.

    State: "weight" [], "squares" [] (sum of squared weights), "mean", "second", "third" and "fourth" [D + directions],
    all float64: the sums over samples of weight * (x - mean)^p. Merged by the formulas of pebay2016. Batches are
    centred near their own mean before any power is taken; no float64 copy of a field is made.

    Args:
        along: The directions; None for the fixed ones.
    """

    along: Directions | None = None

    def part(self, *batches: Batch) -> State:
        """Add up one batch."""
        (batch,) = batches
        x, w, total = batch.values.flatten(1), batch.weights, weights_of(batch)
        u, (centre, centred) = _vectors(self.along, x.shape[1]), centred_of(x, w)
        parts = zip(centred.split(SLICE), w.split(SLICE), strict=True)
        slip, second, third, fourth = torch.stack([_power_sums(field, part, u) for field, part in parts]).sum(0)
        weight = total["weight"]
        s = slip / weight  # how far the mean is from the centre
        fourth = fourth - 4 * s * third + 6 * s**2 * second - 3 * weight * s**4
        third = third - 3 * s * second + 2 * weight * s**3
        second = second - weight * s**2
        mean = centre.to(torch.float64) + s[: len(centre)]
        return {**total, "mean": torch.cat([mean, mean @ u]), "second": second, "third": third, "fourth": fourth}

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
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

    def scale(self, state: State, key: str) -> Tensor:
        """Return the largest entry; of third powers, which cancel, the most that they can be."""
        return third_scale(state["second"], state["fourth"]) if key == "third" else super().scale(state, key)


def _power_sums(centred: Tensor, weights: Tensor, u: Tensor) -> Tensor:
    """Return the sums of powers one to four of one slice, float64 [4, D + directions]; the slice is written over."""
    along = centred @ u.to(centred.dtype)
    sums = []
    for field in (centred, along):
        square = field * field
        first, second = weighed(field, weights).sum(0), weighed(square, weights).sum(0)
        third = weighed(field.mul_(square), weights).sum(0)
        sums.append(torch.stack([first, second, third, weighed(square.mul_(square), weights).sum(0)]))
    return torch.cat(sums, dim=1).to(torch.float64)


def _vectors(along: Directions | None, dimension: int) -> Tensor:
    """Return the directions for a field of D numbers, float64 [D, directions]."""
    if along is None:
        return directions(dimension)
    if len(along.vectors) != dimension:
        raise ShapeError(f"directions of {len(along.vectors)} numbers do not fit a field of {dimension}")
    return along.vectors


@register
@dataclass(frozen=True)
class Cumulants(Observable):
    r"""Standardised third and fourth cumulants, zero for a Gaussian field.

    Quantities: "skewness" :math:`\kappa_3 / \kappa_2^{3/2}` and "kurtosis" :math:`\kappa_4 / \kappa_2^2` (excess), each
    the mean over the sites that vary; "fourth_order", the mean of :math:`\kappa_4 / \kappa_2^2` of the field's
    projections on at most 64 directions: the connected fourth order between sites. For D independent sites of kurtosis
    k it falls as 3 k / (D + 2) on average over all directions. Where directions are chosen, also "kurtosis_along"
    [directions], that of each of them.

    From samples, with the corrections of joanes1998 for finite n (unbiased for independent Gaussian samples); exact on
    a law.

    Args:
        along: Directions chosen by the user; None for 64 fixed random ones.

    Do not trust when:
        Tails are so heavy that the eighth moment does not exist: the error bar then means nothing. Directions were
        chosen by looking at the samples that are measured: fit them on other units.

    Source:
        pebay2016 for the sums, joanes1998 for the corrections.
    """

    name = "cumulants"
    source = "pebay2016"
    units = {"skewness": "1", "kurtosis": "1", "fourth_order": "1", "kurtosis_along": "1"}
    along: Directions | None = None

    @property
    def monoid(self) -> PowerSums:
        """Power sums."""
        return PowerSums(self.along)

    def value(self, state: State) -> dict[str, Tensor]:
        """Standardise, correct, average.

        Raises:
            TooFewSamplesError: If there are fewer than four samples.
            ConstantUnitsError: If no site varies, or a chosen direction does not.
        """
        g1, g2, varies, _ = standardised(state)
        count = dimension_of(len(g1)) if self.along is None else len(self.along.vectors)
        check_sites(varies[:count])
        still = (~varies[count:]).nonzero()
        if self.along is not None and len(still):
            raise ConstantUnitsError(f"the field does not vary along direction {int(still[0])}", "Leave it out.")
        sites, along = varies[:count], g2[count:]
        return {
            "skewness": g1[:count][sites].mean(),
            "kurtosis": g2[:count][sites].mean(),
            "fourth_order": along[varies[count:]].mean(),
            **({} if self.along is None else {"kurtosis_along": along}),
        }


def standardised(state: State) -> tuple[Tensor, Tensor, Tensor, float]:
    """Return skewness, excess kurtosis and whether it varies, of every site and direction, and the number of samples.

    float64 [D + directions] of a state of ``PowerSums``, with the corrections of joanes1998; infinitely many samples of
    a law need none.

    Raises:
        TooFewSamplesError: If there are fewer than four samples.
    """
    n = effective_samples(state)
    if n <= 3:
        raise TooFewSamplesError(f"a fourth cumulant needs at least four samples, not {n:g}", "Give more samples.")
    variance, mean = state["second"] / state["weight"], state["mean"]
    varies = variance > 1e-20 * (mean.square() + variance.max())  # beyond the rounding of the mean
    g1 = state["third"] / state["weight"] / variance**1.5
    g2 = state["fourth"] / state["weight"] / variance**2 - 3
    if not isinf(n):
        g1 = g1 * (n * (n - 1)) ** 0.5 / (n - 2)
        g2 = ((n + 1) * g2 + 6) * (n - 1) / ((n - 2) * (n - 3))
    return g1, g2, varies, n


def check_sites(varies: Tensor) -> None:
    """Raise if no site varies.

    Raises:
        ConstantUnitsError: If so.
    """
    if not bool(varies.any()):
        raise ConstantUnitsError("no site varies over the samples", "Check the data.")


def dimension_of(columns: int) -> int:
    """Return D, given D + min(64, D)."""
    return columns - DIRECTIONS if columns >= 2 * DIRECTIONS else columns // 2
