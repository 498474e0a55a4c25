"""Predictions: nominal coverage where the theory is known, wider with distance, honest beside the baselines."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from families import (
    DECIMATION,
    FIELD,
    MASS,
    RIDGE,
    gaussian_field,
    gaussian_mass,
    ising_ring,
    kernel_ridge,
    running_of_means,
    split,
)
from scipy.stats import binom

from blockspin.couplings.gaussian_precision import GaussianPrecision
from blockspin.couplings.kernel_exponent import KernelExponent
from blockspin.ensemble import group_of
from blockspin.errors import FitFailedError, ShapeError, TooFewSamplesError
from blockspin.flow import Axis
from blockspin.flows.iterate import iterate
from blockspin.observables.base import accumulate
from blockspin.running.assembled import running_of_flow
from blockspin.running.baselines import NoRunning, PowerLaw
from blockspin.running.curves import EFFECTIVE, Fixed, Linear, LocalParabola, Relaxation, Scaling, Stated
from blockspin.running.prediction import COUNT, LENGTH, RATIO, coordinate_of, predict
from blockspin.running.replicas import Replicas, halves_of, together
from blockspin.running.scores import BETTER, CANNOT_TELL, FREE, NOT_BETTER, score
from blockspin.schemes.block_average import BlockAverage
from blockspin.sources.gaussian_field import GaussianField
from blockspin.theory.gaussian_model import mass_after_shell
from blockspin.theory.ising_ring import zero_field_coupling
from blockspin.theory.kernel_regression_rg import power_law_ridge

EXACT = {
    "mass": (gaussian_mass, MASS, [4, 5], mass_after_shell(0.02, 2.0**5)),
    "ising": (ising_ring, DECIMATION, [0, 1], 1.2),
    "ridge": (kernel_ridge, RIDGE, [6, 7], power_law_ridge(0.6, 512, 0.05)),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "ising" else pytest.mark.slow) for n in EXACT])
def test_intervals_cover_the_exact_coupling_at_a_scale_not_looked_at(name):
    family, theory, held, truth = EXACT[name]
    far = 0 if name == "ising" else 1
    covered, seeds = 0, 100 if name == "ising" else 200
    for seed in range(seeds):
        low, high = predict(*split(family(seed), held), theory).theory.interval(0.9)
        covered += bool(low[far, 0] <= truth <= high[far, 0])
    low, high = binom.interval(0.999, seeds, 0.9)
    assert low <= covered <= high


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_measurements_fall_into_their_intervals_as_often_as_they_say(name):
    family, theory, held, _ = EXACT[name]
    runs = [family(seed) for seed in range(200)]
    inside = sum(score(predict(*split(r, held), theory), r).scores[0].inside for r in runs)
    low, high = binom.interval(0.999, 200, 0.9)  # the two scales of a run rest on the same samples
    assert 2 * low <= inside <= 2 * high


def test_the_flows_of_the_families_are_those_of_the_theory():
    """The stated theories against recursions that they do not share a line with."""
    x = np.log(2.0) * np.arange(4)
    K = [1.2]
    for _ in range(3):
        K.append(zero_field_coupling(K[-1]))
    xi = -np.log(-np.log(np.tanh(1.2)))
    assert DECIMATION.function(x, np.array([xi])) == pytest.approx(K, rel=1e-12)
    assert MASS.function(x, np.array([0.02])) == pytest.approx([mass_after_shell(0.02, 2.0**s) for s in range(4)])
    cuts = np.log([4, 8, 16])
    exact = [power_law_ridge(0.6, cut, 0.05) for cut in (4, 8, 16)]
    assert RIDGE.function(cuts, np.array([0.6, 0.05**0.5])) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("family", [gaussian_mass, ising_ring, kernel_ridge, gaussian_field])
def test_intervals_widen_with_distance(family):
    running = family(0)
    made = predict(*split(running, [len(running) - 2, len(running) - 1]))
    for forecast in (made.theory, *made.baselines[1:]):  # the mean of all scales is as far from each
        relative = forecast.errors[:, 0]
        assert (np.diff(relative) > 0).all(), forecast.model


@pytest.mark.parametrize(
    ("family", "theory", "held"),
    [(ising_ring, DECIMATION, [0, 1]), (gaussian_field, FIELD, [4, 5]), (kernel_ridge, RIDGE, [6, 7])],
)
def test_a_theory_that_holds_is_better_than_every_baseline(family, theory, held):
    running = family(0)
    found = score(predict(*split(running, held), theory), running)
    assert found.verdict == BETTER
    assert found.scores[0].deviation < 5
    assert [s.model for s in found.scores] == [theory.title, "no running", "nearest scale", "power law"]


def test_a_power_law_that_contains_the_theory_is_not_told_apart_from_it():
    running = gaussian_mass(0)
    found = score(predict(*split(running, [4, 5]), MASS), running)
    assert {s.model: s.verdict for s in found.scores[1:]}["power law"] == CANNOT_TELL
    assert found.verdict == CANNOT_TELL


def test_the_effective_theory_says_where_it_is_not_better():
    """A drift over the accessible scales that turns back: what follows it loses against the mean."""
    rng = np.random.default_rng(3)
    means = 1 + 0.1 * rng.normal(size=(20, 12))
    means[:, 8:] -= 0.1  # what is held out jumps away from the drift of the others
    means[:, :8] += np.linspace(0, 0.3, 8)
    running = running_of_means(means, lambda m: m, [float("nan")] * 12, [f"layer {k}" for k in range(12)], "depth")
    found = score(predict(*split(running, [8, 9, 10, 11])), running)
    assert found.verdict == NOT_BETTER
    assert "farther off than" in found.statement
    assert found.scores[0].miss > 10


def test_a_place_farther_than_any_scale_was_predicted_from_is_said_to_tell_nothing():
    """Of four scales the first three predict the fourth, one spacing away: two away nothing was looked at."""
    running = ising_ring(0)
    made = predict(*split(running, [4, 5]))
    assert made.theory.looks[:, 0].tolist() == [1, 0]
    assert "1 of them lie farther away than any accessible scale was predicted from" in score(made, running).statement
    assert np.isinf(predict(*split(running, [4, 5]), DECIMATION).theory.looks).all()


def test_the_free_fit_shows_what_the_data_allow():
    running = ising_ring(0)
    made = predict(*split(running, [0, 1]), DECIMATION)
    values, errors = running.values[:2].numpy(), running.errors[:2].numpy()
    found = score(made, running, halves=np.stack([values + errors, values - errors]))
    free = next(s for s in found.scores if s.model == FREE)
    assert free.deviation == pytest.approx(1)  # the halves differ by two errors, which is what they should
    assert free.points == 2


def test_a_score_holds_the_covariance_of_what_was_fitted_with_what_was_held_out():
    """Scales that copy each other: the difference is far more certain than either."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(20, 1))
    means = 5 + common + 1e-3 * rng.normal(size=(20, 8))
    running = running_of_means(means, lambda m: m, [float("nan")] * 8, [f"{k}" for k in range(8)], "depth")
    found = score(predict(*split(running, [7])), running)
    point = found.points[0]
    assert point.measured.error > 0.1
    assert abs(point.predicted.value - point.measured.value) < 0.01
    assert point.inside
    assert point.deviation != 0


