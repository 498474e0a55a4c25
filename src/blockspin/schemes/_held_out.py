"""Held out: units that a trained scheme is scored on, and draws of a law for trainers that know no weights."""

from __future__ import annotations

import torch
from torch import Tensor

from blockspin.ensemble import Ensemble, check_finite, group_of
from blockspin.errors import StepNotPossibleError, TooFewSamplesError
from blockspin.law import EnumeratedLaw
from blockspin.measurement import Measurement

DRAWS = 2000
"""Samples that are drawn of a law to train on."""
HELD = 5
"""One unit in so many is held out of the training, to score it."""


def samples_of(source: Ensemble | EnumeratedLaw, generator: torch.Generator) -> Ensemble:
    """Return samples to train on: the ensemble itself once it is checked, or draws of a law.

    Raises:
        TooFewSamplesError: If there is a single sample.
        NonFiniteError: If the field holds NaN or infinity.
    """
    if isinstance(source, EnumeratedLaw):
        rows = torch.multinomial(source.weights, DRAWS, replacement=True, generator=generator)
        return Ensemble.of(source.values[rows], source.geometry, units=torch.arange(DRAWS))
    if len(source) < 2:
        raise TooFewSamplesError("nothing can be trained on a single sample", "Give more samples.")
    check_finite(source.values, "the field that is to be trained on")
    return source


def held_out(ensemble: Ensemble) -> Tensor:
    """Return bool [samples]: which samples are of the fifth of the units that training does not see.

    Raises:
        StepNotPossibleError: If there would be fewer than two units on either side.
    """
    held = group_of(ensemble.units, HELD, chain=ensemble.chain, salt=3) == 0
    if min(len(torch.unique(ensemble.units[part])) for part in (held, ~held)) < 2:
        raise StepNotPossibleError(f"{len(ensemble)} samples are too few to train on and to score", "Give more.")
    return held


def mean_of_units(numbers: Tensor, units: Tensor, weights: Tensor) -> Measurement:
    """Return the weighted mean of numbers in nats [samples], its error from the spread of the units."""
    _, index = torch.unique(units, return_inverse=True)
    count = int(index.max()) + 1
    weight = torch.zeros(count, dtype=torch.float64).index_add_(0, index, weights)
    mean = float((weights * numbers).sum() / weights.sum())
    excess = torch.zeros(count, dtype=torch.float64).index_add_(0, index, weights * (numbers - mean))
    error = float((excess.square().sum() * count / (count - 1)).sqrt() / weight.sum())
    return Measurement(mean, error, "nat", count, f"spread of {count} units held out", count - 1)
