"""Noise surrogates: data without correlation between sites, against which what a spectrum shows is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble
from blockspin.errors import TooFewSamplesError
from blockspin.observables.base import Observable, evaluate

Surrogate = Callable[[Tensor, torch.Generator], Tensor]
"""From values [samples, sites, components] to values of the same shape in which sites do not know of each other."""


@dataclass(frozen=True)
class Against:
    """A quantity beside its surrogates.

    Args:
        observed: Its value on the data.
        noise: Mean over the surrogates.
        spread: Standard deviation over the surrogates: the calibrated error of ``observed`` where there is no signal.
        p_value: Share of surrogates, the data counted among them, that lie at least as far out; two-sided.
    """

    observed: float
    noise: float
    spread: float
    p_value: float


def white_noise(values: Tensor, generator: torch.Generator) -> Tensor:
    """Return independent unit Gaussians: the null of Marchenko and Pastur."""
    return torch.randn(values.shape, dtype=values.dtype, generator=generator)


def shuffled(values: Tensor, generator: torch.Generator) -> Tensor:
    """Return the values of each site and component in an order of their own: tails are kept, correlations are not."""
    order = torch.argsort(torch.rand(values.shape, generator=generator), dim=0)
    return torch.gather(values, 0, order)


def phase_randomised(values: Tensor, generator: torch.Generator) -> Tensor:
    """Return each site with its own random phases in time: its autocorrelation is kept, correlations are not.

    For samples that follow each other in time, which noise with independent samples would make look like signal.
    """
    wave = torch.fft.rfft(values, dim=0)
    angle = 2 * torch.pi * torch.rand(wave.shape, dtype=values.dtype, generator=generator)
    angle[0] = 0
    if len(values) % 2 == 0:
        angle[-1] = 0
    return torch.fft.irfft(wave * torch.polar(torch.ones_like(angle), angle), n=len(values), dim=0)


def against_noise(
    ensemble: Ensemble,
    observable: Observable,
    surrogate: Surrogate = shuffled,
    *,
    generator: torch.Generator,
    count: int = 100,
) -> dict[str, Against]:
    """Return each number of an observable beside what it is on data of the same shape without correlations.

    A number that is absent on the data or on a surrogate is left out.

    Args:
        ensemble: The data.
        observable: What is looked at; its quantities must be single numbers.
        surrogate: How correlations are taken out.
        generator: Randomness of the surrogates.
        count: How many; the smallest p-value is 2 / (count + 1).

    Raises:
        TooFewSamplesError: If fewer than ten surrogates are asked for.
    """
    if count < 10:
        raise TooFewSamplesError(f"{count} surrogates give no p-value", "Use at least ten, better a hundred.")
    observed = evaluate(observable, ensemble)
    fakes = [evaluate(observable, ensemble.with_values(surrogate(ensemble.values, generator))) for _ in range(count)]
    rows = {}
    for key, value in observed.items():
        if any(key not in fake for fake in fakes):
            continue  # not measurable on all of them
        null = torch.stack([fake[key] for fake in fakes])
        tail = min(int((null >= value).sum()), int((null <= value).sum()))
        p_value = min(1.0, 2 * (1 + tail) / (count + 1))
        rows[key] = Against(float(value), float(null.mean()), float(null.std()), p_value)
    return rows
