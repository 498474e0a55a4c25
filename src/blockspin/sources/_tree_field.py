"""Tree field: Gaussian fields on the leaves of a tree to which every ancestor adds a number."""

from __future__ import annotations

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.geometry import Tree
from blockspin.law import GaussianLaw
from blockspin.sources.base import Truth


def tree_law(variances: Tensor, tree: Tree) -> GaussianLaw:
    """Return the exact law, given the variance of the nodes of each level, float64 [depth + 1], from the leaves up."""
    leaf = torch.arange(tree.sites)
    covariance = torch.zeros(tree.sites, tree.sites, dtype=torch.float64)
    for level, variance in enumerate(variances):
        ancestor = leaf // tree.branching**level
        covariance += variance * (ancestor[:, None] == ancestor[None])
    return GaussianLaw.of(covariance, tree)


def tree_samples(variances: Tensor, tree: Tree, samples: int, generator: torch.Generator) -> tuple[Ensemble, Truth]:
    """Draw independent samples node by node; the truth holds each level's nodes, "level_0" (the leaves' own) and up."""
    values = torch.zeros(samples, tree.sites, dtype=torch.float64)
    nodes = {}
    for level, variance in enumerate(variances):
        below = tree.branching**level
        unit = torch.randn(samples, tree.sites // below, dtype=torch.float64, generator=generator)
        nodes[f"level_{level}"] = variance.sqrt() * unit
        values += nodes[f"level_{level}"].repeat_interleave(below, dim=1)
    return Ensemble.of(values.to(torch.float32), tree, units=torch.arange(samples)), Truth(nodes)