# --- curves -----------------------------------------------------------------------------------------------------------

X = np.linspace(0, 3, 9)
SHAPES = [
    (Fixed(), 0 * X + 0.7),
    (Linear(), 2 - 0.5 * X),
    (Scaling(), 3 * np.exp(-0.7 * X)),
    (Relaxation(), 1 + 2 * np.exp(-1.1 * X)),
    (LocalParabola(), 1 - 2 * X + X**2),
    (NoRunning(), np.full(9, 4.0)),
    (PowerLaw(-1.0), 2 * (X + 1) ** -1.5),
]


@pytest.mark.parametrize(("curve", "y"), SHAPES, ids=[curve.name for curve, _ in SHAPES])
def test_a_curve_is_exact_on_its_own_family(curve, y):
    value, _ = curve.predict(X[:6], y[:6], np.ones(6), X[6:])
    assert value == pytest.approx(y[6:], rel=1e-4)


@pytest.mark.parametrize(("curve", "y"), SHAPES, ids=[curve.name for curve, _ in SHAPES])
def test_derivatives_of_predictions_are_those_of_refitting(curve, y):
    weight, at = np.linspace(1, 2, 6), X[6:]
    _, gain = curve.predict(X[:6], y[:6], weight, at)
    for k in range(6):
        up, down = (curve.predict(X[:6], y[:6] + s * 1e-3 * np.eye(6)[k], weight, at)[0] for s in (1, -1))
        assert (up - down) / 2e-3 == pytest.approx(gain[:, k], rel=2e-2, abs=2e-2)


def test_what_runs_along_lengths_ratios_or_counts_is_seen_from_the_scales():
    none = np.full(4, np.nan)
    assert coordinate_of(np.arange(4.0), np.arange(4.0)) == LENGTH
    assert coordinate_of(np.arange(4.0), none) == COUNT
    assert coordinate_of(np.array([32.0, 64, 128, 256]), none) == RATIO
    assert coordinate_of(np.array([0.0, 1, 10, 100]), none) == RATIO  # a training: its start has no logarithm
    assert coordinate_of(np.array([-1.0, 1, 2, 4]), none) == COUNT


