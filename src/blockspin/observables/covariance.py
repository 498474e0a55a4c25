"""Covariance: mean, centred second moments and their spectrum, merged without cancellation."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from blockspin.ensemble import Batch, check_finite
from blockspin.errors import ConstantUnitsError, ShapeError
from blockspin.law import GaussianLaw, Source
from blockspin.observables._merging import merged_means
from blockspin.observables._running import RunningMoments
from blockspin.observables.base import Observable, PartMonoid, State, accumulate, effective_samples
from blockspin.registry import register


@dataclass(frozen=True)
class Moments(PartMonoid):
    """Weight, mean and centred scatter of the flattened field, merged by the formula of Chan, Golub and LeVeque.

    State: "weight" [], "squares" [] (sum of squared weights), "mean" [D], "scatter" [D, D], all float64, with
    D = sites * components. Every few hundred samples are centred near their own mean before the product, so that large
    means (massive activations) cost no digits even where the product is float32; no float64 copy of a field is made.
    """

    def part(self, *batches: Batch) -> State:
        """Add up one batch."""
        (batch,) = batches
        running = self.running()
        running.add(batch)
        return running.state()

    def running(self) -> RunningMoments:
        """Return sums that are added to in place."""
        return RunningMoments()

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        merged, gap, factor = merged_means(first, second)  # the product in place: it may be as large as the scatter
        return {**merged, "scatter": (first["scatter"] + second["scatter"]).addr_(gap, gap, alpha=float(factor))}


def covariance_of(state: State, *, unbiased: bool = True) -> Tensor:
    """Return the covariance [D, D] of a state of ``Moments``.

    Args:
        state: The state.
        unbiased: Divide by the weight less its share a sample (n - 1 for plain samples); False for a law.

    Raises:
        TooFewSamplesError: If there are fewer than two samples.
    """
    effective_samples(state)  # refuses fewer than two
    lost = state["squares"] / state["weight"] if unbiased else 0.0
    return state["scatter"] / (state["weight"] - lost)


def estimated(state: State) -> Tensor:
    """Return the covariance [D, D] that a state estimates: unbiased from samples, exact from a law.

    Raises:
        TooFewSamplesError: If there are fewer than two samples.
    """
    return covariance_of(state, unbiased=effective_samples(state) < inf)


def varying(state: State) -> Tensor:
    """Return the covariance that a state estimates, of a field that has one.

    Raises:
        TooFewSamplesError: If there are fewer than two samples.
        ConstantUnitsError: If the field does not vary.
    """
    C = estimated(state)
    if not float(C.trace()) > 0:
        raise ConstantUnitsError("the field does not vary over the samples", "Check the data.")
    return C


def two_point(state: State, sites: int) -> Tensor:
    """Return the connected products at pairs of sites [sites, sites] that a state estimates, summed over components.

    Raises:
        TooFewSamplesError: If there are fewer than two samples.
        ShapeError: If the field does not have so many sites.
        ConstantUnitsError: If the field does not vary.
    """
    C = varying(state)
    if len(C) % sites:
        raise ShapeError(f"a field of {len(C)} values does not fit {sites} sites", "Give the field's own geometry.")
    components = len(C) // sites
    return torch.einsum("icjc->ij", C.reshape(sites, components, sites, components))


def moments(source: Source) -> tuple[Tensor, Tensor]:
    """Return mean [D] and covariance [D, D], float64, of samples or of a law (exact there)."""
    if isinstance(source, GaussianLaw):
        return source.mean.reshape(-1), source.covariance
    state = accumulate(Moments(), source)
    check_finite(state["scatter"][None], "the field whose covariance is asked for")
    return state["mean"], estimated(state)


class OfMoments(Observable):
    """Numbers that are read off the second moments of a field; those that are share the work of adding them up."""

    @property
    def monoid(self) -> Moments:
        """Second moments."""
        return Moments()


@register
@dataclass(frozen=True)
class Covariance(OfMoments):
    """Spectrum of the covariance, total variance and the squared norm of the mean.

    Quantities: "spectrum" [D] eigenvalues in descending order, "variance" (trace), "mean_square" (squared norm of the
    mean field over D).

    Do not trust when:
        Samples are not many times the dimension D: eigenvalues are then spread about the true ones, the large too
        large and the small too small (marchenko1967), whatever their error bars; "variance" has no such bias. Samples
        of one unit count as several in the spectrum, not in the errors.

    Source:
        chan1983 for the sums.
    """

    name = "covariance"
    source = "chan1983"
    units = {"spectrum": "field^2", "variance": "field^2", "mean_square": "field^2"}

    def value(self, state: State) -> dict[str, Tensor]:
        """Diagonalise.

        Raises:
            TooFewSamplesError: If there are fewer than two samples.
        """
        covariance = estimated(state)
        spectrum = torch.linalg.eigvalsh(covariance).flip(0).clamp(min=0)
        return {"spectrum": spectrum, "variance": covariance.trace(), "mean_square": state["mean"].square().mean()}
