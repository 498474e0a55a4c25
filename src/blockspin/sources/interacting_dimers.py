"""Interacting dimers: coverings of a square lattice by attracting dimers, moved by directed worms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, check_whole
from blockspin.geometry import Grid
from blockspin.registry import register
from blockspin.sources._chains import chain_ensemble
from blockspin.sources._options import number
from blockspin.sources._random import numpy_generator
from blockspin.sources.base import Model

STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Right, down, left, up: the four neighbours, each direction opposite to the next but one."""
FREE = -1
"""The direction of no dimer."""
CODE = 5 ** np.arange(4)
"""Weights that make one number of the directions of four neighbours, each one of five."""


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
    (sandvik2006): detailed balance holds, with interactions, and winding numbers change. Several chains run abreast;
    a turn costs the less the more they are, and a thousand are not too many.

    Times are counted in sweeps: as many worms as turn each site's dimer once on average. The slowest number found is
    the columnar order; at T = 15 its integrated autocorrelation time is 3, 4 and 6 sweeps at L = 8, 16 and 32, and
    columns are forgotten by a torus of L = 64 after 25 sweeps. At T = 1 it is 15 and 39 sweeps at L = 8 and 16.

    Args:
        side: L, even and at least 4.
        temperature: T > 0, in units of the attraction.
        chains: Independent chains, each begun in the same columns.
        burn_in: Sweeps of each chain that are thrown away.
        sweeps: Sweeps between samples that are kept.
        stretch: Samples a unit.

    Raises:
        ConfigError: If an option cannot be used.

    Do not trust when:
        T is 1 or lower and L is 16 or more: columns outlive the burn-in, or nearly. Ask ``integrated_time`` about the
        columnar order, and set ``burn_in`` and ``stretch`` to tens of it.

    Source:
        alet2005 for the model, sandvik2006 for the worm.

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
    sweeps: int = 5
    stretch: int = 50

    def __post_init__(self):
        check_whole("side", self.side, 4)
        if self.side % 2:
            raise ConfigError("side", self.side, "an even integer: an odd number of sites has no covering.")
        number("temperature", self.temperature, 0.0)
        if self.temperature == 0:
            raise ConfigError("temperature", self.temperature, "a positive number.")
        for field, least in (("chains", 1), ("burn_in", 0), ("sweeps", 1), ("stretch", 1)):
            check_whole(field, getattr(self, field), least)

    def sample(self, samples: int, *, generator: torch.Generator) -> Ensemble:
        """Draw samples of Markov chains; error bars must group neighbouring units together (``chain=True``)."""
        rng = numpy_generator(generator)
        crew = Coverings(self.side, self.temperature, min(self.chains, samples))
        worms = max(1, round(self.sweeps * crew.warm(self.burn_in, rng)))
        kept = np.empty((crew.chains, -(-samples // crew.chains), self.side**2, 2), dtype=np.float32)
        for t in range(kept.shape[1]):
            crew.move(worms, rng)
            kept[:, t] = crew.field()
        return chain_ensemble(torch.from_numpy(kept), Grid((self.side, self.side)), samples, self.stretch)


class Coverings:
    """Dimer coverings of several chains, moved in place.

    Args:
        side: L.
        temperature: T.
        chains: How many; all begin in the same columns.
    """

    def __init__(self, side: int, temperature: float, chains: int):
        self.side, self.chains = side, chains
        row, column = np.divmod(np.arange(side**2), side)
        self.near = np.stack([(row + r) % side * side + (column + c) % side for r, c in STEPS], axis=1)
        self.towards = np.tile(column % 2 * 2, (chains, 1)).astype(np.int8)  # the direction of the dimer of each site
        self.shares = _cumulated_shares(temperature)

    def field(self) -> np.ndarray:
        """Return whether a dimer joins every site with its right neighbour and with the one below.

        Shapes:
            out: bool [chains, sites, 2]
        """
        return np.stack([self.towards == 0, self.towards == 1], axis=2)

    def warm(self, sweeps: float, rng: np.random.Generator) -> float:
        """Move every chain, by L worms at a time, for at least a number of sweeps; return how many worms a sweep took.

        Columns have short worms, so that these are rather too many for a sweep than too few.
        """
        worms = turned = 0
        while turned < max(1, sweeps * self.towards.size):
            turned += self.move(self.side, rng)
            worms += self.side
        return worms * self.towards.size / turned

    def move(self, worms: int, rng: np.random.Generator) -> int:
        """Move every chain by a number of worms, and return how many dimers were turned in all.

        The number is fixed because long worms are not like short ones. A chain whose worm has closed begins its next
        one at once, whatever the others do.
        """
        flat = self.towards.reshape(-1)
        left = np.full(self.chains, worms)  # worms of each chain that have not closed
        chain = np.arange(self.chains)[left > 0] * self.side**2
        tail, direction = self._begin(flat, chain, rng)
        site, turned = tail.copy(), 0
        while len(chain):
            turned += len(chain)
            site, direction = self._turn(flat, chain, site, direction, rng)
            closed = np.flatnonzero(site == tail)
            if not len(closed):
                continue
            left[closed] -= 1
            again = closed[left[closed] > 0]
            tail[again], direction[again] = self._begin(flat, chain[again], rng)
            site[again] = tail[again]
            if len(again) < len(closed):
                on = left > 0
                chain, left, tail, site, direction = chain[on], left[on], tail[on], site[on], direction[on]
        return turned

    def _begin(self, flat: np.ndarray, chain: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Free a random site of each chain, where a worm ends; return the sites, and where their dimers lay."""
        site = rng.integers(self.side**2, size=len(chain))
        direction = flat[chain + site]
        flat[chain + site] = FREE
        return site, direction

    def _turn(
        self, flat: np.ndarray, chain: np.ndarray, site: np.ndarray, direction: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turn the dimer from each site about its other end, by a heat bath; return where to go on.

        The new end lies on a site that had a dimer already, to be turned next, or on the tail, which was free.
        """
        pivot = self.near[site, direction]
        around = (flat[chain[:, None] + self.near[pivot]] + 1) @ CODE
        out = (rng.random(len(chain))[:, None] > self.shares[around]).sum(axis=1)
        flat[chain + pivot] = out
        site = self.near[pivot, out]
        there = chain + site
        direction = flat[there]
        flat[there] = (out + 2) % 4
        return site, direction


def _cumulated_shares(temperature: float) -> np.ndarray:
    """Return the probabilities of the directions of a dimer, summed up, for each state of four neighbours [625, 3].

    A neighbour's dimer is parallel to one in direction d, side by side, if it lies in direction d from the neighbour
    before or after d.
    """
    around = np.arange(5**4)[:, None] // CODE % 5 - 1
    d = np.arange(4)
    parallel = (around[:, (d + 1) % 4] == d).astype(int) + (around[:, (d + 3) % 4] == d)
    weight = np.exp((parallel - 2) / temperature)
    return (weight.cumsum(axis=1) / weight.sum(axis=1, keepdims=True))[:, :3]
