"""Power law: the exponent of a tail, where the tail begins, and whether it is one at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.stats import kstwobign
from torch import Tensor

from blockspin.answer import Verdict
from blockspin.couplings._alternatives import Comparison, compare_alternatives
from blockspin.couplings._tail import Tail, find_tail, sorted_positive, tail_above
from blockspin.couplings.base import Coupling, Goodness
from blockspin.ensemble import Batch
from blockspin.errors import FitFailedError, ShapeError, TooFewSamplesError, check_between, check_whole
from blockspin.measurement import Measurement
from blockspin.observables.base import RowMonoid, State
from blockspin.registry import register

__all__ = ["Demands", "PowerLaw", "PowerLawTest", "Tail", "bootstrap_p_value", "find_tail", "tail_above"]
__all__ += ["judge_power_law", "weigh"]


@dataclass(frozen=True)
class Demands:
    """What a tail must have before it is called a power law.

    Args:
        count: Fewest values in the tail.
        decades: Fewest decades from x_min to the largest value.
        level: Probability with which a true power law may be called none, over all tests together.

    Raises:
        ConfigError: If one cannot be used.
    """

    count: int = 50
    decades: float = 1.0
    level: float = 0.05

    def __post_init__(self):
        check_whole("count", self.count, 2)
        check_between("level", self.level, 0, 1)

    def shortcomings(self, tail: Tail) -> tuple[str, ...]:
        """Return in words what the tail is too short in."""
        few = f"{tail.count} values in the tail, fewer than {self.count}"
        short = f"{tail.decades:.2f} decades, fewer than {self.decades:g}"
        return (few,) * (tail.count < self.count) + (short,) * (tail.decades < self.decades)


@dataclass(frozen=True)
class PowerLawTest:
    """What a sample says of a power law in its tail.

    Args:
        tail: The fit of least distance.
        alpha: Exponent with its textbook error, which takes x_min as known.
        p_value: Probability of a fit as bad as this if the tail were a power law; None if not asked for.
        alternatives: Other laws of the tail against it, by name.
        verdict: Power law, none, or cannot tell.
        reasons: Why.
    """

    tail: Tail
    alpha: Measurement
    p_value: float | None
    alternatives: Mapping[str, Comparison]
    verdict: Verdict
    reasons: tuple[str, ...]


def judge_power_law(
    values: object, *, generator: torch.Generator, replicas: int = 200, demands: Demands | None = None
) -> PowerLawTest:
    """Return whether independent positive values have a power-law tail: yes, no, or cannot tell.

    "No" where the bootstrap or an alternative law rejects it, the level shared out between the four tests (half to the
    bootstrap); "cannot tell" where the tail is too short, or no p-value was asked for.

    Args:
        values: One axis of positive values.
        generator: Randomness of the bootstrap.
        replicas: Refits behind the p-value; 0 for none.
        demands: What the tail must have.

    Raises:
        ShapeError: If values are not one axis.
        NonFiniteError: If one is NaN or infinite.
        ConstantUnitsError: If one is zero or negative, or all are equal.
        TooFewSamplesError: If there are fewer than three.

    Do not trust when:
        Values depend on each other (eigenvalues repel: ``blockspin.spectra``; chains: thin them), or are rounded to few
        distinct values (the law is continuous).

    Source:
        clauset2009.
    """
    demands = demands or Demands()
    x = sorted_positive(values)
    tail = find_tail(x)
    p_value = bootstrap_p_value(x, tail, generator=generator, replicas=replicas) if replicas else None
    others = compare_alternatives(x[-tail.count :], tail.x_min)
    against = [] if p_value is None or p_value > demands.level / 2 else [f"p = {p_value:.2g} against random power laws"]
    for name, other in others.items():
        if other.log_likelihood_ratio > 0 and other.p_value <= demands.level / (2 * len(others)):
            against.append(f"{name} fits better by {other.log_likelihood_ratio:.1f} nats, p = {other.p_value:.2g}")
    verdict, reasons = weigh(tail, p_value, tuple(against), demands)
    how = f"maximum likelihood above x_min = {tail.x_min:.4g}; textbook error, x_min taken as known"
    alpha = Measurement(tail.alpha, tail.textbook_error, "1", tail.count, how)
    return PowerLawTest(tail, alpha, p_value, others, verdict, reasons)


def weigh(
    tail: Tail, p_value: float | None, against: tuple[str, ...], demands: Demands
) -> tuple[Verdict, tuple[str, ...]]:
    """Return the verdict and its reasons: what speaks against first, then what the tail lacks."""
    if against:
        return Verdict.NO, against
    lacking = demands.shortcomings(tail) + (("no p-value was asked for",) if p_value is None else ())
    if lacking:
        return Verdict.CANNOT_TELL, lacking
    return Verdict.YES, (f"p = {p_value:.2g}, {tail.count} values over {tail.decades:.2f} decades",)


def bootstrap_p_value(x: np.ndarray, tail: Tail, *, generator: torch.Generator, replicas: int = 200) -> float:
    """Return the share of refits as far from a power law as the data, the data counted among them.

    Every replica has as many values as the data, each above x_min with the data's probability and then of the fitted
    law, else drawn from the data below x_min; x_min is searched anew. For independent values. Source: clauset2009.
    """
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    body, n = x[: len(x) - tail.count], len(x)
    worse = 1
    for _ in range(replicas):
        above = int(rng.binomial(n, tail.count / n))
        drawn = tail.x_min * (1 - rng.random(above)) ** (-1 / (tail.alpha - 1))
        drawn = np.concatenate([drawn, rng.choice(body, n - above)]) if n > above else drawn
        worse += find_tail(drawn).distance >= tail.distance
    return worse / (replicas + 1)


@dataclass(frozen=True)
class Values(RowMonoid):
    """The values of a field of one site and component: "ids", "units" int64 [rows], "values" float64 [rows]."""

    def part(self, *batches: Batch) -> State:
        """Add up one batch.

        Raises:
            ShapeError: If the field has more than one site or component.
            FitFailedError: If samples are weighted.
        """
        (batch,) = batches
        values = batch.values.flatten(1).to(torch.float64)
        if values.shape[1] != 1:
            raise ShapeError(
                f"a sample of {values.shape[1]} numbers has no single tail", "Give one site, one component."
            )
        if bool((batch.weights != batch.weights[0]).any()):
            raise FitFailedError("weighted samples have no sorted tail here", "Draw samples of the law instead.")
        return {"ids": batch.ids, "units": batch.units, "values": values[:, 0]}

    def joined(self, first: State, second: State) -> State:
        """Join two parts."""
        return {key: torch.cat([first[key], second[key]]) for key in first}


@register
@dataclass(frozen=True)
class PowerLaw(Coupling):
    r"""The power law of the upper tail of a positive field of one site.

    .. math:: p(x) = (\alpha - 1) x_\min^{\alpha - 1} x^{-\alpha}, \qquad x \ge x_\min,

    by maximum likelihood above every candidate x_min; kept is the candidate of least Kolmogorov distance, found exactly
    in time n ln n. Quantities: "exponent" (alpha), "x_min", "count" (values in the tail), "decades", "distance".
    ``judge_power_law`` says whether it is one; a fit alone says nothing of that.

    Do not trust when:
        "exponent" where the tail is shorter than a decade or holds fewer than fifty values.

    Source:
        clauset2009.
    """

    name = "power-law"
    source = "clauset2009"
    smooth = False
    units: ClassVar[Mapping[str, str]] = {
        "exponent": "1",
        "x_min": "field",
        "count": "1",
        "decades": "1",
        "distance": "1",
    }
    left_out: ClassVar[tuple[str, ...]] = ("cut-offs and curvature of the tail", "everything below x_min")
    noted: ClassVar[tuple[str, ...]] = ("count", "decades", "distance")

    @property
    def monoid(self) -> Values:
        """The values."""
        return Values()

    def value(self, state: State) -> dict[str, Tensor]:
        """Return the fit of least distance.

        Raises:
            TooFewSamplesError: If there are fewer than three values; otherwise as ``find_tail``.
        """
        if not state:
            raise TooFewSamplesError("no values have no tail", "Give some hundred.")
        tail = find_tail(state["values"].numpy())
        numbers = (tail.alpha, tail.x_min, tail.count, tail.decades, tail.distance)
        return {key: torch.tensor(float(n), dtype=torch.float64) for key, n in zip(self.units, numbers, strict=True)}

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return the distance of held-out values above the fitted x_min from the fitted law, with its p-value.

        The law was fitted to other values, whose scatter the p-value leaves out: it is too small, by as much as the
        fitted part is small. The error of the score is that of the distance of independent values, 0.26 / sqrt(count).

        Raises:
            TooFewSamplesError: If no held-out value is above x_min.
        """
        tail = find_tail(fitted["values"].numpy())
        x = np.sort(held_out["values"].numpy())
        x = x[x >= tail.x_min]
        if not len(x):
            raise TooFewSamplesError("no held-out value is in the tail", "Give more samples.")
        expected, root = 1 - (x / tail.x_min) ** (1 - tail.alpha), len(x) ** 0.5
        step = np.arange(len(x)) / len(x)
        distance = float(max((expected - step).max(), (step + 1 / len(x) - expected).max()))
        score = Measurement(distance, 0.26 / root, n_eff=len(x), how="held-out values, independent")
        return Goodness(
            "Kolmogorov distance of held-out values in the tail", score, float(kstwobign.sf(distance * root))
        )
