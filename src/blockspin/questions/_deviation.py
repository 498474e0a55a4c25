"""Deviation: what of one field another loses, and what it adds, by ridge regression on held-out units."""

from __future__ import annotations

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import TooFewSamplesError
from blockspin.measurement import Measurement
from blockspin.observables.base import gram_of

PENALTIES = torch.logspace(-4, 2, 7, dtype=torch.float64)
GROUPS = 20


def normalised_gram(ensemble: Ensemble) -> Tensor:
    """Return the centred linear kernel float64 [samples, samples], its entries off the diagonal of unit mean square."""
    K = gram_of(ensemble.values)
    n = len(K)
    return K / ((K.square().sum() - K.diagonal().square().sum()) / (n * (n - 1))).sqrt()


def unexplained(target: Tensor, given: Tensor, units: Tensor) -> Measurement:
    """Return one less the held-out R^2 of a ridge regression of one field on another.

    Fitted on one half of the units and scored on the other, and the reverse; the penalty is the one with the least
    leave-one-out error within the half that is fitted on. The error is a delete-group jackknife over the scored units;
    it holds the fits fixed. Only kernels are needed, so that features of any number cost the same.

    Args:
        target: float64 [samples, samples]; the kernel of what is predicted.
        given: float64 [samples, samples]; the kernel of what it is predicted from.
        units: int64 [samples].

    Raises:
        TooFewSamplesError: If a half holds fewer than four samples.
    """
    first = group_of(units, 2, salt=5) == 0
    if min(int(first.sum()), int((~first).sum())) < 4:
        raise TooFewSamplesError("held-out R^2 needs at least four samples in each half", "Give more samples.")
    missed, spread = (torch.zeros(len(target), dtype=torch.float64) for _ in range(2))
    for train in (first, ~first):
        G, K = _centred_on(target, train), _centred_on(given, train)
        weights = K[~train][:, train] @ _ridge(K[train][:, train], G[train][:, train])
        explained = (weights * (2 * G[~train][:, train] - weights @ G[train][:, train])).sum(1)
        spread[~train] = G.diagonal()[~train]
        missed[~train] = spread[~train] - explained
    return _ratio(missed, spread, units)


def _centred_on(K: Tensor, train: Tensor) -> Tensor:
    """Shift the features so that their mean over the samples that are fitted on is zero."""
    rows, columns = K[:, train].mean(1, keepdim=True), K[train].mean(0, keepdim=True)
    return K - rows - columns + K[train][:, train].mean()


def _ridge(K: Tensor, G: Tensor) -> Tensor:
    """Return (K + penalty)^-1 with the penalty of least leave-one-out error, from one diagonalisation."""
    eigenvalues, V = torch.linalg.eigh(K)
    eigenvalues = eigenvalues.clamp(min=0)
    turned, W = (V.T @ G @ V).to(torch.float32), V.to(torch.float32)  # six digits are plenty to choose a penalty by
    best, inverse = torch.inf, torch.zeros_like(eigenvalues)
    for penalty in PENALTIES * eigenvalues.mean():
        rest = (penalty / (eigenvalues + penalty)).to(torch.float32)
        left = W.square() @ rest  # 1 - leverage
        residual = ((W @ (rest[:, None] * turned * rest)) * W).sum(1)
        error = float((residual / left.clamp(min=1e-6).square()).sum())
        if error < best:
            best, inverse = error, 1 / (eigenvalues + penalty)
    return (V * inverse) @ V.T


def _ratio(missed: Tensor, spread: Tensor, units: Tensor) -> Measurement:
    group = group_of(units, GROUPS, salt=6)
    over, under = (torch.zeros(GROUPS, dtype=torch.float64).index_add_(0, group, column) for column in (missed, spread))
    kept = under > 0
    over, under = over[kept], under[kept]
    replicas = (over.sum() - over) / (under.sum() - under)
    groups = len(replicas)
    error = float(((groups - 1) / groups * (replicas - replicas.mean()).square().sum()).sqrt())
    how = f"held-out ridge, halves exchanged; delete-group jackknife, {groups} groups, fits held fixed"
    return Measurement(float(over.sum() / under.sum()), error, "1", float(len(torch.unique(units))), how, groups - 1)
