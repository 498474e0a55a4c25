"""Energy judgement: whether an energy with learned filters tells more of a field than a Gaussian and a polynomial."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from scipy.stats import t as student

from blockspin.answer import Verdict
from blockspin.couplings._score_fit import score_of_parts
from blockspin.couplings.energy_model import EnergyModel
from blockspin.errors import ConfigError, FitFailedError
from blockspin.measurement import Measurement
from blockspin.observables.base import State


@dataclass(frozen=True)
class EnergyTest:
    """Whether an energy with learned filters describes a field better than a Gaussian and a polynomial.

    Args:
        verdict: Yes; no, where the better of the two describes it better; or cannot tell.
        over_gaussian: By how much the held-out objective falls below that of the Gaussian theory, as a share of it.
        over_polynomial: The same below that of the polynomial; None where the polynomial could not be fitted.
        p_value: Probability of a gain as large over the better of them if there is none.
        reason: Why, in words.
    """

    verdict: Verdict
    over_gaussian: Measurement
    over_polynomial: Measurement | None
    p_value: float
    reason: str


def judge_energy(model: EnergyModel, fitted: State, held_out: State, *, level: float = 0.05) -> EnergyTest:
    """Return whether the energy describes a field better than both a Gaussian and a polynomial.

    "Yes" where both gains are significant one by one, so that none is claimed by chance more often than the level says;
    "no" where either of the two theories describes held-out samples significantly better (half the level for each).

    Args:
        model: The coupling.
        fitted: A state of its monoid.
        held_out: Another, of other units.
        level: Probability of a wrong yes, and of a wrong no.

    Raises:
        ConfigError: If the level is no probability.
        TooFewSamplesError: If fewer than four independent units are held out.
        FitFailedError: If operators of the Gaussian theory or of the energy are collinear.
    """
    if not 0 < level < 1:
        raise ConfigError("level", level, "a probability between 0 and 1.")
    scores = {theory: model.scores(fitted, held_out, theory) for theory in ("gaussian", "energy")}
    with suppress(FitFailedError):  # there is then one theory less to beat
        scores["polynomial"] = model.scores(fitted, held_out, "polynomial")
    gains = {
        theory: score_of_parts(score - scores["energy"], -scores["gaussian"], held_out)
        for theory, score in scores.items()
        if theory != "energy"
    }
    chances = {theory: float(student.sf(gain.value / gain.error, gain.dof)) for theory, gain in gains.items()}
    worst = max(chances, key=lambda theory: chances[theory])
    verdict = Verdict.CANNOT_TELL
    if chances[worst] < level:
        verdict = Verdict.YES
    elif 1 - chances[worst] < level / len(chances):
        verdict = Verdict.NO
    reason = f"on held-out samples the energy gains {gains[worst]} of the Gaussian objective over the {worst} theory"
    return EnergyTest(verdict, gains["gaussian"], gains.get("polynomial"), chances[worst], reason)
