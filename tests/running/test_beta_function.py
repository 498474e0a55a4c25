"""Beta function: exact flows with noise, coverage of its intervals, and what it refuses."""

from math import inf, log

import numpy as np
import pytest
import torch
from planted import FIXED, beta, covers, exact_flow, generator, noisy, running
from scipy.integrate import solve_ivp

from blockspin.errors import ConfigError, FitFailedError, ShapeError, TooFewSamplesError
from blockspin.flow import Axis
from blockspin.measurement import Measurement
from blockspin.running._polynomial import Basis, flowed
from blockspin.running.beta_function import fit_beta
from blockspin.theory.gaussian_model import mass_after_shell

STARTS = (0.3, 0.45, 0.55, 0.7)


def at(fitted, g, level=0.9):
    value, C = fitted.everywhere(np.atleast_1d(np.asarray(g, dtype=float)))
    return Measurement(value[0], C[0, 0] ** 0.5, dof=fitted.dof)


def steps(flows):
    return np.concatenate([g[:-1] for g in flows]), np.concatenate([np.diff(g) / log(2) for g in flows])


def test_a_flow_over_a_step_and_its_derivatives_are_those_of_the_differential_equation():
    basis = Basis.of(np.array([[0.0, -1.0], [1.0, 1.0]]), 2)
    assert basis.powers.tolist() == [[0, 0], [1, 0], [0, 1], [2, 0], [1, 1], [0, 2]]
    theta = 0.3 * torch.randn(2, 6, generator=generator(), dtype=torch.float64).numpy()
    start, time = np.array([[0.2, 0.4], [0.7, -0.3]]), np.array([log(2), 1.3])
    after, by_g, by_theta = flowed(basis, theta, start, time)
    for n in range(2):
        slow = solve_ivp(lambda _, g: theta @ basis.at(g), (0, time[n]), start[n], rtol=1e-11, atol=1e-12).y[:, -1]
        assert after[n] == pytest.approx(slow, abs=1e-7)
    h = 1e-6
    for k in range(2):
        e = h * np.eye(2)[k]
        shift = flowed(basis, theta, start + e, time)[0] - flowed(basis, theta, start - e, time)[0]
        assert by_g[:, :, k] == pytest.approx(shift / (2 * h), abs=1e-8)
    for k in range(12):
        e = h * np.eye(12)[k].reshape(2, 6)
        shift = flowed(basis, theta + e, start, time)[0] - flowed(basis, theta - e, start, time)[0]
        assert by_theta[:, :, k] == pytest.approx(shift / (2 * h), abs=1e-8)


@pytest.mark.parametrize("b", [2, 3])
def test_the_mass_of_a_gaussian_field_has_beta_2r(b):
    r = [0.01]
    for _ in range(4):
        r.append(mass_after_shell(r[-1], b))
    run = running(r, np.diag(np.square(1e-4 * np.array(r))))
    run = type(run)(**{**vars(run), "log_lengths": torch.arange(5) * log(b)})
    fitted = fit_beta(run, generator=generator())
    assert fitted.order == 1
    assert (fitted.per, fitted.coarsening) == ("ln length", True)
    for g in (0.02, 0.1):
        value, C = fitted.at([g])
        assert value[0] == pytest.approx(2 * g, abs=4 * C[0, 0] ** 0.5)
        assert C[0, 0] ** 0.5 < 1e-3 * g


@pytest.mark.slow
def test_noise_in_the_couplings_does_not_attenuate_slopes():
    sigma, slopes = 0.05, []
    for seed in range(16):
        runs = noisy(seed, sigma=sigma, starts=STARTS, scales=3)
        slopes.append(
            float(fit_beta(runs, generator=generator(), order=2, level=1e-9).jacobian(np.array([FIXED]))[0, 0])
        )
    error = np.std(slopes) / 16**0.5
    assert np.mean(slopes) == pytest.approx(1.0, abs=4 * error)
    naive, lines = [], np.polyfit(*steps([exact_flow(s, 3) for s in STARTS]), 1)
    for seed in range(400):  # regression of differences on couplings, which the fit is not
        values = [run.values[:, 0].numpy() for run in noisy(seed, sigma=sigma, starts=STARTS, scales=3)]
        naive.append(np.polyfit(*steps(values), 1)[0])
    assert np.mean(naive) < lines[0] - 4 * np.std(naive) / 400**0.5


@pytest.mark.slow
@pytest.mark.parametrize("dof", [inf, 19.0])
def test_intervals_cover_and_true_flows_are_not_refused(dof):
    seeds, held, failed = 100, 0, 0
    for seed in range(seeds):
        try:
            fitted = fit_beta(noisy(seed, dof), generator=generator(seed))
        except FitFailedError:
            failed += 1
            continue
        held += covers(at(fitted, 0.55), beta(0.55))
    assert failed <= 12  # one in a hundred at 5 %
    assert held >= 0.8 * (seeds - failed)  # four binomial errors below 90 % is 0.78
    assert np.isfinite(dof) or held <= 0.98 * (seeds - failed)  # estimated covariances make it wider than need be


def test_two_couplings_run_together():
    M = np.array([[1.0, 0.3], [0.0, -0.8]])
    rng = np.random.default_rng(0)
    runs = []
    for start in ((0.2, 0.5), (-0.2, 0.4), (0.1, -0.5), (-0.15, -0.4)):
        g = exact_flow(start, 4, rate=lambda g: M @ g)
        runs.append(running(g + 1e-3 * rng.standard_normal(g.shape), 1e-6 * np.eye(8)))
    fitted = fit_beta(runs, generator=generator())
    assert fitted.order == 1
    assert fitted.jacobian(np.zeros(2)) == pytest.approx(M, abs=0.02)


def test_without_a_length_rates_are_per_step():
    run = running(1.5 ** np.arange(5), 1e-6 * np.eye(5), axis=Axis("depth", "layers"), lengths=False)
    fitted = fit_beta(run, generator=generator())
    assert (fitted.per, fitted.coarsening) == ("layer", False)
    assert fitted.at([2.0])[0][0] == pytest.approx(2 * log(1.5), rel=1e-3)


def test_refusals():
    with pytest.raises(FitFailedError, match="do not run"):
        fit_beta(running(np.ones(6), 0.01 * np.eye(6)), generator=generator())
    zigzag = [0.0, 1.0, 0.2, 0.9, 0.1, 1.0, 0.3, 0.8]
    with pytest.raises(FitFailedError, match="no beta function"):
        fit_beta(running(zigzag, 1e-6 * np.eye(8)), generator=generator())
    with pytest.raises(FitFailedError, match="is exact"):
        fit_beta(running([1.0, 2.0, 4.0], np.zeros((3, 3))), generator=generator())
    with pytest.raises(TooFewSamplesError):
        fit_beta(running([1.0, 2.0], 1e-6 * np.eye(2)), generator=generator())
    C = 1e-6 * np.eye(4)
    C[3] = C[:, 3] = np.nan
    with pytest.raises(ShapeError, match="does not exist"):
        fit_beta(running([1.0, 2.0, 4.0, np.nan], C), generator=generator())
    fitted = fit_beta(noisy(0), generator=generator())
    with pytest.raises(ConfigError, match="where they were measured"):
        fitted.at([9.0])


def test_the_same_generator_gives_the_same_numbers():
    first, second = (fit_beta(noisy(3, 19.0), generator=generator(1), order=2) for _ in range(2))
    assert (first.covariance == second.covariance).all()
    assert first.p_value == second.p_value
