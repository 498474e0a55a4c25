"""Exponents: by the beta function and by Swendsen's matrix, and how often noise is called relevant."""

from math import log

import numpy as np
import pytest
import torch
from planted import generator, noisy, running

from blockspin import Chain, Ensemble, Grid, Measurement, Verdict, member
from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import group_of
from blockspin.errors import BlockspinError, FitFailedError, ShapeError
from blockspin.flow import Axis
from blockspin.observables.base import accumulate
from blockspin.running.beta_function import fit_beta
from blockspin.running.fixed_points import fixed_points
from blockspin.running.scaling import (
    Exponent,
    Relevance,
    agreement,
    classified,
    dimension_of,
    stability,
    step_exponents,
)


def states_of(coupling, coarse, fine, groups=20):
    group = group_of(fine.units, groups, chain=fine.chain)
    parts = [(group == g).nonzero().flatten() for g in range(groups)]
    return [accumulate(coupling.monoid, coarse.select(part), fine.select(part)) for part in parts]


def blocked(fine, shape, even, odd, seed=0):
    coarse = member("schemes", "majority-rule")(b=2).fit(fine, generator=generator(seed))(fine)
    coupling = member("couplings", "swendsen")(shape=shape, even=even, odd=odd)
    return coupling, states_of(coupling, coarse, fine)


def exponent(value, error, *, coarsening=True, dof=19.0):
    return Exponent("even", Measurement(value, error, dof=dof), None, coarsening, (1.0,))


def test_eigenvalues_and_errors_of_a_step_are_those_of_the_coupling():
    ring = member("sources", "ising-ring")(sites=8, coupling=0.6)
    fine = ring.sample(2000, generator=generator(1))
    coarse = fine.with_values(fine.values[:, ::2], Chain(4))
    coupling = member("couplings", "swendsen")(shape=(8,), even=1, odd=1)
    states = states_of(coupling, coarse, fine)
    known = jackknife(coupling, states)
    even, odd = step_exponents(coupling, states, 2)
    for found, key in ((even, "y_even"), (odd, "y_odd")):
        assert found.rate.value == pytest.approx(known[key].value, abs=1e-12)
        assert found.rate.error == pytest.approx(known[key].error, rel=0.1)  # first order against replicas
    assert classified([even, odd]) == (Relevance.IRRELEVANT, Relevance.RELEVANT)


def test_holms_correction_and_what_may_be_called_relevant():
    strong, weak, none = exponent(1.0, 0.1), exponent(-0.25, 0.1), exponent(0.1, 0.1)
    assert classified([strong, weak, none]) == (
        Relevance.RELEVANT,
        Relevance.IRRELEVANT,
        Relevance.CANNOT_TELL,
    )
    assert classified([weak], looks=20) == (Relevance.CANNOT_TELL,)
    assert classified([exponent(1.0, 0.1, coarsening=False)]) == (Relevance.GROWING,)
    assert classified([exponent(-1.0, 0.1, coarsening=False)]) == (Relevance.DECAYING,)
    assert classified([exponent(np.nan, np.nan)]) == (Relevance.CANNOT_TELL,)


def test_marginal_directions_are_called_something_at_the_nominal_rate():
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(1000):
        errors = 0.1 * np.sqrt(rng.chisquare(19, 3) / 19)
        marginal = [exponent(0.1 * z, e) for z, e in zip(rng.standard_normal(3), errors, strict=True)]
        alarms += set(classified(marginal)) != {Relevance.CANNOT_TELL}
    assert 25 <= alarms <= 67  # 5 % of a thousand: one-sided 1 % above, four binomial errors below is 22


def test_scaling_dimensions():
    assert dimension_of(exponent(1.875, 0.01), 2).value == pytest.approx(1 / 8)
    with pytest.raises(ShapeError):
        dimension_of(exponent(1.0, 0.1, coarsening=False), 2)


def test_estimates_agree_or_differ_or_say_nothing():
    a = Measurement(1.0, 0.01, dof=19)
    assert agreement(a, Measurement(1.01, 0.01), margin=0.05).verdict is Verdict.YES
    assert agreement(a, Measurement(1.2, 0.01), margin=0.05).verdict is Verdict.NO
    assert agreement(a, Measurement(1.2, 0.3), margin=0.05).verdict is Verdict.CANNOT_TELL
    differ = agreement(a, Measurement(1.2, 0.01), margin=0.05, left_out=("couplings of longer range",))
    assert "truncation" in differ.statement
    assert "couplings of longer range" in differ.statement
    shared = agreement(a, Measurement(1.02, 0.01), margin=0.05, covariance=0.9e-4)
    assert shared.verdict is Verdict.NO  # what they share cancels
    with pytest.raises(FitFailedError):
        agreement(a, Measurement(1.0, np.nan), margin=0.1)


def test_beta_of_a_flow_in_depth_has_rates_not_relevance():
    axis = Axis("depth", "layers")
    runs = [type(r)(**{**vars(r), "axis": axis, "log_lengths": torch.full((5,), torch.nan)}) for r in noisy(0)]
    fitted = fit_beta(runs, generator=generator())
    (point,) = fixed_points(fitted, generator=generator()).points
    (found,) = stability(fitted, point)
    assert found.rate.value == pytest.approx(log(2), abs=4 * found.rate.error)  # per layer, not per ln length
    assert found.rate.unit == "1/layer"
    assert classified([found]) == (Relevance.GROWING,)


@pytest.mark.slow
def test_no_even_direction_of_white_noise_is_called_relevant():
    alarms, field = 0, 0
    for seed in range(200):
        spins = torch.randint(2, (1000, 64), generator=generator(seed)).float() * 2 - 1
        fine = Ensemble.of(spins, Grid((8, 8)))
        found = step_exponents(*blocked(fine, (8, 8), 3, 1, seed), 2)
        even = [e for e in found if e.sector == "even"]
        alarms += Relevance.RELEVANT in classified(even)
        field += classified([e for e in found if e.sector == "odd"])[0] is Relevance.RELEVANT
    assert alarms <= 18
    assert field >= 195  # a field on independent spins does grow: the test has power


@pytest.mark.slow
def test_no_direction_of_constant_couplings_is_called_relevant():
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        z = rng.standard_normal((19, 6))
        try:
            fitted = fit_beta(running(rng.standard_normal(6), z.T @ z / 19, 19.0), generator=generator(seed))
            found = fixed_points(fitted, generator=generator(seed)).points
            alarms += any(Relevance.RELEVANT in classified(stability(fitted, point)) for point in found)
        except BlockspinError:
            continue
    assert alarms <= 18


@pytest.mark.slow
def test_exponents_of_the_critical_square_lattice():
    fine = member("sources", "ising-square")(side=32).sample(12_000, generator=generator(2))
    first = member("schemes", "majority-rule")(b=2).fit(fine, generator=generator(0))(fine)
    found = step_exponents(*blocked(first, (16, 16), 3, 2), 2)
    thermal = next(e for e in found if e.sector == "even")
    magnetic = next(e for e in found if e.sector == "odd")
    assert classified([thermal, magnetic]) == (Relevance.RELEVANT,) * 2
    # truncation and the small lattice move exponents beyond the sampling error, as the tether "swendsen" says
    assert thermal.rate.value == pytest.approx(1.0, abs=0.02 + 4 * thermal.rate.error)
    assert dimension_of(magnetic, 2).value == pytest.approx(1 / 8, abs=0.005 + 4 * magnetic.rate.error)
