"""Receptive field: the scales that convolutions, pooling and uniform attention imply, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A convolution or pooling along one axis.

    Args:
        kernel: Sites that it reads.
        stride: Sites that it moves on by: the ratio b of lengths.
        dilation: Distance of the sites that it reads.
        padding: Sites added before the first.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: int = 0


@dataclass(frozen=True)
class Field:
    """What one output site depends on, along one axis, in sites of the input.

    Args:
        size: From the first site that it can depend on to the last.
        stride: By how much the field moves from one output site to the next: the product of all b.
        start: First site of the field of output site 0; negative where it lies in the padding.
    """

    size: int = 1
    stride: int = 1
    start: int = 0


def fields(windows: Sequence[Window]) -> list[Field]:
    r"""Return the field after each of some windows that follow each other.

    .. math:: r_l = r_{l-1} + (k_l - 1)\, d_l\, j_{l-1}, \qquad j_l = j_{l-1} s_l, \qquad
        a_l = a_{l-1} - p_l\, j_{l-1}

    Exact; for n windows of 3 sites r = 1 + 2 n.

    Source:
        araujo2019.
    """
    found, now = [], Field()
    for w in windows:
        size = now.size + (w.kernel - 1) * w.dilation * now.stride
        now = Field(size, now.stride * w.stride, now.start - w.padding * now.stride)
        found.append(now)
    return found


def effective_variance(windows: Sequence[Window]) -> float:
    r"""Return the variance of the position that an output's squared gradient weighs, for linear layers drawn at random.

    .. math:: \sum_l j_{l-1}^2 d_l^2 \frac{k_l^2 - 1}{12}

    On average over independent, equally distributed weights, far from the edges: squared gradients of layers convolve.
    For n equal windows it grows as n, its root as the square root of n, and falls behind the field itself. In sites of
    the input, squared.

    Source:
        luo2016.
    """
    total, stride = 0.0, 1
    for w in windows:
        total += (stride * w.dilation) ** 2 * (w.kernel**2 - 1) / 12
        stride *= w.stride
    return total


def uniform_distance(length: int, causal: bool) -> float:
    """Return the mean distance between query and key of uniform attention over a text of this many tokens.

    Over all keys (T^2 - 1) / (3 T); over the present and earlier ones, each query counted once, (T - 1) / 4. Closed
    form; in tokens.

    Source:
        vig2019 for the quantity.
    """
    return (length - 1) / 4 if causal else (length**2 - 1) / (3 * length)
