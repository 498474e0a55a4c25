"""The contract of a tether: one system with a known answer, paired with our own computation of it."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from blockspin.measurement import Measurement


@dataclass(frozen=True)
class Row:
    """One number: what it should be and what we get.

    Args:
        quantity: What the number is.
        expected: The exact or published number.
        measured: Ours, with its error (0 where exact).
        tolerance: Largest deviation allowed: derived from rounding for exact rows; 4 errors where it is sampled.
        unit: The unit.
        asserted: Whether a deviation is a failure; a number that only one printed output gives is shown instead.
    """

    quantity: str
    expected: float
    measured: Measurement
    tolerance: float
    unit: str = "1"
    asserted: bool = True

    def __post_init__(self):
        for name in ("expected", "tolerance"):  # numbers of NumPy are no JSON
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def z(self) -> float | None:
        """The deviation in errors, or None for an exact row."""
        error = float(self.measured.error)
        return (float(self.measured.value) - self.expected) / error if error > 0 else None

    @property
    def passed(self) -> bool:
        """Whether the deviation is within the tolerance, or the row is shown without being asserted."""
        return not self.asserted or abs(float(self.measured.value) - self.expected) <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON and tables."""
        value, error = float(self.measured.value), float(self.measured.error)
        row = {"quantity": self.quantity, "expected": self.expected, "measured": value, "error": error, "z": self.z}
        return {**row, "tolerance": self.tolerance, "unit": self.unit, "passed": self.passed, "asserted": self.asserted}


def exact(quantity: str, expected: float, measured: float, tolerance: float, unit: str = "1") -> Row:
    """Return a row without sampling error."""
    return Row(quantity, float(expected), Measurement(float(measured), 0.0, unit), tolerance, unit)


def sampled(quantity: str, expected: float, measured: Measurement) -> Row:
    """Return a row that passes within four of its own errors."""
    return Row(quantity, float(expected), measured, 4 * float(measured.error), measured.unit)


def shown(quantity: str, printed: float, measured: Measurement) -> Row:
    """Return a row that stands beside a printed number without being held to it."""
    return Row(quantity, float(printed), measured, 0.0, measured.unit, asserted=False)


class Tether(abc.ABC):
    """A system of the literature whose answer is known."""

    family: ClassVar[str] = "tethers"
    name: ClassVar[str]
    system: ClassVar[str]
    """The system in words."""
    source: ClassVar[str]
    """A key of ``references.bib``."""
    schemes: ClassVar[tuple[str, ...]] = ()
    """Names of the schemes whose results it checks; a scheme that no tether names is marked untethered."""
    fast: ClassVar[bool] = True
    """Whether it takes seconds; slow ones are skipped by ``--fast``, which says so."""
    minutes: ClassVar[float] = 0.0
    """What it took when it was measured, on one core; 0 for about a second or less."""

    @abc.abstractmethod
    def rows(self) -> Iterator[Row]:
        """Yield one row a number."""
