"""Gaussian enough: where is a weakly coupled, Gaussian description of a network's fields enough?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from blockspin.answer import Answer, Assumption, Light, Verdict
from blockspin.errors import BlockspinError, ConfigError, TooFewSamplesError, check_between
from blockspin.flow import Flow, Scale, log_slope
from blockspin.measurement import Measurement, holm
from blockspin.questions._tails import Tail, tails_of
from blockspin.questions.base import Question
from blockspin.questions.comparison import Departure, chance_beyond, departures
from blockspin.questions.diagnosis import Evidence, diagnose, with_failing
from blockspin.registry import register

LOOKS: dict[str, tuple[str, Callable[[float], float]]] = {
    "cumulants/kurtosis": ("sites", lambda share: 3 * share),
    "negentropy/sites": ("sites", lambda share: (3 * share) ** 2 / 48),
    "cumulants/fourth_order": ("directions", lambda share: 3 * share),
    "negentropy/directions": ("directions", lambda share: (3 * share) ** 2 / 48),
    "width/kurtosis": ("networks", lambda share: 3 * share),
    "width/vertex": ("networks", lambda share: share),
}
"""What is looked at: the view that it belongs to, and its limit where four-point functions may be off by a share."""
WORDS = {"sites": "site by site", "directions": "along random directions", "networks": "over networks"}


@register
@dataclass(frozen=True)
class GaussianEnough(Question):
    r"""Where is the Gaussian theory enough: at which layers, or widths, may couplings beyond the second be left out?

    In a Gaussian theory every connected function beyond the second vanishes and four-point functions follow from Wick's
    theorem. A field counts as Gaussian enough where they are off by no more than the share ``tolerance``: excess
    kurtosis of at most 3 tolerance, a negentropy of at most that of such a kurtosis,
    :math:`(3\,\text{tolerance})^2 / 48` nats. Three views, each judged for itself at every scale:

    - site by site: mean excess kurtosis and negentropy, and Hill's exponent of samples in memory, which below 4 says
      that fourth cumulants do not exist; a pointwise nonlinearity alone makes this fail;
    - along random directions, which is what a layer of random weights reads: the connected fourth order;
    - over networks of different seeds, on a flow over width: kurtosis and connected four-point vertex.

    No: some number lies beyond its limit, by more than errors and the number of looks (Holm) allow. Yes: at every scale
    each number lies within, each at ``level``. The p-value is the largest for all true values within the limit, so that
    false alarms are at most ``level`` in all; tolerance 0 asks for exactly Gaussian fields.

    Apart from that the measured flow is compared with an exact theory where one is given, else with zero, and where it
    differs by more than the errors the answer names the assumption that fails (``questions/diagnosis.py``).

    Args:
        level: Chance of a false alarm on any of the numbers.
        tolerance: Share by which four-point functions may be off.

    Do not trust when:
        Tails are so heavy that eighth moments do not exist: error bars of fourth cumulants mean nothing then (the
        assumption "heavy tails"). Higher cumulants are not looked at: a field may have none but the sixth.

    Source:
        roberts2022 for the size of the four-point vertex as the coupling, comon1994 for the negentropy.
    """

    name = "gaussian-enough"
    source = "roberts2022"
    level: float = 0.05
    tolerance: float = 0.1

    def __post_init__(self):
        check_between("level", self.level, 0, 0.5)
        if not 0 <= self.tolerance < 1:
            raise ConfigError("tolerance", self.tolerance, "a share between 0 and 1.")

    def ask(
        self,
        implicit: Flow,
        explicit: Flow | None = None,
        *,
        controls: Mapping[str, Flow],
        generator: torch.Generator,
        evidence: Evidence | None = None,
    ) -> Answer:
        """Answer for every scale and view.

        Args:
            implicit: Flow over depth with "cumulants" and "negentropy", or over width.
            explicit: The exact theory of the same numbers at the same positions; None for zero, the Gaussian theory.
            controls: Flows measured alike whose answer is known, by name.
            generator: Not needed: nothing is drawn.
            evidence: What can tell which assumption fails: a family over widths, other theories.

        Raises:
            TooFewSamplesError: If none of the numbers is known at any scale.
            AlignmentError: If the theory is not of the same numbers.
        """
        del generator
        looks = self.looks(implicit)
        if not looks:
            raise TooFewSamplesError(
                f"no cumulants of {implicit.name} are known at any scale", "Give more samples, or measure them."
            )
        tails = tails_of(implicit)
        verdicts = self.parts(looks, tails)
        found = departures(implicit, explicit or _wick(implicit))
        given = evidence or Evidence()
        causes = diagnose(found, implicit, given, self.level)
        return Answer(
            self.name,
            Verdict.of_all(verdicts.values()),
            with_failing(self._statement(looks, verdicts, implicit), causes),
            {f"{look.label}: {look.key}": look.number for look in looks}
            | {f"{label}: tail exponent": tail.exponent for label, tail in tails.items()}
            | _slopes(given.family or implicit),
            self._controls(controls),
            (*_resolution(looks, self.tolerance), *causes),
            {
                "axis": implicit.axis.name,
                "tolerance": self.tolerance,
                "rows": _picture(looks, verdicts, found, self.level),
            },
            {f"{label}, {WORDS[view]}": verdict for (label, view), verdict in verdicts.items()},
        )

    def looks(self, flow: Flow) -> tuple[Look, ...]:
        """Return every number that is looked at, with its chance of lying within the limit, corrected for all."""
        rows = [
            (scale, key, number)
            for scale in flow
            for key, number in scale.measurements.items()
            if key in LOOKS and isinstance(number.value, float)
        ]
        limits = [LOOKS[key][1](self.tolerance) for _, key, _ in rows]
        chances = [chance_beyond(_size(k, m), m.error, m.dof, w) for (_, k, m), w in zip(rows, limits, strict=True)]
        adjusted = holm(chances)
        return tuple(
            Look(scale.label, scale.position, key, number, limit, p)
            for (scale, key, number), limit, p in zip(rows, limits, adjusted, strict=True)
        )

    def parts(self, looks: Sequence[Look], tails: Mapping[str, Tail]) -> dict[tuple[str, str], Verdict]:
        """Return the verdict on every (scale, view); sites whose fourth cumulants do not exist are not Gaussian."""
        parts: dict[tuple[str, str], list[Verdict]] = {}
        for look in looks:
            parts.setdefault((look.label, LOOKS[look.key][0]), []).append(look.verdict(self.level))
        for label, tail in tails.items():
            if (label, "sites") in parts and tail.below(4, self.level / len(tails)):
                parts[label, "sites"].append(Verdict.NO)
        return {part: Verdict.of_all(found) for part, found in parts.items()}

    def _statement(self, looks: Sequence[Look], verdicts: Mapping[tuple[str, str], Verdict], flow: Flow) -> str:
        said = []
        for view in dict.fromkeys(view for _, view in verdicts):
            own = [verdict for (_, of), verdict in verdicts.items() if of == view]
            count = {verdict: sum(item is verdict for item in own) for verdict in Verdict}
            open_ = f", {count[Verdict.CANNOT_TELL]} open" if count[Verdict.CANNOT_TELL] else ""
            said.append(f"{WORDS[view]} at {count[Verdict.YES]} of {len(own)} {flow.axis.unit}{open_}")
        worst = max(looks, key=lambda look: look.excess)
        return (
            f"Four-point functions are those of a Gaussian to {self.tolerance:.0%}: {'; '.join(said)}. "
            f"Largest: {worst.key} = {worst.number} at {worst.label}, where {worst.limit:.2g} is the limit."
        )

    def _controls(self, controls: Mapping[str, Flow]) -> dict[str, Measurement]:
        """Return the share of numbers beyond their limits in each control, and its largest kurtosis of both kinds."""
        rows = {}
        for name, flow in controls.items():
            looks = self.looks(flow)
            if looks:
                share = sum(look.verdict(self.level) is Verdict.NO for look in looks) / len(looks)
                error = (share * (1 - share) / len(looks)) ** 0.5
                how = f"count of {len(looks)} numbers, binomial error"
                rows[f"{name}: share not Gaussian"] = Measurement(share, error, "1", float(len(looks)), how)
            for key in ("cumulants/kurtosis", "cumulants/fourth_order"):
                own = [look.number for look in looks if look.key == key]
                if own:
                    rows[f"{name}: largest {key}"] = max(own, key=lambda number: abs(number.value))
        return rows


@dataclass(frozen=True, eq=False)
class Look:
    """One number at one scale, its limit, and how likely it is to lie that far out if the true one lies within."""

    label: str
    position: float
    key: str
    number: Measurement
    limit: float
    chance: float

    @property
    def excess(self) -> float:
        """Its size as a multiple of the limit, or in errors where the limit is zero."""
        return _size(self.key, self.number) / (self.limit or self.number.error or 1.0)

    def verdict(self, level: float) -> Verdict:
        """Beyond the limit after all looks are counted; within it, by the two one-sided tests; or neither."""
        if self.chance <= level:
            return Verdict.NO
        room = self.limit - _size(self.key, self.number) - self.number.quantile(1 - level) * self.number.error
        return Verdict.YES if room > 0 else Verdict.CANNOT_TELL


def _size(key: str, number: Measurement) -> float:
    """Return how large a number is; a negentropy below zero is noise."""
    return max(number.value, 0.0) if key.startswith("negentropy") else abs(number.value)


def _wick(flow: Flow) -> Flow:
    """Return the Gaussian theory of a flow: nothing beyond the second cumulant."""
    scales = (
        Scale(
            scale.position,
            scale.label,
            measurements={key: Measurement(0.0, 0.0) for key in scale.measurements if key in LOOKS},
        )
        for scale in flow
    )
    return Flow("Gaussian theory", flow.axis, tuple(scales))


def _slopes(flow: Flow) -> dict[str, Measurement]:
    """Return the slopes in ln width, where the flow is a family whose numbers are told from zero."""
    rows = {}
    for key in ("width/kurtosis", "width/vertex") if flow.axis.name == "width" else ():
        try:
            rows[f"slope of {key} in width"] = log_slope(flow, key)
        except BlockspinError:  # no number where it is not told from zero: the table over widths says so
            continue
    return rows


def _resolution(looks: Sequence[Look], tolerance: float) -> tuple[Assumption, ...]:
    """Say whether the errors are small enough to tell."""
    wide = [f"{look.key} at {look.label}" for look in looks if not look.number.error <= look.limit / 2]
    if tolerance == 0 or not wide:
        return (Assumption("enough samples", Light.GREEN, f"errors of all {len(looks)} numbers are known well enough"),)
    reason = f"errors of {len(wide)} of {len(looks)} numbers are above half of the limit: {', '.join(wide[:4])}"
    return (Assumption("enough samples", Light.AMBER, reason),)


def _picture(
    looks: Sequence[Look], verdicts: Mapping[tuple[str, str], Verdict], found: Sequence[Departure], level: float
) -> list[dict[str, Any]]:
    compared = {(row.position, row.key): row for row in found}
    rows = []
    for look in looks:
        view, beside = LOOKS[look.key][0], compared.get((look.position, look.key))
        rows.append(
            {
                "label": look.label,
                "position": look.position,
                "view": WORDS[view],
                "key": look.key,
                "number": look.number.to_dict(),
                "limit": look.limit,
                "chance": look.chance,
                "verdict": look.verdict(level).value,
                "part": verdicts[look.label, view].value,
                "theory": None if beside is None else beside.expected.to_dict(),
                "departs": None if beside is None else beside.departs(level),
            }
        )
    return rows
