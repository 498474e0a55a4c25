"""Rsmi: what blocks of Ising spins tell of their far environment, by transfer matrices."""

from __future__ import annotations

from itertools import product

import numpy as np


def information(joint: np.ndarray, channel: np.ndarray) -> float:
    """Return I(h : E) in bits for p(v, e) [patterns, environments] and p(h | v) [patterns, values of h].

    Exact for any table of probabilities. Source: shannon1948.
    """
    both = channel.T @ joint
    apart = both.sum(axis=1, keepdims=True) * both.sum(axis=0)
    return float((both[both > 0] * np.log2(both[both > 0] / apart[both > 0])).sum())


def spins(count: int) -> np.ndarray:
    """Return all configurations of +-1 in lexicographic order, [2^count, count]."""
    return np.array(list(product((-1, 1), repeat=count)), dtype=np.int8)


def reading(values: np.ndarray) -> np.ndarray:
    """Return the channel [patterns, 2] that reads a pattern as the sign of a number; a coin is tossed at zero."""
    up = (np.sign(values) + 1) / 2
    return np.stack([1 - up, up], axis=1)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Return the channel [patterns, 2] that reads a pattern as up with probability 1 / (1 + exp(-2 value))."""
    up = 1 / (1 + np.exp(-2 * values))
    return np.stack([1 - up, up], axis=1)


def chain_joint(K: float, buffer: int = 1) -> np.ndarray:
    """Return p(v, e) [4, 4] of two neighbours on the infinite Ising chain and of the spin beyond a buffer on each side.

    Both in lexicographic order. Correlations fall by tanh K a bond, so that p(s, s') = (1 + tanh(K)^n s s') / 4 for
    spins n bonds apart. Exact; no field.
    """
    t, far = np.tanh(K), np.tanh(K) ** (buffer + 1)
    joint = np.empty((4, 4))
    for i, (a, b) in enumerate(product((-1, 1), repeat=2)):
        for j, (left, right) in enumerate(product((-1, 1), repeat=2)):
            joint[i, j] = (1 + far * left * a) * (1 + t * a * b) * (1 + far * b * right) / 16
    return joint


def torus_joint(K: float) -> np.ndarray:
    """Return p(v, e) [16, environments] of a block of 2 x 2 in the middle of a 6 x 6 torus and of what lies around it.

    The ring of 12 spins between them is the buffer; it sees the 20 spins of the environment through their sum next to
    each of its spins alone, so that environments with equal sums are one. Those are enumerated, the ring is summed by a
    transfer matrix. Patterns in lexicographic order, row by row. Exact.
    """
    code, weight = _environments(K)
    fields = np.array(list(product((-2, 0, 2), repeat=4)))
    sums = np.empty((len(weight), 12), dtype=np.int8)  # of the environment, next to each spin of the ring
    sums[:, CORNERS] = fields[code // 256]
    sums[:, EDGES] = spins(8)[code % 256]
    joint = np.empty((16, len(weight)))
    for i, pattern in enumerate(spins(4)):
        inner = np.zeros(12, dtype=np.int8)
        inner[EDGES] = pattern[INNER]
        bonds = pattern[0] * pattern[1] + pattern[2] * pattern[3] + pattern[0] * pattern[2] + pattern[1] * pattern[3]
        joint[i] = weight * np.exp(K * bonds) * _ring(K, K * (sums + inner))
    return joint / joint.sum()


RING = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4), (4, 3), (4, 2), (4, 1), (3, 1), (2, 1))
"""The buffer of the block (2, 2) ... (3, 3), site by site around it."""
CORNERS, EDGES = [0, 3, 6, 9], [1, 2, 4, 5, 7, 8, 10, 11]
INNER = [0, 1, 1, 3, 3, 2, 2, 0]
"""The spin of the block next to each edge site of the ring, in the order of ``EDGES``."""


def _environments(K: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct sums next to the ring, as codes, and the weight of each."""
    sites = [(r, c) for r in range(6) for c in range(6) if r in (0, 5) or c in (0, 5)]
    place = {site: k for k, site in enumerate(sites)}
    s = [(1 - 2 * ((np.arange(2**20, dtype=np.int32) >> k) & 1)).astype(np.int8) for k in range(20)]
    energy = np.zeros(2**20, dtype=np.int8)
    for r, c in sites:
        for other in (((r + 1) % 6, c), (r, (c + 1) % 6)):
            if other in place:
                energy += s[place[r, c]] * s[place[other]]
    code = np.zeros(2**20, dtype=np.int32)
    for k in CORNERS + EDGES:
        r, c = RING[k]
        near = [other for other in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)) if other in place]
        total = sum(s[place[other]] for other in near)
        code = code * (3 if k in CORNERS else 2) + (total + len(near)) // 2
    weights = np.bincount(code, weights=np.exp(K * energy), minlength=81 * 256)
    return np.flatnonzero(weights), weights[weights > 0]


def _ring(K: float, h: np.ndarray) -> np.ndarray:
    """Return the partition sums of rings of 12 spins in fields h [n, 12], in k_B T."""
    bond = np.exp(K * np.array([[1.0, -1.0], [-1.0, 1.0]]))
    total = np.zeros(len(h))
    for first in (0, 1):
        running = np.zeros((len(h), 2))
        running[:, first] = 1.0
        for k in range(12):
            site = np.exp(np.stack([h[:, k], -h[:, k]], axis=1))
            running = (running * site) @ bond
        total += running[:, first]
    return total
