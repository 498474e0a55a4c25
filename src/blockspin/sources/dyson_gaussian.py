"""Dyson Gaussian: Dyson's hierarchical model with Gaussian spins, exact level by level."""

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
class DysonGaussian(PlantedModel, ExactModel):
    r"""Gaussian spins on the leaves of a tree, every block coupled through the square of its sum.

    .. math:: P(\phi) \propto \exp\Big[-\frac r2 \sum_i \phi_i^2
        + \frac12 \sum_{l=1}^{D} \Big(\frac{c}{B^2}\Big)^l \sum_{\text{blocks of } B^l}
        \Big(\sum_{i \in \text{block}} \phi_i\Big)^2\Big] .

    Block averages times sqrt(c) are the same model with one level less and r' = (B / c) r - 1, exactly: see
    ``theory.dyson_gaussian``. The couplings of a ``hierarchical-tree`` follow from r and c here. Its truth holds what
    the nodes of each level add, "level_0" to "level_D".

    Args:
        branching: B, at least 2.
        depth: D, levels above the leaves; at most 4096 leaves.
        strength: c, in (0, B); B^(1 - 2/d) for what resembles a lattice of d dimensions.
        mass: r, larger than the sum of (c / B)^l over l = 1 .. D; c / (B - c) is the critical value of a deep tree.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        It is taken for a lattice of d dimensions: distance is that along the tree, and the analogy is one of exponents.

    Source:
        collet1978.

    Example:
        >>> DysonGaussian(branching=2, depth=1, strength=1.0, mass=1.0).law().covariance.tolist()
        [[1.5, 0.5], [0.5, 1.5]]
    """

    name = "dyson-gaussian"
    source = "collet1978"
    branching: int = 2
    depth: int = 6
    strength: float = 1.26
    mass: float = 1.75

    def __post_init__(self):
        check_whole("branching", self.branching, 2)
        check_whole("depth", self.depth, 1)
        number("mass", self.mass)
        if not 0 < self.strength < self.branching:
            raise ConfigError("strength", self.strength, f"a number between 0 and {self.branching}.")
        if self.branching**self.depth > 4096:
            raise ConfigError("depth", self.depth, "a tree with at most 4096 leaves.")
        least = sum((self.strength / self.branching) ** level for level in range(1, self.depth + 1))
        if self.mass <= least:
            raise ConfigError("mass", self.mass, f"a number above {least:.6g}, else the law cannot be normalised.")

    @property
    def geometry(self) -> Tree:
        """The tree."""
        return Tree(self.branching, self.depth)

    @property
    def variances(self) -> Tensor:
        """Variance of what a node of each level adds, float64 [depth + 1], from the leaves up.

        A field that is constant on the children of a node at height l, and sums to zero over them, has the precision
        r - sum over j < l of (c/B)^j; in a tree field its variance is the sum of v_j B^j over j < l.
        """
        share = (self.strength / self.branching) ** torch.arange(self.depth + 1, dtype=torch.float64)
        variance = 1 / (self.mass + 1 - share.cumsum(0))
        steps = torch.diff(variance, prepend=torch.zeros(1, dtype=torch.float64))
        return steps / float(self.branching) ** torch.arange(self.depth + 1)

    def law(self) -> GaussianLaw:
        """Return the exact law."""
        return tree_law(self.variances, self.geometry)

    def sample_with_truth(self, samples: int, *, generator: torch.Generator) -> tuple[Ensemble, Truth]:
        """Draw independent samples and what each node adds."""
        return tree_samples(self.variances, self.geometry, samples, generator)
