"""Patterns: how often a spin is up or down beside each pattern of its neighbours, in blocks of units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.couplings._interactions import Offset, neighbour_table
from blockspin.couplings._logistic import log_likelihoods
from blockspin.ensemble import Batch, group_of
from blockspin.errors import ShapeError, TooFewSamplesError
from blockspin.geometry import Grid
from blockspin.measurement import Measurement
from blockspin.observables.base import State, SumMonoid, effective_samples, is_law, weights_of

MOST_NEIGHBOURS = 12
"""A table over more neighbours is not kept: 2 ** 13 counts a block are 1.3 MB of state."""
BLOCKS = 20
"""Units are divided by hash into so many blocks, whose scatter is the error of a goodness of fit."""
ENTRIES = 2**22
"""Spins whose patterns are counted at a time."""


@dataclass(frozen=True)
class GridPatterns(SumMonoid):
    """Counts of a spin beside its neighbours, summed over the sites of a lattice.

    State: "weight" [], "squares" [], "alphabet" [3] (how often -1, 0 and 1 occur), "counts" float64 [blocks, patterns,
    2] (down, up), patterns numbered by the bits of the neighbours that are up.

    Args:
        lattice: The lattice.
        neighbours: Offsets from a site, at most 12.
    """

    lattice: Grid
    neighbours: tuple[Offset, ...]

    def part(self, *batches: Batch) -> State:
        """Add up one batch.

        Raises:
            ShapeError: If the field is not binary, has several components or does not fit the lattice.
        """
        (batch,) = batches
        check_sites(batch, self.lattice.sites)
        return pattern_counts(batch, [neighbour_table(self.lattice, self.neighbours)])


@dataclass(frozen=True)
class SitePatterns(SumMonoid):
    """Counts of given spins beside neighbours of their own: ``GridPatterns`` with one table a spin, end to end.

    Args:
        sites: Number of sites of the field.
        stars: For each spin the site itself and then its neighbours, at most 12.
    """

    sites: int
    stars: tuple[tuple[int, ...], ...]

    def part(self, *batches: Batch) -> State:
        """Add up one batch.

        Raises:
            ShapeError: If the field is not binary, has several components or another number of sites.
        """
        (batch,) = batches
        check_sites(batch, self.sites)
        return pattern_counts(batch, [torch.tensor([star]) for star in self.stars])


def check_sites(batch: Batch, sites: int) -> None:
    """Refuse a field of several components or another number of sites.

    Raises:
        ShapeError: If it is one.
    """
    if batch.values.shape[1:] != (sites, 1):
        raise ShapeError(
            f"a field of shape {tuple(batch.values.shape)} is not of one spin at each of {sites} sites",
            "Give one component at a time, with its geometry.",
        )


def is_up(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return which spins are up, bool [samples, sites], and the weight of -1, 0 and 1, float64 [3].

    Raises:
        ShapeError: If there are other values.
    """
    x = batch.values[:, :, 0]
    seen = [(x == value) for value in (-1, 0, 1)]
    if not bool((seen[0] | seen[1] | seen[2]).all()):
        raise ShapeError(
            "the field has other values than two (-1 and 1, or 0 and 1)",
            "Fit real-valued fields with effective-action, or turn them into spins with swendsen.spins_about.",
        )
    return seen[2], torch.stack([batch.weights @ part.sum(1, dtype=torch.float64) for part in seen])


def check_alphabet(alphabet: Tensor) -> None:
    """Refuse a field with the three values -1, 0 and 1.

    Raises:
        ShapeError: If both -1 and 0 occur.
    """
    if bool((alphabet[:2] > 0).all()):
        raise ShapeError("the field has the three values -1, 0 and 1", "Fit real-valued fields with effective-action.")


def pattern_counts(batch: Batch, tables: Sequence[Tensor]) -> State:
    """Return the state of one batch; every table int64 [spins, 1 + neighbours] is counted on its own, end to end."""
    up, alphabet = is_up(batch)
    block = group_of(batch.units, BLOCKS, salt=7)
    even = bool((batch.weights == 1).all())
    parts = []
    for table in tables:
        size = 2 ** table.shape[1]
        total = torch.zeros(BLOCKS * size, dtype=torch.float64)
        for rows in torch.arange(len(batch)).split(max(1, ENTRIES // len(table))):
            code = (block[rows, None] * size).to(torch.int32).expand(-1, len(table)).clone()
            for k, column in enumerate(table.T):
                code += up[rows][:, column].to(torch.int32) << k
            weights = None if even else batch.weights[rows].repeat_interleave(len(table))
            total += torch.bincount(code.reshape(-1), weights, minlength=len(total)).to(torch.float64)
        parts.append(total.reshape(BLOCKS, size // 2, 2))
    counts = torch.cat(parts, dim=1)
    return {**weights_of(batch), "alphabet": alphabet, "counts": counts}


def counts_of(state: State) -> Tensor:
    """Return the counts [patterns, 2] of all blocks.

    Raises:
        TooFewSamplesError: If there is no sample.
        ShapeError: If the field has three values.
    """
    if not state:
        raise TooFewSamplesError("there is no sample", "Give more samples.")
    check_alphabet(state["alphabet"])
    return state["counts"].sum(0)


def filled_blocks(state: State) -> Tensor:
    """Return the counts of each block [blocks, patterns, 2].

    Raises:
        TooFewSamplesError: If one of the blocks holds no unit.
    """
    counts_of(state)  # meets what is no binary field
    counts = state["counts"]
    filled = int((counts.sum((1, 2)) > 0).sum())
    if filled < BLOCKS:
        raise TooFewSamplesError(
            f"the units fill {filled} of {BLOCKS} blocks, which gives a goodness of fit no error",
            "Give some hundred independent units.",
        )
    return counts


def held_out_score(X: Tensor, g: Tensor, held_out: State) -> Measurement:
    """Return the log-probability a spin at given couplings, its error that of a jackknife over blocks; exact on a law.

    Args:
        X: What multiplies the spin, float64 [patterns, K].
        g: The couplings, fitted to other data.
        held_out: Counts of units that had no part in the fit.

    Raises:
        TooFewSamplesError: If they do not fill 20 blocks.
    """
    if is_law(held_out):
        total = counts_of(held_out)
        return Measurement(float(log_likelihoods(X, g, total) / total.sum()), 0.0, "nats")
    blocks = filled_blocks(held_out)
    sums, spins, count = log_likelihoods(X, g, blocks), blocks.sum((1, 2)), len(blocks)
    without = (sums.sum() - sums) / (spins.sum() - spins)
    error = float(without.std()) * (count - 1) / count**0.5
    how = f"held-out units, jackknife over {count} blocks"
    return Measurement(float(sums.sum() / spins.sum()), error, "nats", effective_samples(held_out), how, count - 1)
