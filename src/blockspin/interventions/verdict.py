"""Verdict: what shifts of features say of their couplings, hop by hop, with controls and assumptions."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import numpy as np

from blockspin.answer import Answer, Assumption, Light, Verdict
from blockspin.interventions.experiment import Experiment
from blockspin.interventions.graph import ACROSS, WITHIN
from blockspin.interventions.plan import Plan
from blockspin.interventions.responses import CHANCE, FIT, GIVEN, SHARE, SLOPE, STRENGTH, WHOLE, Response
from blockspin.measurement import Measurement

QUESTION = "interventions"
SAID = {
    Verdict.YES: "as couplings predict",
    Verdict.NO: "not as couplings predict",
    Verdict.CANNOT_TELL: "cannot tell",
}
"""Verdicts in words."""
SMALL, LARGE = 0.01, 0.1
"""Shares up to which an assumption is green, and from which it is red."""


def answer_of(found: Experiment, untrained: Experiment | None, plan: Plan) -> Answer:
    """Return whether interventions change features as their couplings predict.

    Every hop has a verdict on the couplings of the given features, at a level that holds for all hops together; the
    verdict is theirs. Beside it stands what a prediction from the whole activation comes to: where that is right and
    the features' own is not, what is not among the features acts on the answers.

    Args:
        found: Of the network.
        untrained: Of its untrained copy; None where none could be made.
        plan: The margin and the level.
    """
    verdicts = {response.hop.name: _verdict(response, GIVEN, found, plan) for response in found.responses}
    numbers = {
        f"{response.hop.name}: {parents}, {key}": response.numbers[parents][key]
        for response in found.responses
        for parents in (GIVEN, WHOLE)
        for key in (SLOPE, SHARE, STRENGTH, FIT)
    }
    controls = {}
    for response in found.responses:
        controls[f"{response.hop.name}: {CHANCE}"] = response.numbers[WHOLE][CHANCE]
        controls[f"{response.hop.name}: squared answers to random directions over those to features"] = response.random
    for response in untrained.responses if untrained else ():
        for parents in (GIVEN, WHOLE):
            controls[f"untrained, {response.hop.name}: {parents}, {SLOPE}"] = response.numbers[parents][SLOPE]
    overall = Verdict.of_all(verdicts.values())
    return Answer(
        QUESTION,
        overall,
        _statement(verdicts, overall, plan),
        numbers,
        controls,
        _assumptions(found),
        verdicts=verdicts,
    )


def _verdict(response: Response, parents: str, found: Experiment, plan: Plan) -> Verdict:
    return response.verdict(parents, plan.margin, 1 - plan.level / len(found.responses))


def _statement(verdicts: Mapping[str, Verdict], overall: Verdict, plan: Plan) -> str:
    counts = {verdict: sum(item is verdict for item in verdicts.values()) for verdict in Verdict}
    parts = [f"{SAID[verdict]} in {count}" for verdict, count in counts.items() if count]
    return (
        f"Shifts of {plan.delta:g} standard deviations move the features of the next place, to within "
        f"{plan.margin:.0%}, {', '.join(parts)} of {len(verdicts)} hops: {overall.value}."
    )


def _assumptions(found: Experiment) -> tuple[Assumption, ...]:
    """Return what the predictions rest on, each as it is met at the worst hop."""
    others = max(zip(found.elsewhere, found.responses, strict=True), key=lambda pair: pair[0])
    bent = max(found.responses, key=lambda response: float(response.bent.value))
    curved = min(found.responses, key=lambda response: float(response.numbers[WHOLE][FIT].value))
    fit = curved.numbers[WHOLE][FIT]
    return (
        Assumption(
            "an answer is computed from the same position alone",
            _light(others[0]),
            f"what shifts at other positions add to an answer is, squared, {others[0]:.1%} of the whole answer squared "
            f"({others[1].hop.name}): no prediction here has these parents",
        ),
        _parents(found),
        Assumption(
            "over the data the answers are a linear function of the activation",
            _light(1 - float(fit.value)),
            f"{fit} of their variance is one ({curved.hop.name}); of the rest an infinitesimal shift is predicted "
            "still where the activation is Gaussian",
        ),
        Assumption(
            "answers are linear in the shift",
            _light(float(bent.bent.value)),
            f"what shifts up and down have in common is {bent.bent} of the squared answer ({bent.hop.name})",
        ),
    )


def _parents(found: Experiment) -> Assumption:
    """Say whether predictions from the features alone and from the whole activation agree, where they differ most."""
    name, known = "no parent of the answers is left out of the features", [r for r in found.responses if _gap(r) < inf]
    if not known:
        return Assumption(name, Light.AMBER, "at no hop are both predictions told from zero")
    worst = max(known, key=_gap)
    given, whole = (worst.numbers[key][SLOPE] for key in (GIVEN, WHOLE))
    return Assumption(
        name,
        Light.GREEN if _gap(worst) < 2 else Light.AMBER,
        f"slope {given} from the given features, {whole} from the whole activation at the same place "
        f"({worst.hop.name}); what runs beside that place is in neither",
    )


def _light(share: float) -> Light:
    return Light.GREEN if share <= SMALL else Light.AMBER if share <= LARGE else Light.RED


def _gap(response: Response) -> float:
    """Return by how many errors, and a hundredth, the slopes of both predictions differ; infinite where one lacks."""
    given, whole = (response.numbers[parents][SLOPE] for parents in (GIVEN, WHOLE))
    error = float(np.hypot(np.hypot(given.error, whole.error), SMALL))
    gap = abs(float(given.value) - float(whole.value)) / error
    return gap if np.isfinite(gap) else inf


def running(found: Experiment, plan: Plan) -> list[dict[str, Any]]:
    """Return how couplings and answers run along the network: plain values, one row a hop."""
    rows = []
    for response, others in zip(found.responses, found.elsewhere, strict=True):
        hop = response.hop
        edges = [edge for edge in found.graph.edges if edge.source[0] == hop.source]
        rows.append(
            {
                "from": hop.source,
                "to": hop.target,
                "edges_within": sum(edge.kind == WITHIN for edge in edges),
                "edges_across": sum(edge.kind == ACROSS for edge in edges),
                "predictions": {parents: _told(response, parents, found, plan) for parents in (GIVEN, WHOLE)},
                "elsewhere": others,
                "bent": response.bent.to_dict(),
                "random_over_features": response.random.to_dict(),
            }
        )
    return rows


def _told(response: Response, parents: str, found: Experiment, plan: Plan) -> dict[str, Any]:
    numbers: Mapping[str, Measurement] = response.numbers[parents]
    verdict = _verdict(response, parents, found, plan)
    return {"verdict": verdict.value, **{key: number.to_dict() for key, number in numbers.items()}}


def matrices(found: Experiment) -> list[dict[str, Any]]:
    """Return predicted and measured responses of every pair of features: plain values, one row a hop."""
    return [
        {
            "from": [response.hop.source, *response.hop.given.names],
            "to": [response.hop.target, *response.hop.answering.names],
            "measured": response.measured.to_dict(),
            "predicted": {key: value.to_dict() for key, value in response.predicted.items()},
        }
        for response in found.responses
    ]
