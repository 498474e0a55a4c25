"""Random hierarchy: synonyms show in class frequencies once there are n_c m^L samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.sources.base import Truth
from blockspin.tethers.base import Row, Tether
from blockspin.theory import random_hierarchy as theory

INSTANCES = 40


@register
@dataclass(frozen=True)
class RandomHierarchyTether(Tether):
    """Count pairs of leaves by class in P* strings and compare their spread between and within groups of synonyms."""

    name = "random-hierarchy"
    system = "random hierarchy model of eight features, synonyms and classes"
    source = "cagnetta2024"

    def rows(self) -> Iterator[Row]:
        """Yield R(P*), which theory has of order one: between 0.8 and 1.4."""
        for depth in (2, 3):
            samples = int(theory.sample_complexity(8, 8, depth))
            ratios = []
            for instance in range(INSTANCES):
                model = member("sources", "random-hierarchy")(depth=depth, instance=instance)
                _, truth = model.sample_with_truth(samples, generator=torch.Generator().manual_seed(instance))
                ratios.append(synonym_ratio(truth, 8))
            found = torch.tensor(ratios, dtype=torch.float64)
            error = float(found.std()) / INSTANCES**0.5
            measured = Measurement(float(found.mean()), error, n_eff=INSTANCES, how=f"mean over {INSTANCES} grammars")
            yield Row(
                f"signal over noise of synonyms at P* = {samples} strings, {depth} levels: 0.8 to 1.4",
                1.1,
                measured,
                0.3,
            )


def synonym_ratio(truth: Truth, features: int) -> float:
    """Return the variance of class frequencies between groups of synonyms over that within them, at the first pair."""
    pair = truth.samples["level_0"][:, 0] * features + truth.samples["level_0"][:, 1]
    label = truth.samples["label"]
    counts = torch.zeros(features**2, int(label.max()) + 1, dtype=torch.float64)
    counts.index_put_((pair, label), torch.ones(len(pair), dtype=torch.float64), accumulate=True)
    share: Tensor = counts / counts.sum(0)
    rule = truth.shared["rules_1"]
    grouped = share[rule[:, :, 0] * features + rule[:, :, 1]]  # [features, synonyms, classes]
    centre = grouped.mean(1)
    within = (grouped - centre[:, None]).square().mean()
    return float((centre - centre.mean(0)).square().mean() / within)
