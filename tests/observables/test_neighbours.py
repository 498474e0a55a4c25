"""Nearest neighbours, the dimensions read off them, and mutual information: slow twins, known answers, refusals."""

from math import log

import numpy as np
import pytest
import torch
from engine.test_errorbars import read
from scipy.special import digamma
from scipy.stats import binom

from blockspin import Ensemble, Unordered
from blockspin.errors import ConfigError, FitFailedError, ShapeError, TooFewSamplesError
from blockspin.observables import _neighbours, ksg
from blockspin.observables.base import accumulate, evaluate
from blockspin.observables.gride import Gride, likeliest
from blockspin.observables.ksg import Ksg
from blockspin.observables.two_nn import TwoNn

DOUBLE = torch.float64


def noise(samples, sites, seed=0, dtype=DOUBLE):
    return torch.randn(samples, sites, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def torus(samples, dimension, seed):
    """A flat torus of some dimension in twice as many: no edges, constant density."""
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * torch.pi * torch.rand(samples, dimension, dtype=DOUBLE, generator=generator)
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def pair(x, y):
    first = Ensemble.of(x)
    return first, first.with_values(y[:, :, None], Unordered(y.shape[1]))


def correlated(samples, dimensions, rho, seed):
    x, e = noise(2 * samples, dimensions, seed).split(samples)
    return pair(x, rho * x + (1 - rho**2) ** 0.5 * e)


# --- the search ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_neighbours_are_those_of_all_distances(dtype, offset, monkeypatch):
    monkeypatch.setattr(_neighbours, "BLOCK", 700)  # several blocks
    x = (noise(150, 9) + offset).to(dtype)
    found = _neighbours.nearest(x, 5)
    distances = torch.cdist(x.to(DOUBLE), x.to(DOUBLE), compute_mode="donot_use_mm_for_euclid_dist")
    expected = distances.fill_diagonal_(torch.inf).sort(1).values[:, :5]
    torch.testing.assert_close(found.distances, expected, rtol=1e-12, atol=0)


def test_rounding_that_hides_a_neighbour_is_seen():
    """Pairs a millionth apart, far from the centre: products in float32 cannot tell them from the others."""
    centres = 1e3 * noise(12, 3)
    x = (centres[:, None] + 1e-3 * noise(12 * 30, 3, 1).reshape(12, 30, 3)).reshape(-1, 3).to(torch.float32)
    found = _neighbours.nearest(x, 2)
    distances = torch.cdist(x.to(DOUBLE), x.to(DOUBLE), compute_mode="donot_use_mm_for_euclid_dist")
    expected = distances.fill_diagonal_(torch.inf).sort(1).values[:, :2]
    torch.testing.assert_close(found.distances, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize(("n", "count"), [(16, 1), (32, 2), (32, 3), (160, 10), (160, 120)])
def test_the_largest_of_bundles_are_the_largest(n, count):
    values = noise(40, n).round(decimals=1)  # with ties
    for field in (values, values.T.contiguous().T):
        found, place = _neighbours.largest(field, count)
        assert torch.equal(found, values.sort(1, descending=True).values[:, :count])
        assert torch.equal(values.gather(1, place), found)
        assert all(len(set(row.tolist())) == count for row in place)


@pytest.mark.parametrize("n", [9, 10, 23, 24, 25, 26, 97])
@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("block", [_neighbours.BLOCK, 1000])
def test_neighbours_of_any_number_of_rows(n, count, block, monkeypatch):
    """Bundles that are filled up with rows of nobody, and as many candidates as there are rows."""
    monkeypatch.setattr(_neighbours, "BLOCK", block)
    x = noise(n, 3, dtype=torch.float32)
    distances = torch.cdist(x.to(DOUBLE), x.to(DOUBLE), compute_mode="donot_use_mm_for_euclid_dist")
    expected = distances.fill_diagonal_(torch.inf).sort(1)
    found = _neighbours.nearest(x, count)
    torch.testing.assert_close(found.distances, expected.values[:, :count], rtol=1e-12, atol=0)
    assert torch.equal(found.index, expected.indices[:, :count])


@pytest.mark.parametrize("estimator", [TwoNn(), Gride()], ids=lambda e: e.name)
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_subsets_from_one_search_equal_subsets_one_by_one(estimator, share):
    state = accumulate(estimator.monoid, Ensemble.of(noise(400, 4)))
    masks = torch.rand(6, 400, generator=torch.Generator().manual_seed(0)) < share
    for mask, found in zip(masks, estimator.values_of(state, masks), strict=True):
        slow = estimator.value(estimator.monoid.restrict(state, mask))
        assert all(torch.allclose(found[key], slow[key], rtol=1e-9, atol=0) for key in slow)


# --- dimension -------------------------------------------------------------------------------------------------------


def test_the_likelihood_is_that_of_the_law_of_ratios():
    mu = torch.rand(200, dtype=DOUBLE, generator=torch.Generator().manual_seed(0)) * 0.5
    mu[0] = 0
    logs, k = mu.numpy(), 4

    def loss(d):
        kept = logs[logs > 0]
        return (
            -len(logs) * log(d)
            - (k - 1) * np.log(np.expm1(d * kept) / d).sum()
            - (k - 1) * log(d) * len(logs)
            + ((2 * k - 1) * d + 1) * logs.sum()
        )

    best = likeliest(logs, k)
    assert loss(best) < min(loss(best * 1.001), loss(best / 1.001))
    assert likeliest(logs, 1) == pytest.approx(1 / logs.mean())


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_the_dimension_of_a_torus_turned_into_many_sites(dimension):
    basis = torch.linalg.qr(noise(40, 2 * dimension, 5)).Q
    fields = {"x": Ensemble.of(torus(1500, dimension, 0) @ basis.T)}
    row = read(fields, [TwoNn(), Gride()]).measurements()[("x",)]
    two, gride = row["two-nn/dimension"], row["gride/dimension"]
    assert abs(two.value - dimension) < 4 * two.error
    assert abs(gride.value[0] - dimension) < 4 * gride.error[0]
    assert abs(gride.value[1] - dimension) < 4 * gride.error[1]


def test_noise_shows_at_small_distances_only():
    x = torus(3000, 1, 0) @ noise(2, 20, 1) + 3e-3 * noise(3000, 20, 2)
    found = evaluate(Gride(limit=3000, scales=7), Ensemble.of(x))
    assert bool((found["dimension"].diff() < 0).all())
    assert float(found["dimension"][0]) > 3
    assert float(found["dimension"][-1]) == pytest.approx(1, abs=0.1)
    assert bool((found["distance"].diff() > 0).all())


@pytest.mark.slow
def test_the_error_is_never_too_small():
    """At least as many intervals hold the truth as they say; the error is too large by less than sqrt(3)."""
    found = {"two-nn/dimension": [], "gride/dimension": []}
    for seed in range(40):
        row = read({"x": Ensemble.of(torus(200, 2, seed))}, [TwoNn(), Gride(scales=1)]).measurements()[("x",)]
        for key, rows in found.items():
            rows.append((float(np.ravel(row[key].value)[0]), float(np.ravel(row[key].error)[0])))
    for key, rows in found.items():
        values, errors = np.array(rows).T
        held = int((np.abs(values - values.mean()) < 2.02 * errors).sum())
        assert held >= binom.ppf(0.001, 40, 0.95), key
        assert 1 - 4 / 80**0.5 < errors.mean() / values.std() < 3**0.5 + 4 / 80**0.5


# --- information -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [ksg.BITS, 25])
def test_information_equals_its_definition(bits, monkeypatch):
    """With all ranks in one table, and with three tables of at most 25."""
    monkeypatch.setattr(ksg, "BITS", bits)
    first, second = correlated(60, 2, 0.6, 0)
    x, y = (e.values[:, :, 0] / e.values[:, :, 0].std(0) for e in (first, second))
    dx, dy = ((a[:, None] - a[None]).abs().amax(2) for a in (x, y))
    joint = torch.maximum(dx, dy).fill_diagonal_(torch.inf).sort(1).values[:, 2:3]
    counts = [(d < joint * (1 - 1e-12)).sum(1) - 1 for d in (dx, dy)]
    expected = digamma(3) + digamma(60) - sum(digamma(c.numpy() + 1).mean() for c in counts)
    found = evaluate(Ksg(), first, second)
    assert float(found["information"]) == pytest.approx(expected, abs=1e-12)
    assert float(found["ceiling"]) == pytest.approx(digamma(60) - digamma(3))


@pytest.mark.parametrize(("rho", "samples"), [(0.0, 500), (0.6, 500), (0.9, 500)])
def test_information_between_two_gaussian_sites(rho, samples):
    found = torch.stack([evaluate(Ksg(), *correlated(samples, 1, rho, s))["information"] for s in range(60)])
    stated = 0.015 if rho else 0  # the bias in the docstring
    assert abs(float(found.mean()) + 0.5 * log(1 - rho**2)) < stated + 4 * float(found.std()) / 60**0.5


def test_the_bias_in_four_dimensions_is_the_one_that_is_stated():
    found = torch.stack([evaluate(Ksg(), *correlated(1000, 4, 0.5, s))["information"] for s in range(10)])
    truth = -2 * log(1 - 0.25)
    assert -0.25 < float(found.mean()) / truth - 1 < -0.1


def test_information_does_not_change_with_units():
    first, second = correlated(300, 2, 0.6, 0)
    scaled = first.with_values(first.values * torch.tensor([[1e3], [1e-3]], dtype=DOUBLE) - 7)
    found, expected = (evaluate(Ksg(), e, second)["information"] for e in (scaled, first))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_halves_cover_for_information():
    rows = []
    for seed in range(40):
        first, second = correlated(120, 1, 0.6, seed)
        row = read({"x": first, "y": second}, [Ksg()]).measurements()[("x", "y")]["ksg/information"]
        rows.append((row.value, row.error))
    values, errors = np.array(rows).T
    held = int((np.abs(values + 0.5 * log(1 - 0.36)) < 2.02 * errors).sum())
    assert held >= binom.ppf(0.001, 40, 0.95)
    assert 1 - 4 / 80**0.5 < errors.mean() / values.std() < 3**0.5 + 4 / 80**0.5


# --- refusals --------------------------------------------------------------------------------------------------------


def test_values_that_coincide_or_are_discrete_are_refused_by_name():
    x = noise(100, 3)
    twice = Ensemble.of(torch.cat([x, x[:1]]), units=torch.arange(101))
    lattice = Ensemble.of(torch.cartesian_prod(*[torch.arange(6.0)] * 3))
    for estimator in (TwoNn(), Gride()):
        with pytest.raises(FitFailedError, match="coincide"):
            evaluate(estimator, twice)
        with pytest.raises(FitFailedError, match="discrete"):
            evaluate(estimator, lattice)
    y = noise(100, 1, 1)
    with pytest.raises(FitFailedError, match="same value"):
        evaluate(Ksg(), *pair(x.clamp(min=0), y))
    with pytest.raises(FitFailedError, match="discrete"):
        evaluate(Ksg(), *pair(x[:, :1].mul(20).round(), y))


def test_what_cannot_be_measured_is_refused_by_name():
    with pytest.raises(TooFewSamplesError):
        evaluate(TwoNn(), Ensemble.of(noise(9, 2)))
    with pytest.raises(TooFewSamplesError):
        evaluate(Gride(), Ensemble.of(noise(16, 2)))
    with pytest.raises(TooFewSamplesError):
        evaluate(Ksg(), *pair(noise(4, 1), noise(4, 1, 1)))
    with pytest.raises(ShapeError, match="11 dimensions"):
        evaluate(Ksg(), *pair(noise(50, 11), noise(50, 1, 1)))
    weighted = Ensemble.of(noise(50, 2), weights=torch.arange(1, 51))
    with pytest.raises(FitFailedError, match="weighted"):
        evaluate(TwoNn(), weighted)
    for cls, option in ((TwoNn, {"kept": 0}), (Gride, {"scales": 0}), (Ksg, {"k": 0})):
        with pytest.raises(ConfigError):
            cls(**option)
