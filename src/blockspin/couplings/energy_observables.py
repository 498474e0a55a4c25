"""Energy observables: what a fitted energy says of any observable, with the errors of drawing and of fitting."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from blockspin.couplings._score_fit import FEWEST
from blockspin.couplings._sums import degrees_of_freedom
from blockspin.couplings.energy_model import EnergyModel, without
from blockspin.couplings.energy_sampling import difference, draw
from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import FitFailedError, TooFewSamplesError
from blockspin.measurement import Measurement
from blockspin.observables.base import Estimator, State, evaluate

GROUPS = 20
"""Groups of chains, one of which is left out at a time."""
ALIKE = 0.2
"""Smallest share of the drawn fields that may be left of them under the couplings without one part of the samples."""


def observed(
    model: EnergyModel,
    state: State,
    estimator: Estimator,
    *,
    generator: torch.Generator,
    samples: int = 8000,
    **options: int,
) -> dict[str, Measurement]:
    r"""Return an observable of fields drawn from a fitted energy, with its error.

    .. math:: \sigma^2 = \sigma_{\mathrm{drawing}}^2 + \sigma_{\mathrm{fitting}}^2

    The first is the jackknife over groups of chains, which are independent, so that it counts autocorrelation however
    long it is. The second is the jackknife over the parts of the samples that the couplings were fitted to: with the
    couplings g' that are found without a part, the same fields count by exp(E_g - E_g').

    Args:
        model: Learned; with a quadratic form that reaches across the lattice, where order is asked for.
        state: What it is fitted to.
        estimator: What is measured, of one field; smooth in the data.
        generator: Randomness.
        samples: Fields that are drawn.
        options: Of ``draw``.

    Raises:
        FitFailedError: If the energy is no density, the chains have not mixed, or a part of the samples decides so much
            that the fields drawn say nothing of the fit without it.
        TooFewSamplesError: If the samples are fewer than four independent units.

    Do not trust when:
        The energy does not describe the samples (``goodness``), or near a critical point where its quadratic form does
        not reach across the lattice (see ``EnergyModel``). What the learning of filters adds is not counted: learn from
        other samples, or by another seed, to see it.

    Source:
        quenouille1956 for the jackknife, ferrenberg1988 for the weights.
    """
    couplings = model.couplings(state)
    fields = draw(model, couplings, samples, generator=generator, **options)
    group = group_of(fields.units, GROUPS, chain=True)  # in equal numbers
    drawing = [evaluate(estimator, fields.select(group != g)) for g in range(GROUPS)]
    fitting = [evaluate(estimator, _weighed(model, fields, couplings, other)) for other in _others(model, state)]
    chains, found = len(torch.unique(fields.units)), {}
    for key, value in evaluate(estimator, fields).items():
        errors = [
            _spread([row[key] for row in rows]) if rows else torch.zeros_like(value) for rows in (drawing, fitting)
        ]
        how = f"{len(fields)} fields in {chains} chains drawn from the fitted energy"
        dof = min(GROUPS, len(fitting) or GROUPS) - 1
        total = errors[0].square().add(errors[1].square()).sqrt()
        found[key] = Measurement(value.numpy(), total.numpy(), estimator.units[key], chains, how, dof)
    return found


def _others(model: EnergyModel, state: State) -> list[Tensor]:
    """Return the couplings without each part of the samples; none of a law, which has no error."""
    if degrees_of_freedom(state) == inf:
        return []
    full = (state["parts"] > 0).nonzero().flatten().tolist()
    if len(full) < FEWEST:
        raise TooFewSamplesError(f"{len(full)} independent units give no error of a fit", "Give more units.")
    return [model.couplings(without(state, part)) for part in full]


def _weighed(model: EnergyModel, fields: Ensemble, couplings: Tensor, other: Tensor) -> Ensemble:
    """Return fields drawn by some couplings as they count by others."""
    fall = -difference(model, fields, other - couplings)
    weights = torch.softmax(fall, 0) * len(fields)
    share = len(fields) / float(weights.square().sum())
    if share < ALIKE:
        raise FitFailedError(
            f"the fit without one part of the samples is of other fields: {100 * share:.0f} % of those drawn are left",
            "Fit to more samples, or with fewer filters.",
        )
    return Ensemble.of(fields.values, fields.geometry, units=fields.units, weights=weights)


def _spread(rows: Sequence[Tensor]) -> Tensor:
    """Return the error of the delete-one jackknife."""
    stacked = torch.stack(list(rows))
    return (stacked.var(0, unbiased=False) * (len(stacked) - 1)).sqrt()