def test_what_cannot_be_predicted_is_refused_by_name():
    running = ising_ring(0)
    with pytest.raises(TooFewSamplesError, match="accessible"):
        predict(*split(running, [0, 1, 2]))
    with pytest.raises(FitFailedError, match="changes its sign"):
        PowerLaw().predict(X[:3], np.array([1.0, -1.0, 1.0]), np.ones(3), X[3:])
    with pytest.raises(FitFailedError, match="parameters"):
        Stated(lambda x, t: t[0] + t[1] * x, (1.0, 1.0)).predict(X[:1], X[:1], np.ones(1), X[1:])


def test_a_coupling_that_is_missing_gets_no_number_and_a_reason():
    running = ising_ring(0)
    values, C = running.values.clone(), running.covariance.clone()
    values[2:4] = torch.nan
    C[2:4], C[:, 2:4] = torch.nan, torch.nan
    made = predict(*split(replace(running, values=values, covariance=C), [0, 1]))
    assert np.isnan(made.theory.values).all()
    assert "g" in made.theory.reasons


def test_effective_curves_have_names_of_their_own():
    assert len({curve.name for curve in EFFECTIVE}) == len(EFFECTIVE)


# --- replicas ---------------------------------------------------------------------------------------------------------


def test_replicas_put_together_are_the_running_of_the_same_states():
    """The slow way, a scale at a time and through plain values, against the joint jackknife of the record."""
    field = GaussianField(shape=(16,), mass=0.5).sample(200, generator=torch.Generator().manual_seed(0))
    flow = iterate((field, field), BlockAverage(b=2), generator=torch.Generator(), steps=2)
    estimator = GaussianPrecision()
    joint = running_of_flow(flow, estimator, groups=10)
    group, rows = group_of(field.units, 10), []
    for scale in flow:
        parts = [scale.ensemble.select((group == g).nonzero().flatten()) for g in range(10)]
        row = Replicas.of(estimator, [accumulate(estimator.monoid, part) for part in parts])
        rows.append(Replicas.from_dict(json.loads(json.dumps(row.to_dict()))))
    lengths = [float(scale.log_length) for scale in flow]
    found = together(flow.axis, flow.labels, [0.0, 1.0, 2.0], lengths, rows)
    assert found.names == joint.names == ("diagonal",)
    assert torch.allclose(found.values, joint.values, rtol=1e-12)
    assert torch.allclose(found.covariance, joint.covariance, rtol=1e-9)
    assert [g.p_value for g in found.goodness] == [g.p_value for g in joint.goodness]
    first, second = halves_of(rows, ("diagonal", "none"))
    assert first[:, 0] + second[:, 0] == pytest.approx(2 * joint.values[:, 0].numpy(), rel=0.05)
    assert np.isnan(first[:, 1]).all()


def test_what_an_estimator_refuses_is_kept_as_the_reason():
    field = GaussianField(shape=(16,), mass=0.5).sample(40, generator=torch.Generator().manual_seed(0))
    states = [accumulate(KernelExponent().monoid, field)] * 4
    row = Replicas.of(KernelExponent(), states)
    assert not row.values
    assert "ends before" in row.reason
    with pytest.raises(ShapeError, match="ends before"):
        together(Axis("depth"), ["a"], [0.0], [float("nan")], [row])


def test_remarks_that_cannot_be_made_are_told_apart_from_a_fit_that_cannot():
    """Each under its own name, and what could be made is kept."""

    class Mute(GaussianPrecision):
        def remarks(self, state):
            raise FitFailedError("nothing to say", "Say nothing.")

    class Unfit(GaussianPrecision):
        def goodness(self, fitted, held_out):
            raise FitFailedError("nothing to hold it against", "Measure more.")

    field = GaussianField(shape=(16,), mass=0.5).sample(200, generator=torch.Generator().manual_seed(0))
    group = group_of(field.units, 10)
    parts = [field.select((group == g).nonzero().flatten()) for g in range(10)]
    for coupling, word, goodness, notes in (
        (Mute(), "remarks", True, False),
        (Unfit(), "goodness of fit", False, True),
    ):
        row = Replicas.of(coupling, [accumulate(coupling.monoid, part) for part in parts])
        assert row.reason.startswith(f"{word}: nothing")
        assert (row.goodness is not None, bool(set(row.notes) - set(GaussianPrecision().noted))) == (goodness, notes)
        assert "diagonal" in row.values
