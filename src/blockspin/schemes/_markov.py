"""Markov: the random walk on a graph of sites, its spectral gap, fuzzy macrostates and their coarse operator."""

from __future__ import annotations

import numpy as np


def walk_modes(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return eigenvalues [N], descending, right eigenvectors [N, N] and stationary weights [N] of a random walk.

    The walk T = D^-1 W is reversible; its eigenvectors are those of D^-1/2 W D^-1/2, divided by the root of the degree.

    Args:
        weights: W, symmetric and non-negative [N, N]; every row has a positive sum.
    """
    degree = weights.sum(axis=1)
    root = np.sqrt(degree)
    eigenvalues, vectors = np.linalg.eigh(weights / root[:, None] / root)
    return eigenvalues[::-1], vectors[:, ::-1] / root[:, None], degree / degree.sum()


def memberships(modes: np.ndarray) -> np.ndarray:
    """Return fuzzy memberships [N, m] in the span of m slow modes: non-negative, each row adding up to one.

    The vertices of the simplex that the rows of the modes fill are found by the inner simplex algorithm; memberships
    are barycentric coordinates, made non-negative by widening the simplex. That is the feasible starting point of
    PCCA+; its optimisation over (m - 1)^2 numbers, which makes memberships crisper, is left out: it takes most of a
    minute for 16 states.

    Args:
        modes: Right eigenvectors [N, m] of the m largest eigenvalues; constants lie in their span.
    """
    vertices = _vertices(modes)
    chi = modes @ np.linalg.inv(modes[vertices])
    least = chi.min(axis=0)
    chi = (chi - least) / (1 - least.sum())
    chi = chi.clip(min=0)  # rounding
    return chi / chi.sum(axis=1, keepdims=True)


def _vertices(modes: np.ndarray) -> np.ndarray:
    """Return the rows [m], in ascending order, that lie furthest out: each furthest from the span of those before."""
    rest = modes.copy()
    found = [int(np.square(rest).sum(axis=1).argmax())]
    rest = rest - rest[found[0]]
    for _ in range(1, modes.shape[1]):
        found.append(int(np.square(rest).sum(axis=1).argmax()))
        direction = rest[found[-1]] / np.linalg.norm(rest[found[-1]])
        rest = rest - np.outer(rest @ direction, direction)
    return np.sort(found)


def galerkin(T: np.ndarray, stationary: np.ndarray, chi: np.ndarray) -> np.ndarray:
    r"""Return the operator [m, m] of the macrostates, :math:`(\chi^t \Pi \chi)^{-1} \chi^t \Pi T \chi`.

    Its rows add up to one. Where the span of chi is invariant its powers are the powers of T, seen from the
    macrostates: for eigenvectors, and for crisp states of a lumpable chain.

    Args:
        T: Transition matrix [N, N].
        stationary: Stationary distribution Pi [N].
        chi: Memberships [N, m].
    """
    weighted = chi.T * stationary
    return np.linalg.solve(weighted @ chi, weighted @ T @ chi)
