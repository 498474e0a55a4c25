"""Markov chain: stationary windows of a chain of few states, of set correlation length or exactly lumpable."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import exp

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, ShapeError, check_whole
from blockspin.geometry import Chain
from blockspin.law import MAX_CONFIGURATIONS, EnumeratedLaw
from blockspin.registry import register
from blockspin.sources._options import number, stochastic
from blockspin.sources._random import instance_generator
from blockspin.sources.base import ExactModel

LUMPABLE = ((0.1, 0.3, 0.2, 0.4), (0.25, 0.15, 0.35, 0.25), (0.6, 0.1, 0.1, 0.2), (0.2, 0.5, 0.1, 0.2))
"""Four states that lump into {0, 1} and {2, 3} exactly, and into {0, 2} and {1, 3} not at all."""


@register
@dataclass(frozen=True)
class MarkovChain(ExactModel):
    r"""Independent windows of a stationary Markov chain; the field is the number of the state, 0, 1, ...

    Correlations fall as :math:`|\lambda_2|^t`, with :math:`\xi = -1 / \ln |\lambda_2|` in steps.

    Args:
        matrix: P, row i the probabilities of what follows state i; every state can be reached from every other, and the
            chain has no period. By default four states that lump exactly into {0, 1} and {2, 3}.
        window: Steps of a sample. The law needs states^window of at most 2^16.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        Windows are shorter than the correlation length: each is begun in the stationary state, but an average over one
        of them is then far from that of the chain.

    Source:
        kemeny1960.

    Example:
        >>> chain = MarkovChain.of_length(5.0, states=3, window=4)
        >>> len(chain.law().weights), chain.sample(6, generator=torch.Generator().manual_seed(0)).values.shape
        (81, torch.Size([6, 4, 1]))
    """

    name = "markov-chain"
    source = "kemeny1960"
    matrix: tuple[tuple[float, ...], ...] = LUMPABLE
    window: int = 8

    def __post_init__(self):
        stochastic("matrix", self.matrix, len(self.matrix))
        check_whole("window", self.window, 2)
        check_whole("states", len(self.matrix), 2)
        if self.second_eigenvalue > 1 - 1e-9:
            raise ConfigError("matrix", self.matrix, "a chain that forgets: one eigenvalue of modulus 1.")

    @classmethod
    def of_length(cls, length: float, states: int = 2, window: int = 8) -> MarkovChain:
        """Return the chain that keeps its state with probability exp(-1/length), else draws any: xi = length."""
        number("length", length, 1e-3)
        keep = exp(-1 / length)
        row = [(1 - keep) / states] * states
        return cls(tuple(tuple(p + keep * (i == j) for j, p in enumerate(row)) for i in range(states)), window)

    @classmethod
    def lumpable(
        cls, blocks: tuple[tuple[float, ...], ...], size: int, *, window: int = 8, instance: int = 0
    ) -> MarkovChain:
        """Return a chain of ``size`` states a block whose blocks are the Markov chain ``blocks``, exactly.

        Where a block's state goes within the next block is drawn at random (``instance``), and may depend on it.
        """
        stochastic("blocks", blocks, len(blocks))
        check_whole("size", size, 1)
        n = len(blocks)
        within = torch.rand(n, size, n, size, dtype=torch.float64, generator=instance_generator(instance)) + 0.05
        within = within / within.sum(-1, keepdim=True)
        P = torch.tensor(blocks, dtype=torch.float64)[:, None, :, None] * within
        return cls(tuple(tuple(row) for row in P.reshape(n * size, n * size).tolist()), window)

    @property
    def transitions(self) -> Tensor:
        """P, float64 [states, states]."""
        return torch.tensor(self.matrix, dtype=torch.float64)

    @property
    def second_eigenvalue(self) -> float:
        """The second largest modulus of an eigenvalue."""
        return float(torch.linalg.eigvals(self.transitions).abs().sort().values[-2])

    def stationary(self) -> Tensor:
        """Return the stationary probabilities, float64 [states]."""
        P = self.transitions
        n = len(P)
        rows = torch.cat([P.T - torch.eye(n, dtype=torch.float64), torch.ones(1, n, dtype=torch.float64)])
        right = torch.zeros(n + 1, 1, dtype=torch.float64)
        right[-1] = 1
        return torch.linalg.lstsq(rows, right).solution[:, 0].clamp(min=0)

    def law(self) -> EnumeratedLaw:
        """Return the exact law of a window.

        Raises:
            ShapeError: If there are more than 2^16 windows.
        """
        n = len(self.matrix)
        if n**self.window > MAX_CONFIGURATIONS:
            raise ShapeError(f"{n} states over {self.window} steps are too many to enumerate", "Use a shorter window.")
        path = torch.tensor(list(product(range(n), repeat=self.window)))
        weight = self.stationary()[path[:, 0]] * self.transitions[path[:, :-1], path[:, 1:]].prod(1)
        possible = weight > 0
        return EnumeratedLaw.of(
            path[possible].to(torch.float64)[:, :, None], weight[possible], Chain(self.window, False)
        )

    def sample(self, samples: int, *, generator: torch.Generator) -> Ensemble:
        """Draw independent windows, each begun in the stationary state."""
        uniform = torch.rand(samples, self.window, dtype=torch.float64, generator=generator)
        cumulated, top = self.transitions.cumsum(1), len(self.matrix) - 1
        path = torch.empty(samples, self.window, dtype=torch.int64)
        path[:, 0] = (uniform[:, :1] > self.stationary().cumsum(0)).sum(1).clamp(max=top)
        for t in range(1, self.window):
            path[:, t] = (uniform[:, t : t + 1] > cumulated[path[:, t - 1]]).sum(1).clamp(max=top)
        return Ensemble.of(path.to(torch.float32), Chain(self.window, False), units=torch.arange(samples))
