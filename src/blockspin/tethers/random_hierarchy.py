"""Random hierarchy: synonyms show in class frequencies once there are n_c m^L samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.sources.base import Truth
from blockspin.tethers.base import Row, Tether, sampled
from blockspin.theory import random_hierarchy as theory

N, INSTANCES = 8, 40


@register
@dataclass(frozen=True)
class RandomHierarchyTether(Tether):
    """Count pairs of leaves by class in P* strings and compare their spread between and within groups of synonyms."""

    name = "random-hierarchy"
    system = "random hierarchy model of eight features, synonyms and classes"
    source = "cagnetta2024"
    minutes = 0.03

    def rows(self) -> Iterator[Row]:
        """Yield R around P*, against its closed form, and R(P*) itself, of order one (0.8 to 1.4 is asked for)."""
        for depth in (2, 3):
            star = int(theory.sample_complexity(N, N, depth))
            for samples in (star // 2, star, 2 * star):
                measured = _mean_ratio(depth, samples)
                expected = theory.synonym_ratio(N, depth, samples)
                yield sampled(f"R at {samples / star:g} P* = {samples} strings, {depth} levels", expected, measured)
                if samples == star:
                    yield Row(f"R at P*, {depth} levels: 0.8 to 1.4", 1.1, measured, 0.3)


def _mean_ratio(depth: int, samples: int) -> Measurement:
    """Return the ratio of the mean variances over grammars, with its error by leaving out one grammar at a time."""
    rows = []
    for instance in range(INSTANCES):
        model = member("sources", "random-hierarchy")(depth=depth, instance=instance)
        _, truth = model.sample_with_truth(samples, generator=torch.Generator().manual_seed(instance))
        rows.append(synonym_variances(truth, N))
    found = torch.tensor(rows, dtype=torch.float64)
    between, within = (found.sum(0) - found).T
    error = (INSTANCES - 1) / INSTANCES**0.5 * float((between / within).std())
    total = found.sum(0)
    how = f"jackknife over {INSTANCES} grammars"
    return Measurement(float(total[0] / total[1]), error, n_eff=INSTANCES, how=how, dof=INSTANCES - 1)


def synonym_variances(truth: Truth, features: int) -> tuple[float, float]:
    """Return the variances between and within groups of synonyms of class frequencies, at the first pair of leaves.

    For each class, the share of its strings that begin with each pair; a group is the pairs that one feature may
    become. Mean squares over pairs and classes: of a group's mean less the mean over groups, and of a pair less its
    group's mean.
    """
    pair = truth.samples["level_0"][:, 0] * features + truth.samples["level_0"][:, 1]
    label = truth.samples["label"]
    counts = torch.zeros(features**2, int(label.max()) + 1, dtype=torch.float64)
    counts.index_put_((pair, label), torch.ones(len(pair), dtype=torch.float64), accumulate=True)
    share: Tensor = counts / counts.sum(0)
    rule = truth.shared["rules_1"]
    grouped = share[rule[:, :, 0] * features + rule[:, :, 1]]  # [features, synonyms, classes]
    centre = grouped.mean(1)
    within = (grouped - centre[:, None]).square().mean()
    return float((centre - centre.mean(0)).square().mean()), float(within)
