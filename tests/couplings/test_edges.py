"""Score matching refuses atoms, hard edges and spheres by name, and takes what is smooth, however heavy its tails."""

import pytest
import torch

from blockspin.couplings.effective_action import EffectiveAction
from blockspin.ensemble import Ensemble
from blockspin.errors import HardEdgesError
from blockspin.geometry import Chain, Unordered
from blockspin.observables.base import accumulate, evaluate
from blockspin.registry import member

SITES = 24


def gaussian(n, seed, sites=SITES):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.eye(sites) + 0.4 * torch.randn(sites, sites, generator=generator) / sites**0.5
    return torch.randn(n, sites, generator=generator) @ mix


def layer_normed(n, seed):
    x = gaussian(n, seed)
    x = (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True, correction=0)
    gain = torch.rand(SITES, generator=torch.Generator().manual_seed(9)) + 0.5
    return x * gain + 0.1


def heavy(n, seed):
    generator = torch.Generator().manual_seed(seed)
    return gaussian(n, seed) * torch.exp(0.5 * torch.randn(n, 1, generator=generator))


def one_edged(n, seed):
    x = gaussian(n, seed)
    x[:, 3] = x[:, 3].relu()
    return x


REFUSED = {
    "relu": (lambda n, s: gaussian(n, s).relu(), "exactly 0"),
    "one relu site": (one_edged, "exactly 0"),
    "rare zeros": (lambda n, s: torch.nn.functional.dropout(gaussian(n, s), 0.1), "exactly 0"),
    "clipped": (lambda n, s: gaussian(n, s).clamp(-1.5, 1.5), "extreme"),
    "clipped at one end": (lambda n, s: gaussian(n, s).clamp(max=2), "extreme"),
    "spins": (lambda n, s: gaussian(n, s).sign(), "extreme"),
    "levels": (lambda n, s: gaussian(n, s).mul(2).round() + 0.25, "extreme"),
    "unit norm": (lambda n, s: torch.nn.functional.normalize(gaussian(n, s)), "norm"),
    "unit norm with a mean": (lambda n, s: torch.nn.functional.normalize(gaussian(n, s) + 0.5), "norm"),
    "uniform": (lambda n, s: torch.rand(n, SITES, generator=torch.Generator().manual_seed(s)), "density"),
    "absolute values": (lambda n, s: gaussian(n, s).abs(), "lowest"),
    "gelu": (lambda n, s: torch.nn.functional.gelu(gaussian(n, s)), "lowest"),
}
ACCEPTED = {
    "gaussian": gaussian,
    "large mean": lambda n, s: gaussian(n, s) + 10,
    "massive activation": lambda n, s: gaussian(n, s) + 1000 * (torch.arange(SITES) == 5),
    "heavy tails": heavy,
    "log-normal": lambda n, s: gaussian(n, s).exp(),
    "tanh": lambda n, s: (0.5 * gaussian(n, s)).tanh(),
    "one direction": lambda n, s: gaussian(n, s)[:, :1] + 0.1 * gaussian(n, s + 1),
    "half precision": lambda n, s: gaussian(n, s).bfloat16().float(),
    "layer norm with gains": layer_normed,
}


def fitted(values, geometry):
    fit_half, held_out = Ensemble.of(values, geometry).halves()
    return evaluate(EffectiveAction.on(fit_half), held_out)


@pytest.mark.parametrize("samples", [600, 6000])
@pytest.mark.parametrize("case", REFUSED)
def test_what_has_edges_is_refused_by_name(case, samples):
    make, what = REFUSED[case]
    with pytest.raises(HardEdgesError, match=what) as caught:
        fitted(make(samples, 0), Chain(SITES, periodic=False))
    assert "binary-action" in caught.value.remedy
    assert "truncated score matching" in caught.value.remedy


@pytest.mark.parametrize("samples", [600, 6000])
@pytest.mark.parametrize("case", ACCEPTED)
def test_what_is_smooth_is_taken(case, samples):
    for seed in range(3):
        found = fitted(ACCEPTED[case](samples, seed), Chain(SITES, periodic=False))
        assert all(bool(value.isfinite()) for value in found.values())


def test_atoms_on_unordered_sites_are_refused_where_all_modes_are_kept():
    for values in (gaussian(600, 0, 4).sign(), gaussian(600, 0, 4).relu()):
        with pytest.raises(HardEdgesError):
            fitted(values, Unordered(4))


def test_the_leading_modes_of_many_rectified_sites_are_taken():
    """They are sums of many sites, whose own atoms are gone."""
    found = fitted(gaussian(4000, 0, 200).relu(), Unordered(200))
    assert float(found["rank"]) == 4


def test_a_deep_double_well_is_taken():
    field = member("sources", "phi4")(shape=(16,), hopping=0.1, coupling=10.0, chains=100, burn_in=20)
    found = evaluate(EffectiveAction(Chain(16)), field.sample(1000, generator=torch.Generator().manual_seed(0)))
    assert float(found["quartic"]) > 0


def test_one_site_is_judged_by_its_own_extremes():
    generator = torch.Generator().manual_seed(0)
    action = EffectiveAction(Chain(1), operators=("mass", "quartic"), tested=())
    for _ in range(20):
        evaluate(action, Ensemble.of(torch.randn(1000, 1, generator=generator), Chain(1)))
    with pytest.raises(HardEdgesError):
        evaluate(action, Ensemble.of(torch.rand(1000, 1, generator=generator) - 0.5, Chain(1)))


def test_few_repeated_samples_are_no_atoms():
    x = gaussian(1000, 0)
    doubled = torch.cat([x, x[:300]])
    evaluate(EffectiveAction(Chain(SITES)), Ensemble.of(doubled, Chain(SITES)))


def test_what_is_seen_does_not_depend_on_the_batches():
    ensemble = Ensemble.of(gaussian(500, 0), Chain(SITES))
    monoid = EffectiveAction(Chain(SITES)).monoid
    small, large = (accumulate(monoid, ensemble, size=size) for size in (37, 500))
    for key in ("count", "ends", "zeros"):
        assert torch.equal(small[key], large[key])
