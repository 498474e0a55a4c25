"""Blahut-Arimoto: the information bottleneck of a table of probabilities, by iteration."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.errors import FitFailedError

FLOOR = 1e-300


@dataclass(frozen=True, eq=False)
class Bottleneck:
    """A stationary encoder.

    Args:
        encoder: float64 [n, clusters]; p(t | x).
        kept: I(T; X) in nats.
        relevant: I(T; Y) in nats.
        steps: Iterations that it took.
    """

    encoder: Tensor
    kept: float
    relevant: float
    steps: int


def relevance_spectrum(joint: Tensor) -> tuple[Tensor, Tensor]:
    """Return the singular values of p(x, y) / sqrt(p(x) p(y)) but the first, which is 1, and their functions of x.

    The trivial encoder becomes unstable at beta_i = 1 / s_i^2, in the direction of the i-th function. Source:
    gordon2021.

    Returns:
        s float64 [k], descending, and functions float64 [n, k] of mean zero and unit variance under p(x).
    """
    px, py = joint.sum(1), joint.sum(0)
    left, s, _ = torch.linalg.svd(joint / px.sqrt()[:, None] / py.sqrt()[None], full_matrices=False)
    return s[1:], left[:, 1:] / px.sqrt()[:, None]


def bottleneck(
    joint: Tensor, beta: float, start: Tensor, *, most: int = 20_000, tolerance: float = 1e-10
) -> Bottleneck:
    r"""Return the encoder that iterating leads to: minimise I(T; X) - beta I(T; Y).

    .. math:: p(t | x) \propto p(t) \exp\big(-\beta D(p(y | x) \| p(y | t))\big)

    Args:
        joint: p(x, y) [n, m], with no empty row or column.
        beta: Nats of I(T; X) that a nat of I(T; Y) is worth.
        start: p(t | x) [n, clusters] to begin with. The trivial encoder stays where it is.
        most: Most iterations.
        tolerance: Largest change of a probability in the last of them.

    Raises:
        FitFailedError: If it does not become stationary.

    Source:
        tishby1999.
    """
    px = joint.sum(1)
    given = joint / px[:, None]
    entropy = torch.special.xlogy(given, given).sum(1, keepdim=True)
    encoder = start
    for step in range(1, most + 1):
        cluster = px @ encoder
        decoder = (encoder * px[:, None]).T @ given / cluster.clamp(min=FLOOR)[:, None]
        divergence = entropy - given @ decoder.clamp(min=FLOOR).log().T
        updated = torch.softmax(cluster.clamp(min=FLOOR).log() - beta * divergence, dim=1)
        change = float((updated - encoder).abs().max())
        encoder = updated
        if change < tolerance:
            table = encoder * px[:, None]
            return Bottleneck(encoder, _information(table), _information(table.T @ given), step)
    raise FitFailedError(
        f"the bottleneck still moves by {change:.2g} after {most} iterations",
        "Take beta further from a threshold, or allow more iterations.",
    )


def tilted(function: Tensor, amount: float = 1e-3) -> Tensor:
    """Return an encoder in two clusters [n, 2] that is trivial but for a little of a function of x [n]."""
    up = torch.sigmoid(2 * amount * function / function.abs().max())
    return torch.stack([1 - up, up], dim=1)


def _information(joint: Tensor) -> float:
    product = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return float((torch.special.xlogy(joint, joint) - torch.special.xlogy(joint, product)).sum())
