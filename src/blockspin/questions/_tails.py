"""Tails: Hill's exponent of the largest values of a field, beside that of a Gaussian at the same share."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor

from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import ConstantUnitsError, TooFewSamplesError
from blockspin.flow import Flow
from blockspin.measurement import Measurement

SHARE, FEWEST, GROUPS = 0.01, 50, 20
MOST = 2**22
"""Values that are looked at, of sites at equal distances in their order where there are more."""


@dataclass(frozen=True, eq=False)
class Tail:
    """The tail of a field, all sites put on one scale.

    Args:
        exponent: Hill's alpha: moments of this order and above do not exist where the tail goes on so.
        gaussian: What it is for a Gaussian of infinitely many samples, at the same share of the values.
        share: The share of the values.
    """

    exponent: Measurement
    gaussian: float
    share: float

    def below(self, exponent: float, chance: float) -> bool:
        """Whether the exponent is below another one by more than an error of this chance."""
        return self.exponent.value + self.exponent.quantile(1 - chance) * self.exponent.error < exponent


def tail_of(ensemble: Ensemble) -> Tail:
    r"""Return Hill's estimate over the largest hundredth of |x|, sites standardised each by itself.

    .. math:: \hat\alpha^{-1} = \langle \ln |x| / u \rangle_{|x| > u}

    Errors by the delete-group jackknife over units, the threshold u held fixed. Of at least 50 values.

    Raises:
        TooFewSamplesError: If there are fewer than 200 values or two units a group.
        ConstantUnitsError: If no site varies.

    Source:
        hill1975.
    """
    field = ensemble.values.flatten(1)
    x = field[:, :: -(-field.numel() // MOST)].to(torch.float64)
    deviation = x.std(0)
    varies = deviation > 1e-10 * (x.abs().amax(0) + deviation.max())
    if not bool(varies.any()):
        raise ConstantUnitsError("no site varies over the samples", "Check the data.")
    z = ((x - x.mean(0)) / deviation)[:, varies].abs()
    count = max(FEWEST, int(SHARE * z.numel()))
    if z.numel() < 4 * FEWEST or len(torch.unique(ensemble.units)) < 2 * GROUPS:
        raise TooFewSamplesError(f"{z.numel()} values have no tail to speak of", "Give more samples.")
    threshold = z.flatten().kthvalue(z.numel() - count).values
    logs = torch.where(z > threshold, (z / threshold).log(), 0.0)
    share = count / z.numel()
    return Tail(_jackknifed(logs, z > threshold, ensemble.units), gaussian_exponent(round(share, 12)), share)


def tails_of(flow: Flow, labels: Collection[str] | None = None) -> dict[str, Tail]:
    """Return the tail of every scale that carries samples enough, of all or some labels."""
    found = {}
    for scale in flow:
        if (labels is None or scale.label in labels) and isinstance(scale.ensemble, Ensemble):
            with suppress(TooFewSamplesError, ConstantUnitsError):  # too little to tell: no number
                found[scale.label] = tail_of(scale.ensemble)
    return found


@lru_cache(maxsize=64)
def gaussian_exponent(share: float) -> float:
    """Return the exponent that Hill's estimate gives for the largest share of the absolute values of a Gaussian."""
    u = float(norm.isf(share / 2))
    mean = 2 * quad(lambda s: norm.sf(u * s) / s, 1, 20)[0] / share  # E ln(|z|/u) by parts
    return 1 / mean


def _jackknifed(logs: Tensor, beyond: Tensor, units: Tensor) -> Measurement:
    group = group_of(units, GROUPS, salt=7)
    rows = torch.stack([logs.sum(1), beyond.sum(1).to(torch.float64)])
    sums = torch.zeros(2, GROUPS, dtype=torch.float64).index_add_(1, group, rows)
    left = sums.sum(1, keepdim=True) - sums
    replicas = left[1] / left[0]
    error = float(replicas.std()) * (GROUPS - 1) / GROUPS**0.5
    how = f"Hill's estimate over {int(sums[1].sum())} values; delete-group jackknife, {GROUPS} groups"
    return Measurement(
        float(sums[1].sum() / sums[0].sum()), error, "1", float(len(torch.unique(units))), how, GROUPS - 1
    )
