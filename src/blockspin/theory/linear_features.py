"""Linear features: the exact posterior of a deep linear network, whose data rescale and rotate its kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import gammaln, kve


@dataclass(frozen=True, eq=False)
class Task:
    """Data of a network with scalar output, one read-out of variance 1 / N, and inputs' kernel K = X X^T / d.

    Args:
        inputs: X [p, d].
        targets: y [p].
        noise: Variance of the noise; the temperature of Langevin training on half the squared error.
        width: N, of every hidden layer.
    """

    inputs: np.ndarray
    targets: np.ndarray
    noise: float
    width: int

    @property
    def kernel(self) -> np.ndarray:
        """K [p, p] of infinitely wide networks."""
        return self.inputs @ self.inputs.T / self.inputs.shape[1]


def action(task: Task, Q: float) -> float:
    r"""Return minus the log weight of a kernel Q K, with respect to d ln Q (no 1 / Q of the measure).

    .. math:: S(Q) = \tfrac N2 (Q - \ln Q) + \tfrac12 \ln\det A + \tfrac12 y^T A^{-1} y, \quad A = Q K + \sigma^2

    Given Q = |a|^2 the output of a network with one hidden layer is a Gaussian process of kernel Q K, and N Q has N
    degrees of freedom of chi squared. Exact at every width. Source: rubin2025.
    """
    A = Q * task.kernel + task.noise * np.eye(len(task.targets))
    fit = task.targets @ np.linalg.solve(A, task.targets)
    return float(task.width * (Q - np.log(Q)) + np.linalg.slogdet(A)[1] + fit) / 2


def saddle(task: Task) -> float:
    """Return Q* at which ``action`` is smallest: by how much the data rescale the kernel, to leading order in 1 / N.

    The measure's 1 / Q is left out; keeping it moves Q* at order 1 / N. Exact in mean-field scaling. Source: rubin2025.
    """
    found = minimize_scalar(lambda u: action(task, float(np.exp(u))), bracket=(-1.0, 1.0), options={"xtol": 1e-12})
    return float(np.exp(found.x))


def mean_over_scales(task: Task, F: Callable[[float], float], layers: int = 1, points: int = 2001) -> float:
    r"""Return the posterior mean of F(Q), by the trapezoidal rule in ln Q over all scales of any weight.

    With one hidden layer Q is chi squared over N; with two it is the product of two independent ones, whose density is
    a Bessel function. Relative error below 1e-9 for N >= 2.

    Args:
        task: The data and the network.
        F: Function of the scale.
        layers: Hidden layers, 1 or 2.
        points: Of the rule.

    Source:
        rubin2025.
    """
    N = task.width
    u = np.linspace(-60.0 / N**0.5 - 2, 4.5, points)
    log_prior = N / 2 * (u - np.exp(u)) if layers == 1 else _log_prior_of_two(N, u)
    log_weight = log_prior - np.array([action(task, Q) - N / 2 * (Q - np.log(Q)) for Q in np.exp(u)])
    weight = np.exp(log_weight - log_weight.max())
    return float(weight @ np.array([F(float(Q)) for Q in np.exp(u)]) / weight.sum())


def _log_prior_of_two(N: int, u: np.ndarray) -> np.ndarray:
    """Return the log density by ln Q of the product of two chi-squared variables over N each."""
    z = N * np.exp(u / 2)  # 2 (N/2)^N Q^(N/2) K_0(N sqrt Q) / Gamma(N/2)^2
    return N / 2 * u + np.log(kve(0, z)) - z + N * np.log(N / 2) - 2 * gammaln(N / 2) + np.log(2)


def predicted(task: Task, x: np.ndarray, Q: float) -> float:
    r"""Return the mean output at one input given the scale, :math:`Q k_*^T (Q K + \sigma^2)^{-1} y`.

    The infinitely wide network's is that of Q = 1. Source: rubin2025.
    """
    A = Q * task.kernel + task.noise * np.eye(len(task.targets))
    return float(Q * (task.inputs @ x) @ np.linalg.solve(A, task.targets)) / task.inputs.shape[1]


def weight_covariance(task: Task) -> np.ndarray:
    r"""Return the posterior mean of :math:`W^T W / N`, [d, d]: what rotates beside what is rescaled.

    .. math:: \frac{N-1}{N} \frac Id + \frac1N E_Q\!\left[ \frac{\mu\mu^T + \Sigma}{Q} \right], \quad
        \mu = \frac Qd X^T A^{-1} y, \quad \Sigma = \frac Qd I - \frac{Q^2}{d^2} X^T A^{-1} X

    For one hidden layer of weights of variance 1 / d. The mean output cannot tell the two apart in a linear network;
    this can. Exact at every width. Source: rubin2025.
    """
    N, d = task.width, task.inputs.shape[1]

    def aligned(Q: float) -> np.ndarray:
        A = Q * task.kernel + task.noise * np.eye(len(task.targets))
        mu = Q / d * task.inputs.T @ np.linalg.solve(A, task.targets)
        Sigma = Q / d * np.eye(d) - (Q / d) ** 2 * task.inputs.T @ np.linalg.solve(A, task.inputs)
        return (np.outer(mu, mu) + Sigma) / Q

    def entry(i: int, j: int) -> float:
        return mean_over_scales(task, lambda Q: float(aligned(Q)[i, j]))

    found = np.array([[entry(max(i, j), min(i, j)) for j in range(d)] for i in range(d)])
    return (N - 1) / N * np.eye(d) / d + found / N
