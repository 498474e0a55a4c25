"""NNGP: covariance and tangent kernel of infinitely wide, deep, fully connected networks on batches of inputs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.errors import ConfigError
from blockspin.theory.dual_activation import Dual

TILE = 176
"""Rows and columns that one thread takes through all layers: a few such tiles stay in its cache, and they have fewer
than the 32,768 entries from which on torch would divide each operation among threads."""


@dataclass(frozen=True)
class Network:
    r"""A fully connected network of infinite width.

    Args:
        depth: Hidden layers; one more layer of weights reads them out.
        dual: What the activation makes of a covariance.
        weight_variance: Variance of a weight times the number of units that feed it, C_W = sigma_w^2.
        bias_variance: C_b = sigma_b^2.
    """

    depth: int
    dual: Dual
    weight_variance: float = 1.0
    bias_variance: float = 0.0


@dataclass(frozen=True, eq=False)
class Kernels:
    """Covariance and tangent kernel between two batches, float64 [n, m].

    Args:
        covariance: Of the outputs over networks (NNGP).
        tangent: Of the gradients by all parameters in the parametrisation in which weights have variance 1 (NTK).
    """

    covariance: Tensor
    tangent: Tensor


def kernels(network: Network, x: Tensor, other: Tensor | None = None) -> Kernels:
    r"""Return the covariance of outputs and the tangent kernel.

    .. math:: K^{(1)} = C_b + C_W\, x \cdot x' / d, \quad K^{(l + 1)} = C_b + C_W \langle \phi \phi \rangle_{K^{(l)}},
        \quad \Theta^{(1)} = K^{(1)}, \quad
        \Theta^{(l + 1)} = K^{(l + 1)} + C_W \langle \phi' \phi' \rangle_{K^{(l)}} \Theta^{(l)}

    Exact for infinitely wide hidden layers, weights and biases independent with mean zero; a network of width n
    differs by about depth / n. Units of the output squared.

    Args:
        network: The network.
        x: Inputs [n, d].
        other: Other inputs [m, d]; None is x itself, of which only half of the pairs are computed.

    Raises:
        ConfigError: If the inputs are no two matrices with as many columns.

    Source:
        lee2020 for the recursion; jacot2018 for the tangent kernel.
    """
    if x.ndim != 2 or (other is not None and (other.ndim != 2 or other.shape[1] != x.shape[1])):
        raise ConfigError("x", tuple(x.shape), "matrices [inputs, dimensions] of as many dimensions")
    x = x.to(torch.float64)
    y = x if other is None else other.to(torch.float64)
    left = _variances(network, x)
    right = left if other is None else _variances(network, y)
    K, theta = (x.new_empty(len(x), len(y)) for _ in range(2))
    tiles, inference = [], torch.is_inference_mode_enabled()  # which other threads do not inherit
    for i in range(0, len(x), TILE):
        start = i if other is None else 0
        torch.mm(x[i : i + TILE], y[start:].T, out=K[i : i + TILE, start:])
        tiles += [(slice(i, i + TILE), slice(j, j + TILE)) for j in range(start, len(y), TILE)]

    def fill(tile: tuple[slice, slice]) -> None:
        rows, columns = tile
        with torch.inference_mode(inference):
            first = _covariance(network, K[tile] / x.shape[1])
            found = _tile(network, first, [k[rows] for k in left], [k[columns] for k in right])
            for kernel, part in zip((K, theta), found, strict=True):
                if other is None:
                    part = torch.triu(part) + torch.triu(part, 1).T if rows == columns else part
                    kernel[columns, rows] = part.T
                kernel[tile] = part

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        list(threads.map(fill, tiles))
    if other is None:
        K.diagonal().copy_(left[-1])
        theta.diagonal().copy_(_tangent_diagonal(network, left))
    return Kernels(K, theta)


def _covariance(network: Network, average: Tensor) -> Tensor:
    return average.mul_(network.weight_variance).add_(network.bias_variance)


def _variances(network: Network, x: Tensor) -> list[Tensor]:
    """Return the variances [n] of all layers, first to last."""
    k = [_covariance(network, x.square().mean(1))]
    for _ in range(network.depth):
        k.append(_covariance(network, network.dual.single(k[-1])[0].clone()))
    return k


def _tangent_diagonal(network: Network, k: list[Tensor]) -> Tensor:
    theta = k[0]
    for layer in range(network.depth):
        theta = k[layer + 1] + network.weight_variance * network.dual.single(k[layer])[1] * theta
    return theta


def _tile(network: Network, K: Tensor, left: list[Tensor], right: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return both kernels of a tile from the covariance of its first layer."""
    theta = K.clone()
    for layer in range(network.depth):
        both, bent = network.dual.pairs(K, left[layer], right[layer])
        K = _covariance(network, both)
        theta = torch.addcmul(K, theta, bent, value=network.weight_variance)
    return K, theta
