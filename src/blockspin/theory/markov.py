"""Markov: lumped chains and the spectrum of random walks between groups, exactly."""

from __future__ import annotations

import numpy as np

LUMPABLE = np.array([[0.1, 0.3, 0.2, 0.4], [0.25, 0.15, 0.35, 0.25], [0.6, 0.1, 0.1, 0.2], [0.2, 0.5, 0.1, 0.2]])
"""A chain of four states that is strongly lumpable into {0, 1} and {2, 3}, and not into {0, 2} and {1, 3}."""


def stationary(T: np.ndarray) -> np.ndarray:
    """Return the stationary distribution [N] of an irreducible transition matrix [N, N]."""
    N = len(T)
    system = np.concatenate([T.T - np.eye(N), np.ones((1, N))])
    return np.linalg.lstsq(system, np.r_[np.zeros(N), 1.0], rcond=None)[0]


def lumped(T: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the transition matrix between groups [m, m], where every state of a group has the same row sums.

    Raises:
        ValueError: If the chain is not strongly lumpable into these groups.

    Source: kemeny1960, theorem 6.3.2.
    """
    sums = T @ np.eye(int(group.max()) + 1)[group]
    rows = np.stack([sums[group == g][0] for g in range(int(group.max()) + 1)])
    if np.abs(sums - rows[group]).max() > 1e-12:
        raise ValueError("the chain is not lumpable into these groups")
    return rows


def closure(T: np.ndarray, group: np.ndarray) -> tuple[float, float]:
    """Return I(X ; Z') and I(Z ; Z') in nats: what state and group tell of the next group, in the stationary chain.

    The first is never smaller; they are equal where the chain is lumpable into the groups, so that their difference is
    the closure gap. Exact for an irreducible chain. Source: rosas2024.
    """
    Z = np.eye(int(group.max()) + 1)[group]
    fine = stationary(T)[:, None] * (T @ Z)
    coarse = Z.T @ fine
    found = []
    for joint in (fine, coarse):
        apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
        found.append(float((joint[joint > 0] * np.log(joint[joint > 0] / apart[joint > 0])).sum()))
    return found[0], found[1]


def unseen_driver() -> tuple[np.ndarray, np.ndarray]:
    """Return a chain of four states (z, w) and the group z of each: z' = w, and w' is a fair coin.

    Seen alone z is a fair coin of a single causal state; but the states know z' beforehand, I(X ; Z') = ln 2 and
    I(Z ; Z') = 0. The groups are computationally closed, and neither informationally nor causally. Exact. Source:
    rosas2024 for the notions.
    """
    T = np.zeros((4, 4))
    for z in range(2):
        for w in range(2):
            T[2 * z + w, [2 * w, 2 * w + 1]] = 0.5
    return T, np.array([0, 0, 1, 1])


def group_past_given_state(T: np.ndarray, group: np.ndarray) -> float:
    r"""Return :math:`H(Z_{t-1}, Z_t | X_t)` in nats: what a state leaves open of the last two groups.

    Where no two rows of T are equal the states are causal states; where all pasts of two groups have different futures
    so are these pasts, of the groups. It is then the entropy of the causal states of the groups given those of the
    chain, 0 where groups are computationally closed. Exact for an irreducible chain. Source: rosas2024 for the notion.
    """
    pi = stationary(T)
    before = np.eye(int(group.max()) + 1)[group].T @ (pi[:, None] * T) / pi  # p(Z_{t-1} | X_t), by Bayes' rule
    return -float((pi * (before * np.log(np.where(before > 0, before, 1.0))).sum(axis=0)).sum())


def group_walk_spectrum(groups: int, size: int, inside: float, between: float) -> np.ndarray:
    """Return the eigenvalues, in descending order, of the walk on equal groups of sites.

    Weights are 1 of a site with itself, ``inside`` with the others of its group, ``between`` with all the rest: once 1,
    then (1 + (size - 1) inside - size between) / d for every further group, (1 - inside) / d for the rest, d being the
    sum of a row. Closed form.
    """
    own, other = 1 + (size - 1) * inside, size * between
    d = own + (groups - 1) * other
    rows = [1.0, *[(own - other) / d] * (groups - 1), *[(1 - inside) / d] * (groups * (size - 1))]
    return np.array(rows)


def adjusted_rand(one: np.ndarray, two: np.ndarray) -> float:
    """Return the adjusted Rand index of two partitions [N]: 1 for the same one, 0 on average for independent ones."""
    table = np.zeros((int(one.max()) + 1, int(two.max()) + 1))
    np.add.at(table, (one, two), 1)

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1)).sum() / 2)

    same, a, b = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = a * b / pairs(np.array([len(one)]))
    return (same - expected) / ((a + b) / 2 - expected)
