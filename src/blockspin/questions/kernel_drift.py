"""Kernel drift: at which transitions does a representation's kernel move, and where does it rest on a plateau?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch

from blockspin.answer import Answer, Assumption, Light, Verdict
from blockspin.errors import ConfigError, TooFewSamplesError, check_between
from blockspin.flow import Flow
from blockspin.measurement import Measurement, holm
from blockspin.questions.base import Question
from blockspin.questions.comparison import chance_beyond
from blockspin.registry import register

KEY = "cka/similarity"


@register
@dataclass(frozen=True)
class KernelDrift(Question):
    """At which transitions does the kernel of a representation drift, and where does it rest?

    The drift of a transition between neighbouring scales is one less their debiased CKA: layers over depth, checkpoints
    over training. A transition drifts where that is beyond ``tolerance`` by more than errors and the number of
    transitions allow (Holm), and rests where it is within. Plateaus are stretches of at least ``shortest`` resting
    transitions. Yes: some transition drifts. No: all rest, as in lazy training.

    Args:
        level: Chance of calling any resting transition a drift.
        tolerance: Drift that counts as rest.
        shortest: Transitions that make a plateau.

    Do not trust when:
        Scales were chosen ever closer: each drift is then small, their sum is not. Errors of similarities near 1 are
        not symmetric: rest is then told more surely than the level says.

    Source:
        kornblith2019 for the similarity; cortes2012 for the alignment with targets beside it.
    """

    name = "kernel-drift"
    source = "kornblith2019"
    level: float = 0.05
    tolerance: float = 0.05
    shortest: int = 2

    def __post_init__(self):
        check_between("level", self.level, 0, 0.5)
        if not 0 < self.tolerance < 1 or self.shortest < 1:
            raise ConfigError(
                "tolerance", (self.tolerance, self.shortest), "a drift below 1, and at least 1 transition."
            )

    def ask(
        self, implicit: Flow, explicit: Flow | None = None, *, controls: Mapping[str, Flow], generator: torch.Generator
    ) -> Answer:
        """Answer for every transition of a flow.

        Args:
            implicit: The flow; its scales carry "cka/similarity" with the scale before.
            explicit: Not needed.
            controls: Flows measured alike, as an untrained copy; their drifts are shown beside.
            generator: Not needed: nothing is drawn.

        Raises:
            TooFewSamplesError: If there is no similarity of neighbours.
        """
        del explicit, generator
        drifts = drifts_of(implicit)
        if not drifts:
            raise TooFewSamplesError(f"no similarity of neighbours is known along {implicit.name}", "Measure cka.")
        verdicts = self.verdicts(drifts)
        plateaus = self.plateaus(verdicts)
        found = list(verdicts.values())
        overall = Verdict.YES if Verdict.YES in found else Verdict.CANNOT_TELL
        return Answer(
            self.name,
            Verdict.NO if all(item is Verdict.NO for item in found) else overall,
            _statement(drifts, verdicts, plateaus),
            {f"to {label}: drift": drift for label, drift in drifts.items()},
            {f"{name}: drift to {label}": d for name, flow in controls.items() for label, d in drifts_of(flow).items()},
            _assumptions(verdicts),
            {"rows": _rows(drifts, verdicts), "plateaus": [list(plateau) for plateau in plateaus]},
            verdicts,
        )

    def verdicts(self, drifts: Mapping[str, Measurement]) -> dict[str, Verdict]:
        """Return for every transition whether it drifts (yes), rests (no), or neither can be told."""
        sizes = [max(drift.value, 0.0) for drift in drifts.values()]
        chances = holm(
            [chance_beyond(x, d.error, d.dof, self.tolerance) for x, d in zip(sizes, drifts.values(), strict=True)]
        )
        found = {}
        for (label, drift), size, chance in zip(drifts.items(), sizes, chances, strict=True):
            rests = size + drift.quantile(1 - self.level) * drift.error < self.tolerance
            found[label] = Verdict.YES if chance <= self.level else Verdict.NO if rests else Verdict.CANNOT_TELL
        return found

    def plateaus(self, verdicts: Mapping[str, Verdict]) -> list[tuple[str, ...]]:
        """Return the stretches of resting transitions, by the labels that they lead to."""
        runs = groupby(verdicts, key=lambda label: verdicts[label] is Verdict.NO)
        stretches = [tuple(labels) for rests, labels in runs if rests]
        return [stretch for stretch in stretches if len(stretch) >= self.shortest]


def drifts_of(flow: Flow) -> dict[str, Measurement]:
    """Return one less the similarity with the scale before, by the label of the later one."""
    return {
        scale.label: Measurement(1 - m.value, m.error, m.unit, m.n_eff, m.how, m.dof)
        for scale in flow
        if (m := scale.measurements.get(KEY)) is not None
    }


def _statement(
    drifts: Mapping[str, Measurement], verdicts: Mapping[str, Verdict], plateaus: Sequence[tuple[str, ...]]
) -> str:
    moving = [label for label, verdict in verdicts.items() if verdict is Verdict.YES]
    open_ = sum(verdict is Verdict.CANNOT_TELL for verdict in verdicts.values())
    largest = max(drifts, key=lambda label: drifts[label].value)
    rest = "; ".join(f"{stretch[0]} to {stretch[-1]}" for stretch in plateaus) or "none"
    return (
        f"Of {len(verdicts)} transitions {len(moving)} drift and {open_} cannot be told. The largest is "
        f"{drifts[largest]} to {largest}. Plateaus: {rest}."
    )


def _assumptions(verdicts: Mapping[str, Verdict]) -> tuple[Assumption, ...]:
    open_ = [label for label, verdict in verdicts.items() if verdict is Verdict.CANNOT_TELL]
    reason = f"cannot be told at {', '.join(open_[:5])}" if open_ else "every transition could be told"
    return (Assumption("enough samples", Light.AMBER if open_ else Light.GREEN, reason),)


def _rows(drifts: Mapping[str, Measurement], verdicts: Mapping[str, Verdict]) -> list[dict[str, Any]]:
    return [{"label": k, "drift": d.to_dict(), "verdict": verdicts[k].value} for k, d in drifts.items()]
