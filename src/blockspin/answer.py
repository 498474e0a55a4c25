"""Answer: the verdict on one question, with its numbers, controls and assumptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from blockspin.measurement import Measurement


class Verdict(Enum):
    """What the measurements allow one to say."""

    YES = "yes"
    NO = "no"
    CANNOT_TELL = "cannot tell"

    @classmethod
    def of_all(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """Return no where any verdict is no, yes where all are yes, and else that one cannot tell."""
        found = set(verdicts)
        if cls.NO in found:
            return cls.NO
        return cls.YES if found == {cls.YES} else cls.CANNOT_TELL


class Light(Enum):
    """How well an assumption is met here."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True)
class Assumption:
    """Something that the verdict rests on, how well it is met, and the reason."""

    name: str
    light: Light
    reason: str


@dataclass(frozen=True)
class Answer:
    """The answer to one question of the roadmap.

    Args:
        question: Name of the question.
        verdict: Yes, no, or cannot tell.
        statement: One sentence that a person can quote; never worded beyond what was measured.
        numbers: What was measured, by name.
        controls: The same measurements where the answer is known or should be null, by name.
        assumptions: What the verdict rests on.
        figure: Plain data (numbers, strings, lists) from which the report draws the picture.
        verdicts: Verdicts on parts (levels, layers) where the question has parts, by name.
    """

    question: str
    verdict: Verdict
    statement: str
    numbers: Mapping[str, Measurement]
    controls: Mapping[str, Measurement]
    assumptions: tuple[Assumption, ...]
    figure: Mapping[str, Any] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values for JSON."""
        return {
            "question": self.question,
            "verdict": self.verdict.value,
            "statement": self.statement,
            "verdicts": {name: verdict.value for name, verdict in self.verdicts.items()},
            "numbers": {name: number.to_dict() for name, number in self.numbers.items()},
            "controls": {name: number.to_dict() for name, number in self.controls.items()},
            "assumptions": [
                {"name": item.name, "light": item.light.value, "reason": item.reason} for item in self.assumptions
            ],
            "figure": dict(self.figure),
        }
