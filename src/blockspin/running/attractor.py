"""Attractor: whether several flows of one theory come together, at what rate, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
import torch
from scipy.linalg import helmert
from scipy.stats import norm
from scipy.stats import t as student

from blockspin.answer import Verdict
from blockspin.errors import ConfigError, ShapeError, TooFewSamplesError
from blockspin.measurement import Measurement, holm
from blockspin.running._constrained import Solution
from blockspin.running._decaying import decaying
from blockspin.running._trajectories import Trajectories, trajectories
from blockspin.running.base import Running

FEWEST = 3
"""Scales without which nothing is said."""
LEVEL = 0.05
REFUSED = 0.01
"""Chance of a larger misfit below which one rate, or one point, does not describe flows and yields no number."""
ROUNDING = 1e-9
"""Distance, of the whole range, within which scales of different flows are the same."""


@dataclass(frozen=True, eq=False)
class Approach:
    """What one coupling of several flows does.

    Args:
        name: The coupling.
        verdict: Yes if flows come together beyond errors, no if they part or an approach by ``margin`` is excluded,
            else cannot tell.
        statement: One sentence.
        dispersion: Variance between flows at each scale, that of the errors taken off: of either sign by noise.
        early: Its mean over the first half of the scales.
        late: Its mean over the last half.
        p_value: Of so much less late than early, if flows kept their distances; after the number of couplings (Holm).
        rate: Of the decay of differences, positive where flows come together; None where one rate does not describe
            them, or where there is nothing between flows beyond errors.
        point: Where all flows would end, none moving but toward it; None where that is refused or flows do not meet.
    """

    name: str
    verdict: Verdict
    statement: str
    dispersion: tuple[Measurement, ...]
    early: Measurement
    late: Measurement
    p_value: float
    rate: Measurement | None
    point: Measurement | None


@dataclass(frozen=True, eq=False)
class Attractor:
    """Whether several flows come together.

    Args:
        verdict: Yes if every coupling does, no if some coupling does not, else cannot tell.
        statement: The answer in a sentence.
        labels: The scales that the flows share.
        approaches: One a coupling.
    """

    verdict: Verdict
    statement: str
    labels: tuple[str, ...]
    approaches: tuple[Approach, ...]


def attractor(
    runs: Sequence[Running],
    names: Sequence[str] | None = None,
    *,
    generator: torch.Generator,
    level: float = LEVEL,
    margin: float = 0.5,
) -> Attractor:
    r"""Say whether several flows of one theory (starting points, seeds, data) come together along their scales.

    The dispersion of a coupling g at a scale is the variance between flows less what errors make of it,

    .. math:: D(s) = \frac{1}{R - 1} \sum_r (g_r(s) - \bar g(s))^2 - \frac1R \sum_r \sigma_r^2(s),

    without bias at any noise. Flows come together where its mean over the last half of the scales is less than over the
    first, by Student's t with the error of that quadratic form under the joint covariance of each flow. The flows are
    these flows: the answer is about them, not about others like them. The rate is that of

    .. math:: g_r(x) = c(x) + a_r e^{-\omega x}

    with c(x) left free, fitted with errors of all points: a regression of differences on differences would find flows
    nearer together than they are. The point is c where it may be constant.

    Args:
        runs: Two flows or more along one axis, measured on samples of their own.
        names: The couplings; by default all that exist in every flow at all shared scales.
        generator: Randomness of the simulated data sets that calibrate rates.
        level: Chance of saying that some coupling comes together, if none does; of each of the other verdicts too.
        margin: Share of the early dispersion; no is said where less than it late is excluded.

    Raises:
        TooFewSamplesError: If there are fewer than two flows, or fewer than three shared scales.
        ShapeError: If flows run along different axes, or share no coupling.
        FitFailedError: If a coupling is exact.
        ConfigError: If the margin is not between 0 and 1.

    Do not trust when:
        Flows were measured on the same samples: what errors have in common does not part them, and too much is taken
        off. Units of the couplings change along the flow: a dispersion then shrinks by the unit alone.

    Source:
        britt1973 for the fit, holm1979.
    """
    if len(runs) < 2:
        raise TooFewSamplesError(f"{len(runs)} flow has nothing to come together with", "Give two or more.")
    if not 0 < margin < 1:
        raise ConfigError("margin", margin, "a number between 0 and 1.")
    shared = _shared(runs)
    chosen = _names(shared, names)
    each = [trajectories([run.select(names=[name]) for run in shared]) for name in chosen]
    spread = [_Spread.of(data, len(runs)) for data in each]
    nearer = holm([s.chance(s.halves(1.0, -1.0)) for s in spread])
    apart = holm([min(s.chance(s.halves(-margin, 1.0)), s.chance(s.halves(-1.0, 1.0))) for s in spread])
    rows = tuple(
        _approach(s, together, level, Verdict.YES if together < level else _otherwise(parted, level), generator)
        for s, together, parted in zip(spread, nearer, apart, strict=True)
    )
    verdicts = {row.verdict for row in rows}
    verdict = Verdict.YES if verdicts == {Verdict.YES} else _any(verdicts)
    count = {v: sum(row.verdict is v for row in rows) for v in Verdict}
    text = (
        f"Of {len(rows)} coupling{'s' * (len(rows) > 1)} of {len(runs)} flows over {len(shared[0])} scales, "
        f"{count[Verdict.YES]} come{'s' * (count[Verdict.YES] == 1)} together beyond errors, {count[Verdict.NO]} "
        f"do{'es' * (count[Verdict.NO] == 1)} not, and of {count[Verdict.CANNOT_TELL]} one cannot tell."
    )
    return Attractor(verdict, text, shared[0].labels, rows)


def _otherwise(chance: float, level: float) -> Verdict:
    return Verdict.NO if chance < level else Verdict.CANNOT_TELL


def _any(verdicts: set[Verdict]) -> Verdict:
    return Verdict.NO if Verdict.NO in verdicts else Verdict.CANNOT_TELL


# --- what flows share -------------------------------------------------------------------------------------------------


def _shared(runs: Sequence[Running]) -> list[Running]:
    """Return the flows at the scales that lie at the same place in all of them."""
    with_length = all(bool(run.log_lengths.isfinite().all()) for run in runs)
    clocks = [(run.log_lengths if with_length else run.positions).numpy() for run in runs]
    near = ROUNDING * max(float(np.ptp(clock)) for clock in clocks)
    common = [x for x in clocks[0] if all(np.abs(clock - x).min() <= near for clock in clocks)]
    if len(common) < FEWEST:
        raise TooFewSamplesError(f"{len(common)} scales are shared by all flows", f"Give {FEWEST} or more.")
    rows = [[int(np.abs(clock - x).argmin()) for x in common] for clock in clocks]
    found = [run.select(scales=row) for run, row in zip(runs, rows, strict=True)]
    if with_length:
        return found
    return [replace(run, log_lengths=torch.full_like(run.log_lengths, torch.nan)) for run in found]


def _names(runs: Sequence[Running], names: Sequence[str] | None) -> list[str]:
    if names is not None:
        return list(names)
    whole = [{n for n, known in zip(run.names, run.known().all(0).tolist(), strict=True) if known} for run in runs]
    found = [name for name in runs[0].names if all(name in each for each in whole)]
    if not found:
        raise ShapeError("flows share no coupling that exists at all shared scales", "Look at another theory.")
    return found


# --- the dispersion ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Spread:
    """One coupling of R flows at S scales."""

    data: Trajectories
    values: np.ndarray
    """[R, S]."""
    at: np.ndarray
    """Coordinates from the first scale on, [S]."""

    @classmethod
    def of(cls, data: Trajectories, flows: int) -> _Spread:
        values = data.points.reshape(flows, -1)
        return cls(data, values, np.concatenate([[0.0], np.cumsum(data.time[: values.shape[1] - 1])]))

    @property
    def pooled(self) -> float:
        """Degrees of freedom of what all flows together say of errors (Satterthwaite): each has its own covariance."""
        variance = np.diag(self.data.covariance).reshape(self.values.shape).sum(1)
        return self.data.dof * float(variance.sum() ** 2 / (variance**2).sum())

    def weighted(self, weight: np.ndarray) -> Measurement:
        """Return the sum of weight times dispersion over the scales."""
        R, y, C = len(self.values), self.data.points.ravel(), self.data.covariance
        M = np.kron(np.eye(R) - 1 / R, np.diag(weight)) / (R - 1)
        MC = M @ C
        noise, slope = float(np.trace(MC @ MC)), M @ y
        # of y' M y with the mean unknown; and of what is taken off, whose covariance is itself an estimate
        variance = max(4 * float(slope @ C @ slope) - 2 * noise, 2 * noise)
        error = (max(variance, 0.0) + 2 * max(noise, 0.0) / self.data.dof) ** 0.5
        how = f"variance between {R} flows, that of their errors taken off"
        unit = "1" if self.data.units[0] == "1" else f"({self.data.units[0]})^2"
        return Measurement(float(y @ slope) - float(np.trace(MC)), error, unit, self.data.dof + 1, how, self.data.dof)

    def halves(self, early: float, late: float) -> Measurement:
        """Return so many times the early dispersion and so many times the late one."""
        S = len(self.at)
        weight = np.zeros(S)
        weight[: S // 2], weight[-(S // 2) :] = early / (S // 2), late / (S // 2)
        return self.weighted(weight)

    def chance(self, measured: Measurement) -> float:
        """Return the p-value of so much above 0."""
        z = measured.value / measured.error
        return float(student.sf(z, measured.dof) if isfinite(measured.dof) else norm.sf(z))


def _approach(spread: _Spread, chance: float, level: float, verdict: Verdict, generator: torch.Generator) -> Approach:
    (name,), (unit,), dof = spread.data.names, spread.data.units, spread.pooled
    early, late = spread.halves(1.0, 0.0), spread.halves(0.0, 1.0)
    rate = point = None
    if spread.chance(early) < level:
        apart = _decay(spread, helmert(len(spread.values)), constant=False, generator=generator)
        if apart is not None and apart.p_value >= REFUSED:
            how = f"differences of {len(spread.values)} flows, one rate (p = {apart.p_value:.2g})"
            rate = _measured(apart, 0, f"1/{spread.data.per}", how, dof)
    if verdict is Verdict.YES and rate is not None:
        whole = _decay(spread, np.eye(len(spread.values)), constant=True, generator=generator)
        if whole is not None and whole.p_value >= REFUSED:
            how = f"common end of {len(spread.values)} flows (p = {whole.p_value:.2g})"
            point = _measured(whole, 1, unit, how, dof)
    parts = tuple(spread.weighted(row) for row in np.eye(len(spread.at)))
    text = f"{name}: {_WORDS[verdict]} {early} early and {late} late (p = {chance:.2g} for no less)"
    text += "" if rate is None else f"; differences decay at the rate {rate}"
    text += "" if point is None else f", toward {point}"
    return Approach(name, verdict, text + ".", parts, early, late, chance, rate, point)


_WORDS = {
    Verdict.YES: "flows come together, their variance being",
    Verdict.NO: "flows do not come together, their variance being",
    Verdict.CANNOT_TELL: "whether flows come together cannot be told, their variance being",
}


def _measured(found: Solution, k: int, unit: str, how: str, dof: float) -> Measurement:
    return Measurement(float(found.theta[k]), float(found.covariance[k, k] ** 0.5), unit, dof + 1, how, dof)


def _decay(spread: _Spread, rows: np.ndarray, *, constant: bool, generator: torch.Generator) -> Solution | None:
    """Fit combinations of flows [rows, R] that decay at one rate."""
    data = spread.data
    y, C = data.points.ravel(), data.covariance
    return decaying(spread.at, y, C, spread.pooled, rows, constant=constant, generator=generator)
