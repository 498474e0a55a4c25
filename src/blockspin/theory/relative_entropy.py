"""Relative entropy: how distinguishable Ising models, Gaussian fields or a network's layers are along a flow."""

from __future__ import annotations

from math import atanh, cosh, log, log1p, pi, tanh

import numpy as np
from scipy.special import ellipkm1

from blockspin.theory.kaufman import onsager_log_partition


def ising_chain(K: float, reference: float) -> float:
    r"""Return D(K || K_0) a spin of the infinite ring without field, in nats.

    .. math:: (K - K_0) \tanh K - \ln\cosh K + \ln\cosh K_0

    Valid for all finite couplings. Source: erdmenger2022.
    """
    return (K - reference) * tanh(K) - log(cosh(K)) + log(cosh(reference))


def ising_ring(K: float, reference: float, sites: int) -> float:
    r"""Return D(K || K_0) of the whole ring of N spins without field, in nats.

    .. math:: (K - K_0) \langle E \rangle_K - \ln Z_N(K) + \ln Z_N(K_0), \qquad Z_N = (2\cosh K)^N (1 + \tanh^N K)

    with <E> = d ln Z / dK. Exact for N >= 2. Source: erdmenger2022 for the quantity, ising1925 for Z.
    """
    t, N = tanh(K), sites
    energy = N * (t + t ** (N - 1)) / (1 + t**N)
    return (K - reference) * energy - _log_partition(K, N) + _log_partition(reference, N)


def decimated_ising_ring(K: float, reference: float, sites: int, steps: int, b: int = 2) -> list[float]:
    """Return D in nats of the rings that 0, 1, ... decimations by b leave; it never grows.

    Both couplings follow tanh K' = tanh^b K on N / b spins. Exact where b^steps divides N and leaves two spins or more.
    Source: erdmenger2022.
    """
    levels = [ising_ring(K, reference, sites)]
    for _ in range(steps):
        K, reference, sites = atanh(tanh(K) ** b), atanh(tanh(reference) ** b), sites // b
        levels.append(ising_ring(K, reference, sites))
    return levels


def gaussian(covariance: np.ndarray, reference: np.ndarray) -> float:
    r"""Return D between two Gaussian fields of mean zero, in nats.

    .. math:: \tfrac12 [\operatorname{tr} S_0^{-1} S - n - \ln\det(S_0^{-1} S)]

    For positive definite covariances; where S is the sample covariance of T samples it is too large by
    ``gaussian_bias``. Source: erdmenger2022.
    """
    product = np.linalg.solve(reference, covariance)
    return float(np.trace(product) - len(product) - np.linalg.slogdet(product)[1]) / 2


def gaussian_bias(sites: int, samples: int) -> float:
    """Return what estimating the first covariance adds to ``gaussian``, n (n + 1) / (4 T), to first order in 1 / T.

    From the variance of a Wishart matrix: n (n + 1) / 2 free entries, half a nat of squared error a degree of freedom.
    Source: erdmenger2022 for the quantity.
    """
    return sites * (sites + 1) / (4 * samples)


def ising_plane(K: float, reference: float) -> float:
    r"""Return D(K || K_0) a spin of the infinite square lattice without field, in nats.

    .. math:: (K - K_0) u(K) - \ln Z(K) + \ln Z(K_0), \qquad u = d \ln Z / dK

    Valid for all couplings; u has an infinite slope, D has none, at the critical coupling. Source: erdmenger2022 for
    the quantity, onsager1944 for Z.
    """
    return (K - reference) * plane_energy(K) - onsager_log_partition(K) + onsager_log_partition(reference)


def plane_energy(K: float) -> float:
    r"""Return u = d ln Z / dK a spin, sqrt(2) at the critical coupling.

    .. math:: \coth(2K) \big[1 + \tfrac{2}{\pi} (2 \tanh^2 2K - 1)\, \mathbf{K}(k)\big]

    with the complete elliptic integral, k = 2 sinh 2K / cosh^2 2K. For K > 0. Source: onsager1944.
    """
    odd = 2 * tanh(2 * K) ** 2 - 1
    pull = odd * float(ellipkm1(odd**2)) if odd else 0.0  # 1 - k^2 = odd^2; odd K(k) -> 0 with it
    return (1 + 2 / pi * pull) / tanh(2 * K)


def network_layer(variance: float, reference: float) -> float:
    r"""Return D a neuron between the laws N(0, q) and N(0, q_0) of two layers' pre-activations, in nats.

    .. math:: \tfrac12 [q/q_0 - 1 - \ln(q/q_0)]

    Of marginals, exact for infinite width, where neurons are independent; it rises to a plateau as q goes to its fixed
    point and has no feature at the edge of chaos. For q, q_0 > 0. Source: erdmenger2022.
    """
    ratio = variance / reference
    return (ratio - 1 - log(ratio)) / 2


def _log_partition(K: float, sites: int) -> float:
    return sites * log(2 * cosh(K)) + log1p(tanh(K) ** sites)
