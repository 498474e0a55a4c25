"""Attractor: perturbations of the Gaussian fixed point die at their exact rate, and flows that keep apart are told."""

from math import log

import numpy as np
import pytest
from families import GROUPS, WAVES, running_of_means
from planted import generator, running
from scipy.stats import binom

from blockspin.answer import Verdict
from blockspin.errors import ShapeError, TooFewSamplesError
from blockspin.running._trajectories import trajectories
from blockspin.running.attractor import _Spread, attractor
from blockspin.running.base import Running

SCALES, DOF, SIGMA = 6, 19, 0.02
STARTS = np.array([-0.15, -0.05, 0.02, 0.18])


def flows(seed: int, rate: float, *, drift: float = 0.0) -> list[Running]:
    """Return flows whose differences go as exp(-rate l) about 1 + drift l: scales share most of the noise."""
    rng, length = np.random.default_rng(seed), log(2) * np.arange(SCALES)
    C = SIGMA**2 * (0.6 * np.ones((SCALES, SCALES)) + 0.4 * np.eye(SCALES))
    root = np.linalg.cholesky(C)
    found = []
    for start in STARTS:
        z = rng.standard_normal((DOF, SCALES)) @ root.T
        values = 1 + drift * length + start * np.exp(-rate * length) + root @ rng.standard_normal(SCALES)
        found.append(running(values, z.T @ z / DOF, DOF))
    return found


def gradient(seed: int, size: float, samples: int = 2000, steps: int = 4) -> Running:
    """Return the coefficient a of k^4 in a field of spectrum 1 / (k^2 + a k^4) under shells of b = 2: a' = a / b^2."""
    rng = np.random.default_rng(seed)
    power = rng.exponential(size=(GROUPS, samples // GROUPS, len(WAVES))).mean(1) / (WAVES**2 + size * WAVES**4)
    cuts, unbiased = [len(WAVES) >> s for s in range(steps)], 1 - 1 / samples  # of 1 / S

    def sizes(S):
        found = []
        for s, cut in enumerate(cuts):
            k = WAVES[:cut]
            w = (k**2 / (1 + size * k**2)) ** 2
            found.append(4.0**-s * float(w @ ((unbiased / S[:cut] - k**2) / k**4)) / w.sum())
        return np.array(found)

    return running_of_means(power, sizes, np.log(2.0) * np.arange(steps), [f"{cut} modes" for cut in cuts])


def test_an_irrelevant_perturbation_of_the_gaussian_fixed_point_dies_at_its_exact_rate():
    found = attractor([gradient(seed, size) for seed, size in enumerate((0.1, 0.2, 0.3, 0.4))], generator=generator())
    (row,) = found.approaches
    assert found.verdict is row.verdict is Verdict.YES
    assert row.rate.unit == "1/ln length"
    assert row.rate.error < 0.1
    assert abs(row.rate.value - 2.0) < 4 * row.rate.error
    assert abs(row.point.value) < 4 * row.point.error


@pytest.mark.slow
def test_flows_that_part_are_told_from_those_that_meet_on_a_moving_point():
    parting = attractor(flows(0, -0.7), generator=generator())
    assert parting.verdict is Verdict.NO
    rows = [attractor(flows(seed, 0.7, drift=0.5), generator=generator()).approaches[0] for seed in range(6)]
    assert all(row.verdict is Verdict.YES and row.point is None for row in rows)
    rates = [row.rate for row in rows if row.rate is not None]  # one rate is refused once in a hundred
    assert len(rates) >= binom.ppf(0.01, len(rows), 0.99)
    assert all(abs(rate.value - 0.7) < 4 * rate.error for rate in rates)


def test_the_noise_is_taken_off_without_bias():
    late = [_Spread.of(trajectories(flows(seed, 3.0)), len(STARTS)).halves(0.0, 1.0) for seed in range(100)]
    mean = np.mean([m.value for m in late])
    error = np.std([m.value for m in late], ddof=1) / len(late) ** 0.5
    assert abs(mean) < 4 * error
    assert 4 * error < SIGMA**2  # what errors make of it would be seen


@pytest.mark.parametrize("seeds", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_flows_that_keep_their_distances_raise_few_alarms(seeds):
    alarms = [attractor(flows(s, 0.0, drift=0.3), generator=generator()).verdict is Verdict.YES for s in range(seeds)]
    assert sum(alarms) <= binom.ppf(0.99, seeds, 0.05)


@pytest.mark.parametrize("seeds", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_flows_that_meet_are_seen_and_their_rate_is_covered(seeds):
    rows = [attractor(flows(s, 0.7), generator=generator()).approaches[0] for s in range(seeds)]
    assert sum(row.verdict is Verdict.YES for row in rows) >= binom.ppf(0.01, seeds, 0.9)
    ends = [row.rate.interval(0.95) for row in rows if row.rate is not None]
    assert sum(low <= 0.7 <= high for low, high in ends) >= binom.ppf(0.01, len(ends), 0.95)


def test_flows_without_distance_cannot_be_told():
    same = [flows(seed, 0.0)[2] for seed in range(3)]
    found = attractor(same, generator=generator())
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.approaches[0].rate is None


def test_what_flows_do_not_share_is_refused():
    first, second = flows(0, 0.0)[:2]
    with pytest.raises(TooFewSamplesError, match="2 scales are shared"):
        attractor([first, second.select(scales=[0, 1])], generator=generator())
    with pytest.raises(TooFewSamplesError):
        attractor([first], generator=generator())
    other = Running(**{**vars(second), "names": ("h",)})
    with pytest.raises(ShapeError):
        attractor([first, other], generator=generator())
