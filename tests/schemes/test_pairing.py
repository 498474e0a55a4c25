"""Greedy pairing against its slow twin, and the exponents of nested clusters in closed form."""

import pytest
import torch

from blockspin import Ensemble, GaussianLaw, Unordered
from blockspin.couplings.pairing_exponents import ClusterMoments, PairingExponents, mean_variances, nested_clusters
from blockspin.errors import ConfigError, ConstantUnitsError
from blockspin.observables.base import accumulate
from blockspin.observables.covariance import moments
from blockspin.schemes._correlation import correlation_of
from blockspin.schemes.correlation_pairing import CorrelationPairing, greedy_pairs
from blockspin.schemes.random_pairing import RandomPairing
from blockspin.testing.worlds import generic_law


def slow_pairs(correlation):
    """The definition: the largest correlation among the sites that are left, again and again."""
    free, pairs = list(range(len(correlation))), []
    while len(free) > 1:
        _, a, b = max((round(float(correlation[a, b]), 10), -a, -b) for a in free for b in free if a < b)
        pairs.append((-a, -b))
        free = [site for site in free if site not in (-a, -b)]
    return torch.tensor(sorted([*pairs, *((site, site) for site in free)]))


@pytest.mark.parametrize("sites", [2, 3, 17, 40])
@pytest.mark.parametrize("ties", [False, True])
def test_fast_pairs_are_those_of_the_definition(sites, ties, generator):
    C = torch.randn(sites, sites, dtype=torch.float64, generator=generator).tanh()
    C = ((C + C.T) / 2).round(decimals=1 if ties else 12)
    assert torch.equal(greedy_pairs(C), slow_pairs(C))


def test_a_common_mode_is_paired_as_by_definition(generator):
    """One site that correlates most with every other: its row holds all of the first stretch of the list."""
    C = 0.1 * torch.rand(30, 30, dtype=torch.float64, generator=generator)
    C = (C + C.T) / 2
    C[7] += 0.5
    C[:, 7] += 0.5
    assert torch.equal(greedy_pairs(C), slow_pairs(C))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_correlations_of_samples_are_those_of_their_covariance(dtype, generator):
    x = torch.randn(50, 7, 2, generator=generator).to(dtype) * torch.arange(1, 8)[None, :, None] + 100
    field = Ensemble.of(x, Unordered(7), weights=torch.rand(50, generator=generator) + 0.1)
    C = moments(field)[1].reshape(7, 2, 7, 2).diagonal(dim1=1, dim2=3).sum(-1)
    expected = C / (C.diagonal()[:, None] * C.diagonal()[None]).sqrt()
    # the field is 100 deviations off zero: a unit in its last place is 100 times one of a correlation
    assert torch.allclose(correlation_of(field).double(), expected, rtol=0, atol=500 * torch.finfo(dtype).eps)


def test_a_constant_site_is_named(generator):
    x = torch.randn(777, 5, generator=generator)
    x[:, 3] = 1234.567  # far from zero, so that a mean in single precision would make it vary
    with pytest.raises(ConstantUnitsError, match="site 3"):
        CorrelationPairing().fit(Ensemble.of(x), generator=generator)


def test_silent_sites_are_carried_along_on_request(generator):
    x = torch.randn(50, 5, generator=generator)
    x[:, 3] = 0.0
    coarse = CorrelationPairing(silent=1e-12).fit(Ensemble.of(x), generator=generator)
    assert sorted(set(coarse.pairs.flatten().tolist())) == list(range(5))
    with pytest.raises(ConstantUnitsError, match="none of 5"):
        CorrelationPairing(silent=1e-12).fit(
            Ensemble.of(torch.arange(50.0)[:, None] * torch.zeros(5)), generator=generator
        )


def test_random_pairs_differ_from_draw_to_draw_and_use_every_site_once():
    law, generator = generic_law(Unordered(9)), torch.Generator().manual_seed(0)
    one, two = (RandomPairing().fit(law, generator=generator).pairs for _ in range(2))
    assert not torch.equal(one, two)
    for pairs in (one, two):
        assert sorted(set(pairs.flatten().tolist())) == list(range(9))
        assert int((pairs[:, 0] == pairs[:, 1]).sum()) == 1


def test_clusters_are_nested_and_hold_no_site_that_was_left_over():
    first = torch.tensor([[0, 3], [1, 4], [2, 2]])
    second = torch.tensor([[0, 1], [2, 2]])
    assert nested_clusters([first]) == ((0, 3), (1, 4))
    assert nested_clusters([first, second]) == ((0, 3, 1, 4),)
    with pytest.raises(ConfigError):
        nested_clusters([first, second, torch.tensor([[0, 1]])])


def test_variances_of_parts_are_those_of_their_sums(generator):
    C = torch.randn(3, 8, 8, dtype=torch.float64, generator=generator)
    C = C @ C.transpose(1, 2)
    slow = [torch.stack([C[:, k : k + m, k : k + m].sum((1, 2)) for k in range(0, 8, m)]).mean() for m in (1, 2, 4, 8)]
    assert torch.allclose(mean_variances(C), torch.stack(slow), rtol=1e-12)


@pytest.mark.parametrize(("rho", "alpha"), [(0.0, 1.0), (1.0, 2.0)])
def test_exponents_of_independent_and_of_identical_sites_are_exact(rho, alpha):
    coupling = PairingExponents((tuple(range(64)),))
    C = ((1 - rho) * torch.eye(64) + rho * torch.ones(64, 64)).double()
    one = torch.ones((), dtype=torch.float64)
    silent = torch.tensor([0.9**k if rho == 0 else 0.9 for k in (1, 2, 4, 8, 16, 32, 64)], dtype=torch.float64)
    state = {"weight": one, "squares": 0 * one, "mean": C[:1, :] * 0, "scatter": C[None], "silent": silent}
    found = coupling.value(state)
    assert float(found["alpha"]) == pytest.approx(alpha, abs=1e-12)
    assert float(found["curvature"]) == pytest.approx(0.0, abs=1e-12)
    assert float(found["beta"]) == pytest.approx(2 - alpha, abs=1e-12)
    if rho == 0:
        assert float(found["mu"]) == pytest.approx(0.0, abs=1e-9)
    else:
        assert "mu" not in found
        assert "directions" in coupling.absent(state)["mu"]


def test_silence_counts_parts_that_are_zero_everywhere():
    x = torch.tensor([[0.0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=torch.float64)
    state = accumulate(ClusterMoments(((0, 1, 2, 3),)), Ensemble.of(x))
    assert (state["silent"] / state["weight"]).tolist() == pytest.approx([10 / 12, 4 / 6, 1 / 3])
    loud = PairingExponents(((0, 1, 2, 3),))
    state = accumulate(loud.monoid, Ensemble.of(x + 2))
    assert "never silent" in loud.absent(state)["beta"]


def test_moments_of_clusters_merge(generator):
    field = GaussianLaw.of(torch.eye(8), Unordered(8)).sample(40, generator=generator)
    monoid = ClusterMoments(((0, 1, 2, 3), (7, 6, 5, 4)))
    whole = accumulate(monoid, field)
    parts = monoid.merge(
        accumulate(monoid, field.select(torch.arange(15))), accumulate(monoid, field.select(torch.arange(15, 40)))
    )
    assert all(torch.allclose(whole[key], parts[key], atol=1e-10) for key in whole)
