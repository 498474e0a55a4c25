"""Diagnosis: which assumption of a theory fails where a measured flow departs from it, and by what evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from blockspin.answer import Assumption, Light
from blockspin.errors import AlignmentError
from blockspin.flow import Flow
from blockspin.measurement import Measurement
from blockspin.questions._lines import Line, line
from blockspin.questions._tails import tails_of
from blockspin.questions.comparison import Departure, chance_beyond, departures

MOST_RHAT, LEAST_EFFECTIVE = 1.02, 200.0
"""As where chains are run: beyond these they do not agree, and give no mean."""
MIXING = {"rhat": lambda value: value > MOST_RHAT, "ess": lambda value: value < LEAST_EFFECTIVE}


@dataclass(frozen=True, eq=False)
class Evidence:
    """What can tell which assumption of a theory fails.

    Args:
        family: Flow over width of the numbers that vanish (or take the theory's value) at infinite width.
        alternatives: Theories in which one assumption is given up, by the name of that assumption: finite width, a
            ridge that has run. Where one of them agrees and the theory does not, that assumption was wrong.
        limit: What the numbers of the family are where the theory holds, by name; 0 where nothing is said.
    """

    family: Flow | None = None
    alternatives: Mapping[str, Flow] = field(default_factory=dict)
    limit: Mapping[str, float] = field(default_factory=dict)


def diagnose(
    found: Sequence[Departure], measured: Flow, evidence: Evidence, level: float = 0.05
) -> tuple[Assumption, ...]:
    """Say of every assumption whether it fails (red), may (amber) or need not be doubted (green), with the evidence.

    - width: numbers of the family fall as a + b / width; with b beyond and a within its errors the deviation is that
      of a finite width.
    - depth: departures grow from layer to layer.
    - heavy tails: Hill's exponent at the scales that depart is below that of a Gaussian.
    - ridge, or any other name: the theory that gives it up agrees where the first one does not.
    - mixing: R-hat above 1.02, fewer than 200 effective draws, or a flow that ended because chains did not mix.

    An assumption on which nothing was given that bears on it is left out. Where numbers depart and no evidence says
    why, a line says so.

    Args:
        found: The comparison of all numbers with theory.
        measured: The flow that was measured; its scales may carry ensembles.
        evidence: What else was measured or computed.
        level: Chance at which a slope or a tail counts.

    Raises:
        AlignmentError: If an alternative cannot be compared with the flow.

    Do not trust when:
        Errors along depth come from the same samples: they are taken as independent, and the slope's error is too small
        or too large. Several assumptions fail at once: each is judged by itself.
    """
    gone = [row for row in found if row.departs(level)]
    rows = [
        *_width(evidence, level),
        *_depth(found, gone, measured, level),
        *_tails(gone, measured, level),
        *_alternatives(gone, measured, evidence, level),
        *_mixing(measured),
    ]
    if gone and not any(row.light is Light.RED for row in rows):
        where = ", ".join(sorted({row.label for row in gone}))
        reason = f"numbers depart from theory at {where}, and no evidence that was given says why"
        rows.append(Assumption("cause not found", Light.AMBER, reason))
    return tuple(rows)


def failing(assumptions: Sequence[Assumption]) -> tuple[str, ...]:
    """Return the names of the assumptions that fail."""
    return tuple(item.name for item in assumptions if item.light is Light.RED)


def with_failing(statement: str, assumptions: Sequence[Assumption]) -> str:
    """Return a statement, followed by the assumptions that fail, each named once."""
    names = ", ".join(dict.fromkeys(failing(assumptions)))
    return f"{statement} Failing: {names}." if names else statement


def over_width(family: Flow, key: str, limit: float = 0.0) -> Line | None:
    """Return the line a + b / width through a number of a family less its limit; None if at fewer than two widths."""
    rows = [(s.position, s.measurements[key]) for s in family if key in s.measurements]
    rows = [(width, m) for width, m in rows if isinstance(m.value, float)]
    if len({width for width, _ in rows}) < 2:
        return None
    less = [Measurement(m.value - limit, m.error, m.unit, m.n_eff, m.how, m.dof) for _, m in rows]
    return line([1 / width for width, _ in rows], less)


def _width(evidence: Evidence, level: float) -> Iterator[Assumption]:
    family = evidence.family
    keys = () if family is None else dict.fromkeys(key for scale in family for key in scale.measurements)
    for key in keys:
        fit = over_width(family, key, evidence.limit.get(key, 0.0)) if family is not None else None
        if fit is None:
            continue
        at = f"{key} = ({fit.intercept}) + ({fit.slope}) / width over {fit.points} widths"
        if fit.chance <= level:
            yield Assumption("width", Light.AMBER, f"{at}, which does not fit (p = {fit.chance:.1g})")
        elif not _beyond(fit.slope, level):
            yield Assumption("width", Light.GREEN, f"{at}: no dependence on width is seen")
        elif _beyond(fit.intercept, level):
            yield Assumption("width", Light.AMBER, f"{at}: a part remains at infinite width, which is not the width's")
        else:
            yield Assumption("width", Light.RED, f"{at}: it falls as one over width, to nothing")


def _depth(found: Sequence[Departure], gone: Sequence[Departure], measured: Flow, level: float) -> Iterator[Assumption]:
    if measured.axis.name != "depth":
        return
    for key in dict.fromkeys(row.key for row in gone):
        rows = [row for row in found if row.key == key]
        if len({row.position for row in rows}) < 3:
            continue
        sign = 1 if max(rows, key=lambda row: abs(row.z)).z > 0 else -1
        slope = line([row.position for row in rows], [row.difference for row in rows]).slope
        grows = sign * slope.value > 0 and _beyond(slope, level)
        said = f"the departure of {key} changes by {slope} a layer"
        if grows:
            yield Assumption(
                "depth", Light.RED, f"{said}: it grows with depth, as it would if depth over width were not small"
            )
        else:
            yield Assumption("depth", Light.GREEN, f"{said}: it does not grow with depth")


def _tails(gone: Sequence[Departure], measured: Flow, level: float) -> Iterator[Assumption]:
    """Judge the heaviest tail of the scales that depart."""
    tails = tails_of(measured, {row.label for row in gone})
    if not tails:
        return
    label, tail = min(tails.items(), key=lambda item: item[1].exponent.value / item[1].gaussian)
    a = tail.exponent
    said = f"Hill's exponent at {label} is {a}, a Gaussian's {tail.gaussian:.2f} at the same {tail.share:.1%} of values"
    if not tail.below(tail.gaussian, level / len(tails)):
        yield Assumption("heavy tails", Light.GREEN, said)
    elif tail.below(4, level / len(tails)):
        yield Assumption("heavy tails", Light.RED, f"{said}: fourth cumulants do not exist")
    else:
        yield Assumption("heavy tails", Light.RED, f"{said}: tails are heavier")


def _alternatives(gone: Sequence[Departure], measured: Flow, evidence: Evidence, level: float) -> Iterator[Assumption]:
    named = {(row.position, row.key) for row in gone}
    for name, theory in evidence.alternatives.items():
        if not gone:
            yield Assumption(name, Light.GREEN, "nothing departs from the theory that assumes it")
            continue
        rows = [row for row in departures(measured, theory) if (row.position, row.key) in named]
        if not rows:
            raise AlignmentError(
                f"{theory.name} says nothing on the numbers that depart", f"Give {name} a theory of the same numbers."
            )
        mended = sum(not row.departs(level) for row in rows)
        said = f"{theory.name} agrees with {mended} of the {len(named)} numbers that depart"
        yield Assumption(name, Light.RED if mended == len(named) else Light.AMBER, said)


def _mixing(measured: Flow) -> Iterator[Assumption]:
    numbers = [
        (scale.label, key, m.value)
        for scale in measured
        for key, m in scale.measurements.items()
        if key.rpartition("/")[2] in MIXING and isinstance(m.value, float)
    ]
    bad = [f"{key} = {v:.3g} at {label}" for label, key, v in numbers if MIXING[key.rpartition("/")[2]](v)]
    if bad or "not mixed" in measured.ended:
        yield Assumption("mixing", Light.RED, "; ".join([*bad, *([measured.ended] if measured.ended else [])]))
    elif numbers:
        yield Assumption("mixing", Light.GREEN, f"all {len(numbers)} numbers on the chains are in their range")


def _beyond(m: Measurement, level: float) -> bool:
    return chance_beyond(m.value, m.error, m.dof) <= level
