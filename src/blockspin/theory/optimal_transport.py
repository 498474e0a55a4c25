"""Optimal transport: Gaussian laws under heat flow, and the exact renormalization group as a gradient flow."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm, sqrtm
from scipy.special import ive


def smoothed_spectrum(spectrum: ArrayLike, b: int, time: float) -> np.ndarray:
    r"""Return the spectrum of a periodic lattice field after heat flow and thinning by b, exactly.

    .. math:: S'(q) = b^{-d} \sum_{m \in \{0..b-1\}^d} e^{-2 s \lambda(k)} S(k), \qquad k = (q + 2 \pi m) / b,

    with lambda(k) = 2 sum_a (1 - cos k_a) and s = t (b^2 - 1): waves that the coarse lattice cannot tell apart add up.

    Args:
        spectrum: S(k), one axis a dimension, in the order of ``numpy.fft.fftfreq``; sizes divisible by b.
        b: Ratio of spacings.
        time: Time t in squared spacings.

    Valid for every field with translation symmetry. Source: polchinski1984 for the smooth cutoff.
    """
    S = np.asarray(spectrum, dtype=float)
    waves = np.meshgrid(*(2 * np.pi * np.fft.fftfreq(n) for n in S.shape), indexing="ij")
    damped = S * np.exp(-4 * time * (b**2 - 1) * np.asarray(sum(1 - np.cos(k) for k in waves)))
    sizes = [n // b for n in S.shape]
    parts = [damped[tuple(slice(m * n, (m + 1) * n) for m, n in zip(ms, sizes, strict=True))] for ms in _aliases(b, S)]
    return np.sum(parts, axis=0) / b**S.ndim


def _aliases(b: int, S: np.ndarray) -> product:
    return product(range(b), repeat=S.ndim)


def smoothed_noise(b: int, time: float, dimension: int, distance: int = 0) -> float:
    r"""Return the covariance of two coarse sites, on one axis, of smoothed unit white noise on the infinite lattice.

    .. math:: [e^{-4s} I_0(4s)]^{d-1} e^{-4s} I_{b r}(4s), \qquad s = t (b^2 - 1)

    with the modified Bessel function I, since exp(-sL) on a chain is exp(-2s) I_n(2s). Units of the field squared.
    Valid for all s; on a ring of N sites up to images at N. Source: polchinski1984 for the smooth cutoff.
    """
    x = 4 * time * (b**2 - 1)
    return float(ive(0, x) ** (dimension - 1) * ive(b * distance, x))


def diffused(covariance: np.ndarray, reference: np.ndarray, t: float) -> np.ndarray:
    r"""Return the covariance at time t of the flow dphi = -Q^-1 phi dt + sqrt(2) dW that started from C.

    .. math:: C_t = Q + e^{-t Q^{-1}} (C - Q) e^{-t Q^{-1}}

    The exact renormalization group with a fixed cutoff: modes of small reference variance Q are replaced by noise
    first, and Q is the fixed point. t in units of the variance; for positive definite Q. Source: cotler2023.
    """
    decay = expm(-t * np.linalg.inv(reference))
    return reference + decay @ (covariance - reference) @ decay


def velocity(covariance: np.ndarray, reference: np.ndarray) -> np.ndarray:
    r"""Return the matrix V of the velocity field V x that carries the flow deterministically, Q^-1 and C^-1 symmetric.

    .. math:: V = -\nabla\nabla \frac{\delta D}{\delta p} = C^{-1} - Q^{-1}

    The gradient of relative entropy D(p || N(0, Q)) in the metric of Wasserstein. Source: cotler2023.
    """
    return np.linalg.inv(covariance) - np.linalg.inv(reference)


def relative_fisher_information(covariance: np.ndarray, reference: np.ndarray) -> float:
    r"""Return the Fisher information of N(0, C) relative to N(0, Q), the rate at which the flow loses D.

    .. math:: -\frac{dD}{dt} = \operatorname{tr} C (Q^{-1} - C^{-1})^2

    In nats per unit of t; the squared speed in the metric of Wasserstein. Source: cotler2023.
    """
    V = velocity(covariance, reference)
    return float(np.trace(covariance @ V @ V))


def wasserstein_squared(first: np.ndarray, second: np.ndarray) -> float:
    r"""Return the squared Wasserstein distance of two Gaussian laws of mean zero.

    .. math:: \operatorname{tr} [A + B - 2 (A^{1/2} B A^{1/2})^{1/2}]

    Units of the field squared; loses half of the digits where both are close. Source: cotler2023.
    """
    root = np.real(sqrtm(first))
    return float(np.trace(first + second - 2 * np.real(sqrtm(root @ second @ root))))


def posterior_variance(covariance: np.ndarray, observed: np.ndarray) -> float:
    r"""Return the mean over sites of the variance that is left once T phi is known, for a Gaussian field.

    .. math:: \tfrac1N \operatorname{tr} [C^{-1} + \epsilon^{-1} T^t T]^{-1}, \qquad \epsilon \to 0,

    by projecting the precision on the null space of T: what T does not see keeps its conditional variance. Units of the
    field squared; for positive definite C and T of full row rank. Source: cotler2023 for the setting.
    """
    blind = np.linalg.svd(observed)[2][len(observed) :]
    return float(np.trace(np.linalg.inv(blind @ np.linalg.inv(covariance) @ blind.T)) / len(covariance))
