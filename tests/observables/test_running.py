"""Sums that are added to in place equal their slow twins, and lose no digits to slices, blocks or batches."""

import pytest
import torch

from blockspin import Chain, Ensemble
from blockspin.ensemble import Batch
from blockspin.law import enumerate_law
from blockspin.observables._running import BLOCK, SLICE
from blockspin.observables.base import accumulate
from blockspin.observables.covariance import Moments
from blockspin.observables.cumulants import Directions, PowerSums

DOUBLE = torch.float64


def slow_moments(x, w):
    """Weight, squares, mean and scatter, each by its definition, in float64."""
    x = x.flatten(1).to(DOUBLE)
    mean = (w[:, None] * x).sum(0) / w.sum()
    scatter = torch.einsum("n,ni,nj->ij", w, x - mean, x - mean)
    return {"weight": w.sum(), "squares": w.square().sum(), "mean": mean, "scatter": scatter}


def slow_power_sums(x, w, u):
    """Sums of centred powers, each by its definition, in float64."""
    x = x.flatten(1).to(DOUBLE)
    x = torch.cat([x, x @ u], dim=1)
    mean = (w[:, None] * x).sum(0) / w.sum()
    sums = {name: (w[:, None] * (x - mean) ** p).sum(0) for p, name in ((2, "second"), (3, "third"), (4, "fourth"))}
    return {"weight": w.sum(), "squares": w.square().sum(), "mean": mean, **sums}


def batch(samples, dimension, *, weighted=False, dtype=DOUBLE, offset=0.0):
    generator = torch.Generator().manual_seed(samples + dimension)
    x = torch.randn(samples, dimension, 1, generator=generator, dtype=DOUBLE).exp() + offset
    w = torch.rand(samples, generator=generator, dtype=DOUBLE) if weighted else torch.ones(samples, dtype=DOUBLE)
    return Batch(x.to(dtype), torch.arange(samples), torch.arange(samples), w)


def assert_states(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        scale = max(float(value.abs().max()), 1.0)  # the fields are of order one; a single sample has no scatter
        torch.testing.assert_close(found[key], value, rtol=0, atol=tolerance * scale, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize("dimension", [1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 9])
@pytest.mark.parametrize("samples", [1, 5, SLICE - 1, SLICE + 1, 2 * SLICE + 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_equal_their_definition_at_every_edge_of_slices_and_blocks(dimension, samples, weighted):
    given = batch(samples, dimension, weighted=weighted)
    assert_states(Moments().add({}, given), slow_moments(given.values, given.weights), 1e-12)


@pytest.mark.parametrize("samples", [1, 127, 129, 700])
@pytest.mark.parametrize("weighted", [False, True])
def test_power_sums_equal_their_definition_at_every_edge_of_slices(samples, weighted):
    u = Directions.of(torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=DOUBLE))
    given = batch(samples, 5, weighted=weighted)
    expected = slow_power_sums(given.values, given.weights, u.vectors)
    assert_states(PowerSums(u).add({}, given), expected, 1e-12)


@pytest.mark.parametrize("monoid", [Moments(), PowerSums()], ids=["moments", "powers"])
def test_running_sums_are_those_of_one_add_after_the_other(monoid):
    given = batch(900, 130)
    state, running = monoid.start(), monoid.running()
    for rows in torch.arange(900).split(90):
        state = monoid.add(state, given.select(rows))
        running.add(given.select(rows))
    assert_states(running.state(), state, 1e-12)
    assert_states(running.state(), running.state(), 0)  # asking again adds nothing


@pytest.mark.parametrize("monoid", [Moments(), PowerSums()], ids=["moments", "powers"])
def test_float32_sums_are_those_of_float64_to_its_rounding(monoid):
    """In slices of n: a sum of n float32 products is off by about sqrt(n) half-units in the last place."""
    given = batch(4000, 130, dtype=torch.float32)
    exact = Batch(given.values.to(DOUBLE), given.ids, given.units, given.weights)
    assert_states(monoid.add({}, given), monoid.add({}, exact), SLICE**0.5 * 2.0**-24)


def test_massive_activations_cost_no_digits_whatever_batch_they_come_in():
    """One batch of a single outlier first: sums centred on it would lose the rest."""
    given = batch(2000, 20, dtype=torch.float32, offset=1e4)
    outlier = Batch(given.values[:1] + 1e4, torch.tensor([-1]), torch.tensor([-1]), torch.ones(1, dtype=DOUBLE))
    running = Moments().running()
    for part in (outlier, given):
        running.add(part)
    values = torch.cat([outlier.values, given.values])
    expected = slow_moments(values, torch.ones(2001, dtype=DOUBLE))
    assert_states(running.state(), expected, 1e-6)
    within = slow_moments(given.values, given.weights)["scatter"]
    gap = outlier.values[0, :, 0].to(DOUBLE) - given.values[:, :, 0].to(DOUBLE).mean(0)
    left = running.state()["scatter"] - 2000 / 2001 * torch.outer(gap, gap)
    torch.testing.assert_close(left, within, rtol=0, atol=1e-5 * float(within.abs().max()))


def test_an_empty_batch_adds_nothing():
    nothing = batch(3, 4).select(torch.zeros(3, dtype=torch.bool))
    running = Moments().running()
    running.add(nothing)
    assert running.state() == {}


def test_a_law_is_added_up_exactly():
    law = enumerate_law(Chain(6), (-1.0, 0.0, 2.0), lambda s: 0.4 * (s * s.roll(1, 1)).sum(1))
    expected = slow_moments(law.values, law.weights)
    assert_states(accumulate(Moments(), law, size=100), expected, 1e-12)


def test_the_scatter_is_symmetric():
    scatter = accumulate(Moments(), Ensemble.of(batch(600, 300, dtype=torch.float32).values))["scatter"]
    assert float((scatter - scatter.T).abs().max()) < 1e-6 * float(scatter.abs().max())
