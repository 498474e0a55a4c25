"""Dimers: coverings of small tori, counted one by one, by Kasteleyn's product and by a transfer matrix."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np


def kasteleyn_count(rows: int, columns: int) -> float:
    r"""Return the number of dimer coverings of a torus with even sides.

    .. math:: \tfrac12 \sum_{(\theta, \phi) \ne (0, 0)} \prod_{j, k} \left[4 \sin^2 \frac{2 \pi (j + \theta)}{m}
        + 4 \sin^2 \frac{2 \pi (k + \phi)}{n}\right]^{1/4}, \qquad \theta, \phi \in \{0, \tfrac12\}

    Exact. Source: kasteleyn1961.
    """
    total = 0.0
    for theta, phi in ((0.5, 0.0), (0.0, 0.5), (0.5, 0.5)):
        one = np.sin(2 * np.pi * (np.arange(rows) + theta) / rows) ** 2
        two = np.sin(2 * np.pi * (np.arange(columns) + phi) / columns) ** 2
        total += float(np.exp(np.log(4 * one[:, None] + 4 * two[None]).sum() / 4))
    return total / 2


def coverings(rows: int, columns: int) -> Counter[int]:
    """Return how many coverings of a torus have N plaquettes with two parallel dimers, {N: coverings}.

    By laying a dimer on the first free site in turn, in each direction; for sides of at least 4 and up to some 24
    sites. Exact.
    """
    found: Counter[int] = Counter()
    horizontal, vertical = np.zeros((2, rows, columns), dtype=bool)
    free = np.ones((rows, columns), dtype=bool)

    def lay() -> None:
        if not free.any():
            parallel = (horizontal & np.roll(horizontal, -1, 0)).sum() + (vertical & np.roll(vertical, -1, 1)).sum()
            found[int(parallel)] += 1
            return
        r, c = divmod(int(free.argmax()), columns)
        for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            other = ((r + dr) % rows, (c + dc) % columns)
            if not free[other]:
                continue
            start = (r, c) if dr + dc > 0 else other
            lattice = vertical if dr else horizontal
            free[r, c] = free[other] = False
            lattice[start] = True
            lay()
            lattice[start] = False
            free[r, c] = free[other] = True

    lay()
    return found


def parallel_moments(counts: Counter[int], temperature: float) -> tuple[float, float]:
    """Return mean and variance of N under P ~ exp(N / T), from the numbers of coverings; exact."""
    n = np.array(list(counts), dtype=float)
    weight = np.array(list(counts.values())) * np.exp((n - n.max()) / temperature)
    weight /= weight.sum()
    mean = float(weight @ n)
    return mean, float(weight @ (n - mean) ** 2)


def parallel_mean(rows: int, columns: int, temperature: float) -> float:
    r"""Return the mean of N under P ~ exp(N / T), by the transfer matrix from one row of a torus to the next.

    .. math:: \langle N \rangle = m\, \frac{\operatorname{tr} (\mathsf{T}^{m-1} \mathsf{T}')}
        {\operatorname{tr} \mathsf{T}^m}, \qquad
        \mathsf{T}_{ss'} = e^{n(s, s') / T}, \quad \mathsf{T}'_{ss'} = n(s, s')\, \mathsf{T}_{ss'}

    A state s is the dimers along a row and those that leave it downwards; n counts parallel pairs that the next row
    closes. Exact, for sides of at least 4 and up to 8 columns.
    """
    along, down = _row_states(columns)
    covered = along | np.roll(along, 1, axis=1)
    meet = (down[:, None].astype(int) + down + covered == 1).all(2)
    pairs = (along[:, None] & along).sum(2) + (down & np.roll(down, -1, axis=1)).sum(1)
    transfer = np.where(meet, np.exp((pairs - columns) / temperature), 0.0)
    power = np.linalg.matrix_power(transfer, rows - 1)
    return float(rows * (power * (pairs * transfer).T).sum() / (power * transfer.T).sum())


def _row_states(columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where dimers begin along a row, and where they leave it downwards, of each state [states, columns]."""
    choices = np.array(list(product((False, True), repeat=columns)))
    begins = choices[~(choices & np.roll(choices, 1, axis=1)).any(1)]
    covered = begins | np.roll(begins, 1, axis=1)
    fits = ~(covered[:, None] & choices).any(2)
    state, leaving = np.nonzero(fits)
    return begins[state], choices[leaving]
