"""InfoNCE: a lower bound of mutual information, maximised over the filters of a block and over a separable critic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import log, sqrt

import torch
from torch import Tensor

Reading = Callable[[Tensor, float], Tensor]
"""From filtered blocks [rows, units] and a temperature to what is read off them [rows, units]."""
REFINE = 0.03
"""Rate of the filters relative to the critic's: they begin near their place, and the noise of readings shakes them."""
SMALL = 0.1
"""Scale of a critic's last layer: training begins at a bound of about zero, not at one of minus a hundred."""


@dataclass(frozen=True)
class Training:
    """How filters are learned.

    Args:
        hidden: Width of the two layers of either half of the critic.
        embed: Dimensions in which the halves are compared.
        batch: Rows a step; the bound cannot exceed the logarithm of it.
        rate: Step size of Adam; smaller for layers of more than ``hidden`` inputs.
        epochs: Most passes over the training rows.
        patience: Passes without a better bound on held-out rows after which training ends.
    """

    hidden: int = 32
    embed: int = 8
    batch: int = 500
    rate: float = 2e-3
    epochs: int = 40
    patience: int = 5


@dataclass(frozen=True, eq=False)
class Learned:
    """Filters and the bound that they reach on held-out rows.

    Args:
        filters: float32 [p, units].
        bound: The mean InfoNCE bound over held-out rows, in nats.
        error: Its standard error, from the scatter of the units.
    """

    filters: Tensor
    bound: float
    error: float


def infonce(read: Tensor, environment: Tensor) -> Tensor:
    """Return each row's share [rows] of the InfoNCE bound in nats of embedded rows and environments [rows, embed].

    Each row must single out its own environment among all of the batch; the bound is the mean. Source: oord2018.
    """
    scores = read @ environment.T
    return scores.diagonal() - torch.logsumexp(scores, dim=1) + log(len(scores))


def learn(
    train: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor, Tensor],
    start: tuple[Tensor, Tensor],
    reading: Reading,
    training: Training,
    *,
    generator: torch.Generator,
) -> Learned:
    """Return the filters whose bound on held-out rows was best.

    Args:
        train: Blocks [rows, p] and environments [rows, q], float32, of about unit variance.
        held_out: The same of other units, and the unit int64 [rows] of each row.
        start: The filters to begin with, float32 [p, modes], and directions of the environment [q, modes] with which
            the critic begins; what is filtered is of about unit variance.
        reading: What is read off the filtered blocks; hard at temperature 0.
        training: How to learn.
        generator: Randomness of the critic, of batches and of readings.
    """
    x, y = train
    filters, ahead = start[0].clone(), torch.cat([start[1], -start[1]], dim=1)[:, : training.hidden]
    critic = _mlp(filters.shape[1], training, generator) + _mlp(y.shape[1], training, generator)
    critic[6][:, : ahead.shape[1]] = ahead  # both signs, because the layer is rectified
    parameters = [tensor.requires_grad_() for tensor in (filters, *critic)]
    optimiser = torch.optim.Adam([_paced(p, training, 1.0 if p is not filters else REFINE) for p in parameters])
    best, stale = Learned(filters.detach().clone(), float("-inf"), 0.0), 0
    size = min(training.batch, len(x))
    for epoch in range(training.epochs):
        temperature = 0.75 * (0.1 / 0.75) ** (epoch / max(1, training.epochs - 1))
        order = torch.randperm(len(x), generator=generator)
        with torch.enable_grad():
            for rows in order[: len(x) // size * size].split(size):
                bound = _bound(x[rows], y[rows], reading, temperature, parameters)
                optimiser.zero_grad()
                (-bound.mean()).backward()
                optimiser.step()
        found = _held_out(held_out, min(size, len(held_out[0])), reading, parameters)
        if found.bound > best.bound:
            best, stale = found, 0
        else:
            stale += 1
        if stale >= training.patience:
            break
    return best


def straight_through(generator: torch.Generator) -> Reading:
    """Return the reading as signs: a logistic variable is added and the gradient is that of the soft sign (Gumbel)."""

    def read(filtered: Tensor, temperature: float) -> Tensor:
        if temperature == 0:
            return filtered.sign()
        uniform = torch.rand(filtered.shape, generator=generator).clamp(1e-6, 1 - 1e-6)
        soft = torch.tanh((filtered + (uniform / (1 - uniform)).log() / 2) / temperature)
        return soft + (soft.sign() - soft).detach()

    return read


def as_it_is(filtered: Tensor, temperature: float) -> Tensor:
    """Read filtered blocks as real numbers of unit variance."""
    return filtered / filtered.std(0).clamp(min=1e-6)


def _mlp(inputs: int, training: Training, generator: torch.Generator) -> list[Tensor]:
    sizes = [inputs, training.hidden, training.hidden, training.embed]
    layers = []
    for fan_in, fan_out in pairwise(sizes):
        layers.append(torch.randn(fan_in, fan_out, generator=generator) * sqrt(2 / fan_in))
        layers.append(torch.zeros(fan_out))
    layers[4] *= SMALL
    return layers


def _paced(tensor: Tensor, training: Training, share: float) -> dict:
    """Return the group of an optimiser in which the more inputs are added up, the smaller are the steps of each.

    A step of Adam moves all weights of a sum by about its rate; without this, one step on hundreds of inputs that are
    correlated throws a rectified layer out of its range for good.
    """
    inputs = len(tensor) if tensor.ndim == 2 else 1
    return {"params": [tensor], "lr": share * training.rate * min(1.0, training.hidden / inputs)}


def _apply(x: Tensor, layers: list[Tensor]) -> Tensor:
    for weight, bias in ((layers[0], layers[1]), (layers[2], layers[3])):
        x = torch.relu(torch.addmm(bias, x, weight))
    return torch.addmm(layers[5], x, layers[4])


def _bound(x: Tensor, y: Tensor, reading: Reading, temperature: float, parameters: list[Tensor]) -> Tensor:
    read = reading(x @ parameters[0], temperature)
    return infonce(_apply(read, parameters[1:7]), _apply(y, parameters[7:]))


@torch.no_grad()
def _held_out(rows: tuple[Tensor, Tensor, Tensor], size: int, reading: Reading, parameters: list[Tensor]) -> Learned:
    x, y, units = (part[: len(part) // size * size].split(size) for part in rows)
    shares = torch.cat([_bound(a, b, reading, 0.0, parameters) for a, b in zip(x, y, strict=True)]).double()
    _, unit = torch.unique(torch.cat(units), return_inverse=True)
    deviation = torch.zeros(int(unit.max()) + 1, dtype=torch.float64).index_add(0, unit, shares - shares.mean())
    error = float(deviation.square().sum().sqrt()) / len(shares)
    return Learned(parameters[0].detach().clone(), float(shares.mean()), error)
