"""Nested models: how many couplings an action needs, by held-out score, and which directions of them are sloppy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from blockspin.couplings._score_fit import FEWEST, objectives, padded, wald_p_value
from blockspin.errors import TooFewSamplesError
from blockspin.measurement import Measurement
from blockspin.observables.base import State

if TYPE_CHECKING:
    from blockspin.couplings.effective_action import EffectiveAction

SLOPPY = 1e-3
"""Share of the largest eigenvalue below which a direction is sloppy: couplings move thirty times as far there."""


@dataclass(frozen=True, eq=False)
class NestedModels:
    """Actions of one, two, ... quantities of a fixed order, compared on samples that they were not fitted to.

    Args:
        steps: The quantities in their order; model m has the first m.
        counts: The number of couplings of each model.
        objective: Cross-validated score-matching objective a sample of each model, [steps].
        excess: By how much it lies above the lowest, with the error of that difference, [steps].
        p_values: Probability of the couplings beyond each model being as far from zero if all of them vanished; None
            for the last, and where parts are too few.
        needed: The fewest quantities whose objective lies within one standard error of the lowest.
        spectrum: Eigenvalues of the information, descending, [couplings]; they sum to the number of couplings.
        directions: Their vectors [couplings, couplings], columns.
    """

    steps: tuple[str, ...]
    counts: tuple[int, ...]
    objective: Measurement
    excess: Measurement
    p_values: tuple[float | None, ...]
    needed: int
    spectrum: Measurement
    directions: Tensor

    @property
    def quantities(self) -> tuple[str, ...]:
        """The quantities that are needed."""
        return self.steps[: self.needed]

    @property
    def sloppy(self) -> int:
        """The number of directions whose eigenvalue is below a thousandth of the largest."""
        return int((self.spectrum.value < SLOPPY * self.spectrum.value[0]).sum())

    @property
    def stiff(self) -> int:
        """The number of the others."""
        return len(self.spectrum.value) - self.sloppy


def nested_models(action: EffectiveAction, state: State) -> NestedModels:
    r"""Say how many couplings are needed, from one state, by the one-standard-error rule.

    Quantities are added in the order of the action's operators, then of those it tests. Each model is fitted to all
    parts of the units but one and scored on that one, part by part. Needed is the smallest model whose score is within
    one standard error of the best; the error is that of the difference of the two on the same parts, since what they
    share would hide it. The lead of a spurious coupling of score z is :math:`(z^2 - 2) / 2` against an error of
    :math:`|z|`: one in 160 is called needed at |z| > 2.73, and few more where several are offered.

    The information is :math:`\langle \nabla O_a \cdot \nabla O_b \rangle` scaled to a unit diagonal: the second
    derivative of the objective in the couplings, each in units in which it matters alone as much as any other. Small
    eigenvalues are combinations that these samples hardly constrain (sloppy), large ones stiff.

    Args:
        action: The operators, in their order.
        state: What its monoid has added up.

    Raises:
        TooFewSamplesError: If fewer than four parts of the units hold samples.
        FitFailedError: What the action refuses, and collinear operators.

    Do not trust when:
        Units are not independent. A quantity that matters comes after others that do not: those before it are then
        counted as needed too.

    Source:
        breiman1984 for the rule, machta2013 for the spectrum.
    """
    action.check(state)
    full = (state["parts"] > 0).nonzero().flatten()
    if len(full) < FEWEST:
        raise TooFewSamplesError(f"{len(full)} independent units are too few to hold some out", "Give more units.")
    steps = tuple(action.steps)
    models = [action.places(steps[: m + 1]) for m in range(len(steps))]
    w = state["parts"][full]
    scores = _held_out(action, state, models, full)  # [models, parts]
    objective = scores.sum(1) / w.sum()
    best = int(objective.argmin())
    excess, error = _difference(scores - scores[best], w)
    needed = 1 + int((excess <= error).nonzero()[0])
    how = f"cross-validated over {len(full)} parts of the units"
    dof = len(full) - 1.0
    spectrum, directions = _spectrum(action, state, models[-1], full)
    return NestedModels(
        steps,
        tuple(map(len, models)),
        Measurement(objective.numpy(), _difference(scores, w)[1].numpy(), action.score_unit, len(full), how, dof),
        Measurement(excess.numpy(), error.numpy(), action.score_unit, len(full), how, dof),
        tuple(wald_p_value(state, sorted({*models[-1]} - {*model}), action.ridge) for model in models),
        needed,
        spectrum,
        directions,
    )


def _held_out(action: EffectiveAction, state: State, models: list[list[int]], full: Tensor) -> Tensor:
    """Return the objective summed over each part, of the models fitted to all others, [models, parts]."""
    K = state["laplacians"].shape[1]
    rows = []
    for part in full.tolist():
        rest = {key: state[key].clone() for key in ("products", "laplacians", "parts")}
        for tensor in rest.values():
            tensor[part] = 0
        rest["weight"] = rest["parts"].sum()
        place = int((full == part).nonzero())
        fits = [padded(action.solution(rest, model).couplings, model, K) for model in models]
        rows.append(torch.stack([objectives(state, g)[place] for g in fits]))
    return torch.stack(rows, dim=1)


def _difference(scores: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean a sample of sums over parts [models, parts], and its error from their spread."""
    mean = scores.sum(1) / w.sum()
    spread = (scores - mean[:, None] * w).square().sum(1) * len(w) / (len(w) - 1)
    return mean, spread.sqrt() / w.sum()


def _spectrum(action: EffectiveAction, state: State, places: list[int], full: Tensor) -> tuple[Measurement, Tensor]:
    """Return the eigenvalues of the scaled information with jackknife errors, and their vectors."""
    whole = action.solution(state, places)
    total, rows = state["products"].sum(0), []
    for part in full.tolist():
        rest = (total - state["products"][part])[places][:, places]
        root = rest.diagonal().sqrt()
        rows.append(torch.linalg.eigvalsh(rest / torch.outer(root, root)).flip(0))
    error = torch.stack(rows).std(0) * (len(rows) - 1) / np.sqrt(len(rows))
    how = f"delete-one jackknife over {len(rows)} parts of the units"
    value = Measurement(whole.spectrum.flip(0).numpy(), error.numpy(), "1", len(rows), how, len(rows) - 1)
    return value, whole.directions.flip(1)
