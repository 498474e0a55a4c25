"""Interacting dimers: coverings of a square lattice by attracting dimers, moved by directed worms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError
from blockspin.geometry import Grid
from blockspin.registry import register
from blockspin.sources._chains import chain_ensemble
from blockspin.sources._options import number, whole
from blockspin.sources._random import numpy_generator
from blockspin.sources.base import Model

STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Right, down, left, up: the four neighbours, each direction opposite to the next but one."""


@register
@dataclass(frozen=True)
class InteractingDimers(Model):
    r"""Coverings of an L x L torus by attracting dimers.

    A dimer lies on every site; the probability of a covering is

    .. math:: P \propto \exp(N / T),

    N being the number of plaquettes with two parallel dimers (energy -1 each; alet2005). The field has two components:
    whether a dimer joins a site with its right neighbour, and with the one below, 0 or 1. Correlations fall as a power
    of the distance above a transition near T = 0.65; below it the dimers order in columns.

    A worm removes a dimer, and turns one dimer after another by a heat bath of its four directions until the ends meet
    (sandvik2006): detailed balance holds, with interactions, and winding numbers change. Several chains run abreast.

    Args:
        side: L, even and at least 4.
        temperature: T > 0, in units of the attraction.
        chains: Independent chains, each begun in columns.
        burn_in: Worms of each chain that are thrown away.
        worms: Worms between samples that are kept.
        stretch: Samples a unit.

    Raises:
        ConfigError: If an option cannot be used.

    Example:
        >>> dimers = InteractingDimers(side=4, burn_in=5).sample(8, generator=torch.Generator().manual_seed(0))
        >>> dimers.values.shape, dimers.values.sum((1, 2)).unique().tolist()
        (torch.Size([8, 16, 2]), [8.0])
    """

    name = "interacting-dimers"
    source = "alet2005"
    side: int = 16
    temperature: float = 15.0
    chains: int = 64
    burn_in: int = 100
    worms: int = 10
    stretch: int = 10

    def __post_init__(self):
        whole("side", self.side, 4)
        if self.side % 2:
            raise ConfigError("side", self.side, "an even integer: an odd number of sites has no covering.")
        number("temperature", self.temperature, 0.0)
        if self.temperature == 0:
            raise ConfigError("temperature", self.temperature, "a positive number.")
        for field, least in (("chains", 1), ("burn_in", 0), ("worms", 1), ("stretch", 1)):
            whole(field, getattr(self, field), least)

    def sample(self, samples: int, *, generator: torch.Generator) -> Ensemble:
        """Draw samples of Markov chains; error bars must group neighbouring units together (``chain=True``)."""
        rng = numpy_generator(generator)
        crew = Coverings(self.side, self.temperature, min(self.chains, samples))
        crew.move(self.burn_in, rng)
        kept = np.empty((crew.chains, -(-samples // crew.chains), self.side**2, 2), dtype=np.float32)
        for t in range(kept.shape[1]):
            crew.move(self.worms, rng)
            kept[:, t] = crew.field()
        return chain_ensemble(torch.from_numpy(kept), Grid((self.side, self.side)), samples, self.stretch)


class Coverings:
    """Dimer coverings of several chains, moved in place.

    Args:
        side: L.
        temperature: T.
        chains: How many.
    """

    def __init__(self, side: int, temperature: float, chains: int):
        self.side, self.chains = side, chains
        row, column = np.divmod(np.arange(side**2), side)
        self.near = np.stack([(row + r) % side * side + (column + c) % side for r, c in STEPS], axis=1)
        self.occupied = np.zeros((chains, side**2, 4), dtype=np.int8)  # each bond is seen from both of its ends
        self.occupied[:, column % 2 == 0, 0] = 1
        self.occupied[:, column % 2 == 1, 2] = 1
        self.weight = np.exp(np.arange(3) / temperature)

    def field(self) -> np.ndarray:
        """Return the dimers to the right and below of every site, [chains, sites, 2]."""
        return self.occupied[:, :, :2]

    def move(self, worms: int, rng: np.random.Generator) -> None:
        """Move every chain by a number of worms; a fixed number, because long worms are not like short ones."""
        for _ in range(worms):
            self._worm(rng)

    def _worm(self, rng: np.random.Generator) -> None:
        """Let one worm run in every chain until it closes; the state is then a covering again."""
        chain = np.arange(self.chains)
        site = tail = rng.integers(self.side**2, size=self.chains)
        direction = self.occupied[chain, site].argmax(axis=1)
        while len(chain):
            pivot, back = self.near[site, direction], (direction + 2) % 4
            self._set(chain, pivot, back, 0)
            out = self._draw(chain, pivot, rng)
            self._set(chain, pivot, out, 1)
            site = self.near[pivot, out]
            running = site != tail
            chain, tail, site, out = chain[running], tail[running], site[running], out[running]
            there = self.occupied[chain, site]  # two dimers: the one just laid, and the one to be turned next
            there[np.arange(len(chain)), (out + 2) % 4] = 0
            direction = there.argmax(axis=1)

    def _set(self, chain: np.ndarray, site: np.ndarray, direction: np.ndarray, value: int) -> None:
        self.occupied[chain, site, direction] = value
        self.occupied[chain, self.near[site, direction], (direction + 2) % 4] = value

    def _draw(self, chain: np.ndarray, site: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a direction for a dimer from a site, by its neighbours that would lie parallel."""
        beside = self.occupied[
            chain[:, None], self.near[site]
        ]  # of the four neighbours, [chains, neighbour, direction]
        parallel = np.stack([beside[:, (d + 1) % 4, d] + beside[:, (d + 3) % 4, d] for d in range(4)], axis=1)
        cumulated = self.weight[parallel].cumsum(axis=1)
        return (rng.random(len(chain))[:, None] * cumulated[:, -1:] > cumulated[:, :3]).sum(axis=1)
