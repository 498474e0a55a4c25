"""Sector strengths: couplings of pairs of sites, and their means within sectors and across."""

from __future__ import annotations

from itertools import combinations
from math import inf

import torch
from torch import Tensor

from blockspin.couplings._sector_frame import VARIES
from blockspin.errors import ConstantUnitsError, TooFewSamplesError
from blockspin.observables.base import State, is_law

RELATED = 1e-10
"""A direction of the correlations with less than this share of their trace is a linear relation but for rounding."""


def sector_strengths(one: Tensor, two: Tensor, labels: tuple[int, ...]) -> dict[str, Tensor]:
    """Return mean products of two independent estimates of a coupling matrix, within sectors and across.

    Args:
        one: Couplings of each pair of sites [D, D], symmetric; its diagonal is left out.
        two: The same from other samples.
        labels: The sector of each site.
    """
    label = torch.tensor(labels)
    member = torch.nn.functional.one_hot(label).to(torch.float64)  # [D, sectors]
    product = one * two
    product = product - torch.diag(product.diagonal())
    size = member.sum(0)
    total = member.T @ product @ member
    count = torch.outer(size, size) - torch.diag(size)
    mean = total / count.clamp(min=1)
    first, second = torch.tensor(list(combinations(range(len(size)), 2))).T
    return {"within": mean.diagonal(), "cross": mean[first, second]}


def overall_strengths(one: Tensor, two: Tensor, labels: tuple[int, ...]) -> dict[str, Tensor]:
    """Return mean products of two independent estimates over all pairs within any sector, and over all others.

    Args:
        one: Couplings of each pair of sites [D, D], symmetric; its diagonal is left out.
        two: The same from other samples.
        labels: The sector of each site.
    """
    label = torch.tensor(labels)
    same = label[:, None] == label[None]
    inside, product = same & ~torch.eye(len(label), dtype=torch.bool), one * two
    return {
        "mean_within": product[inside].sum() / inside.sum().clamp(min=1),
        "mean_cross": product[~same].mean(),
    }


def partial_correlations(moments: State) -> Tensor:
    """Return the correlation of each pair of sites at given values of all others [D, D], from second moments.

    Raises:
        TooFewSamplesError: If samples do not outnumber the sites by two.
        ConstantUnitsError: If a site does not vary, or sites obey a linear relation.
    """
    scatter = moments["scatter"]
    n = samples_of(moments)
    if n < len(scatter) + 2:
        raise TooFewSamplesError(
            f"{n:.0f} effective samples do not determine the couplings of {len(scatter)} sites",
            "Give more samples, or coarse-grain the field first.",
        )
    variance = scatter.diagonal()
    if not bool((variance > VARIES * variance.max()).all()):
        raise ConstantUnitsError("a site does not vary", "Leave it out.")
    root = variance.sqrt()
    correlation = scatter / torch.outer(root, root)
    if float(torch.linalg.eigvalsh(correlation)[0]) < RELATED * len(correlation):
        raise ConstantUnitsError(
            "sites obey a linear relation, as those after a normalisation do: at given others none can vary",
            "Read fewer modes of each sector than it has sites: sectors:modes=...",
        )
    A = torch.linalg.inv(correlation)
    scale = A.diagonal().sqrt()
    partial = -A / torch.outer(scale, scale)
    return partial - torch.diag(partial.diagonal()) + torch.eye(len(A), dtype=torch.float64)


def samples_of(moments: State) -> float:
    """Return the effective number of samples behind second moments; infinite of a law."""
    squares = float(moments["squares"])
    if is_law(moments):
        return inf
    return float(moments["weight"]) ** 2 / squares if squares else 0.0
