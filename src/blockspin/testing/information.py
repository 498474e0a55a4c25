"""Information: what a field tells of a label, exact on enumerated worlds."""

from __future__ import annotations

import torch
from torch import Tensor

from blockspin.ensemble import distinct


def information_with(label: Tensor, values: Tensor, weights: Tensor) -> float:
    """Return the mutual information in nats between a label and a field, each row with its probability.

    Args:
        label: bool [rows].
        values: [rows, sites, components]; equal rows (to 9 digits) are one outcome.
        weights: float64 [rows], adding up to one.
    """
    _, outcome = distinct(torch.round(values.flatten(1), decimals=9) + 0.0)
    joint = torch.zeros(int(outcome.max()) + 1, 2, dtype=torch.float64)
    joint.index_put_((outcome, label.to(torch.int64)), weights, accumulate=True)
    product = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return float(torch.special.xlogy(joint, joint / product.clamp(min=1e-300)).sum())
