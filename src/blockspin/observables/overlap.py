"""Overlap: how alike two replicas of a disordered system are, and whether that depends on the disorder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import ConstantUnitsError, ShapeError, TooFewSamplesError, check_whole
from blockspin.observables.base import Observable, RowMonoid, State
from blockspin.registry import register


@dataclass(frozen=True)
class OverlapSums(RowMonoid):
    """Sums of powers of the overlap of two aligned fields, and its histogram, of each unit.

    State, one row a unit, in ascending order: "ids" and "units" int64 [rows], "weight" and "squares" float64 [rows]
    (sums of weights and of their squares), "sums" float64 [rows, 4] (weighted sums of |q|, q, q^2 and q^4) and
    "histogram" float64 [rows, bins] over -1 <= q <= 1. Merged by adding the rows of the same unit.

    Args:
        bins: Bins of the histogram.
    """

    inputs = 2
    bins: int = 20

    def part(self, *batches: Batch) -> State:
        """Add up a joint batch of two replicas.

        Raises:
            ShapeError: If the replicas have different sites or components.
            ConstantUnitsError: If a replica is zero on all sites of a sample.
        """
        first, second = batches
        if first.values.shape != second.values.shape:
            shapes = f"{tuple(first.values.shape)} and {tuple(second.values.shape)}"
            raise ShapeError(f"replicas of shapes {shapes} have no overlap", "Give two fields on the same sites.")
        q, w = overlaps(first.values, second.values), first.weights
        bin_of = ((q + 1) / 2 * self.bins).long().clamp(0, self.bins - 1)
        histogram = torch.zeros(len(q), self.bins, dtype=torch.float64)
        histogram[torch.arange(len(q)), bin_of] = w
        powers = torch.stack([q.abs(), q, q**2, q**4], dim=1) * w[:, None]
        rows = {"ids": first.units, "units": first.units, "weight": w, "squares": w**2}
        return _by_unit({**rows, "sums": powers, "histogram": histogram})

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        return _by_unit({key: torch.cat([first[key], second[key]]) for key in first})


def overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Return q of each sample, float64 [samples]: the cosine between the two fields, for spins their mean product.

    Raises:
        ConstantUnitsError: If a field is zero on all sites of a sample.
    """
    a, b = (x.flatten(1).to(torch.float64) for x in (first, second))
    norm = a.norm(dim=1) * b.norm(dim=1)
    if not bool((norm > 0).all()):
        raise ConstantUnitsError(
            "a replica is zero on all sites of a sample, which has no direction", "Leave that sample out of both."
        )
    return ((a * b).sum(1) / norm).clamp(-1, 1)


def _by_unit(rows: State) -> State:
    units, index = torch.unique(rows["units"], return_inverse=True)
    summed = {"ids": units, "units": units}
    for key in rows.keys() - summed.keys():
        zero = torch.zeros(len(units), *rows[key].shape[1:], dtype=torch.float64)
        summed[key] = zero.index_add(0, index, rows[key])
    return summed


@register
@dataclass(frozen=True)
class Overlap(Observable):
    r"""Distribution of the overlap q of two independent replicas that share their disorder.

    A unit is one sample of the disorder (couplings; a training set, or a task), its samples are pairs of states (of
    configurations; of networks trained from different seeds, on one input each). With < > over the pairs of a unit and
    [ ] over units, quantities are "mean" [<q>], "absolute" [<|q|>], "second" [<q^2>], "histogram" [bins],

    .. math:: \text{"binder"} = \tfrac12 \Big(3 - \frac{[\langle q^4 \rangle]}{[\langle q^2 \rangle]^2}\Big), \qquad
        \text{"variation"} = \frac{[\langle q^2 \rangle^2] - [\langle q^2 \rangle]^2}{[\langle q^2 \rangle]^2}.

    "binder" is 0 for many independent sites and 1 where |q| has one value. "variation" tells glasses from magnets: it
    is 0 where every sample of the disorder has the same overlaps, and stays above 0 in large glasses, which are not
    self-averaging. The squares in it are corrected for the finite number of pairs of a unit, so that it is unbiased up
    to order 1 / units and may be negative; it is absent where a unit holds fewer than two pairs or there is one unit.

    Args:
        bins: Bins of the histogram over -1 <= q <= 1; each entry is a share.

    Raises:
        ConfigError: If there are no bins.

    Do not trust when:
        Sites of the two replicas do not correspond (hidden units of two trainings are numbered arbitrarily: align them
        or compare outputs), pairs within a unit are correlated, or the replicas are not independent.

    Source:
        parisi1983 for the distribution, edwards1975 for the overlap.
    """

    name = "overlap"
    source = "parisi1983"
    smooth = False
    units = dict.fromkeys(("mean", "absolute", "second", "binder", "variation", "histogram"), "1")
    bins: int = 20

    def __post_init__(self):
        check_whole("bins", self.bins, 1)

    @property
    def monoid(self) -> OverlapSums:
        """Sums of each unit."""
        return OverlapSums(self.bins)

    def value(self, state: State) -> dict[str, Tensor]:
        """Average over the pairs of a unit, then over units, each unit alike.

        Raises:
            TooFewSamplesError: If there is no pair.
            ConstantUnitsError: If every overlap is zero.
        """
        if not state or not len(state["units"]):
            raise TooFewSamplesError("there is no pair of replicas", "Give two aligned ensembles.")
        mean = state["sums"] / state["weight"][:, None]
        absolute, first, second, fourth = mean.mean(0)
        if not float(second) > 0:
            raise ConstantUnitsError("every overlap is zero", "Check the replicas.")
        found = {"mean": first, "absolute": absolute, "second": second}
        found["binder"] = (3 - fourth / second**2) / 2
        found["histogram"] = (state["histogram"] / state["weight"][:, None]).mean(0)
        share = state["squares"] / state["weight"] ** 2  # one over the number of pairs
        if len(mean) > 1 and bool((share < 1 - 1e-12).all()):
            noise = (mean[:, 3] - mean[:, 2] ** 2) * share / (1 - share)  # of <q^2>, unbiased
            between = mean[:, 2].var() - noise.mean()
            found["variation"] = between / second**2
        return found
