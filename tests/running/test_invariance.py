"""Invariance: the square lattice at and off its critical coupling, a chain of known length, and calibration."""

from math import inf, log, tanh

import numpy as np
import pytest
import torch
from planted import generator, running
from scipy.stats import binom

from blockspin.answer import Verdict
from blockspin.errors import ConfigError, FitFailedError, TooFewSamplesError
from blockspin.flow import Axis, Flow, Scale
from blockspin.observables.correlation_length import CorrelationLength
from blockspin.registry import member
from blockspin.running.assembled import running_of_measurements
from blockspin.running.invariance import correlation_length, scale_invariance
from blockspin.tethers.swendsen import grouped

SIDES = (8, 12, 16)
CRITICAL = log(1 + 2**0.5) / 2


def sizes(coupling):
    """Return the correlation length of the square lattice, and its ratio to the side, over three sides."""
    scales = []
    for side in SIDES:
        source = member("sources", "ising-square")(side=side, coupling=coupling)
        field = source.sample(2000, generator=torch.Generator().manual_seed(side))
        found = grouped(CorrelationLength(field.geometry), field)
        named = {key: found[key] for key in ("length", "ratio")}
        scales.append(Scale(float(side), f"{side} x {side}", log(side), measurements=named))
    return running_of_measurements(Flow("sizes", Axis("side", "spacings"), tuple(scales)))


def noisy(seed, drift=0.0, scales=6, couplings=3, dof=19):
    rng, size = np.random.default_rng(seed), scales * couplings
    C = 0.01**2 * (0.6 * np.ones((size, size)) + 0.4 * np.eye(size))
    root = np.linalg.cholesky(C)
    z = rng.standard_normal((dof, size)) @ root.T
    values = np.array([1.0, -2.0, 3.0]) + np.outer(np.arange(scales), [drift, 0, 0])
    return running(values + (root @ rng.standard_normal(size)).reshape(values.shape), z.T @ z / dof, dof)


def test_the_square_lattice_prefers_no_scale_at_its_critical_coupling():
    found = scale_invariance(sizes(CRITICAL), ["ratio"], generator=generator())
    assert found.verdict is not Verdict.NO


def test_off_it_a_scale_is_preferred_which_is_its_correlation_length():
    run = sizes(0.35)
    found = scale_invariance(run, ["ratio"], generator=generator())
    assert found.verdict is Verdict.NO
    assert "1 of 1 coupling moves beyond errors along side over 3 scales: ratio" in found.statement
    xi = run.measurement(2, "length")
    assert xi.error < 0.3
    assert abs(xi.value + 1 / (log(tanh(0.35)) + 2 * 0.35)) < 4 * xi.error  # Onsager's, along an axis


def test_a_markov_chain_has_the_length_of_its_second_eigenvalue():
    windows = member("sources", "markov-chain").of_length(5.0, window=12).sample(4000, generator=generator())
    x = (2 * windows.values[:, :, 0] - 1).double().numpy()
    products = np.stack([(x[:, 0] * x[:, t]).reshape(20, -1).mean(1) for t in range(1, 12)], 1)  # of mean 0 by symmetry
    covariance = np.cov(products.T) / 20
    found = correlation_length(np.arange(1.0, 12.0), products.mean(0), covariance, 19, generator=generator())
    assert found.error < 0.5
    assert abs(found.value - 5.0) < 4 * found.error


def test_what_has_no_length_is_refused():
    r = np.arange(1.0, 9.0)
    exact = np.diag(np.full(8, 1e-6))
    with pytest.raises(FitFailedError, match="power"):
        correlation_length(r, r**-0.25, exact, inf, generator=generator())
    with pytest.raises(FitFailedError):
        correlation_length(r, 0 * r + 1e-5, exact, inf, generator=generator())
    with pytest.raises(TooFewSamplesError):
        correlation_length(r[:2], r[:2], exact[:2, :2], 19, generator=generator())


@pytest.mark.parametrize("seeds", [15, pytest.param(200, marks=pytest.mark.slow)])
def test_flows_that_stay_are_seldom_said_to_prefer_a_scale(seeds):
    verdicts = [scale_invariance(noisy(seed), generator=generator()).verdict for seed in range(seeds)]
    assert verdicts.count(Verdict.NO) <= binom.ppf(0.99, seeds, 0.05)
    assert verdicts.count(Verdict.YES) >= 0.9 * seeds


def test_what_moves_is_named_and_what_may_move_is_said():
    moved = scale_invariance(noisy(0, 0.02), generator=generator())
    assert moved.verdict is Verdict.NO
    assert moved.statement.endswith("over 6 scales: g.")
    unsure = scale_invariance(noisy(0), generator=generator(), margin=1e-4)
    assert unsure.verdict is Verdict.CANNOT_TELL
    with pytest.raises(ConfigError):
        scale_invariance(noisy(0), generator=generator(), margin=0.0)
    with pytest.raises(TooFewSamplesError):
        scale_invariance(noisy(0).select(scales=[0, 1]), generator=generator())
