"""Coverage: intervals of predictions without a stated theory, on couplings that run in ways nobody told them."""

import numpy as np
import pytest
from scipy.stats import binom

from blockspin.running._extrapolated import GROWTH, rolled
from blockspin.running.baselines import NearestScale
from blockspin.running.curves import Fixed, Linear
from blockspin.running.prediction import Places, predict
from blockspin.testing.runnings import BLIND, ROUGH, SMOOTH, drawn

COUNTS, NOISES = (4, 5, 6, 8, 12), (0.003, 0.03, 0.2)
AIM = 0.85
LEVEL = 0.9


def covered(family, seed, count, noise):
    """Whether each of the scales held out is covered, the nearest first."""
    running, exact = drawn(family, seed, count, count // 2, noise)
    places = Places.of(running.select(scales=range(count, len(running))))
    low, high = predict(running.select(scales=range(count)), places).theory.interval(LEVEL)
    return (low[:, 0] <= exact[count:]) & (exact[count:] <= high[:, 0])


def shares(family, seeds):
    """Share of runnings, over all numbers of scales and noises, whose nearest and farthest places are covered."""
    found = [covered(family, s, COUNTS[s % 5], NOISES[s % 3]) for s in range(seeds)]
    return np.mean([row[[0, -1]] for row in found], axis=0)


def test_a_crossover_is_covered_from_few_scales():
    found = [covered(SMOOTH["crossover"], seed, 4, 0.03).all() for seed in range(40)]
    assert sum(found) >= binom.ppf(0.001, 40, AIM)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SMOOTH, *ROUGH])
def test_intervals_cover_what_runs_smoothly_or_at_random(name):
    assert (shares({**SMOOTH, **ROUGH}[name], 300) >= AIM).all()


@pytest.mark.slow
def test_no_interval_covers_a_jump_after_the_last_scale():
    assert (shares(BLIND["jump"], 100) < 0.5).all()


@pytest.mark.parametrize("name", [*SMOOTH, *ROUGH, *BLIND])
def test_intervals_widen_with_distance_however_couplings_run(name):
    family = {**SMOOTH, **ROUGH, **BLIND}[name]
    for seed in range(5):
        running, _ = drawn(family, seed, 6, 4, 0.03)
        places = Places.of(running.select(scales=range(6, 10)))
        errors = predict(running.select(scales=range(6)), places).theory.errors[:, 0]
        assert (np.diff(errors) > 0).all()


def test_what_was_missed_counts_for_more_where_couplings_run_faster():
    """The same misses, of a coupling that has begun to run: the interval is wider by as much as it is faster."""
    x, C = np.arange(8.0), np.eye(8) * 1e-12
    slow = 0.01 * np.array([0.0, 1, 0, 1, 0, 1, 0, 1])
    fast = np.where(x < 6, slow, np.array([0, 0, 0, 0, 0, 0, 1.0, 2.0]))
    calm, woken = (rolled(Linear(), x, y, C, np.array([8.0])) for y in (slow, fast))
    assert calm.growth == pytest.approx(np.ones(len(calm.growth)))
    assert woken.growth[0] == pytest.approx(np.square(np.diff(fast)).mean() / np.square(np.diff(slow[:3])).mean())


def test_what_scatters_is_missed_alike_at_all_distances_and_what_drifts_in_proportion():
    """The likelihood of what was missed tells them apart, and the error at a distance follows it."""
    x, C, scatter = np.arange(16.0), np.eye(16) * 1e-12, np.random.default_rng(0).standard_normal(16)
    for y, curve, power in ((scatter, Fixed(), 0), (0.3 * x, NearestScale(), 2)):
        variance, likelihood = rolled(curve, x, y, C, np.array([16.0, 19.0])).beyond(np.array([1.0, 4.0]))
        assert likelihood.argmax() == GROWTH.index(power)
        assert variance[:, 1] / variance[:, 0] == pytest.approx([4.0**p for p in GROWTH])
