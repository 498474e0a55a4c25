"""NN-QFT: correlators of networks with one hidden layer, the couplings they imply, and how those run with a cutoff."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from math import pi, prod

import numpy as np
import torch

from blockspin.errors import ConfigError
from blockspin.theory.gaussian_average import cloud


@dataclass(frozen=True)
class Hidden:
    """Hidden units g(x) of a network f(x) = sum_i a_i g_i(x) + b with independent Gaussian parameters.

    First-layer weights have variance sigma_w^2 / d and biases sigma_b^2; output weights have variance sigma_w^2 / N.

    Args:
        weight_variance: sigma_w^2.
        bias_variance: sigma_b^2.
    """

    weight_variance: float = 1.0
    bias_variance: float = 1.0

    def moment(self, x: np.ndarray) -> float:
        """Return E[g(x_1) ... g(x_n)] for inputs [n, d]."""
        raise NotImplementedError

    def kernel(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return K_W = sigma_w^2 E[g(x) g(y)] for inputs x [d] and y [m, d]: [m]."""
        raise NotImplementedError

    def scaling_exponent(self, dimension: int) -> float:
        r"""Return :math:`d \ln|\lambda| / d \ln\Lambda` of the quartic coupling at a large cutoff."""
        raise NotImplementedError

    def covariance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the covariance of pre-activations, [n, m]."""
        return self.bias_variance + self.weight_variance * (x @ y.T) / x.shape[-1]


@dataclass(frozen=True)
class Gauss(Hidden):
    r"""Units :math:`\exp(w x + b) / \exp(\sigma_b^2 + \sigma_w^2 |x|^2 / d)`, whose kernel is Gaussian."""

    def moment(self, x: np.ndarray) -> float:
        """Return exp[(n^2/2 - n) sigma_b^2 + sigma_w^2 (|sum x|^2 - 2 sum |x|^2) / 2 d]; n = 4: log-normal tails."""
        n, d = x.shape
        spread = np.square(x.sum(0)).sum() - 2 * np.square(x).sum()
        return float(np.exp((n**2 / 2 - n) * self.bias_variance + self.weight_variance * spread / (2 * d)))

    def kernel(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return sigma_w^2 exp(-sigma_w^2 |x - y|^2 / 2 d)."""
        square = np.square(x - y).sum(-1)
        return self.weight_variance * np.exp(-self.weight_variance * square / (2 * x.shape[-1]))

    def scaling_exponent(self, dimension: int) -> float:
        """Return 0: the integral over inputs converges."""
        return 0.0


