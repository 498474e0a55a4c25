"""Kernels: the linear kernel between samples, and unbiased products of two of them."""

from __future__ import annotations

import torch
from torch import Tensor

from blockspin.errors import TooFewSamplesError


def gram_of(values: Tensor) -> Tensor:
    """Return the linear kernel float64 [n, n] of a field [n, ...], centred so that large means cost no digits."""
    x = values.reshape(len(values), -1).to(torch.float64)
    x = x - x.mean(0)
    return x @ x.T


def u_centred(K: Tensor) -> Tensor:
    """Return the U-centred kernel [..., n, n]: zero diagonal and zero row sums, float64.

    Raises:
        TooFewSamplesError: If n < 4.
    """
    n = K.shape[-1]
    if n < 4:
        raise TooFewSamplesError(f"an unbiased product of kernels needs four samples, not {n}", "Give more samples.")
    off = K.to(torch.float64) - torch.diag_embed(torch.diagonal(K, dim1=-2, dim2=-1).to(torch.float64))
    rows = off.sum(-1)
    total = rows.sum(-1)[..., None, None] / ((n - 1) * (n - 2))
    centred = off - (rows[..., :, None] + rows[..., None, :]) / (n - 2) + total
    return centred - torch.diag_embed(torch.diagonal(centred, dim1=-2, dim2=-1))


def u_inner(K: Tensor, L: Tensor) -> Tensor:
    """Return the unbiased HSIC of two kernels [..., n, n], float64 [...]: the U-statistic HSIC_1 of song2012.

    Its expectation over n independent samples is that of n to infinity. It can be negative, except of a kernel with
    itself, where it is a squared norm. Adding a function of one sample, f(x) + f(y), to a kernel changes nothing.

    Raises:
        TooFewSamplesError: If n < 4.
    """
    n = K.shape[-1]
    return (u_centred(K) * u_centred(L)).sum((-2, -1)) / (n * (n - 3))
