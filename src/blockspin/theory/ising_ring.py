"""Ising ring: partition function, correlations and the exact flow under decimation."""

from __future__ import annotations

from dataclasses import dataclass
from math import atanh, cosh, exp, log, log1p, sinh, sqrt, tanh

import numpy as np


@dataclass(frozen=True)
class Decimated:
    """The ring that is left when all but every b-th spin are summed out.

    Args:
        coupling: K'.
        field: h'.
        constant: g, the free energy that the forgotten spins leave behind, per remaining spin:
            ln Z_N(K, h) = (N / b) g + ln Z_{N/b}(K', h').
    """

    coupling: float
    field: float
    constant: float


def log_partition(sites: int, K: float, h: float = 0.0) -> float:
    r"""Return ln Z of a ring of N spins with energy -K sum s s' - h sum s, in k_B T.

    .. math:: Z = \lambda_+^N + \lambda_-^N, \quad
        \lambda_\pm = e^K \cosh h \pm \sqrt{e^{2K} \sinh^2 h + e^{-2K}}

    Valid for every real K and h and N >= 1. Source: ising1925.
    """
    root = sqrt(exp(2 * K) * sinh(h) ** 2 + exp(-2 * K))
    larger = exp(K) * cosh(h) + root
    ratio = (exp(K) * cosh(h) - root) / larger
    return sites * log(larger) + log1p(ratio**sites)


def correlation(distance: int, sites: int, K: float) -> float:
    r"""Return <s_0 s_r> of a ring of N spins without field.

    .. math:: \frac{t^r + t^{N-r}}{1 + t^N}, \quad t = \tanh K

    Valid for 0 <= r <= N and every K. Source: ising1925.
    """
    t = tanh(K)
    return (t**distance + t ** (sites - distance)) / (1 + t**sites)


def correlation_length(K: float) -> float:
    """Return xi = -1 / ln tanh |K|, in lattice spacings, of the infinite ring without field; 0 for K = 0.

    A decimation by b divides it by b. Source: ising1925.
    """
    return 0.0 if K == 0 else -1 / log(tanh(abs(K)))


def decimated_coupling(K: float, h: float = 0.0, b: int = 2) -> Decimated:
    r"""Return the couplings of the ring that decimation by b leaves; it is again a nearest-neighbour ring.

    The transfer matrix :math:`T_{ss'} = e^{K s s' + h (s + s')/2}` of b bonds is that of one new bond times e^g:

    .. math:: K' = \tfrac14 \ln\frac{T^b_{++} T^b_{--}}{(T^b_{+-})^2}, \quad
        h' = \tfrac12 \ln\frac{T^b_{++}}{T^b_{--}}, \quad
        g = \tfrac14 \ln\big(T^b_{++} T^b_{--} (T^b_{+-})^2\big)

    For h = 0 this is tanh K' = (tanh K)^b. Valid for every K and h and b >= 1, on a finite ring whenever b divides N.
    All in k_B T. Source: nelson1975.
    """
    s = np.array([1.0, -1.0])
    exponents = K * np.outer(s, s) + h * (s[:, None] + s[None]) / 2
    shift = exponents.max()
    T = np.exp(exponents - shift)
    power, scale = np.eye(2), 0.0
    for _ in range(b):
        power = power @ T
        largest = power.max()
        power, scale = power / largest, scale + shift + log(largest)
    up, down, mixed = log(power[0, 0]), log(power[1, 1]), log(power[0, 1])
    return Decimated((up + down - 2 * mixed) / 4, (up - down) / 2, (up + down + 2 * mixed) / 4 + float(scale))


def zero_field_coupling(K: float, b: int = 2) -> float:
    """Return K' = artanh(tanh(K)^b), decimation without field in closed form. Any K, b >= 1. Source: nelson1975."""
    return atanh(tanh(K) ** b)


