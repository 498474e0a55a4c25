"""Score fit: couplings, objectives and Wald tests from sums of products of gradients and of Laplacians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from scipy.stats import f as f_law
from torch import Tensor

from blockspin.couplings._sums import degrees_of_freedom
from blockspin.errors import FitFailedError, TooFewSamplesError
from blockspin.measurement import Measurement
from blockspin.observables.base import State

FEWEST = 4
"""Parts of the units that must hold samples for an error that is drawn from their spread."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Couplings that minimise the score-matching objective.

    Args:
        couplings: g [K].
        spectrum: Eigenvalues [K] of A scaled to a unit diagonal, ascending.
        directions: Their vectors [K, K], columns, in units of couplings times the root of the diagonal of A.
    """

    couplings: Tensor
    spectrum: Tensor
    directions: Tensor

    @property
    def condition(self) -> Tensor:
        """Ratio of the largest to the smallest eigenvalue."""
        return self.spectrum[-1] / self.spectrum[0]


def solve(A: Tensor, b: Tensor, ridge: float, names: Sequence[str] = ()) -> Solution:
    r"""Solve A g = b by eigenvalues of A scaled to a unit diagonal.

    Along an eigenvector of eigenvalue e the solution is multiplied by :math:`1 / (1 + (\mathrm{ridge} / e)^2)`, which
    is 1 to rounding unless operators are nearly collinear.

    Raises:
        FitFailedError: If an operator has no gradient, or the condition number exceeds 1 / ridge.
    """
    diagonal = A.diagonal()
    still = diagonal <= 0
    if bool(still.any()):
        name = names[int(still.nonzero()[0])] if names else f"operator {int(still.nonzero()[0])}"
        raise FitFailedError(f"{name} does not change with the field on these samples", "Leave it out.")
    root = diagonal.sqrt()
    e, V = torch.linalg.eigh(A / torch.outer(root, root))
    if float(e[0]) <= ridge * float(e[-1]):
        mixed = V[:, 0].abs()
        worst = [names[k] if names else str(k) for k in mixed.topk(min(2, len(mixed))).indices.tolist()]
        raise FitFailedError(
            f"operators are collinear on these samples, {' and '.join(worst)} first of all (condition number above "
            f"{1 / ridge:.0e})",
            "Leave one of them out (a gradient is a mass less the nearest pairs), or measure a field that varies more.",
        )
    g = V @ ((V.T @ (b / root)) * e / (e.square() + ridge**2))
    return Solution(g / root, e, V)


def averages(state: State) -> tuple[Tensor, Tensor]:
    """Return A [K, K] and b [K] of a state of ``ScoreSums``."""
    return state["products"].sum(0) / state["weight"], state["laplacians"].sum(0) / state["weight"]


def objectives(state: State, couplings: Tensor) -> Tensor:
    """Return the sums [parts] of g A g / 2 - g b over the samples of every part of the units that holds some."""
    full = state["parts"] > 0
    quadratic = torch.einsum("a,sab,b->s", couplings, state["products"][full], couplings)
    return quadratic / 2 - state["laplacians"][full] @ couplings


def padded(couplings: Tensor, places: Sequence[int], K: int) -> Tensor:
    """Return couplings at their places among K, the others zero."""
    whole = torch.zeros(K, dtype=torch.float64)
    whole[list(places)] = couplings
    return whole


def score_of_parts(top: Tensor, bottom: Tensor | None, state: State, unit: str = "1") -> Measurement:
    """Return a mean over samples, or the ratio of two of them, with its error from the spread of the parts.

    Args:
        top: Sums over the samples of each part [parts].
        bottom: The same of what they are divided by; None for the weight.
        state: The state they were taken from; exact on a law.
        unit: Of the result.

    Raises:
        TooFewSamplesError: If fewer than four parts of the units hold samples.
    """
    bottom = state["parts"][state["parts"] > 0] if bottom is None else bottom
    ratio, parts = float(top.sum() / bottom.sum()), len(top)
    if degrees_of_freedom(state) == inf:
        return Measurement(ratio, 0.0, unit)
    if parts < FEWEST:
        raise TooFewSamplesError(f"{parts} independent units give no error of a score", "Give more units.")
    error = (top - ratio * bottom).square().sum().sqrt() / bottom.sum().abs() * (parts / (parts - 1)) ** 0.5
    return Measurement(ratio, float(error), unit, parts, f"spread of {parts} parts of the units", parts - 1)


def wald_p_value(state: State, tested: Sequence[int], ridge: float) -> float | None:
    """Return the probability of couplings as far from zero as those tested if all of them vanished.

    All operators of the state are fitted; the covariance is that of the delete-one jackknife over the parts of the
    units, and the statistic Hotelling's, with the F law of as many degrees of freedom as there are parts less couplings
    tested. On some hundred Gaussian samples 6 to 7 % fall below 5 %, where sixth powers are among them. None where the
    parts are too few, or the operators are collinear.
    """
    full = state["parts"] > 0
    parts, q, places = int(full.sum()), len(tested), list(tested)
    if q == 0 or parts - q < FEWEST:
        return None
    try:
        g = solve(*averages(state), ridge).couplings
    except FitFailedError:
        return None
    A, b = (state[key].sum(0) - state[key][full] for key in ("products", "laplacians"))
    shift = (torch.linalg.solve(A, b[:, :, None])[:, :, 0] - g)[:, places]
    covariance = shift.T @ shift * (parts - 1) / parts
    statistic = float(g[places] @ torch.linalg.solve(covariance, g[places]))
    return float(f_law.sf(statistic * (parts - q) / (q * (parts - 1)), q, parts - q))
