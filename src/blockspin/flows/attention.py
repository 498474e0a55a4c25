"""Attention: how far back, or around, each head of each layer looks, beside uniform attention over the same tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from blockspin.errors import NonFiniteError, ShapeError
from blockspin.flow import Flow, Scale
from blockspin.flows._jackknife import jackknifed
from blockspin.flows.depth import AXIS

UNITS = {"attention/distance": "tokens", "attention/uniform": "tokens", "attention/ratio": "1"}


def attention_flow(name: str, attentions: Sequence[Tensor], mask: Tensor | None = None) -> Flow:
    r"""Return the flow over depth of the distance over which heads attend.

    Quantities, arrays with one number a head: "attention/distance", :math:`\langle \sum_k a_{qk} |q - k| \rangle` over
    queries and passages; "attention/uniform", the same for equal weights on every key that the query may see, which is
    the architecture's own scale; "attention/ratio" of the two. Keys after the query count as seen unless no weight of
    the layer is ever on one of them. Means are over queries; passages are what is independent.

    Args:
        name: What flows.
        attentions: The weights of each layer, [passages, heads, queries, keys], as ``output_attentions=True`` gives.
        mask: Which tokens are no padding, [passages, tokens]; None for all.

    Raises:
        ShapeError: If weights or mask do not have these axes.
        NonFiniteError: If a weight is NaN or infinite.
        TooFewSamplesError: If there are fewer than 40 passages.

    Do not trust when:
        Heads rest on a first or separating token: the distance to it is where the passage begins, not a scale of the
        text; leave those tokens out by the mask.

    Source:
        vig2019.
    """
    scales = []
    for layer, weights in enumerate(attentions):
        if weights.ndim != 4 or weights.shape[2] != weights.shape[3]:
            raise ShapeError(f"weights of shape {tuple(weights.shape)} are not [passages, heads, queries, keys]")
        if not bool(torch.isfinite(weights).all()):
            raise NonFiniteError(f"a weight of layer {layer} is NaN or infinite", "Check the passages.")
        kept = torch.ones(len(weights), weights.shape[2]) if mask is None else mask
        if kept.shape != (len(weights), weights.shape[2]):
            raise ShapeError(f"a mask of shape {tuple(kept.shape)} is not that of {len(weights)} passages")
        found = jackknifed(_sums(weights, kept.to(torch.bool)), _numbers, UNITS)
        scales.append(Scale(float(layer), f"layer {layer}", measurements=found))
    return Flow(name, AXIS, tuple(scales))


def _sums(weights: Tensor, kept: Tensor) -> Tensor:
    """Return distance summed over queries, that of uniform weights, and the queries: float64 [passages, heads, 3]."""
    at = torch.arange(weights.shape[2])
    distance = (at[:, None] - at[None]).abs().to(torch.float64)
    causal = not bool((weights * (at[None] > at[:, None])).any())
    seen = kept[:, None, :] & kept[:, :, None] & ((at[None] <= at[:, None]) | (not causal))
    seen = seen[:, None].to(torch.float64)  # [passages, 1, queries, keys]
    own = weights.to(torch.float64) * seen
    rows = [_mean_over_keys(own, distance), _mean_over_keys(seen, distance).expand(own.shape[:3])]
    queries = kept[:, None].to(torch.float64)
    sums = [(row * queries).sum(2) for row in rows]
    return torch.stack([*sums, queries.sum(2).expand(sums[0].shape)], 2)


def _mean_over_keys(weights: Tensor, distance: Tensor) -> Tensor:
    """Return the mean distance of each query, 0 where it sees nothing."""
    total = weights.sum(3)
    return (weights * distance).sum(3) / total.clamp(min=torch.finfo(torch.float64).tiny)


def _numbers(rows: Tensor) -> dict[str, Tensor]:
    own, uniform, queries = rows.sum(0).unbind(1)
    return {
        "attention/distance": own / queries,
        "attention/uniform": uniform / queries,
        "attention/ratio": own / uniform,
    }
