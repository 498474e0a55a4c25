"""Binder: fourth-order cumulant of a field's mean, which does not change with length at a critical point."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Batch
from blockspin.errors import ConstantUnitsError, ShapeError, TooFewSamplesError
from blockspin.observables.base import Observable, State, SumMonoid, weights_of
from blockspin.registry import register


@dataclass(frozen=True)
class MeanPowers(SumMonoid):
    """Second and fourth powers of the mean over the sites, about zero.

    State: "weight" [], "squares" [] (sum of squared weights), "second" [], "fourth" [], float64; merged by adding.
    """

    def part(self, *batches: Batch) -> State:
        """Add up one batch.

        Raises:
            ShapeError: If the field has more than one component.
        """
        (batch,) = batches
        if batch.values.shape[2] != 1:
            raise ShapeError(
                f"a field of {batch.values.shape[2]} components has no single mean", "Give one component at a time."
            )
        m, w = batch.values[:, :, 0].to(torch.float64).mean(1), batch.weights
        powers = {"second": w @ m**2, "fourth": w @ m**4}
        return {**weights_of(batch), **powers}


@register
@dataclass(frozen=True)
class Binder(Observable):
    r"""Cumulant ratio of the mean over the sites, m: 2/3 in an ordered phase, 0 where m is Gaussian.

    .. math:: U_4 = 1 - \frac{\langle m^4 \rangle}{3 \langle m^2 \rangle^2}, \qquad
        Q = \frac{\langle m^2 \rangle^2}{\langle m^4 \rangle}

    At a critical point neither depends on the size of the lattice, so that they stay under coarse-graining as well;
    away from it they flow to one of the two limits. On a periodic square lattice of Ising spins U4 = 0.61069 there.
    Powers are taken about zero. Quantities: "binder" (U4), "ratio" (Q), "second" (mean of m^2).

    Do not trust when:
        A field and its negative are not equally likely: subtract what the mean would be by symmetry first. U4 has a
        bias of order 1 / n, far below its error.

    Source:
        binder1981.
    """

    name = "binder"
    source = "binder1981"
    units = {"binder": "1", "ratio": "1", "second": "field^2"}

    @property
    def monoid(self) -> MeanPowers:
        """Powers of the mean."""
        return MeanPowers()

    def value(self, state: State) -> dict[str, Tensor]:
        """Divide.

        Raises:
            TooFewSamplesError: If there are fewer than two samples.
            ConstantUnitsError: If the mean is zero in every sample.
        """
        if not state or float(state["squares"]) >= float(state["weight"]) ** 2:
            raise TooFewSamplesError("a cumulant ratio needs at least two samples", "Give more samples.")
        second, fourth = state["second"] / state["weight"], state["fourth"] / state["weight"]
        if not float(second) > 0:
            raise ConstantUnitsError("the mean over the sites is zero in every sample", "Do not centre each sample.")
        ratio = second**2 / fourth
        return {"binder": 1 - 1 / (3 * ratio), "ratio": ratio, "second": second}
