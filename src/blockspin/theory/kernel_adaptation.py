"""Kernel adaptation: the Gaussian law of hidden weights that agrees with the kernel it makes, by fixed point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from blockspin.errors import FitFailedError
from blockspin.theory.gaussian_average import Rule


@dataclass(frozen=True, eq=False)
class TwoLayers:
    """A network phi(X w) of N hidden units, a prior N(0, variance / d) for w and a read-out of variance 1 / N.

    Args:
        inputs: X [n, d]; the first p have targets.
        targets: y [p].
        noise: Variance of the noise.
        width: N.
        phi: Activation, of an array.
        weight_variance: sigma_w^2.
    """

    inputs: np.ndarray
    targets: np.ndarray
    noise: float
    width: int
    phi: Callable[[np.ndarray], np.ndarray]
    weight_variance: float = 1.0


def kernel(network: TwoLayers, Sigma: np.ndarray, rule: Rule) -> np.ndarray:
    """Return the kernel [n, n] of hidden weights of covariance Sigma [d, d]. Source: seroussi2023."""
    z, weight = rule
    features = network.phi(z @ np.linalg.cholesky(Sigma).T @ network.inputs.T)
    return (features * weight[:, None]).T @ features


def pull(network: TwoLayers, Sigma: np.ndarray, rule: Rule) -> np.ndarray:
    r"""Return :math:`\frac{dK}{d\Sigma} : (g g^T - \tilde K^{-1})`, [d, d]: where the data want the weights to lie.

    From the derivative of the Gaussian weight, so that phi need not be smooth:
    :math:`\frac{d\langle F \rangle}{d\Sigma} = \frac12 \Sigma^{-1} \langle (w w^T - \Sigma) F \rangle \Sigma^{-1}`.

    Source:
        seroussi2023.
    """
    z, weight = rule
    p, root = len(network.targets), np.linalg.cholesky(Sigma)
    features = network.phi(z @ root.T @ network.inputs[:p].T)
    inverse = np.linalg.inv((features * weight[:, None]).T @ features + network.noise * np.eye(p))
    g = inverse @ network.targets
    F = weight * np.einsum("qa,ab,qb->q", features, np.outer(g, g) - inverse, features)
    whitened = (z * F[:, None]).T @ z - F.sum() * np.eye(z.shape[1])
    half = np.linalg.solve(root.T, whitened)
    return np.linalg.solve(root.T, half.T) / 2


def adapted(network: TwoLayers, rule: Rule, damping: float = 0.1, steps: int = 2000) -> np.ndarray:
    r"""Return the covariance [d, d] of the hidden weights after training, as a fixed point.

    .. math:: \Sigma^{-1} = \frac{d}{\sigma_w^2} - \frac1N \frac{dK}{d\Sigma} : (g g^T - \tilde K^{-1}),
        \quad g = \tilde K^{-1} y

    Right to order 1 / N, the Gaussian law of a unit being exact to that order; in linear networks the next order is
    6 to 7 in d Sigma_00 N^2 for the instance of the tether. The mean output of the adapted kernel is right to leading
    order alone: the kernel's fluctuations add as much at order 1 / N.

    Args:
        network: The network and its data.
        rule: Of ``gaussian_average.hermite_rule`` in d dimensions; for phi of degree k exact from k + 2 nodes on.
        damping: Share of the new precision in each step.
        steps: At most.

    Raises:
        FitFailedError: If the precision is not positive on the way, as where units specialise and a Gaussian law fails,
            or if the steps do not suffice.

    Source:
        seroussi2023.
    """
    d = network.inputs.shape[1]
    prior = d / network.weight_variance * np.eye(d)
    precision = prior
    for _ in range(steps):
        target = prior - pull(network, np.linalg.inv(precision), rule) / network.width
        new = (1 - damping) * precision + damping * target
        if np.linalg.eigvalsh(new)[0] <= 0:
            raise FitFailedError(
                "the hidden weights have no Gaussian law that agrees with their kernel", "widen the net"
            )
        if abs(new - precision).max() < 1e-13 * abs(precision).max():
            return np.linalg.inv(new)
        precision = new
    raise FitFailedError(f"the weights' covariance has not converged in {steps} steps", "allow more steps")
