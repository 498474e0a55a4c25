"""Random hierarchy: strings of symbols that a random grammar of equal levels makes from a class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, check_whole
from blockspin.geometry import Tree
from blockspin.registry import register
from blockspin.sources._random import instance_generator
from blockspin.sources.base import PlantedModel, Truth


@register
@dataclass(frozen=True)
class RandomHierarchy(PlantedModel):
    """Each class is one of m tuples of s features, each of these again one of m tuples, down to the leaves.

    The m n tuples of a level, for n features above, are distinct and drawn once from all v^s, so that tuples determine
    what they stand for: m synonyms a feature. Leaves are given one-hot. The right coarse-graining is the tree and its
    synonyms; how many samples it takes to see them is in ``theory.random_hierarchy``. The truth holds "label", int64
    [samples], "level_0" (the leaves' symbols) to "level_{L-1}", int64 [samples, s^(L-l)], and the shared rules
    "rules_1" to "rules_L", int64 [features, m, s]: what a feature of level l may become on level l - 1.

    Args:
        features: v, symbols of every level below the classes.
        synonyms: m, tuples a feature; m v and m n_c are at most v^s.
        branching: s, features a tuple, at least 2.
        depth: L, at least 1; at most 4096 leaves.
        classes: n_c.
        instance: Which draw of the grammar.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        m v is near v^s: nearly every tuple is then allowed and classes differ by little; or one draw of the rules
        (``instance``) is taken for the average over rules.

    Source:
        cagnetta2024.

    Example:
        >>> strings, truth = RandomHierarchy().sample_with_truth(5, generator=torch.Generator().manual_seed(0))
        >>> strings.values.shape, truth.samples["level_1"].shape
        (torch.Size([5, 4, 8]), torch.Size([5, 2]))
    """

    name = "random-hierarchy"
    source = "cagnetta2024"
    features: int = 8
    synonyms: int = 8
    branching: int = 2
    depth: int = 2
    classes: int = 8
    instance: int = 0

    def __post_init__(self):
        for field, least in (("features", 2), ("synonyms", 1), ("branching", 2), ("depth", 1), ("classes", 2)):
            check_whole(field, getattr(self, field), least)
        check_whole("instance", self.instance, 0)
        tuples = self.features**self.branching
        if self.synonyms * max(self.features if self.depth > 1 else 0, self.classes) > tuples:
            raise ConfigError("synonyms", self.synonyms, f"so few that there are at most {tuples} tuples a level.")
        if self.branching**self.depth > 4096:
            raise ConfigError("depth", self.depth, "a tree with at most 4096 leaves.")

    def rules(self) -> list[Tensor]:
        """Return what the features of level 1 (above the leaves) to L (the classes) become, int64 [features, m, s]."""
        source, v, s = instance_generator(self.instance), self.features, self.branching
        place = v ** torch.arange(s - 1, -1, -1)
        found = []
        for level in range(1, self.depth + 1):
            above = self.classes if level == self.depth else v
            chosen = torch.randperm(v**s, generator=source)[: above * self.synonyms]
            found.append((chosen[:, None] // place % v).reshape(above, self.synonyms, s))
        return found

    def sample_with_truth(self, samples: int, *, generator: torch.Generator) -> tuple[Ensemble, Truth]:
        """Draw independent strings: classes and synonyms with equal probabilities."""
        rules = self.rules()
        label = torch.randint(self.classes, (samples,), generator=generator)
        levels, feature = {}, label[:, None]
        for level in range(self.depth, 0, -1):
            synonym = torch.randint(self.synonyms, feature.shape, generator=generator)
            feature = rules[level - 1][feature, synonym].reshape(samples, -1)
            levels[f"level_{level - 1}"] = feature
        values = one_hot(feature, self.features).to(torch.float32)
        ensemble = Ensemble.of(values, Tree(self.branching, self.depth), units=torch.arange(samples))
        shared = {f"rules_{level}": rule for level, rule in enumerate(rules, start=1)}
        return ensemble, Truth({"label": label, **levels}, shared)
