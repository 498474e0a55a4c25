"""Wilsonian RG of kernel regression: modes that cannot be learned are integrated out and leave a ridge behind."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sin

import numpy as np
from scipy.optimize import brentq
from scipy.special import zeta

from blockspin.errors import ConfigError


@dataclass(frozen=True)
class Generalisation:
    """What kernel regression on random features comes to, by a self-consistent equation.

    Args:
        ridge: kappa, the effective ridge.
        error: Mean squared error over inputs, averaged over training sets.
        overfitting: gamma; the factor by which noise and unlearned signal are amplified is 1 / (1 - gamma).
    """

    ridge: float
    error: float
    overfitting: float


def running_ridge(eigenvalues: np.ndarray, ridge: float) -> np.ndarray:
    r"""Return the ridge left when all modes above the k-th are integrated out, [modes + 1] for k = 0, ..., all.

    .. math:: \sigma^2(\kappa) = \sigma^2 + \sum_{k > \kappa} \lambda_k, \qquad d\sigma^2/d\kappa = -\lambda_\kappa

    For features whose modes are Gaussian and independent of the ones kept, given the input, and whose local variance is
    the same everywhere (else ``local_ridge``). A target's share in the removed modes is noise in the data, not ridge.

    Args:
        eigenvalues: Of the kernel's integral operator with respect to the inputs' law, in the order in which they are
            kept, not those of a kernel matrix (n times as large, and too small in the tail).
        ridge: sigma^2.

    Source:
        howard2025.
    """
    tail = np.append(np.cumsum(np.asarray(eigenvalues, dtype=float)[::-1])[::-1], 0.0)
    return ridge + tail


def power_law_ridge(exponent: float, cut: int, ridge: float) -> float:
    r"""Return sigma^2 + zeta(1 + a, kappa + 1): the running ridge of infinitely many modes lambda_k = k^-(1 + a).

    Source: howard2025.
    """
    return ridge + float(zeta(1 + exponent, cut + 1))


def local_ridge(eigenvalues: np.ndarray, modes: np.ndarray, ridge: float) -> np.ndarray:
    r"""Return the ridge at each input, :math:`\sigma^2 + \sum_{k > \kappa} \lambda_k \phi_k(x)^2`.

    Where it varies over inputs, removing modes reweights the loss in space.

    Args:
        eigenvalues: Of the modes removed [modes].
        modes: Their eigenfunctions at the inputs, of unit mean square [inputs, modes].
        ridge: sigma^2.

    Source:
        howard2025.
    """
    return ridge + np.square(modes) @ np.asarray(eigenvalues, dtype=float)


def learnability_cut(eigenvalues: np.ndarray, samples: int, ridge: float) -> int:
    r"""Return how many modes stay: those with :math:`n \lambda_k > \sigma^2(k)`.

    A crossover, not an edge: modes near it are learned by about half. Lowering the cut further leaves the range in
    which the ridge alone tells what has been removed.

    Args:
        eigenvalues: In descending order.
        samples: n.
        ridge: sigma^2.

    Raises:
        ConfigError: If the eigenvalues do not descend.

    Source:
        howard2025.
    """
    eigenvalues = np.asarray(eigenvalues, dtype=float)
    if (np.diff(eigenvalues) > 0).any():
        raise ConfigError("eigenvalues", "ascending somewhere", "a descending spectrum")
    kept = samples * eigenvalues > running_ridge(eigenvalues, ridge)[1:]
    return int(np.argmin(kept)) if not kept.all() else len(kept)


def effective_ridge(eigenvalues: np.ndarray, samples: int, ridge: float) -> float:
    r"""Return kappa of :math:`\kappa = \sigma^2 + \sum_k \lambda_k \kappa / (\kappa + n \lambda_k)`.

    The running ridge is this equation with all modes above the cut at n lambda_k << kappa. Leading order for many
    samples and Gaussian features. Source: canatar2021.
    """
    w = np.asarray(eigenvalues, dtype=float)

    def excess(log_kappa: float) -> float:
        kappa = np.exp(log_kappa)
        return ridge / kappa + float((w / (kappa + samples * w)).sum()) - 1

    high = np.log(ridge + w.sum())
    low = high - 1.0
    while excess(low) <= 0:
        if low < -700:
            raise ConfigError("samples", samples, "fewer than the modes, or a ridge above 0")
        low -= 2.0
    return float(np.exp(brentq(excess, low, high, xtol=1e-14)))


def generalisation(
    eigenvalues: np.ndarray, target: np.ndarray, samples: int, ridge: float, noise: float = 0.0
) -> Generalisation:
    r"""Return the mean squared error of kernel ridge regression.

    .. math:: E = \frac{\sum_k f_k^2 \big(\frac{\kappa}{\kappa + n \lambda_k}\big)^2 + \gamma \sigma_\epsilon^2}{1 -
        \gamma}, \qquad \gamma = \frac1n \sum_k \Big(\frac{n \lambda_k}{\kappa + n \lambda_k}\Big)^2

    The error of the noiseless target. Leading order for many samples and Gaussian features.

    Args:
        eigenvalues: Of the integral operator.
        target: f_k^2, squared coefficients of the target.
        samples: n.
        ridge: sigma^2 of the predictor.
        noise: sigma_eps^2 of the data.

    Source:
        canatar2021.
    """
    w, kappa = np.asarray(eigenvalues, dtype=float), effective_ridge(eigenvalues, samples, ridge)
    left = kappa / (kappa + samples * w)
    gamma = float(np.square(1 - left).sum()) / samples
    return Generalisation(kappa, (float(target @ left**2) + gamma * noise) / (1 - gamma), gamma)


def scaling_prefactor(exponent: float) -> float:
    r"""Return the limit of :math:`\kappa n^a = [\pi / ((1 + a) \sin(\pi / (1 + a)))]^{1 + a}` at vanishing ridge.

    For infinitely many modes lambda_k = k^-(1 + a); reached as 1 / n. Source: canatar2021, prefactor derived.
    """
    b = 1 + exponent
    return (pi / (b * sin(pi / b))) ** b
