"""Moments: the units of a layer as samples over its inputs, and mean products of their fields."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Batch, Ensemble
from blockspin.errors import ShapeError, TooFewSamplesError
from blockspin.geometry import Unordered
from blockspin.observables.base import State, SumMonoid, weights_of


@dataclass(frozen=True)
class SecondMoments(SumMonoid):
    """Sums of products of the flattened field about zero: "weight", "squares" [], "products" float64 [D, D]."""

    def part(self, *batches: Batch) -> State:
        """Add up one batch."""
        (batch,) = batches
        x = batch.values.flatten(1).to(torch.float64)
        products = x.T @ (batch.weights[:, None] * x)
        return {**weights_of(batch), "products": products}


def units_as_samples(preactivations: Tensor) -> Ensemble:
    """Return the units of a layer as samples of a field over the inputs: given the layer before, they are independent.

    Args:
        preactivations: [inputs, units].
    """
    fields = preactivations.detach().T
    return Ensemble.of(fields, Unordered(fields.shape[1]), units=torch.arange(len(fields)))


def kernel_of(state: State, inputs: int) -> Tensor:
    """Return mean products over units, float64 [inputs, inputs].

    Raises:
        TooFewSamplesError: If there is no unit.
        ShapeError: If the fields are over another number of inputs.
    """
    if not state:
        raise TooFewSamplesError("there is no unit", "Give the units of the layer as samples.")
    K = state["products"] / state["weight"]
    if len(K) != inputs:
        raise ShapeError(f"fields over {len(K)} inputs do not fit a kernel over {inputs}")
    return K
