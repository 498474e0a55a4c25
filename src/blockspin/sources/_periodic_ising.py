"""Periodic Ising: chains of spins on a hypercubic torus, by any of the updates."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np
import torch

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, check_whole
from blockspin.geometry import Grid
from blockspin.sources._chains import chain_ensemble
from blockspin.sources._metropolis import Metropolis
from blockspin.sources._options import number
from blockspin.sources._random import numpy_generator
from blockspin.sources._swendsen_wang import SwendsenWang
from blockspin.sources._torus import Torus
from blockspin.sources._wolff import Wolff
from blockspin.sources.base import Model

ALGORITHMS = {update.name: update for update in (SwendsenWang, Wolff, Metropolis)}
TIMES_A_UNIT = 50
"""Critical autocorrelation times of a unit, where its length is not given."""


@dataclass(frozen=True)
class PeriodicIsing(Model):
    """What square and cubic lattices share: options, and how chains are run. Members give the number of dimensions."""

    dimension: ClassVar[int]
    side: int
    coupling: float
    algorithm: str = SwendsenWang.name
    chains: int = 16
    burn_in: int = 100
    sweeps: int = 5
    stretch: int = 0

    def __post_init__(self):
        check_whole("side", self.side, 3)
        number("coupling", self.coupling, 0.0)
        if self.algorithm not in ALGORITHMS:
            raise ConfigError("algorithm", self.algorithm, f"one of {', '.join(sorted(ALGORITHMS))}.")
        for field, least in (("chains", 1), ("burn_in", 0), ("sweeps", 1), ("stretch", 0)):
            check_whole(field, getattr(self, field), least)

    @property
    def unit_length(self) -> int:
        """Samples a unit: ``stretch``, or what makes 50 critical autocorrelation times of the algorithm."""
        time = ALGORITHMS[self.algorithm].critical_time(self.side, self.dimension)
        return self.stretch or ceil(TIMES_A_UNIT * time / self.sweeps)

    def sample(self, samples: int, *, generator: torch.Generator) -> Ensemble:
        """Draw samples of Markov chains; error bars must group neighbouring units together (``chain=True``)."""
        rng = numpy_generator(generator)
        torus = Torus((self.side,) * self.dimension, self.chains)
        spins = rng.integers(0, 2, (self.chains, torus.sites), dtype=np.uint8)
        update, spins = ALGORITHMS[self.algorithm](torus, self.coupling).burnt_in(spins, self.burn_in, rng)
        kept = np.empty((self.chains, -(-samples // self.chains), torus.sites), dtype=np.int8)
        for t in range(kept.shape[1]):
            spins = update.sweep(spins, self.sweeps, rng)
            kept[:, t] = spins
        values = torch.from_numpy(kept).to(torch.float32) * 2 - 1
        return chain_ensemble(values, Grid(torus.shape), samples, self.unit_length)
