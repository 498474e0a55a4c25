"""Restricted Boltzmann machine: exact marginals, and the mapping of Mehta and Schwab to a real-space step."""

from __future__ import annotations

from itertools import product
from math import cosh, log, tanh

import numpy as np


def spins(count: int) -> np.ndarray:
    """Return all configurations of some spins of -1 and +1, [2^count, count], in lexicographic order."""
    return np.array(list(product((-1.0, 1.0), repeat=count)))


def decimation_weights(visible: int, K: float) -> np.ndarray:
    r"""Return the weights [hidden, visible] of the machine that is a ring of 2 N spins, every second one hidden.

    .. math:: E(v, h) = -K \sum_j h_j (v_j + v_{j+1}), \qquad
        \sum_v e^{-E(v, h)} \propto e^{K' \sum_j h_j h_{j+1}}, \qquad \tanh K' = \tanh^2 K

    Summing over the spins of either layer is decimation, exactly. No fields. For N >= 2. Source: mehta2014 for the
    mapping, nelson1975 for the recursion.
    """
    W = np.zeros((visible, visible))
    for j in range(visible):
        W[j, j] += K
        W[j, (j + 1) % visible] += K
    return W


def marginals(W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the probabilities of visible [2^n] and hidden configurations [2^m] of a machine without fields.

    .. math:: p(v) \propto \prod_j 2 \cosh (W v)_j, \qquad p(h) \propto \prod_i 2 \cosh (h W)_i

    Exact; orders as in ``spins``. Source: mehta2014.
    """
    rows = []
    for matrix in (W, W.T):
        weight = np.prod(2 * np.cosh(spins(matrix.shape[1]) @ matrix.T), axis=1)
        rows.append(weight / weight.sum())
    return rows[0], rows[1]


def step_probabilities(visible: np.ndarray, operator: np.ndarray) -> tuple[np.ndarray, float]:
    r"""Return the law of the hidden spins after the step T and the change of free energy that the step makes.

    .. math:: e^{-H'(h)} = \sum_v e^{T(v, h)} p(v), \qquad \Delta F = -\ln \sum_h e^{-H'(h)}

    The step is exact, Delta F = 0, where the trace condition sum_h e^T = 1 holds for every v. In units of k_B T.

    Args:
        visible: p(v), [2^n].
        operator: e^T, [2^n, 2^m], not negative.

    Source: mehta2014.
    """
    hidden = visible @ operator
    return hidden / hidden.sum(), -log(hidden.sum())


def soft_blocks(count: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Return e^T of soft spins for pairs of sites, normalised by 2 cosh and not, both [2^(2 count), 2^count].

    .. math:: e^T = \prod_j \frac{e^{\lambda h_j (v_{2j} + v_{2j+1})}}{2 \cosh \lambda (v_{2j} + v_{2j+1})}

    The first meets the trace condition for every strength, the second for none but 0 up to a constant. Source:
    mehta2014, kadanoff1976.
    """
    v, h = spins(2 * count), spins(count)
    block = strength * (v[:, ::2] + v[:, 1::2])
    plain = np.exp(block @ h.T)
    return plain / np.prod(2 * np.cosh(block), axis=1, keepdims=True), plain


def pseudo_likelihood(K: float) -> float:
    r"""Return the mean of ln p(s_i | all others) of a spin of the infinite ring, in nats.

    .. math:: -\sum_{m \in \{0, \pm 2\}} p(m) \sum_s p(s | m) [-\ln p(s | m)], \quad p(s|m) = e^{K m s} / 2 \cosh K m

    m being the sum of the two neighbours, m = +-2 with probability (1 + tanh^2 K) / 2 together. No model of the spins
    does better on average; -ln 2 where they are independent. Source: ising1925.
    """
    up = 1 / (1 + np.exp(-4 * K))
    ordered = up * log(up) + (1 - up) * log(1 - up)
    aligned = (1 + tanh(K) ** 2) / 2
    return aligned * ordered - (1 - aligned) * log(2)


def bond_of_hidden_unit(w: float) -> float:
    r"""Return the coupling of two spins that one hidden spin, joined to both by w, stands for.

    .. math:: \sum_h e^{w h (s_1 + s_2)} \propto e^{K s_1 s_2}, \qquad K = \tfrac12 \ln \cosh 2w

    A machine with a hidden unit a bond is any Ising model with ferromagnetic bonds, exactly. Source: mehta2014 for the
    setting.
    """
    return log(cosh(2 * w)) / 2
