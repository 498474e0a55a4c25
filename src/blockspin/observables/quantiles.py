"""Quantiles: of a field and of its magnitude, from buckets of fixed relative width, whatever the number of samples."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

import torch
from torch import Tensor

from blockspin.ensemble import Batch, check_finite
from blockspin.errors import ConfigError, TooFewSamplesError
from blockspin.observables.base import Observable, PartMonoid, State, weights_of
from blockspin.registry import register

MANTISSA, EXPONENTS = 52, 11
"""Bits of a float64."""
HUGE = torch.finfo(torch.float64).max
DENSE = 2**20
"""Buckets that are counted in a table of all; where they lie farther apart, values are sorted."""
MASSIVE = 1000.0
"""Magnitudes beyond this many times the median are called massive."""


@dataclass(frozen=True)
class Buckets(PartMonoid):
    """Weight in every bucket of values that share sign, exponent and the first bits of the mantissa.

    A value's bucket is a function of its bits alone, so that plain samples are counted by exact integer addition, the
    same in every order of merging and on every machine. Zeros of both signs share the bucket of the smallest numbers.
    Only buckets that are met are kept: at most ``2 ** (bits + 12)`` a site, a few thousand on ordinary data.

    State: "weight" [], "squares" [] (sum of squared weights), "sites" int64 [], "keys" int64 [buckets], sorted by site
    and then by value, "counts" float64 [buckets].

    Args:
        bits: Bits of the mantissa that are kept; a bucket is at most ``2 ** -bits`` of its value wide.
        per_site: Count each site apart, rather than all together.
    """

    bits: int = 6
    per_site: bool = False

    @property
    def span(self) -> int:
        """How many keys a site has."""
        return 2 ** (EXPONENTS + self.bits + 1)

    def part(self, *batches: Batch) -> State:
        """Add up one batch.

        Raises:
            NonFiniteError: If a value is NaN or infinite.
        """
        (batch,) = batches
        check_finite(batch.values, "the field whose quantiles are asked for", batch.ids)
        bucket = bucket_of(batch.values.flatten(1).to(torch.float64), self.bits)
        sites = bucket.shape[1] if self.per_site else 1
        keys, counts = _counted(bucket, batch.weights, sites)
        site, value = keys
        part = {**weights_of(batch), "sites": torch.tensor(sites)}
        return {**part, "keys": site * self.span + value + self.span // 2, "counts": counts}

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        keys, counts = _summed(*(torch.cat([first[key], second[key]]) for key in ("keys", "counts")))
        added = {key: first[key] + second[key] for key in ("weight", "squares")}
        return {**added, "sites": first["sites"], "keys": keys, "counts": counts}

    def parts(self, state: State) -> tuple[Tensor, Tensor]:
        """Return site and signed bucket of every key."""
        return state["keys"] // self.span, state["keys"] % self.span - self.span // 2


def bucket_of(values: Tensor, bits: int) -> Tensor:
    """Return the signed bucket int64 of float64 values; it grows with the value, and zero is in bucket 0."""
    pattern = values.contiguous().view(torch.int64)
    magnitude = (pattern & (2**63 - 1)) >> (MANTISSA - bits)
    return torch.where(pattern < 0, -magnitude, magnitude)


def edge_of(bucket: Tensor, bits: int) -> Tensor:
    """Return the smallest magnitude of non-negative buckets, float64, at most the largest finite number."""
    return (bucket << (MANTISSA - bits)).view(torch.float64).clamp(max=HUGE)


@register
@dataclass(frozen=True)
class Quantiles(Observable):
    r"""Quantiles of the values x and the magnitudes abs(x) of a field, pooled over sites and, if asked for, per site.

    .. math:: Q(p) = \inf \{ x : F(x) \ge p \}

    with F the weighted distribution of the samples, interpolated linearly inside a bucket. A bucket is given by the
    sign, the exponent and the first bits of the mantissa of a value, so that its width is a fixed share of the value
    (up to a factor of two), from the smallest number to the largest.

    Quantities: "quantiles" and "magnitudes" [levels], "quantiles_resolution" and "magnitudes_resolution" [levels]: the
    width of the bucket that each lies in, which bounds its distance to the exact quantile of the samples and comes on
    top of the error; "massive", the share of magnitudes above 1,000 times their median. Per site also
    "site_quantiles", "site_magnitudes" [levels, sites].

    Args:
        levels: Probabilities between 0 and 1; 1 is the largest value, for tails and maxima.
        resolution: Largest width of a bucket as a share of its value; rounded down to a power of two.
        per_site: Also give every site's own.

    Raises:
        ConfigError: If a level is outside of [0, 1] or the resolution outside of [2^-20, 1/2].

    Do not trust when:
        A level is so close to 0 or 1 that fewer than some ten independent units lie beyond it (the maximum always):
        the error bar then says little. The density has a gap or an atom at the quantile: the error is not normal there.

    Source:
        masson2019 for buckets of fixed relative width that merge.
    """

    name = "quantiles"
    source = "masson2019"
    smooth = False
    units = {
        "quantiles": "field",
        "quantiles_resolution": "field",
        "magnitudes": "field",
        "magnitudes_resolution": "field",
        "massive": "1",
        "site_quantiles": "field",
        "site_magnitudes": "field",
    }
    levels: tuple[float, ...] = (0.01, 0.25, 0.5, 0.75, 0.99)
    resolution: float = 2**-6
    per_site: bool = False

    def __post_init__(self):
        if not self.levels or not all(0 <= level <= 1 for level in self.levels):
            raise ConfigError("levels", self.levels, "probabilities between 0 and 1.")
        if not 2**-20 <= self.resolution <= 0.5:
            raise ConfigError("resolution", self.resolution, "a share between 2^-20 and 1/2.")

    @property
    def monoid(self) -> Buckets:
        """Counts in buckets."""
        return Buckets(ceil(-log2(self.resolution)), self.per_site)

    def value(self, state: State) -> dict[str, Tensor]:
        """Read the quantiles off the counts.

        Raises:
            TooFewSamplesError: If there is no sample.
        """
        if not state:
            raise TooFewSamplesError("there is no sample to take quantiles of", "Give more samples.")
        monoid, counts = self.monoid, state["counts"]
        site, bucket = monoid.parts(state)
        magnitude = bucket.abs()
        zero = torch.zeros_like(site)
        found = {}
        for name, values in (("quantiles", bucket), ("magnitudes", magnitude)):
            at, width = self._read(zero, values, counts)
            found[name], found[f"{name}_resolution"] = at[:, 0], width[:, 0]
            if self.per_site:
                found[f"site_{name}"] = self._read(site, values, counts)[0]
        centre = self._read(zero, magnitude, counts, levels=(0.5,))[0]
        massive = edge_of(magnitude, monoid.bits) > MASSIVE * centre[0, 0]
        return {**found, "massive": counts[massive].sum() / counts.sum()}

    def _read(
        self, site: Tensor, bucket: Tensor, counts: Tensor, levels: tuple[float, ...] = ()
    ) -> tuple[Tensor, Tensor]:
        """Return (quantiles, widths of their buckets), float64 [levels, sites]."""
        span, bits = self.monoid.span, self.monoid.bits
        keys, counts = _summed(site * span + bucket + span // 2, counts)
        sizes = torch.unique_consecutive(keys // span, return_counts=True)[1]
        last = sizes.cumsum(0) - 1
        summed = counts.cumsum(0)
        before = torch.cat([summed.new_zeros(1), summed[last[:-1]]])
        p = torch.tensor(levels or self.levels, dtype=torch.float64)[:, None]
        target = before + p * (summed[last] - before)
        index = torch.searchsorted(summed, target).clamp(min=last - sizes + 1, max=last)
        share = (1 - (summed[index] - target) / counts[index]).clamp(0, 1)
        at = keys[index] % span - span // 2
        low, high = edge_of(at.abs(), bits), edge_of(at.abs() + 1, bits)
        inside = torch.where(at < 0, -high + share * (high - low), low + share * (high - low))
        return torch.where(at == 0, 0.0, inside), high - low


def _counted(bucket: Tensor, weights: Tensor, sites: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Return ((site, bucket), weight) of the buckets that are met in a batch [samples, D], without sorting it."""
    low = int(bucket.min())
    if int(bucket.max()) - low < DENSE:
        met = torch.bincount((bucket - low).flatten()).nonzero().flatten()
    else:
        met = torch.unique(bucket - low)
    number = torch.searchsorted(met, bucket - low)
    if sites > 1:
        number = number + torch.arange(sites) * len(met)
    counts = torch.bincount(
        number.flatten(), weights=weights[:, None].expand(bucket.shape).flatten(), minlength=sites * len(met)
    )
    found = (counts > 0).nonzero().flatten()
    return (found // len(met), met[found % len(met)] + low), counts[found]


def _summed(keys: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return distinct keys, sorted, and the sum of the counts of each."""
    distinct, index = torch.unique(keys, return_inverse=True)
    return distinct, torch.zeros(len(distinct), dtype=torch.float64).index_add_(0, index, counts)
