"""Transition: is there a point along training where the network changes faster than relaxation can?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from blockspin.answer import Answer, Assumption, Light, Verdict
from blockspin.errors import ConfigError, TooFewSamplesError, check_between, check_whole
from blockspin.flow import Flow
from blockspin.measurement import Measurement
from blockspin.questions._sharpness import Curve, Sharpest, curve_of, false_alarms, sharpest
from blockspin.questions.base import Question
from blockspin.registry import register

QUANTITIES = ("participation-ratio/debiased", "cumulants/kurtosis", "cka/with_last", "cka/with_target")
"""Curves that are looked at: numbers of the state of a network, which do not depend on how checkpoints are spaced."""
FEWEST = 5
"""Positive positions that a curve must have."""


@register
@dataclass(frozen=True)
class Transition(Question):
    r"""Is there a transition along training: a change too sharp in the logarithm of steps to be a relaxation?

    In lazy training outputs and losses are superpositions of relaxations :math:`1 - e^{-t/\tau}`, kernels of
    outputs of their squares. Whatever the rates, such a curve changes by no more than the share c of its range between
    the first position (0) and the last (T), while the step grows from t to r t:

    .. math:: c = \max_x \frac{(1 - e^{-r x})^2 - (1 - e^{-x})^2}{(1 - e^{-x T / t})^2}

    (for large T / t it is 0.348 where r = 2, and 0.629 where r = 4). A curve has a transition where
    its change between two positions goes beyond that bound by more than the errors allow. All windows of ratios from
    1.4 to ``factor`` on all curves are looked at, and the p-value is that of the largest excess times the number of
    looks (Bonferroni), so that false alarms on relaxations are at most ``level`` in all. Errors at a position are the
    measured ones, or the scatter of the curve about its neighbours where that is larger.

    A run may have several: where training pairs are learned by heart, and where the rule is found. The statement names
    the clearest.

    The escape from a saddle, as of one mode of a deep linear network from small weights, is a transition in this sense.

    Args:
        level: Chance of a false alarm on any of the curves.
        factor: Widest window, as a ratio of steps.
        quantities: Numbers whose curves are looked at: all of the flow whose name begins so.
        draws: Relaxations that are drawn to measure the rate of false alarms.

    Do not trust when:
        Learning rates were scheduled: a drop of the learning rate, or its restart, makes every curve bend. Positions
        before the first checkpoint after the start are not resolved.

    Source:
        jacot2018 for training that is a superposition of relaxations.
    """

    name = "transition"
    source = "jacot2018"
    level: float = 0.05
    factor: float = 4.0
    quantities: tuple[str, ...] = QUANTITIES
    draws: int = 200

    def __post_init__(self):
        check_between("level", self.level, 0, 0.5)
        if not 1 < self.factor <= 16:
            raise ConfigError("factor", self.factor, "a ratio between 1 and 16.")
        check_whole("draws", self.draws, 20)

    def ask(
        self, implicit: Flow, explicit: Flow | None = None, *, controls: Mapping[str, Flow], generator: torch.Generator
    ) -> Answer:
        """Answer for every curve of a flow.

        Args:
            implicit: The flow, its positions in steps (or another time).
            explicit: Not needed.
            controls: Flows that should have no transition, or a known one, by name.
            generator: Randomness of the relaxations that are drawn.

        Raises:
            TooFewSamplesError: If no curve has five positive positions.
        """
        curves = self._curves(implicit)
        if not curves:
            raise TooFewSamplesError(
                f"no quantity of {implicit.name} is known at {FEWEST} positive steps", "Give more checkpoints."
            )
        found = {name: sharpest(curve, self.factor) for name, curve in curves.items()}
        looks = sum(item.looks for item in found.values())
        verdicts = {name: item.verdict(self.level, looks) for name, item in found.items()}
        numbers = {f"{name}: {key}": m for name, item in found.items() for key, m in item.numbers().items()}
        alarms = false_alarms(curves, self.factor, self.level, self.draws, generator)
        return Answer(
            self.name,
            _verdict(list(verdicts.values())),
            _statement(found, verdicts, looks, implicit.axis.unit),
            numbers,
            {"relaxations of the same steps and errors: false alarms": alarms, **self._controls(controls)},
            _assumptions(curves, alarms, self.level),
            {"curves": [_picture(name, curves[name], item, verdicts[name]) for name, item in found.items()]},
            verdicts,
        )

    def _curves(self, flow: Flow) -> dict[str, Curve]:
        keys = sorted({key for scale in flow for key in scale.measurements if key.startswith(self.quantities)})
        found = {key: curve_of(flow, key) for key in keys}
        return {key: curve for key, curve in found.items() if curve is not None and curve.positive >= FEWEST}

    def _controls(self, controls: Mapping[str, Flow]) -> dict[str, Measurement]:
        rows = {}
        for name, flow in controls.items():
            for key, curve in self._curves(flow).items():
                rows[f"{name}: excess of {key}"] = sharpest(curve, self.factor).excess
        return rows


def _verdict(verdicts: list[Verdict]) -> Verdict:
    """Yes if one curve has a transition, no if none has and all would have shown it."""
    if Verdict.YES in verdicts:
        return Verdict.YES
    return Verdict.NO if all(item is Verdict.NO for item in verdicts) else Verdict.CANNOT_TELL


def _statement(found: Mapping[str, Sharpest], verdicts: Mapping[str, Verdict], looks: int, unit: str) -> str:
    count = {verdict: sum(item is verdict for item in verdicts.values()) for verdict in Verdict}
    sharp = {name: found[name] for name, verdict in verdicts.items() if verdict is Verdict.YES}
    if not sharp:
        return (
            f"Of {len(found)} curves none changes faster than relaxations can; for {count[Verdict.CANNOT_TELL]} of "
            "them a transition would not have been seen."
        )
    name = min(sharp, key=lambda key: sharp[key].chance)
    first = sharp[name]
    return (
        f"Of {len(found)} curves {len(sharp)} change faster than relaxations can. The clearest is {name}: between "
        f"{first.low:g} and {first.high:g} {unit} it changes by {first.share} of its range, where relaxations reach "
        f"{first.bound:.2f} (p = {min(1.0, first.chance * looks):.1g} for all {looks} looks)."
    )


def _assumptions(curves: Mapping[str, Curve], alarms: Measurement, level: float) -> tuple[Assumption, ...]:
    wide = max(curve.widest_gap for curve in curves.values())
    jitter = [name for name, curve in curves.items() if curve.jitter > curve.measured]
    low = alarms.value <= level + 2 * alarms.error
    return (
        Assumption(
            "checkpoints close enough",
            Light.GREEN if wide <= 2 else Light.AMBER,
            f"neighbouring checkpoints after the first differ by factors of at most {wide:.3g} in steps",
        ),
        Assumption(
            "false alarms",
            Light.GREEN if low else Light.RED,
            f"{alarms} of drawn relaxations raise an alarm, at a nominal level of {level:g}",
        ),
        Assumption(
            "errors of the curves",
            Light.AMBER if jitter else Light.GREEN,
            f"taken from the scatter about neighbouring checkpoints, which is larger than measured: {', '.join(jitter)}"
            if jitter
            else "measured errors cover the scatter about neighbouring checkpoints",
        ),
    )


def _picture(name: str, curve: Curve, found: Sharpest, verdict: Verdict) -> dict[str, Any]:
    return {
        "name": name,
        "steps": curve.steps.tolist(),
        "values": curve.values.tolist(),
        "errors": curve.errors.tolist(),
        "unit": curve.unit,
        "interval": [found.low, found.high],
        "share": found.share.to_dict(),
        "bound": found.bound,
        "excess": found.excess.to_dict(),
        "chance": found.chance,
        "verdict": verdict.value,
    }
