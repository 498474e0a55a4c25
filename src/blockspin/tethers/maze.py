"""Maze: a convolutional network of hard thresholds that solves percolation mazes, and the depth that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import maze as theory

SIDES, WORDS, GROUPS, SOLVED = (17, 25, 33, 49, 65), 320, 10, 500


@register
@dataclass(frozen=True)
class MazeTether(Tether):
    """Spread from the rim of mazes at the percolation threshold, layer by layer."""

    name = "maze"
    system = "site-percolation mazes on the square lattice"
    source = "ringel2018"
    fast = False
    minutes = 0.1

    def rows(self) -> Iterator[Row]:
        """Yield the share of labels right, and the power of the side in the depth that 99% of the labels need."""
        rng = np.random.default_rng(0)
        mazes = rng.random((SOLVED, 25, 25)) < theory.SITE_THRESHOLD
        depths = [theory.depth_to_centre(m) for m in mazes]
        deepest = max(d for d in depths if d is not None)
        label = torch.tensor([d is not None for d in depths])
        right = network(torch.from_numpy(mazes), deepest) == label
        yield exact(
            f"share of {SOLVED} mazes solved at the depth of the longest path", 1.0, float(right.double().mean()), 0.0
        )
        short = network(torch.from_numpy(mazes), deepest - 1) != label
        missed = sum(d == deepest for d in depths)
        yield exact("mazes missed by one layer less", missed, int(short.sum()), 0.0)
        slope = _power([depths_needed(side, rng) for side in SIDES])
        # the rare mazes of long paths approach the exponent slowly from above: the tolerance covers these sides
        yield Row("power of the side in the depth for 99%", theory.Exponents().shortest_path, slope, 0.1)


def network(open_cells: Tensor, depth: int) -> Tensor:
    """Return whether the centre [mazes] is on after layers of one shared convolution, a bias and a hard threshold.

    The input counts five, so that a cell is on when it is open and itself or one of four neighbours was on before.

    Args:
        open_cells: [mazes, side, side], boolean.
        depth: Layers.
    """
    x = open_cells[:, None].float()
    side = x.shape[-1]
    rim = torch.ones_like(x)
    rim[..., 1:-1, 1:-1] = 0
    kernel = torch.tensor([[0.0, 1, 0], [1, 1, 1], [0, 1, 0]])[None, None]
    h = x * rim
    for _ in range(depth):
        h = (torch.nn.functional.conv2d(h, kernel, padding=1) + 5 * x - 5.5 > 0).float()
    return h[:, 0, side // 2, side // 2] > 0


def depths_needed(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return the depth for 99% of all labels, in each of several groups of mazes.

    The bits of a word are 64 mazes; a layer is the or over four neighbours, and with the open cells.
    """
    words = np.zeros((WORDS, side, side), dtype=np.uint64)
    for bit in range(64):
        words |= (rng.random(words.shape) < theory.SITE_THRESHOLD).astype(np.uint64) << np.uint64(bit)
    h = words.copy()
    h[:, 1:-1, 1:-1] = 0
    on = []
    while True:
        new = h.copy()
        for to, fro in ((np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:])):
            new[:, to] |= h[:, fro]
            new[:, :, to] |= h[:, :, fro]
        new &= words
        centre = np.ascontiguousarray(h[:, side // 2, side // 2]).view(np.uint8)
        on.append(np.unpackbits(centre).reshape(GROUPS, -1).sum(1, dtype=int))
        if (new == h).all():
            break
        h = new
    reached = np.array(on)
    late = (reached[-1] - reached) / (64 * WORDS / GROUPS)  # labels still wrong at each depth
    depth = np.arange(len(on), dtype=float)
    return np.array([np.interp(-0.01, -late[:, g], depth) for g in range(GROUPS)])


def _power(depths: list[np.ndarray]) -> Measurement:
    """Fit the power in each group of mazes; the error is the spread over groups."""
    powers = [np.polyfit(np.log(SIDES), np.log([d[g] for d in depths]), 1)[0] for g in range(GROUPS)]
    error = np.std(powers, ddof=1) / GROUPS**0.5
    how = f"{GROUPS} groups of {64 * WORDS // GROUPS} mazes of sides {SIDES[0]} to {SIDES[-1]}"
    return Measurement(np.mean(powers), error, "1", GROUPS, how, GROUPS - 1)
