"""Quantiles from buckets: exact counts, every kind of number, errors that cover, memory that does not grow."""

import pytest
import torch
from scipy.stats import norm

from blockspin import Ensemble
from blockspin.errors import ConfigError, NonFiniteError, TooFewSamplesError
from blockspin.observables.base import accumulate, evaluate
from blockspin.observables.quantiles import Buckets, Quantiles, bucket_of, edge_of

DOUBLE = torch.float64
LEVELS = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)


def exact(values, levels):
    """The smallest value below or at which lies at least the share p, by sorting."""
    ordered = values.flatten().sort().values
    index = [max(0, int(torch.tensor(p * len(ordered), dtype=DOUBLE).ceil()) - 1) for p in levels]
    return ordered[index]


def heavy(samples=500, sites=7):
    """Values of both signs over some twenty decades."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, sites, dtype=DOUBLE, generator=generator)
    return x * (10 * torch.randn(samples, sites, dtype=DOUBLE, generator=generator)).exp()


@pytest.mark.parametrize("resolution", [0.5, 0.02, 2**-12])
def test_they_lie_within_the_resolution_of_the_exact_ones(resolution):
    x = heavy()
    found = evaluate(Quantiles(LEVELS, resolution, per_site=True), Ensemble.of(x))
    for name, values in (("quantiles", x), ("magnitudes", x.abs())):
        truth, width = exact(values, LEVELS), found[f"{name}_resolution"]
        assert bool(((found[name] - truth).abs() <= width).all())
        assert bool((width <= resolution * truth.abs()).all())
        per_site = torch.stack([exact(column, LEVELS) for column in values.T], dim=1)
        assert bool(((found[f"site_{name}"] - per_site).abs() <= resolution * per_site.abs()).all())


def test_every_kind_of_number_has_its_place():
    tiny, huge = 5e-324, 1.7976931348623157e308
    values = torch.tensor([-huge, -1.0, -1e-310, -tiny, -0.0, 0.0, tiny, 1e-310, 1e-300, 1.0, huge], dtype=DOUBLE)
    for bits in (1, 6, 20):
        buckets = bucket_of(values, bits)
        assert bool((buckets.diff() >= 0).all())
        assert bucket_of(-values, bits).tolist() == (-buckets).tolist()
        low, high = edge_of(buckets.abs(), bits), edge_of(buckets.abs() + 1, bits)
        assert bool(((low <= values.abs()) & (values.abs() <= high)).all())
    found = evaluate(Quantiles((0.0, 0.5, 1.0)), Ensemble.of(values[:, None], units=torch.arange(11)))
    assert bool(torch.isfinite(torch.cat(list(v.flatten() for v in found.values()))).all())
    assert float(found["quantiles"][1]) == 0


def test_an_atom_at_zero_reads_zero():
    x = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0)).clamp(min=0)
    found = evaluate(Quantiles((0.25, 0.75)), Ensemble.of(x))["quantiles"]
    assert float(found[0]) == 0
    assert float(found[1]) == pytest.approx(norm.ppf(0.75), abs=2**-6 * norm.ppf(0.75) + 4 * 0.0126)


def test_counts_are_integers_and_equal_in_every_order():
    x = Ensemble.of(heavy())
    monoid = Buckets(per_site=True)
    forward, backward = accumulate(monoid, x, size=64), accumulate(monoid, x.select(torch.arange(499, -1, -1)), size=9)
    assert all(torch.equal(forward[key], backward[key]) for key in forward)
    assert torch.equal(forward["counts"], forward["counts"].round())
    assert float(forward["counts"].sum()) == 500 * 7


def test_weights_count():
    x = heavy(50, 2)
    weights = torch.arange(1, 51, dtype=DOUBLE)
    repeated = Ensemble.of(x.repeat_interleave(torch.arange(1, 51), dim=0))
    found, expected = (evaluate(Quantiles(), e) for e in (Ensemble.of(x, weights=weights), repeated))
    assert all(torch.allclose(found[key], expected[key], rtol=1e-12, atol=0) for key in found)


def test_the_state_does_not_grow_with_the_samples():
    generator = torch.Generator().manual_seed(0)
    sizes = []
    for samples in (20_000, 200_000):
        state = accumulate(Buckets(), Ensemble.of(torch.randn(samples, 1, generator=generator)))
        sizes.append(len(state["keys"]))
    assert sizes[1] < 1.5 * sizes[0] < 4000


def test_massive_activations_are_counted():
    x = torch.randn(1000, 50, generator=torch.Generator().manual_seed(0))
    x[:, 7] = 3000.0
    assert float(evaluate(Quantiles(), Ensemble.of(x))["massive"]) == pytest.approx(1 / 50)
    assert float(evaluate(Quantiles(), Ensemble.of(x[:, :7]))["massive"]) == 0


@pytest.mark.parametrize("given", [{"levels": (1.1,)}, {"levels": ()}, {"resolution": 0.0}, {"resolution": 0.9}])
def test_options_that_make_no_sense_are_refused(given):
    with pytest.raises(ConfigError):
        Quantiles(**given)


def test_nothing_and_not_a_number_are_refused_by_name():
    with pytest.raises(TooFewSamplesError):
        Quantiles().value({})
    batch = Ensemble.of(torch.ones(3, 2)).batch
    with pytest.raises(NonFiniteError, match="sample 1"):
        Buckets().add({}, batch.with_values(torch.tensor([[1.0, 1], [float("nan"), 1], [1, 1]])[:, :, None]))
