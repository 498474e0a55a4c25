"""Compiled: kernels of spin updates that numba makes on first use, where it is installed.

Their random numbers come from xoshiro256++ (blackman2021), whose state is drawn afresh from NumPy's generator at every
call; a 32-bit half of each number is compared with a probability, which rounds it to 2^-32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from math import exp

import numpy as np

from blockspin.sources._torus import Torus

_U = np.uint64


@cache
def available() -> bool:
    """Whether numba is installed."""
    return find_spec("numba") is not None


def flip_clusters(
    spins: np.ndarray, torus: Torus, K: float, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Flip ``count`` Wolff clusters of each chain; returns the spins and how many were flipped in all."""
    spins, seed = spins.copy(), rng.integers(0, 2**64, 4, dtype=np.uint64)
    queue = np.empty(torus.sites + 1, dtype=np.uint32)
    flipped = _wolff()(spins, torus.neighbours, _U(round((1 - exp(-2 * K)) * 2**32)), _U(count), seed, queue)
    return spins, int(flipped)


def attempt_flips(spins: np.ndarray, torus: Torus, K: float, sweeps: int, rng: np.random.Generator) -> np.ndarray:
    """Attempt as many flips of random sites as there are sites, ``sweeps`` times, by Metropolis' rule."""
    spins, seed = spins.copy(), rng.integers(0, 2**64, 4, dtype=np.uint64)
    degree = torus.neighbours.shape[1]
    cost = np.maximum(0.0, 2 * K * (2 * np.arange(degree + 1) - degree))  # of aligned neighbours
    chance = np.round(np.exp(-cost) * 2**32).astype(np.uint64)
    _metropolis()(spins, torus.neighbours, chance, _U(sweeps * torus.sites), seed)
    return spins


def _xoshiro(a, b, c, d):
    """Return the next 64 bits and the four words of the state after them."""
    x = a + d
    bits = ((x << _U(23)) | (x >> _U(41))) + a
    t = b << _U(17)
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= t
    return bits, a, b, c, (d << _U(45)) | (d >> _U(19))


@cache
def _wolff() -> Callable:
    """Return the compiled loop. All integers are unsigned: numba then needs no test for negative indices.

    Sites wait in a queue rather than on a stack, so that the processor can look ahead; whether a neighbour joins is
    arithmetic rather than a branch, because it is a coin flip that no processor can predict.
    """
    from numba import njit

    draw = njit(_xoshiro)
    half, low, one, two = _U(32), _U(2**32 - 1), _U(1), _U(2)

    @njit
    def run(spins, neighbours, threshold, count, seed, queue):
        sites, degree = _U(neighbours.shape[0]), _U(neighbours.shape[1])
        a, b, c, d = seed[0], seed[1], seed[2], seed[3]
        flipped = _U(0)
        for chain in range(spins.shape[0]):
            s = spins[chain]
            for _ in range(count):
                bits, a, b, c, d = draw(a, b, c, d)
                first = ((bits >> half) * sites) >> half
                old = s[first]
                s[first] = old ^ np.uint8(1)
                queue[_U(0)] = first
                head, end = _U(0), one
                while head < end:
                    i = _U(queue[head])
                    head += one
                    for k in range(_U(0), degree, two):
                        bits, a, b, c, d = draw(a, b, c, d)
                        j = _U(neighbours[i, k])
                        joins = _U(s[j] == old) & _U((bits >> half) < threshold)
                        queue[end] = j
                        s[j] ^= np.uint8(joins)
                        end += joins
                        j = _U(neighbours[i, k + one])
                        joins = _U(s[j] == old) & _U((bits & low) < threshold)
                        queue[end] = j
                        s[j] ^= np.uint8(joins)
                        end += joins
                flipped += end
        return flipped

    return run


@cache
def _metropolis() -> Callable:
    """Return the compiled loop; one random number gives the site and the chance."""
    from numba import njit

    draw = njit(_xoshiro)
    half, low = _U(32), _U(2**32 - 1)

    @njit
    def run(spins, neighbours, chance, attempts, seed):
        sites, degree = _U(neighbours.shape[0]), _U(neighbours.shape[1])
        a, b, c, d = seed[0], seed[1], seed[2], seed[3]
        for chain in range(spins.shape[0]):
            s = spins[chain]
            for _ in range(attempts):
                bits, a, b, c, d = draw(a, b, c, d)
                i = ((bits >> half) * sites) >> half
                own, aligned = s[i], _U(0)
                for k in range(degree):
                    aligned += _U(s[_U(neighbours[i, k])] == own)
                s[i] = own ^ np.uint8((bits & low) < chance[aligned])

    return run
