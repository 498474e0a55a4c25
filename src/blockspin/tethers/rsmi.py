"""Rsmi: what the best readings of a block of spins tell of its environment, in one and in two dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import log

import numpy as np
import torch

from blockspin.geometry import Chain
from blockspin.law import EnumeratedLaw, enumerate_law
from blockspin.registry import member, register
from blockspin.schemes._tables import best_reading, information, informations, readings
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import kaufman
from blockspin.theory import rsmi as theory

ROUNDING = 1e-11
"""Sums over 16 x 20,736 probabilities."""
PRINTED = 1e-6
BITS = 1 / log(2)


@register
@dataclass(frozen=True)
class RsmiTether(Tether):
    """Read blocks of spins on a chain and on a torus, and compare what the readings keep with transfer matrices."""

    name = "rsmi"
    system = "Ising blocks, a buffer, and what lies beyond it"
    source = "kochjanusz2018"
    schemes = ("rsmi",)

    def rows(self) -> Iterator[Row]:
        """Yield information in bits: of the whole block, of the best reading, of decimation and majority; exact."""
        for K, buffer, whole, decimated, majority in (
            (0.5, 1, 0.065983, 0.039868, 0.034995),
            (1.0, 1, 0.469195, 0.356393, 0.347066),
            (1.0, 2, 0.275489, 0.213009, 0.208298),
        ):
            yield from _chain(K, buffer, (whole, decimated, majority))
        yield from _torus()


def window(K: float, buffer: int) -> EnumeratedLaw:
    """Return the law of a stretch of the infinite Ising chain that holds one block of two in the middle."""
    return enumerate_law(
        Chain(4 + 2 * buffer, periodic=False), (-1.0, 1.0), lambda s: K * (s[:, 1:] * s[:, :-1]).sum(1)
    )


def _chain(K: float, buffer: int, printed: tuple[float, float, float]) -> Iterator[Row]:
    where = f"chain, K = {K:g}, buffer {buffer}"
    joint, pairs = theory.chain_joint(K, buffer), theory.spins(2).astype(float)
    whole = theory.information(joint, np.eye(4))
    decimated = theory.information(joint, theory.reading(pairs[:, 0]))
    majority = theory.information(joint, theory.reading(pairs.sum(1)))
    for name, known, found in zip(
        ("block", "decimation", "majority"), printed, (whole, decimated, majority), strict=True
    ):
        yield exact(f"I({name} : E) as tabulated elsewhere ({where})", known, found, PRINTED, "bits")
    if buffer % 2:  # the block begins at an even site: it is one of the tiling
        coarse = member("schemes", "rsmi")(b=2, buffer=buffer).fit(window(K, buffer), generator=torch.Generator())
        yield exact(f"I(block : E) of the fitted map ({where})", whole, coarse.available * BITS, ROUNDING, "bits")
        kept = coarse.information * BITS
        yield exact(f"I of the best reading: decimation ({where})", decimated, kept, ROUNDING, "bits")


def _torus() -> Iterator[Row]:
    K, v = kaufman.CRITICAL_COUPLING, theory.spins(4).astype(float)
    known = theory.torus_joint(K)
    joint, patterns = torch.from_numpy(known), torch.from_numpy(v)
    neighbours = float(known.sum(1) @ (v[:, 0] * v[:, 1]))
    expected = kaufman.energy(K, 6, 6) / 72
    yield exact("correlation of neighbours from the table, 6 x 6 at K_c: Kaufman", expected, neighbours, ROUNDING)
    whole = theory.information(known, np.eye(16))
    yield exact("I(block : E) as tabulated elsewhere (6 x 6, K_c)", 0.792619, whole, PRINTED, "bits")
    yield exact("the same by the scheme's count", whole, information(joint) * BITS, ROUNDING, "bits")
    coin = theory.information(known, theory.reading(v.sum(1)))
    yield exact("I(majority, a coin at ties : E) as tabulated elsewhere", 0.665147, coin, PRINTED, "bits")
    candidates = readings(patterns)
    found = informations(joint, candidates) * BITS
    corner = (candidates == (patterns[:, 0] > 0)).all(1) | (candidates == (patterns[:, 0] < 0)).all(1)
    (decimation,) = found[corner].tolist()
    yield exact("I(decimation : E) as tabulated elsewhere", 0.549040, decimation, PRINTED, "bits")
    expected = theory.information(known, theory.reading(v[:, 0]))
    yield exact("the same by transfer matrices", expected, decimation, ROUNDING, "bits")
    _, best = best_reading(joint, candidates)
    quantity = f"best of all {2 * len(candidates)} odd readings"
    yield exact(f"{quantity}, as tabulated elsewhere", 0.665899, best * BITS, PRINTED, "bits")
    expected = max(theory.information(known, theory.reading(v.sum(1) + ties)) for ties in _ties(v))
    yield exact(f"{quantity}: a majority, ties by the best rule", expected, best * BITS, ROUNDING, "bits")
    for amplitude, printed in ((0.25, 0.302804), (1.0, 0.654631), (4.0, 0.665147)):
        soft = theory.information(known, theory.sigmoid(amplitude * v.sum(1)))
        yield exact(f"I(sigmoid of amplitude {amplitude:g} : E) as tabulated elsewhere", printed, soft, PRINTED, "bits")


def _ties(v: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the odd ways to decide between two spins up and two down: a sign for each way to split four spins."""
    parts = [0.5 * v[:, 0] * (v[:, 0] == v[:, k]) * (v.sum(1) == 0) for k in (1, 2, 3)]
    for signs in product((-1, 1), repeat=3):
        yield sum(sign * part for sign, part in zip(signs, parts, strict=True))
