"""Universality: which runs have the same exponents, which differ, and of which one cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import isfinite

import numpy as np
from scipy.sparse.csgraph import connected_components

from blockspin.answer import Verdict
from blockspin.errors import ConfigError, ShapeError, TooFewSamplesError
from blockspin.measurement import Measurement, holm
from blockspin.running.scaling import agreement


@dataclass(frozen=True, eq=False)
class Pair:
    """Two runs.

    Args:
        runs: Their names.
        verdict: No if some exponent differs, yes if all agree with a joint error below the margin, else cannot tell.
        largest: The exponent that differs most in units of its error.
        difference: That difference, the first less the second.
        adjusted: Its p-value after all exponents of all pairs (Holm).
    """

    runs: tuple[str, str]
    verdict: Verdict
    largest: str
    difference: Measurement
    adjusted: float


@dataclass(frozen=True, eq=False)
class Universality:
    """How runs fall into classes.

    Args:
        classes: Runs that are not told apart, directly or by way of others.
        verdict: Yes if within every class all pairs agree within the margin; no never: more precise measurements may
            split any class; cannot tell otherwise.
        pairs: All pairs.
        statement: The answer in a sentence.
    """

    classes: tuple[tuple[str, ...], ...]
    verdict: Verdict
    pairs: tuple[Pair, ...]
    statement: str


def universality(runs: Mapping[str, Mapping[str, Measurement]], *, margin: float, level: float = 0.05) -> Universality:
    """Sort runs (architectures, seeds, lattices) by whether they share their exponents.

    Two runs differ where some exponent does, by Student's t with Welch's degrees of freedom, after all exponents of
    all pairs (Holm): runs of one class are put in different ones with a chance of at most ``level``. That they share a
    class is said only where their differences would be seen from ``margin`` on. Runs that nothing tells apart from
    two others that differ leave the number of classes open.

    Args:
        runs: The exponents of each run, by name; runs are independent of each other.
        margin: Joint error beyond which agreement says nothing.
        level: Chance of splitting any class.

    Raises:
        TooFewSamplesError: If there are fewer than two runs.
        ShapeError: If runs do not have the same exponents.
        ConfigError: If the margin is not positive, or an exponent has no error.

    Do not trust when:
        Errors lack what truncation or corrections to scaling do: runs of one class then differ. Exponents are few: what
        agrees in one may differ in another.

    Source:
        holm1979.
    """
    names = list(runs)
    _check(runs, margin)
    keys = list(runs[names[0]])
    couples = list(combinations(names, 2))
    apart = {(pair, key): _apart(runs[pair[0]][key], runs[pair[1]][key]) for pair in couples for key in keys}
    adjusted = dict(zip(apart, holm([p for _, p in apart.values()]), strict=True))
    pairs = tuple(
        _pair(pair, {key: (apart[pair, key][0], adjusted[pair, key]) for key in keys}, margin, level)
        for pair in couples
    )
    linked = np.zeros((len(names), len(names)), dtype=bool)
    for pair in pairs:
        if pair.verdict is not Verdict.NO:
            linked[names.index(pair.runs[0]), names.index(pair.runs[1])] = True
    count, member = connected_components(linked, directed=False)
    classes = tuple(tuple(n for n, c in zip(names, member, strict=True) if c == k) for k in range(count))
    inside = [pair for pair in pairs if any(set(pair.runs) <= set(group) for group in classes)]
    sure = all(pair.verdict is Verdict.YES for pair in inside)
    torn = [pair for pair in inside if pair.verdict is Verdict.NO]
    return Universality(
        classes, Verdict.YES if sure else Verdict.CANNOT_TELL, pairs, _said(classes, sure, torn, margin)
    )


def _check(runs: Mapping[str, Mapping[str, Measurement]], margin: float) -> None:
    if len(runs) < 2:
        raise TooFewSamplesError(f"{len(runs)} run(s) share nothing", "Give two or more.")
    if not margin > 0:
        raise ConfigError("margin", margin, "a positive number.")
    first = set(next(iter(runs.values())))
    for name, row in runs.items():
        if set(row) != first or not first:
            raise ShapeError(f"{name} has the exponents {sorted(row)}, others {sorted(first)}", "Give all the same.")
        for key, m in row.items():
            if not (isfinite(m.value) and isfinite(m.error) and m.error > 0):
                raise ConfigError(f"{name}.{key}", str(m), "a number with an error; leave out what was not measured.")


def _apart(first: Measurement, second: Measurement) -> tuple[Measurement, float]:
    found = agreement(first, second, margin=1.0)
    return found.difference, found.p_value


def _pair(runs: tuple[str, str], found: Mapping[str, tuple[Measurement, float]], margin: float, level: float) -> Pair:
    largest = min(found, key=lambda key: found[key][1])
    difference, adjusted = found[largest]
    told = all(d.error <= margin for d, _ in found.values())
    verdict = Verdict.NO if adjusted <= level else Verdict.YES if told else Verdict.CANNOT_TELL
    return Pair(runs, verdict, largest, difference, adjusted)


def _said(classes: tuple[tuple[str, ...], ...], sure: bool, torn: list[Pair], margin: float) -> str:
    listed = "; ".join(", ".join(group) for group in classes)
    if torn:
        one, two = torn[0].runs
        return f"{listed}: {one} and {two} differ, but others are told apart from neither; how many classes is open."
    head = f"{len(classes)} class{'es' if len(classes) > 1 else ''} of exponents: {listed}"
    return f"{head}." if sure else f"{head}; some pairs would have to differ by more than {margin:g} to be told apart."
