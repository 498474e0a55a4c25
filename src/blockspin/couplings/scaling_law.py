"""Scaling law: how a loss falls with size toward what cannot be reduced, with intervals, breaks and held-out runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, log

import numpy as np
import torch
from scipy.stats import f as fisher

from blockspin.answer import Verdict
from blockspin.couplings._scaling import Region, Surface, curve, locations, region
from blockspin.errors import ConfigError, FitFailedError, NonFiniteError, TooFewSamplesError, check_whole

Interval = tuple[float, float]
Noise = tuple[float, int] | None
"""Standard deviation of ln L of one run and its degrees of freedom; None where seeds are to tell it."""
DRAWS = 2000
"""Simulated scans behind the p-value of a break."""


@dataclass(frozen=True, eq=False)
class ScalingLaw:
    r"""A fit of :math:`L(N) = E + A N^{-\alpha}`.

    It is no member of the family of couplings: their contract is that of a theory of one ensemble, fitted to states
    that add up over the data, its parameters with symmetric errors. Here the data are a few losses of whole runs, there
    is nothing to add up, and where the irreducible term and the exponent trade against one another the intervals are
    lopsided or open, so that a value with one error would mislead.

    Args:
        exponent: alpha of the best fit, and its interval; the upper end is infinite where data do not bound it.
        irreducible: E of the best fit and its interval.
        level: Confidence of the intervals.
        p_value: Probability of a worse misfit if the law were true.
        break_p: Probability of so strong a sign of a break anywhere if there were none.
        break_at: Size at which a break is most likely.
        verdict: Yes, no (a break, or a misfit), or cannot tell (the exponent is not bounded).
        noise: Standard deviation of ln L of one seed, and its degrees of freedom.
        sizes: The sizes, ascending.
        possible: All laws that the data leave possible.
        middle: Mean of ln N.
        runs: Number of runs.
    """

    exponent: tuple[float, Interval]
    irreducible: tuple[float, Interval]
    level: float
    p_value: float
    break_p: float
    break_at: float
    verdict: Verdict
    noise: tuple[float, int]
    sizes: tuple[float, ...]
    possible: Region
    middle: float
    runs: int

    def predict(self, size: float, seeds: int = 1, reach: float = 1.0) -> Interval:
        """Return the interval in which the mean ln-loss of new runs falls at the law's level, as a loss.

        Args:
            size: Size of the new runs.
            seeds: How many are averaged.
            reach: How far beyond the ends, in units of the measured range of ln N.

        Raises:
            ConfigError: If the size lies too far outside of what was measured.
            FitFailedError: If the exponent is not bounded: the law predicts nothing then.
        """
        least, most = self.sizes[0], self.sizes[-1]
        far = (most / least) ** reach
        if not least / far <= size <= most * far:
            raise ConfigError("size", size, f"a size between {least / far:.3g} and {most * far:.3g}.")
        if not self.possible.bounded:
            raise FitFailedError("the exponent is not bounded by these runs", "Measure more sizes, or more seeds.")
        s, dof = self.noise
        here = self.possible
        mean = here.amplitude + curve(np.array([log(size) - self.middle]), here.slope, here.share)[:, 0]
        left = np.maximum(fisher.ppf(self.level, 1, dof) - here.excess, 0)
        half = np.sqrt((s**2 / seeds + s**2 / self.runs) * left)
        return float(np.exp((mean - half).min())), float(np.exp((mean + half).max()))


def fit_scaling(
    losses: Mapping[float, Sequence[float]], *, generator: torch.Generator, level: float = 0.95, noise: Noise = None
) -> ScalingLaw:
    r"""Fit a power law with an irreducible term to losses of independent runs at several sizes.

    .. math:: L(N) = E + A N^{-\alpha}, \qquad E \ge 0,\ \alpha > 0

    In ln L, whose scatter between seeds is taken to be one number; a size's location and that number are Huber's,
    so that one diverged seed moves little. Intervals are profiles: all values for which some law fits within the F
    quantile of the best one. A break (another exponent from some size on) is looked for by the score test over all
    places, its p-value from simulated scans of straight laws; misfit and break each get half of 1 - level.

    Args:
        losses: Positive losses of the seeds at each size, {N: [L]}.
        generator: Randomness of the p-value of a break.
        level: Confidence of the intervals.
        noise: Standard deviation of ln L of one run and its degrees of freedom, where it is known otherwise than from
            the scatter of seeds, as from the error of each loss over the records; None to take that scatter.

    Raises:
        TooFewSamplesError: If there are fewer than four sizes, or repeats leave fewer than four degrees of freedom.
        NonFiniteError: If a loss or size is not positive and finite.
        FitFailedError: If losses do not fall beyond their noise, or rise with size, or seeds agree exactly.

    Do not trust when:
        Runs of different sizes share noise (one data order, one checkpoint ladder), or scatter differs much between
        sizes. Sizes span less than a decade: many laws are alike there. The noise was given and holds less than what
        another training would change: intervals are then too narrow, and a misfit may be that.

    Source:
        hoffmann2022 for the law, huber1964 for the locations, davies1987 for a break at an unknown place.
    """
    sizes, logs = _checked(losses, 0 if noise else 4)
    counts = np.array([len(row) for row in logs])
    y, s, dof = _located(logs, noise)
    x = np.log(sizes)
    _check_falls(x, y, s, counts)
    middle = float(x.mean())
    surface = Surface(x - middle, y, counts / s**2)
    threshold = float(fisher.ppf(level, 1, dof))
    possible = region(surface, threshold)
    best = int(np.argmin(possible.excess))
    slope, share, a = (float(v[best]) for v in (possible.slope, possible.share, possible.amplitude))
    misfit = float(surface.at(np.array(slope), np.array(share))[0])
    p_value = float(fisher.sf(misfit / (len(x) - 3), len(x) - 3, dof))
    break_p, break_t = _break(surface, (slope, share), dof, generator)
    alphas = possible.slope / (1 - possible.share)
    half = np.sqrt(np.maximum(threshold - possible.excess, 0) / surface.weights.sum())
    low, high = (possible.share * np.exp(possible.amplitude + sign * half) for sign in (-1, 1))
    against = min(p_value, break_p) <= (1 - level) / 2
    verdict = Verdict.NO if against else Verdict.YES
    if not possible.bounded:  # the misfit is then that of the steepest law that was looked at
        verdict = Verdict.CANNOT_TELL
    return ScalingLaw(
        (slope / (1 - share), (float(alphas.min()), float(alphas.max()) if possible.bounded else inf)),
        (share * float(np.exp(a)), (float(low.min()), float(high.max()))),
        level,
        p_value,
        break_p,
        float(np.exp(break_t + middle)),
        verdict,
        (s, dof),
        tuple(sizes),
        possible,
        middle,
        int(counts.sum()),
    )


@dataclass(frozen=True)
class HeldOut:
    """Runs of one size that a law was not fitted to, beside what it predicts.

    Args:
        size: Their size.
        loss: The exponential of their mean ln-loss.
        low: Lower end of the predicted interval.
        high: Its upper end.
    """

    size: float
    loss: float
    low: float
    high: float

    @property
    def inside(self) -> bool:
        """Whether the prediction holds."""
        return self.low <= self.loss <= self.high


def held_out(
    losses: Mapping[float, Sequence[float]],
    count: int,
    *,
    generator: torch.Generator,
    level: float = 0.95,
    noise: Noise = None,
) -> tuple[ScalingLaw, tuple[HeldOut, ...]]:
    """Fit a law to all sizes but the largest and hold its predictions against those.

    Args:
        losses: Positive losses of the seeds at each size, {N: [L]}.
        count: How many of the largest sizes are held out.
        generator: Randomness of the p-value of a break.
        level: Confidence of the intervals; the predictions are of one size each, not of all together.
        noise: As for ``fit_scaling``.

    Raises:
        ConfigError: If ``count`` is negative, or a held-out size lies further out than the fitted ones span.
        BlockspinError: What ``fit_scaling`` raises, and ``ScalingLaw.predict`` where the exponent is not bounded.
    """
    check_whole("held_out", count, 0)
    sizes = sorted(losses)
    kept, largest = sizes[: len(sizes) - count], sizes[len(sizes) - count :]
    law = fit_scaling({size: losses[size] for size in kept}, generator=generator, level=level, noise=noise)
    predicted = {size: law.predict(size, len(losses[size])) for size in largest}
    means = {size: float(np.exp(np.mean(np.log(losses[size])))) for size in largest}
    return law, tuple(HeldOut(size, means[size], *predicted[size]) for size in largest)


def _checked(losses: Mapping[float, Sequence[float]], fewest: int) -> tuple[list[float], list[np.ndarray]]:
    sizes = sorted(losses)
    repeats = sum(len(losses[size]) - 1 for size in sizes)
    if len(sizes) < 4 or repeats < fewest or min(len(losses[size]) for size in sizes) < 1:
        raise TooFewSamplesError(
            f"{len(sizes)} sizes with {repeats} repeats are too few", "Run four sizes, and several seeds at each."
        )
    rows = [np.array(losses[size], dtype=float) for size in sizes]
    numbers = np.concatenate([np.array(sizes, dtype=float), *rows])
    if not (np.isfinite(numbers) & (numbers > 0)).all():
        raise NonFiniteError("a loss or size is not positive and finite", "Leave diverged runs out, and say so.")
    return sizes, [np.log(row) for row in rows]


def _located(logs: list[np.ndarray], noise: Noise) -> tuple[np.ndarray, float, int]:
    """Return ln L of each size, the standard deviation of one run, and the degrees of freedom of that."""
    if noise is None:
        return *locations(logs), sum(len(row) - 1 for row in logs)
    return np.array([row.mean() for row in logs]), *noise


def _check_falls(x: np.ndarray, y: np.ndarray, s: float, counts: np.ndarray) -> None:
    if not s > 1e-14:
        raise FitFailedError("seeds of one size agree exactly, so that nothing is known of the noise", "Vary the seed.")
    noise = s * np.sqrt(1 / counts[:, None] + 1 / counts[None])
    rise = np.triu((y[None] - y[:, None]) / noise, 1)
    if float(rise.max()) > 4:
        raise FitFailedError(
            f"the loss rises with size by {float(rise.max()):.1f} standard errors", "No scaling law falls so: look."
        )
    centred = x - counts @ x / counts.sum()
    slope, error = (counts * centred) @ y / (counts @ centred**2), s / np.sqrt(counts @ centred**2)
    if slope > -4 * error:
        raise FitFailedError(
            f"the loss falls by {-slope:.3g} ± {error:.2g} an e-fold of size, not beyond its noise", "Give more runs."
        )


def _break(surface: Surface, best: tuple[float, float], dof: int, generator: torch.Generator) -> tuple[float, float]:
    """Return the p-value of the largest score of a change of exponent over all places, and that place in ln N."""
    t, root = surface.t, np.sqrt(surface.weights)
    slope, share = best
    step = 1e-5
    plain = curve(t, slope, share)
    columns = [np.ones(len(t)), curve(t, slope * (1 + step), share) - plain, curve(t, slope, share + step) - plain]
    basis = np.linalg.qr(np.stack([root * c / np.linalg.norm(c) for c in columns], 1))[0]
    places = np.linspace(t[1], t[-2], 25)
    reducible = 1 - share * np.exp(-plain)
    width = 0.25
    turns = root * reducible * width * np.logaddexp(0, (t - places[:, None]) / width)
    left = turns - turns @ basis @ basis.T
    norms = np.linalg.norm(left, axis=1)
    kept = norms > 1e-6 * np.linalg.norm(turns, axis=1)
    left = left[kept] / norms[kept, None]
    if not len(left):
        return 1.0, 0.0
    rest = surface.residuals(np.array(best))
    scores = np.abs(left @ rest)
    z = torch.randn(DRAWS, len(t) + dof, dtype=torch.float64, generator=generator).numpy()
    null = np.abs(z[:, : len(t)] @ left.T).max(1) / np.sqrt(np.square(z[:, len(t) :]).mean(1))
    p_value = (1 + int((null >= scores.max()).sum())) / (1 + DRAWS)
    return p_value, float(places[kept][int(scores.argmax())])
