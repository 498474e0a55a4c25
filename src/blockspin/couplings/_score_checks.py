"""Score checks: where samples do not suffice for score matching, or do not allow it."""

from __future__ import annotations

from math import inf

from blockspin.couplings._edges import refuse_edges
from blockspin.couplings._sums import covariance_of, degrees_of_freedom, support
from blockspin.errors import FitFailedError, TooFewSamplesError
from blockspin.observables.base import State


def refuse_unsuited(state: State, sites: int) -> None:
    """Raise where the samples of a state of ``ScoreSums`` cannot be matched.

    Args:
        state: The sums.
        sites: Of the geometry.

    Raises:
        TooFewSamplesError: If there are not more samples than operators.
        HardEdgesError: If the values have atoms or hard edges.
        FitFailedError: If the field leaves its support, or has no full rank where none was given.
    """
    dof = degrees_of_freedom(state)
    count = state["laplacians"].shape[1]
    if dof <= count:
        raise TooFewSamplesError(f"{dof + 1:.0f} samples are too few for {count} operators", "Give more samples.")
    if "ends" in state:
        refuse_edges(state, law=dof == inf)
    if "scatter" in state:
        rank = support(covariance_of(state)[0], 1e-6).shape[1]
        if rank < sites:
            raise FitFailedError(
                f"the field has rank {rank} on {sites} sites, and no density over all of them",
                "Match scores within its support: EffectiveAction.on(fit_half).",
            )
    if "lost" in state and float(state["lost"][0]) > 1e-4 * float(state["lost"][1]):
        raise FitFailedError("the samples leave the support on which the frame was fitted", "Fit it to such samples.")
