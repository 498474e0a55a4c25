"""Residual scaling: how well two inputs stay apart in a deep residual network, and which branch scale is best."""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, pi, sqrt

from scipy.optimize import minimize_scalar


@dataclass(frozen=True)
class ResidualNetwork:
    """Identically built residual blocks whose branch is an erf layer of infinite width.

    Args:
        depth: Blocks, L.
        weight_variance: sigma_w^2, of a weight times the number of units that feed it.
        bias_variance: sigma_b^2.
    """

    depth: int
    weight_variance: float
    bias_variance: float


@dataclass(frozen=True)
class Pair:
    """Covariance of the signals of two inputs: their variances and the product."""

    first: float
    both: float
    second: float


def erf_average(C: Pair) -> float:
    r"""Return :math:`\langle \phi\phi \rangle = \frac2\pi \arcsin \frac{2 C_{12}}{\sqrt{(1+2C_{11})(1+2C_{22})}}`."""
    return 2 / pi * asin(2 * C.both / sqrt((1 + 2 * C.first) * (1 + 2 * C.second)))


def erf_slope_average(C: Pair) -> float:
    r"""Return :math:`\langle \phi'\phi' \rangle = \frac4\pi [(1+2C_{11})(1+2C_{22}) - 4C_{12}^2]^{-1/2}`."""
    return 4 / pi / sqrt((1 + 2 * C.first) * (1 + 2 * C.second) - 4 * C.both**2)


def propagated(network: ResidualNetwork, scale: float, start: Pair) -> list[Pair]:
    r"""Return the covariances before each block and after the last, depth + 1 of them.

    .. math:: C^{l+1} = C^l + \rho^2 (\sigma_w^2 \langle \phi\phi \rangle_{C^l} + \sigma_b^2)

    Args:
        network: The network.
        scale: rho, which multiplies each branch.
        start: Covariance at the first block.

    Source:
        fischer2023.
    """
    path = [start]
    for _ in range(network.depth):
        C = path[-1]
        own = [erf_average(Pair(c, c, c)) for c in (C.first, C.second)]
        step = [network.weight_variance * a + network.bias_variance for a in (own[0], erf_average(C), own[1])]
        path.append(Pair(*(c + scale**2 * s for c, s in zip((C.first, C.both, C.second), step, strict=True))))
    return path


def response(network: ResidualNetwork, scale: float, start: Pair) -> float:
    r"""Return by how much the covariance of the outputs changes with that of the inputs.

    .. math:: \chi = \langle \phi'\phi' \rangle_{C^L} \prod_l (1 + \rho^2 \sigma_w^2 \langle \phi'\phi' \rangle_{C^l})

    The last layer reads out an activation of the signal. Exact at infinite width for small changes of C12.

    Args:
        network: The network.
        scale: rho.
        start: Covariance at the first block.

    Source:
        fischer2023.
    """
    path = propagated(network, scale, start)
    chi = erf_slope_average(path[-1])
    for C in path[:-1]:
        chi *= 1 + scale**2 * network.weight_variance * erf_slope_average(C)
    return chi


def optimal_scale(network: ResidualNetwork, start: Pair, largest: float = 1.5) -> float:
    """Return rho between 0 and ``largest`` at which ``response`` is largest, to 1e-6; it falls as depth^-1/2.

    Larger branches separate inputs more but saturate the read-out; at the best scale the two balance.

    Args:
        network: The network.
        start: Covariance at the first block.
        largest: End of the search; the response has one maximum below it.

    Source:
        fischer2023.
    """
    found = minimize_scalar(
        lambda rho: -response(network, rho, start), bounds=(0, largest), method="bounded", options={"xatol": 1e-7}
    )
    return float(found.x)
