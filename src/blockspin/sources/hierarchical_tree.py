"""Hierarchical tree: a Gaussian field on the leaves of a tree, each node adding to all leaves below it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, check_whole
from blockspin.geometry import Tree
from blockspin.law import GaussianLaw
from blockspin.registry import register
from blockspin.sources._options import number
from blockspin.sources._tree_field import tree_law, tree_samples
from blockspin.sources.base import ExactModel, PlantedModel, Truth


@register
@dataclass(frozen=True)
class HierarchicalTree(PlantedModel, ExactModel):
    r"""The Gaussian case of Dyson's hierarchical model: each leaf is a sum over its ancestors.

    .. math:: \phi_i = \sum_{l=0}^{D} \sqrt{v_l}\; z_{a_l(i)}, \qquad v_l = \rho^l,

    with independent unit Gaussians z, one a node. Two leaves whose branches meet at height h share the ancestors from
    there up, so that their covariance is the sum of v_l over l >= h. The right coarse-graining, subtrees to their
    parents, is known by construction. The truth holds what each node adds, "level_0" (the leaves' own) to "level_D".

    Args:
        branching: Children of each node, at least 2.
        depth: D, levels above the leaves.
        ratio: rho >= 0, the variance of a level over that of the level below; 0 is white noise.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        It is asked for the non-Gaussian fixed points of Dyson's model: every cumulant beyond the second is 0.

    Source:
        dyson1969.

    Example:
        >>> HierarchicalTree(branching=2, depth=1, ratio=0.5).law().covariance.tolist()
        [[1.5, 0.5], [0.5, 1.5]]
    """

    name = "hierarchical-tree"
    source = "dyson1969"
    branching: int = 2
    depth: int = 6
    ratio: float = 0.7

    def __post_init__(self):
        check_whole("branching", self.branching, 2)
        check_whole("depth", self.depth, 1)
        number("ratio", self.ratio, 0.0)
        if self.branching**self.depth > 4096:
            raise ConfigError("depth", self.depth, "a tree with at most 4096 leaves.")

    @property
    def variances(self) -> Tensor:
        """v_l, float64 [depth + 1], from the leaves up."""
        return torch.tensor([self.ratio**level for level in range(self.depth + 1)], dtype=torch.float64)

    @property
    def geometry(self) -> Tree:
        """The tree."""
        return Tree(self.branching, self.depth)

    def law(self) -> GaussianLaw:
        """Return the exact law."""
        return tree_law(self.variances, self.geometry)

    def sample_with_truth(self, samples: int, *, generator: torch.Generator) -> tuple[Ensemble, Truth]:
        """Draw independent samples and what each node adds, "level_0" (the leaves' own) to "level_D"."""
        return tree_samples(self.variances, self.geometry, samples, generator)
