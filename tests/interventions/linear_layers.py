"""Features whose couplings are planted, as states of groups of units, without a network."""

import torch
from torch import Tensor

from blockspin import Batch
from blockspin.interventions.features import Features
from blockspin.interventions.shifts import Hop, Means
from blockspin.observables.base import State
from blockspin.observables.covariance import Moments


def batch(values: Tensor) -> Batch:
    ids = torch.arange(len(values))
    return Batch(values, ids, ids, torch.ones(len(values), dtype=torch.float64))


def grouped(values: Tensor, groups: int) -> list[State]:
    return [Moments().part(batch(part)) for part in values.chunk(groups)]


def constant(answers: Tensor, count: int, groups: int) -> list[State]:
    return [Means().part(batch(answers.expand(count, -1))) for _ in range(groups)]


def features(count: int) -> Features:
    eye = torch.eye(count, dtype=torch.float64)
    return Features(tuple(f"f{k}" for k in range(count)), eye, eye, torch.zeros(count, dtype=torch.float64))


def hop(given: int, answering: int) -> Hop:
    eye = torch.eye(given, dtype=torch.float64)
    return Hop("x", "y", features(given), features(answering), eye, eye, torch.ones(given, dtype=torch.float64))
