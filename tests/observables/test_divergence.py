"""Relative entropy: closed forms of Gaussian laws, bias and error bars of samples, supports that differ."""

import numpy as np
import pytest
import torch

from blockspin import Chain, Ensemble, GaussianLaw, Unordered, member
from blockspin.engine.errorbars import jackknife
from blockspin.errors import ConfigError, ConstantUnitsError, ShapeError, TooFewSamplesError
from blockspin.observables.base import accumulate, evaluate
from blockspin.observables.relative_entropy import RelativeEntropy, pair_state
from blockspin.theory import relative_entropy as theory

DOUBLE = torch.float64


def noise(samples, sites, seed):
    return torch.randn(samples, sites, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def pair(x, y):
    first = Ensemble.of(x)
    return first, first.with_values(y[:, :, None], Unordered(y.shape[1]))


def random_law(sites, seed, shift=0.0):
    root = noise(sites, sites, seed) / sites**0.5
    mean = shift * noise(sites, 1, seed + 1)
    return GaussianLaw.of(root @ root.T + 0.3 * torch.eye(sites, dtype=DOUBLE), Unordered(sites), mean=mean)


def test_laws_have_the_divergence_of_the_closed_form():
    one, two = random_law(6, 0), random_law(6, 10)
    found = RelativeEntropy().value(pair_state(one, two))
    expected = theory.gaussian(one.covariance.numpy(), two.covariance.numpy())
    assert float(found["divergence"]) == pytest.approx(expected, rel=1e-10)
    assert (float(found["rank"]), float(found["degenerate"]), float(found["from_means"])) == (6, 0, 0)


def test_shifted_laws_add_the_squared_distance_of_their_means():
    one, two = random_law(5, 0, shift=1.0), random_law(5, 10)
    found = RelativeEntropy().value(pair_state(one, two))
    gap = one.mean[:, 0] - two.mean[:, 0]
    assert float(found["from_means"]) == pytest.approx(float(gap @ torch.linalg.solve(two.covariance, gap)) / 2)


def test_it_does_not_grow_as_both_are_averaged_over_blocks():
    field = member("sources", "gaussian-field")
    laws = [field(shape=(64,), mass=mass).law() for mass in (0.5, 0.1)]
    found = []
    for _ in range(4):
        found.append(float(RelativeEntropy().value(pair_state(*laws))["divergence"]))
        coarse = member("schemes", "block-average")(b=2).fit(laws[0], generator=torch.Generator())
        laws = [law.push(coarse) for law in laws]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.9 * found[0]


def test_linear_maps_of_both_change_nothing():
    x, y = noise(400, 5, 0), noise(400, 5, 1) @ noise(5, 5, 2) + 0.3
    plain = evaluate(RelativeEntropy(), *pair(x, y))
    A = noise(5, 9, 3)  # into nine sites of rank five
    turned = evaluate(RelativeEntropy(), *pair(x @ A + 2, y @ A + 2))
    assert float(turned["rank"]) == 5
    for key in ("divergence", "plain_divergence", "from_means"):
        torch.testing.assert_close(turned[key], plain[key], rtol=1e-7, atol=1e-9)


def test_directions_that_one_field_lacks_are_counted_and_left_out():
    x, y = noise(300, 4, 0), noise(300, 4, 1)
    flat = y.clone()
    flat[:, 3] = 7.0
    found = evaluate(RelativeEntropy(), *pair(x, flat))
    assert (float(found["rank"]), float(found["degenerate"])) == (3, 1)
    rest = evaluate(RelativeEntropy(), *pair(x[:, :3], y[:, :3]))
    torch.testing.assert_close(found["divergence"], rest["divergence"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("common", [0.0, 0.8, 1.0])
def test_the_bias_is_subtracted_for_independent_and_for_common_samples(common):
    """Fields that share a part of their noise: the truth is 0, the plain number is not but where they are the same."""
    rows = []
    for seed in range(200):
        shared, x, y = noise(100, 6, seed), noise(100, 6, seed + 1000), noise(100, 6, seed + 2000)
        one, two = (common * shared + (1 - common**2) ** 0.5 * own for own in (x, y))
        rows.append(evaluate(RelativeEntropy(), *pair(one, two)))
    found, plain = (torch.stack([row[key] for row in rows]) for key in ("divergence", "plain_divergence"))
    if common == 1.0:
        assert float(found.abs().max()) < 1e-12
        return
    second_order = float(plain.mean()) ** 2 / 2  # of a series in n / T
    assert abs(float(found.mean())) < 4 * float(found.std()) / 200**0.5 + second_order
    assert float(plain.mean()) > 10 * abs(float(found.mean()))
    if common == 0.0:
        expected = 2 * theory.gaussian_bias(6, 100) + 6 / 100  # two covariances, and means
        assert float(plain.mean()) == pytest.approx(expected, rel=0.15)


@pytest.mark.slow
def test_two_of_three_error_bars_hold_the_truth():
    seeds = 100
    one, two = random_law(4, 0, shift=0.5), random_law(4, 10)
    truth = float(RelativeEntropy().value(pair_state(one, two))["divergence"])
    monoid, hits, deviations = RelativeEntropy().monoid, 0, []
    roots = [torch.linalg.cholesky(law.covariance) for law in (one, two)]
    for seed in range(seeds):
        x = noise(600, 4, 2 * seed) @ roots[0].T + one.mean[:, 0]
        y = noise(600, 4, 2 * seed + 1) @ roots[1].T + two.mean[:, 0]
        first, second = pair(x, y)
        groups = [torch.arange(g, 600, 20) for g in range(20)]
        states = [accumulate(monoid, first.select(g), second.select(g)) for g in groups]
        found = jackknife(RelativeEntropy(), states)["divergence"]
        deviations.append((float(found.value) - truth) / float(found.error))
        hits += abs(deviations[-1]) < 1
    assert seeds * 0.68 - 4 * (seeds * 0.68 * 0.32) ** 0.5 < hits < seeds * 0.68 + 4 * (seeds * 0.68 * 0.32) ** 0.5
    assert abs(np.mean(deviations)) < 4 / seeds**0.5


def test_what_cannot_be_compared_is_refused_by_name():
    x = noise(50, 4, 0)
    with pytest.raises(ShapeError, match="not over the same sites"):
        evaluate(RelativeEntropy(), *pair(x, x[:, :3]))
    with pytest.raises(TooFewSamplesError, match="4 directions"):
        evaluate(RelativeEntropy(), *pair(x[:5], noise(5, 4, 1)))
    with pytest.raises(ConstantUnitsError):
        evaluate(RelativeEntropy(), *pair(x, torch.ones(50, 4, dtype=DOUBLE)))
    with pytest.raises(ConfigError, match="tolerance"):
        RelativeEntropy(tolerance=0.0)


def test_coarse_fields_of_a_flow_are_compared_site_by_site():
    """Half of the sites against the other half of one ring: the same law, so that nothing tells them apart."""
    field = member("sources", "gaussian-field")(shape=(16,), mass=0.5).sample(
        4000, generator=torch.Generator().manual_seed(0)
    )
    halves = [field.with_values(field.values[:, rows].double(), Chain(8)) for rows in (slice(8), slice(8, 16))]
    found = evaluate(RelativeEntropy(), *halves)
    assert abs(float(found["divergence"])) < float(found["plain_divergence"])
