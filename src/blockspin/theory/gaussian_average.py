"""Gaussian averages: expectations of functions of one or two Gaussian variables, kinks at zero allowed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import pi, sqrt

import numpy as np
import torch
from torch import Tensor

from blockspin.errors import ConfigError

Function = Callable[[Tensor], Tensor]
"""Acts on each element of a float64 tensor by itself, such as ``torch.tanh``."""

Rule = tuple[np.ndarray, np.ndarray]
"""Nodes [m, d] and weights [m] of a rule for d independent Gaussian variables of variance 1."""

REACH = 12.0
"""Deviations at which the averages are cut off; the Gaussian weight there is 1e-31."""


def slope(phi: Function) -> Function:
    """Return the derivative of an element-wise function, by automatic differentiation; its value at a kink is phi's."""

    def derivative(z: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            at = z.detach().clone().requires_grad_()
            return torch.autograd.grad(phi(at).sum(), at)[0]

    return derivative


def average(F: Function, K: float, nodes: int = 160) -> float:
    r"""Return :math:`\langle F(z) \rangle`, z ~ N(0, K), by Gauss-Legendre quadrature on either half of the line.

    Functions that are analytic in a strip about the line but for a kink at zero are averaged to about 1e-13 of
    <|F|>, as long as the strip is wider than a fifth of the deviation: for tanh up to K = 60, and for every K where F
    is homogeneous. Where F grows faster than exp(z^2 / 4 K) the cut at 12 deviations is seen.

    Args:
        F: The function.
        K: Variance, at least 0.
        nodes: On each half.

    Raises:
        ConfigError: If the variance is negative.
    """
    return float(averages(F, torch.tensor([K], dtype=torch.float64), nodes)[0])


def averages(F: Function, K: Tensor, nodes: int = 160) -> Tensor:
    """Return ``average`` for each of several variances [n].

    Raises:
        ConfigError: If a variance is negative.
    """
    if not (K >= 0).all():
        raise ConfigError("K", K.tolist(), "variances, at least 0")
    x, w = _line(nodes)
    return w @ F(torch.outer(x, K.sqrt()))


def pair_average(F: Function, G: Function, K: tuple[float, float, float], nodes: int = 60) -> float:
    r"""Return :math:`\langle F(u) G(v) \rangle` of two Gaussian variables of mean zero, kinks of F and G at zero.

    In polar coordinates of the whitened plane u = 0 and v = 0 are rays; between them the angle is integrated by
    Gauss-Legendre quadrature, as is the radius. Accuracy about 1e-12 of the deviations' product, as for ``average``.

    Args:
        F: Function of u.
        G: Function of v.
        K: <u^2>, <u v> and <v^2>; both variances above 0, and the correlation from -1 to 1 up to rounding.
        nodes: In each of the four sectors; twice as many along the radius.

    Raises:
        ConfigError: If this is no covariance.
    """
    u, v, w = plane(K, nodes)
    return float((w * F(u) * G(v)).sum())


def plane(K: tuple[float, float, float], nodes: int = 60) -> tuple[Tensor, Tensor, Tensor]:
    """Return the nodes u and v and the weights of the rule that ``pair_average`` uses, each [4 nodes, 2 nodes].

    Args:
        K: <u^2>, <u v> and <v^2>.
        nodes: In each of the four sectors.

    Raises:
        ConfigError: If this is no covariance.
    """
    first, both, second = K
    if not (first > 0 and second > 0 and abs(both) <= sqrt(first * second) * (1 + 1e-9)):
        raise ConfigError("K", K, "the variances, above 0, and the covariance of two variables")
    alpha = float(np.arccos(np.clip(both / sqrt(first * second), -1, 1)))
    rays = np.array([-pi / 2, alpha - pi / 2, pi / 2, alpha + pi / 2, 1.5 * pi])
    x, w = _legendre(nodes)
    half = torch.from_numpy(np.diff(rays) / 2)
    angle = (torch.from_numpy(rays[:-1])[:, None] + half[:, None] * (x + 1)).reshape(-1)
    weight = (half[:, None] * w).reshape(-1) / (2 * pi)
    r, v = _legendre(2 * nodes)
    r = (r + 1) * REACH / 2
    v = v * REACH / 2 * r * (-r.square() / 2).exp()
    u1 = sqrt(first) * torch.outer(angle.cos(), r)
    u2 = sqrt(second) * torch.outer((angle - alpha).cos(), r)
    return u1, u2, torch.outer(weight, v)


def hermite_rule(dimension: int, nodes: int) -> Rule:
    """Return a product rule for independent Gaussian variables, exact to degree 2 nodes - 1 in each."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    grid = np.stack([axis.ravel() for axis in np.meshgrid(*[x] * dimension, indexing="ij")], axis=1)
    weight = np.ones(1)
    for _ in range(dimension):
        weight = np.outer(weight, w / w.sum()).ravel()
    return grid, weight


def cloud(K: np.ndarray, nodes: int) -> tuple[Tensor, Tensor]:
    """Return nodes [nodes^rank, n] and weights of a Gauss-Hermite rule for N(0, K) in as many dimensions as K's rank.

    Exact for polynomials of degree 2 nodes - 1 along each principal axis; for tanh of unit variance 20 nodes give about
    1e-6. Directions below 1e-12 of the largest eigenvalue are left out.

    Args:
        K: Covariance [n, n].
        nodes: Along each axis.

    Raises:
        ConfigError: If the rule would have more than ten million nodes.
    """
    values, vectors = np.linalg.eigh(K)
    kept = values > 1e-12 * values[-1]
    root = vectors[:, kept] * np.sqrt(values[kept])
    rank = int(kept.sum())
    if nodes**rank > 1e7:
        raise ConfigError("nodes", nodes, f"fewer: {nodes}^{rank} nodes are too many")
    grid, weight = hermite_rule(rank, nodes)
    return torch.from_numpy(grid @ root.T), torch.from_numpy(weight)


@cache
def _legendre(nodes: int) -> tuple[Tensor, Tensor]:
    x, w = np.polynomial.legendre.leggauss(nodes)
    return torch.from_numpy(x), torch.from_numpy(w)


@cache
def _line(nodes: int) -> tuple[Tensor, Tensor]:
    """Return nodes and weights for N(0, 1), with no node at zero."""
    x, w = _legendre(nodes)
    x = (x + 1) * REACH / 2
    w = w * REACH / 2 * (-x.square() / 2).exp() / sqrt(2 * pi)
    return torch.cat([-x.flip(0), x]), torch.cat([w.flip(0), w]) / (2 * w.sum())
