"""Markov chain: correlation lengths of chains and of what they lump into, from exact windows and from samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import numpy as np
import torch
from torch import Tensor

from blockspin.registry import member, register
from blockspin.tethers._means import mean_over_units
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import hidden_markov as theory

ROUNDING = 1e-10
"""Logarithms of correlations over 2^12 windows."""


@register
@dataclass(frozen=True)
class MarkovChainTether(Tether):
    """Measure how correlations of windows fall, and compare with the second eigenvalue."""

    name = "markov-chain"
    system = "Markov chains of set correlation length, and lumpable ones"
    source = "kemeny1960"

    def rows(self) -> Iterator[Row]:
        """Yield xi of chains of two and three states and of a lumped chain, exact; correlations of samples."""
        make = member("sources", "markov-chain")
        for states, window in ((2, 12), (3, 8)):
            law = make.of_length(5.0, states=states, window=window).law()
            measured = _length(law.values[:, :, 0], law.weights)
            yield exact(f"xi of a chain of {states} states made for xi = 5", 5.0, measured, ROUNDING, "steps")
        coarse = ((0.9, 0.1), (0.3, 0.7))
        law = make.lumpable(coarse, 2, window=6).law()
        measured = _length((law.values[:, :, 0] >= 2).double(), law.weights)
        expected = theory.correlation_length(np.array(coarse))
        yield exact("xi of the blocks of a lumpable chain of four states", expected, measured, ROUNDING, "steps")
        windows = make.of_length(5.0, window=12).sample(20_000, generator=torch.Generator().manual_seed(0))
        x = 2 * windows.values[:, :, 0] - 1
        for t in (1, 10):
            expected = float(np.exp(-t / 5.0))
            yield sampled(
                f"correlation of samples {t} steps apart, xi = 5", expected, mean_over_units(x[:, 0] * x[:, t], windows)
            )


def _length(x: Tensor, weights: Tensor) -> float:
    """Return -1 over the slope of ln C(t) between one step and the longest in the window."""
    d = x - weights @ x[:, 0]
    correlation = weights @ (d[:, :1] * d)
    last = x.shape[1] - 1
    return -(last - 1) / log(float(correlation[last] / correlation[1]))
