"""Theory holds: does a measured flow agree with an exact theory at every scale, and if not, which assumption fails?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from blockspin.answer import Answer, Assumption, Light, Verdict
from blockspin.errors import AlignmentError, ConfigError, check_between
from blockspin.flow import Flow
from blockspin.questions.base import Question
from blockspin.questions.comparison import Departure, departures
from blockspin.questions.diagnosis import Evidence, diagnose, with_failing
from blockspin.registry import register


@register
@dataclass(frozen=True)
class TheoryHolds(Question):
    """Does a measured flow agree with an exact theory, scale by scale, within its errors?

    Every number that both flows have is compared with joint errors. No: one differs by more than errors and the number
    of comparisons (Holm) allow, and the answer names the assumptions that fail (``questions/diagnosis.py``). Yes: none
    does, and errors are small enough to have seen a deviation of the share ``tolerance`` of the largest theoretical
    value of that number (four errors fit into it). Cannot tell: none does, but some would not have been seen. Any flow
    is meant: kernels over depth or width, modes over training, learning coefficients over temperature, regression over
    a cutoff.

    Args:
        level: Chance of a false alarm on any of the numbers.
        tolerance: Deviation that must have been visible, as a share.

    Do not trust when:
        The theory took something from the data that it is compared with. Errors are from few groups and far from
        normal.

    Source:
        holm1979 for the number of comparisons.
    """

    name = "theory-holds"
    source = "holm1979"
    level: float = 0.05
    tolerance: float = 0.1

    def __post_init__(self):
        check_between("level", self.level, 0, 0.5)
        if not self.tolerance > 0:
            raise ConfigError("tolerance", self.tolerance, "a positive share.")

    def ask(
        self,
        implicit: Flow,
        explicit: Flow | None = None,
        *,
        controls: Mapping[str, Flow],
        generator: torch.Generator,
        evidence: Evidence | None = None,
    ) -> Answer:
        """Answer for every number at every scale.

        Args:
            implicit: The measured flow.
            explicit: The theory's, over the same axis.
            controls: Flows measured alike that should not agree with the theory, by name: a network of another width.
            generator: Not needed: nothing is drawn.
            evidence: What can tell which assumption fails.

        Raises:
            AlignmentError: If there is no theory, or it has no number in common with what was measured.
        """
        del generator
        if explicit is None:
            raise AlignmentError("there is no theory to compare with", "Give it as the explicit flow.")
        found = departures(implicit, explicit)
        causes = diagnose(found, implicit, evidence or Evidence(), self.level)
        verdicts = {f"{row.key} at {row.label}": self._verdict(row, _size(found, row.key)) for row in found}
        rows = {f"{row.label}: {row.key} less theory": row.difference for row in found}
        beside = {
            f"{name}: {row.key} less theory at {row.label}": row.difference
            for name, flow in controls.items()
            for row in departures(flow, explicit)
        }
        return Answer(
            self.name,
            Verdict.of_all(verdicts.values()),
            with_failing(_statement(found, verdicts, explicit), causes),
            rows,
            beside,
            (*_resolution(verdicts), *causes),
            {"axis": implicit.axis.name, "rows": [_picture(row, self.level) for row in found]},
            verdicts,
        )

    def _verdict(self, row: Departure, size: float) -> Verdict:
        if row.departs(self.level):
            return Verdict.NO
        seen = 4 * row.difference.error <= self.tolerance * size or row.difference.error == 0
        return Verdict.YES if seen else Verdict.CANNOT_TELL


def _size(found: Sequence[Departure], key: str) -> float:
    """Return the largest size of a number in the theory; where that says zero, of what was measured."""
    own = [row for row in found if row.key == key]
    return max(abs(row.expected.value) for row in own) or max(abs(row.measured.value) for row in own)


def _statement(found: Sequence[Departure], verdicts: Mapping[str, Verdict], theory: Flow) -> str:
    away = sum(verdict is Verdict.NO for verdict in verdicts.values())
    unseen = sum(verdict is Verdict.CANNOT_TELL for verdict in verdicts.values())
    worst = min(found, key=lambda row: row.chance if row.chance == row.chance else 2.0)  # NaN last
    return (
        f"Of {len(found)} numbers {away} differ from {theory.name} by more than their errors; for {unseen} a deviation "
        f"would not have been seen. The least likely is {worst.key} = {worst.measured} at {worst.label}, where theory "
        f"says {worst.expected.value:.4g} (p = {worst.adjusted:.1g} for all of them)."
    )


def _resolution(verdicts: Mapping[str, Verdict]) -> tuple[Assumption, ...]:
    unseen = [name for name, verdict in verdicts.items() if verdict is Verdict.CANNOT_TELL]
    if not unseen:
        return (Assumption("enough samples", Light.GREEN, "errors of all numbers would have shown a deviation"),)
    return (Assumption("enough samples", Light.AMBER, f"errors are too large at {', '.join(unseen[:4])}"),)


def _picture(row: Departure, level: float) -> dict[str, Any]:
    return {
        "label": row.label,
        "position": row.position,
        "key": row.key,
        "number": row.measured.to_dict(),
        "theory": row.expected.to_dict(),
        "chance": row.adjusted if row.adjusted == row.adjusted else None,
        "departs": row.departs(level),
    }