@dataclass(frozen=True)
class Erf(Hidden):
    """Units erf(w x + b)."""

    def moment(self, x: np.ndarray) -> float:
        """Return the moment by Gauss-Hermite quadrature, at unit variances to about 1e-9 for inputs on a line."""
        z, w = cloud(self.covariance(x, x), 100 if x.shape[1] == 1 else 40)
        return float(w @ torch.erf(z).prod(1))

    def kernel(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return (2 sigma_w^2 / pi) arcsin(2 k / sqrt((1 + 2 k_xx)(1 + 2 k_yy)))."""
        k, own = self.covariance(x[None], y)[0], self.bias_variance + self.weight_variance * (x @ x) / len(x)
        other = self.bias_variance + self.weight_variance * np.square(y).mean(-1)
        return 2 * self.weight_variance / pi * np.arcsin(2 * k / np.sqrt((1 + 2 * own) * (1 + 2 * other)))

    def scaling_exponent(self, dimension: int) -> float:
        """Return -d: the kernel tends to a constant along every ray."""
        return -float(dimension)


@dataclass(frozen=True)
class Relu(Hidden):
    """Units max(w x + b, 0), without bias in closed form."""

    bias_variance: float = 0.0

    def moment(self, x: np.ndarray) -> float:
        """Return the moment in one dimension, and in two by an angle; exact.

        Raises:
            ConfigError: If there is a bias, an odd number of inputs, or more than two dimensions.
        """
        n, d = x.shape
        if self.bias_variance or d > 2 or n % 2:
            raise ConfigError("x", x.shape, "an even number of inputs in one or two dimensions, and no bias")
        scale = (self.weight_variance / d) ** (n / 2)
        if d == 1:
            same = (x > 0).all() or (x < 0).all()
            return scale * prod(range(1, n, 2)) / 2 * abs(float(np.prod(x))) if same else 0.0
        angles = np.arctan2(x[:, 1], x[:, 0])
        edges = np.sort(np.concatenate([angles - pi / 2, angles + pi / 2]) % (2 * pi))
        edges = np.append(edges, edges[0] + 2 * pi)
        nodes, weights = np.polynomial.legendre.leggauss(40)
        half = np.diff(edges)[:, None] / 2
        t = edges[:-1, None] + half * (nodes + 1)
        shape = np.prod([np.maximum(np.cos(t - a), 0) for a in angles], axis=0)
        radial = prod(range(2, n + 1, 2))  # E r^n of two unit normals
        return float(scale * radial * np.prod(np.linalg.norm(x, axis=1)) * (shape * weights * half).sum() / (2 * pi))

    def kernel(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return sigma_w^2 sqrt(k k') (sin t + (pi - t) cos t) / 2 pi with t the angle of the pre-activations."""
        k, own = self.covariance(x[None], y)[0], self.bias_variance + self.weight_variance * (x @ x) / len(x)
        root = np.sqrt(own * (self.bias_variance + self.weight_variance * np.square(y).mean(-1)))
        t = np.arccos(np.clip(k / root, -1, 1))
        return self.weight_variance / (2 * pi) * root * (np.sin(t) + (pi - t) * np.cos(t))

    def scaling_exponent(self, dimension: int) -> float:
        """Return -(d + 4): the kernel is homogeneous."""
        return -float(dimension + 4)


def connected_four(hidden: Hidden, x: np.ndarray) -> float:
    r"""Return N times the connected four-point function of the outputs at inputs [4, d].

    .. math:: N G^{(4)}_c = \sigma_w^4 [3 E(g_1 g_2 g_3 g_4) - k_{12} k_{34} - k_{13} k_{24} - k_{14} k_{23}]

    Exact at every width: output biases drop out. Source: halverson2021.
    """
    k = np.array([[hidden.moment(x[[i, j]]) for j in range(4)] for i in range(4)])
    pairs = k[0, 1] * k[2, 3] + k[0, 2] * k[1, 3] + k[0, 3] * k[1, 2]
    return hidden.weight_variance**2 * (3 * hidden.moment(x) - pairs)


def connected_six(hidden: Hidden, x: np.ndarray) -> float:
    r"""Return N^2 times the connected six-point function of the outputs at inputs [6, d].

    .. math:: \sigma_w^6 [15 E(g^6) - 3 \sum_{15} E(gggg) k + 2 \sum_{15} k k k]

    Exact at every width. Source: halverson2021.
    """
    k = np.array([[hidden.moment(x[[i, j]]) for j in range(6)] for i in range(6)])
    split = triple = 0.0
    for i, j in combinations(range(6), 2):
        rest = [n for n in range(6) if n not in (i, j)]
        split += k[i, j] * hidden.moment(x[rest])
        a, b, c, d = rest
        triple += k[i, j] * (k[a, b] * k[c, d] + k[a, c] * k[b, d] + k[a, d] * k[b, c]) / 3
    return hidden.weight_variance**3 * (15 * hidden.moment(x) - 3 * split + 2 * triple)


def quartic_coupling(hidden: Hidden, x: np.ndarray, width: int, cutoff: float, nodes: int = 64) -> float:
    r"""Return lambda of the action S_GP + lambda int d^dx f^4 that gives the outputs' four-point function.

    .. math:: G^{(4)}_c = -24 \lambda \int_{|y_i| < \Lambda} d^dy \prod_{i=1}^4 K_W(x_i, y)

    First order in lambda, so valid to leading order in 1 / N. Its sign is kept: negative where the connected function
    is positive, an action that only higher terms bound.

    Args:
        hidden: The hidden units.
        x: Four inputs [4, d].
        width: N.
        cutoff: Lambda, half the side of the box of inputs.
        nodes: Of the rule on each half of each axis.

    Source:
        halverson2021.
    """
    return -connected_four(hidden, x) / (24 * width * vertex_integral(hidden, x, cutoff, nodes))


def vertex_integral(hidden: Hidden, x: np.ndarray, cutoff: float, nodes: int = 64) -> float:
    """Return the integral of the product of kernels K_W(x_i, y) over the box |y_i| < cutoff.

    Each half axis is cut at zero and at eight, eighty, ... times the largest input.

    Args:
        hidden: The hidden units.
        x: Inputs [n, d].
        cutoff: Half the side.
        nodes: Of Gauss-Legendre quadrature in each interval.
    """
    reach = 8 * max(1.0, float(np.abs(x).max()))
    ends = [0.0, *(reach * 10.0**n for n in range(8) if reach * 10.0**n < cutoff), cutoff]
    t, w = np.polynomial.legendre.leggauss(nodes)
    parts = [(a + (b - a) * (t + 1) / 2, (b - a) * w / 2) for a, b in pairwise(ends)]
    half, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    axis, value = np.concatenate([-half, half]), np.concatenate([weight, weight])
    d = x.shape[1]
    grid = np.stack([a.ravel() for a in np.meshgrid(*[axis] * d, indexing="ij")], axis=1)
    measure = np.prod(np.stack([a.ravel() for a in np.meshgrid(*[value] * d, indexing="ij")]), axis=0)
    return float(np.prod([hidden.kernel(point, grid) for point in x], axis=0) @ measure)
