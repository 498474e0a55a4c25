"""Exact posteriors over drawn hidden layers, whose read-out is integrated out draw by draw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.measurement import Measurement

GROUPS = 20


@dataclass(frozen=True, eq=False)
class Draws:
    """Hidden layers drawn from the prior, and what the data say of each.

    Args:
        log_evidence: Log likelihood of the targets given the hidden layer [draws], up to a constant.
        kernel: Of the outputs given the hidden layer [draws, n, n].
        mean: Posterior mean given the hidden layer [draws, n - p] at the inputs without a target.
    """

    log_evidence: Tensor
    kernel: Tensor
    mean: Tensor


def draws(hidden: Tensor, y: Tensor, noise: float) -> Draws:
    """Return the evidence and the prediction of each hidden layer, its read-out of variance 1 / N integrated exactly.

    Args:
        hidden: Activations [draws, n, N]; the first p inputs have targets.
        y: Targets [p].
        noise: Variance of the noise.
    """
    p = len(y)
    C = hidden @ hidden.mT / hidden.shape[-1]
    root = torch.linalg.cholesky(C[:, :p, :p] + noise * torch.eye(p, dtype=C.dtype))
    g = torch.cholesky_solve(y[:, None].expand(len(C), p, 1), root)[..., 0]
    log_evidence = -(g @ y) / 2 - root.diagonal(dim1=1, dim2=2).log().sum(1)
    return Draws(log_evidence, C, torch.einsum("mtp,mp->mt", C[:, p:, :p], g))


def posterior_mean(log_evidence: Tensor, values: Tensor) -> Measurement:
    """Return the mean of one number a draw, weighted by the evidence, with a jackknife over groups of draws.

    Args:
        log_evidence: [draws].
        values: [draws].
    """
    w = (log_evidence - log_evidence.max()).exp()
    top, bottom = ((w * v).reshape(GROUPS, -1).sum(1) for v in (values, torch.ones_like(values)))
    without = (top.sum() - top) / (bottom.sum() - bottom)
    error = ((GROUPS - 1) / GROUPS * (without - without.mean()).square().sum()).sqrt()
    effective = float(w.sum() ** 2 / w.square().sum())
    how = f"importance sampling, jackknife over {GROUPS} groups of {len(w)} draws"
    return Measurement(float(top.sum() / bottom.sum()), float(error), "1", effective, how, GROUPS - 1)