def linearised_decimation(K: float, b: int = 2) -> tuple[float, float]:
    r"""Return (dK'/dK, dh'/dh) of decimation by b at h = 0, the eigenvalues of the linearised flow.

    .. math:: \frac{dK'}{dK} = b\, t^{b-1} \frac{1 - t^2}{1 - t^{2b}}, \qquad
        \frac{dh'}{dh} = 1 + 2 \sum_{j=1}^{b-1} \frac{t^j - t^{2b-j}}{1 - t^{2b}}

    with t = tanh K; for b = 2 they are tanh 2K and 1 + tanh 2K. Exact on every ring, for every finite K and b >= 1;
    both tend to b as K grows (y = 1 at zero temperature). Source: nelson1975.
    """
    t = tanh(K)
    rest = 1 - t ** (2 * b)
    return b * t ** (b - 1) * (1 - t**2) / rest, 1 + 2 * sum(t**j - t ** (2 * b - j) for j in range(1, b)) / rest


def eigenvalue_ratio(K: float, h: float = 0.0) -> float:
    """Return lambda_- / lambda_+ of the transfer matrix; under decimation by b it becomes its b-th power.

    Valid for every K and h. Source: ising1925.
    """
    root = sqrt(exp(2 * K) * sinh(h) ** 2 + exp(-2 * K))
    return (exp(K) * cosh(h) - root) / (exp(K) * cosh(h) + root)


def fisher_information(K: float, sites: int) -> float:
    r"""Return the Fisher information about K in the whole ring of N spins without field, the variance of sum s s'.

    .. math:: \partial_K^2 \ln Z = N (1 - t^2) + \frac{u''}{1 + u} - \Big(\frac{u'}{1 + u}\Big)^2, \quad u = t^N,

    primes being derivatives by K. Exact for every K and N >= 2. Source: ising1925.
    """
    t, N = tanh(K), sites
    s, u = 1 - t**2, t**N
    first = N * t ** (N - 1) * s
    second = N * (N - 1) * t ** (N - 2) * s**2 - 2 * N * u * s
    return N * s + second / (1 + u) - (first / (1 + u)) ** 2


def fisher_retained(K: float, sites: int | None = None) -> tuple[float, float]:
    r"""Return the share of Fisher information that one decimation by 2 keeps, for the coupling and for the field.

    .. math:: R_K = \frac{2 t^2}{1 + t^2}, \qquad R_h = \frac{1}{1 + e^{-4K}}

    for the infinite ring at h = 0, K > 0: what is irrelevant dies, what is relevant survives. On a finite ring of an
    even number of sites R_h is the same and R_K = (dK'/dK)^2 I_{N/2}(K') / I_N(K). Dimensionless.
    Source: machta2013 for the idea; both follow from the recursion of nelson1975 and the susceptibilities.
    """
    t = tanh(K)
    field = 1 / (1 + exp(-4 * K))
    if sites is None:
        return 2 * t**2 / (1 + t**2), field
    coarse = fisher_information(zero_field_coupling(K), sites // 2)
    return linearised_decimation(K)[0] ** 2 * coarse / fisher_information(K, sites), field


def mutual_information(distance: int, K: float) -> float:
    """Return I(s_0; s_r) in nats on the infinite ring without field: ln 2 less the entropy of (1 + t^r) / 2.

    Valid for every K with |t^r| < 1. Source: ising1925.
    """
    p = (1 + tanh(K) ** distance) / 2
    return log(2) + p * log(p) + (1 - p) * log(1 - p)


def ring_probabilities(sites: int, K: float, h: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return every configuration [2^N, N] of a small ring, spins +-1, and its probability [2^N]; N <= 16.

    By counting broken bonds and up spins; normalised by the closed form of ``log_partition``, not by summing.
    """
    number = np.arange(2**sites)
    up = (number[:, None] >> np.arange(sites)) & 1
    broken = (up != np.roll(up, 1, axis=1)).sum(axis=1)
    energy = K * (sites - 2 * broken) + h * (2 * up.sum(axis=1) - sites)
    return 2.0 * up - 1, np.exp(energy - log_partition(sites, K, h))
