"""The contract of a coupling: parameters of an assumed theory, with goodness of fit and what the theory leaves out."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from blockspin.measurement import Measurement
from blockspin.observables.base import Estimator, State


@dataclass(frozen=True)
class Goodness:
    """How well the assumed theory fits.

    Args:
        name: What the score is ("held-out log-likelihood a sample", "chi-squared p-value").
        score: Its value.
        p_value: Probability of a worse fit if the theory were true, or None where only a score exists.
    """

    name: str
    score: Measurement
    p_value: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values for JSON."""
        return {"name": self.name, "score": self.score.to_dict(), "p_value": self.p_value}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Goodness:
        """Return what ``to_dict`` wrote."""
        return cls(row["name"], Measurement.from_dict(row["score"]), row["p_value"])


@dataclass(frozen=True)
class Fit:
    """Couplings of one ensemble under one assumed theory.

    Args:
        theory: Name of the coupling.
        parameters: The couplings, by name.
        goodness: How well the theory fits.
        left_out: Operators that the theory does not have and the data might.
        notes: Ranks, conditioning, what was projected away.
    """

    theory: str
    parameters: Mapping[str, Measurement]
    goodness: Goodness
    left_out: tuple[str, ...]
    notes: Mapping[str, Measurement]


@dataclass(frozen=True)
class Finding:
    """What a small p-value of a goodness of fit says, where that is no failure but what was looked for.

    Args:
        sign: In two words, for a label: "coupled across".
        seen: A sentence without its place: "sectors are coupled".
        unseen: What was looked for and not seen: "no coupling across sectors".
    """

    sign: str
    seen: str
    unseen: str


class Coupling(Estimator):
    """An assumed effective theory. Members are frozen dataclasses; ``value`` returns the couplings."""

    family: ClassVar[str] = "couplings"
    left_out: ClassVar[tuple[str, ...]]
    """Operators that the theory does not have."""
    noted: ClassVar[tuple[str, ...]] = ()
    """Quantities of ``value`` that are notes (ranks, conditioning) and not couplings."""

    given: ClassVar[tuple[str, ...]] = ()
    """Options that say what the field is and cannot be guessed: their defaults are examples, and suit nobody's data."""

    of_layers: ClassVar[bool] = False
    """Whether samples are the units of one layer of a network, and not the records that were read through it."""

    followed: ClassVar[int] = 16
    """Most entries of an array of couplings that a run follows one by one."""

    finding: ClassVar[Finding | None] = None
    """What a small p-value says where it is the answer to a question, and not that the theory fails."""

    of_steps: ClassVar[bool] = False
    """Whether it reads a field and the one before it on the flow; it then has ``between``, which makes it for the two
    geometries, finer first."""

    remedy: ClassVar[str] = ""
    """Name of the coupling to try where this theory fails, if there is one that assumes less."""

    @property
    def entries(self) -> Mapping[str, Sequence[str]]:
        """Names of the entries of quantities that are rows, where they have better ones than numbers: none here."""
        return {}

    def remarks(self, state: State) -> Mapping[str, float]:
        """Return what is shown beside the fit without an error (counts, conditioning): nothing by default."""
        return {}

    @abc.abstractmethod
    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return how well couplings fitted to one state describe another, independent one."""

    def fit(self, measured: Mapping[str, Measurement], goodness: Goodness) -> Fit:
        """Return the couplings, measured with their errors, as a fit: parameters apart from notes."""
        parameters = {key: m for key, m in measured.items() if key not in self.noted}
        notes = {key: m for key, m in measured.items() if key in self.noted}
        return Fit(self.name, parameters, goodness, self.left_out, notes)
