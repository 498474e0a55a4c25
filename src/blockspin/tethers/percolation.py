"""Percolation: sizes of the clusters of the data generator against Simon's law."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether
from blockspin.theory import percolation as theory

POINTS = 300_000


@register
@dataclass(frozen=True)
class PercolationTether(Tether):
    """Grow 300,000 points and count their clusters."""

    name = "percolation"
    system = "mean-field percolation data at the critical point"
    source = "brill2025"

    def rows(self) -> Iterator[Row]:
        """Yield shares of small clusters, and the exponent of the tail beyond 20 points."""
        model = member("sources", "percolation")(dimension=1)
        _, truth = model.sample_with_truth(POINTS, generator=torch.Generator().manual_seed(0))
        sizes = torch.bincount(truth.samples["cluster"]).numpy()
        for s, tolerance in ((1, 0.003), (2, 0.003), (5, 0.002)):
            expected = float(theory.cluster_sizes(np.array([s]))[0])
            share = float((sizes == s).mean())
            error = (share * (1 - share) / len(sizes)) ** 0.5
            yield Row(f"share of clusters of {s}", expected, Measurement(share, error, how="binomial"), tolerance)
        tail = sizes[sizes >= 20]
        exponent = 1 + len(tail) / float(np.log(tail / 19.5).sum())
        how = f"Hill's estimate from {len(tail)} clusters of 20 points or more"
        measured = Measurement(exponent, (exponent - 1) / len(tail) ** 0.5, n_eff=len(tail), how=how)
        # the tolerance covers the law's own corrections at 20 points, 0.04
        yield Row("exponent of the tail", theory.tail_exponent(), measured, 0.1)
