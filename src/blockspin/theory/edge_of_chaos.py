"""Edge of chaos at finite width: fluctuations of a linear network's norm, their own length, and quenched growth."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

from scipy.special import digamma


@dataclass(frozen=True)
class LinearNetwork:
    """A deep linear network z' = W z + b, W ~ N(0, sigma_w^2 / N) and b ~ N(0, sigma_b^2), with q = |z|^2 / N.

    Args:
        width: N.
        weight_variance: sigma_w^2.
        bias_variance: sigma_b^2.
    """

    width: int
    weight_variance: float
    bias_variance: float = 0.0


def moments(network: LinearNetwork, start: float, depth: int) -> list[tuple[float, float]]:
    r"""Return (E q, E q^2) after 0, 1, ..., depth layers.

    .. math:: E q' = \sigma_w^2 E q + \sigma_b^2, \qquad
        E q'^2 = (1 + \tfrac2N)(\sigma_w^4 E q^2 + 2 \sigma_w^2 \sigma_b^2 E q + \sigma_b^4)

    Exact at every width: given q, N q' / (sigma_w^2 q + sigma_b^2) is a chi-square variable with N degrees of freedom.
    The relative variance is of order depth / N.

    Args:
        network: The network.
        start: q of the input.
        depth: Layers.

    Source:
        grosvenor2022 for the expansion in depth / N, the recursion derived.
    """
    w, b = network.weight_variance, network.bias_variance
    path = [(start, start**2)]
    for _ in range(depth):
        first, second = path[-1]
        spread = 1 + 2 / network.width
        path.append((w * first + b, spread * (w**2 * second + 2 * w * b * first + b**2)))
    return path


def fluctuation_depth(network: LinearNetwork) -> float:
    r"""Return :math:`\xi_2 = -1 / \ln[\sigma_w^4 (1 + 2/N)]`, layers over which E q^2 settles; infinite if it does not.

    Half of the depth -1 / ln sigma_w^2 of the mean at infinite width, and longer at finite width. Source:
    grosvenor2022, derived.
    """
    factor = network.weight_variance**2 * (1 + 2 / network.width)
    return -1 / log(factor) if factor < 1 else inf


def fluctuation_criticality(width: int) -> float:
    r"""Return the sigma_w^2 at which fluctuations cease to settle, :math:`(1 + 2/N)^{-1/2}`, below that of the mean, 1.

    Source: grosvenor2022, derived.
    """
    return (1 + 2 / width) ** -0.5


def quenched_exponent(network: LinearNetwork) -> float:
    r"""Return the growth of ln |z| a layer in a typical network without bias: the largest Lyapunov exponent.

    .. math:: \tfrac12 [\ln\sigma_w^2 + \psi(N/2) - \ln(N/2)]

    Exact at every width; about 1 / 2N below the annealed (1/2) ln sigma_w^2. Source: grosvenor2022 for the question.
    """
    half = network.width / 2
    return (log(network.weight_variance) + float(digamma(half)) - log(half)) / 2


def annealed_exponent(chi: float) -> float:
    r"""Return :math:`\tfrac12 \ln\chi_1`, the exponent of infinitely wide networks of any activation.

    ``chi`` is that of ``mean_field.susceptibility``. Zero at the edge of chaos. Source: grosvenor2022.
    """
    return log(chi) / 2
