"""Noisy training: mean outputs of networks sampled at a temperature, and their first correction in the width."""

from __future__ import annotations

import numpy as np

from blockspin.theory.four_point import connected


def hidden_moments(features: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Return kernel [n, n] and vertex [n, n, n, n] of a hidden layer of independent units, outputs of variance K.

    .. math:: K_{ab} = \langle \phi_a \phi_b \rangle, \quad
        V_{(ab)(cd)} = \langle \phi_a \phi_b \phi_c \phi_d \rangle - K_{ab} K_{cd}

    Exact where the rule integrates the fourth power of a unit; a sample of units is no substitute, since the eighth
    moments that its error follows from are large. Units of the output squared, and to the fourth.

    Args:
        features: What a hidden unit gives for each input at the nodes of a rule over its weights [nodes, n].
        weights: The rule's weights [nodes], of sum one.

    Source:
        naveh2021.
    """
    n = features.shape[1]
    pairs = np.einsum("qa,qb->qab", features, features).reshape(len(features), -1)
    K = weights @ pairs
    V = (pairs * weights[:, None]).T @ pairs - np.outer(K, K)
    return K.reshape(n, n), V.reshape(n, n, n, n)


def gaussian_mean(K: np.ndarray, y: np.ndarray, noise: float) -> np.ndarray:
    r"""Return the posterior mean of infinitely wide networks, :math:`k_*^T \tilde K^{-1} y`, at the inputs left over.

    With the loss :math:`\frac12 \sum (f - y)^2` sampled at temperature T the noise is T; without the half it is T / 2.

    Args:
        K: Kernel over the inputs that are trained on and then the others [n, n].
        y: Targets [p] of the first p inputs; [n - p] means come back.
        noise: :math:`\sigma^2` in :math:`\tilde K = K + \sigma^2`.

    Source:
        naveh2021.
    """
    p = len(y)
    return K[p:, :p] @ np.linalg.solve(K[:p, :p] + noise * np.eye(p), y)


def width_correction(K: np.ndarray, V: np.ndarray, y: np.ndarray, noise: float) -> np.ndarray:
    r"""Return f1: the posterior mean of N hidden units is ``gaussian_mean`` + f1 / N + O(1 / N^2).

    .. math:: f_1 = \tfrac16 \left[ \bar U_{*abc} g_a g_b g_c - 3 \bar U_{*abc} (\tilde K^{-1})_{ab} g_c \right],
        \quad g = \tilde K^{-1} y, \quad \bar U_{*abc} = U_{*abc} - (k_* \tilde K^{-1})_d U_{dabc}

    U / N is the connected four-point function of the prior outputs: V summed over the three pairings of its indices.
    The series is asymptotic: where f1 / N is not small against the mean the correction makes it worse.

    Args:
        K: Kernel [n, n], as for ``gaussian_mean``.
        V: Vertex [n, n, n, n] of ``hidden_moments``.
        y: Targets [p] of the first p inputs.
        noise: Variance of the noise.

    Source:
        naveh2021.
    """
    p = len(y)
    inverse = np.linalg.inv(K[:p, :p] + noise * np.eye(p))
    g = inverse @ y
    U = connected(V)[:, :p, :p, :p]
    U = U[p:] - np.tensordot(K[p:, :p] @ inverse, U[:p], 1)
    return (np.einsum("tabc,a,b,c->t", U, g, g, g) - 3 * np.einsum("tabc,ab,c->t", U, inverse, g)) / 6
