"""Every observable, found in the registry, is a monoid over joint batches and gives the same numbers in any order."""

import dataclasses
import random
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspin import Chain, Ensemble, members
from blockspin.observables.base import accumulate, evaluate
from blockspin.observables.nystroem import Landmarks

SITES = 6


def instance(cls):
    """An observable with what it needs: a geometry, landmarks, a limit small enough to matter."""
    marks = torch.randn(5, SITES, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).exp() + 3
    given = {"geometry": Chain(SITES), "limit": 25, "landmarks": Landmarks(marks)}
    return cls(**{field.name: given[field.name] for field in dataclasses.fields(cls) if field.name in given})


OBSERVABLES = [instance(cls) for cls in members("observables").values()]


def fields(estimator, samples, dtype=torch.float64, offset=3.0):
    """As many aligned fields as the observable reads."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, SITES, 1, generator=generator, dtype=torch.float64).exp() + offset
    first = Ensemble.of(x.to(dtype), Chain(SITES))
    y = x + 0.5 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    return [first, first.with_values(y.to(dtype))][: estimator.monoid.inputs]


def assert_close(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for key in found:
        scale = float(expected[key].abs().max())
        torch.testing.assert_close(found[key], expected[key], rtol=0, atol=tolerance * max(scale, 1e-300))


@pytest.mark.parametrize("estimator", OBSERVABLES, ids=lambda o: o.name)
@given(cuts=st.lists(st.integers(0, 60), max_size=6), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_any_split_and_any_order_of_merging_give_the_same(estimator, cuts, seed):
    sources, monoid = fields(estimator, 60), estimator.monoid
    edges = [0, *sorted(cuts), 60]
    parts = []
    for start, stop in pairwise(edges):
        rows = torch.arange(start, stop)
        parts.append(monoid.add(monoid.start(), *(source.batch.select(rows) for source in sources)))
    pick = random.Random(seed)
    while len(parts) > 1:
        pick.shuffle(parts)
        parts = [*parts[2:], monoid.merge(parts[0], parts[1])]
    assert_close(estimator.value(parts[0]), evaluate(estimator, *sources), 1e-12)


@pytest.mark.parametrize("estimator", OBSERVABLES, ids=lambda o: o.name)
def test_streamed_equals_in_memory(estimator):
    sources = fields(estimator, 3000, torch.float32)
    streamed = estimator.value(accumulate(estimator.monoid, *sources, size=64))
    assert_close(streamed, estimator.value(accumulate(estimator.monoid, *sources, size=3000)), 1e-6)


@pytest.mark.parametrize("estimator", OBSERVABLES, ids=lambda o: o.name)
def test_states_are_not_modified_in_place(estimator):
    sources, monoid = fields(estimator, 60), estimator.monoid
    state = accumulate(monoid, *sources)
    before = {key: tensor.clone() for key, tensor in state.items()}
    monoid.merge(state, monoid.add(state, *(source.batch for source in sources)))
    assert all(torch.equal(state[key], before[key]) for key in before)


@pytest.mark.parametrize("estimator", OBSERVABLES, ids=lambda o: o.name)
def test_the_empty_state_is_neutral(estimator):
    monoid = estimator.monoid
    state = accumulate(monoid, *fields(estimator, 60))
    for merged in (monoid.merge(monoid.start(), state), monoid.merge(state, monoid.start())):
        assert all(torch.equal(state[key], merged[key]) for key in state)


@pytest.mark.parametrize("estimator", OBSERVABLES, ids=lambda o: o.name)
def test_units_are_declared_for_every_quantity(estimator):
    assert evaluate(estimator, *fields(estimator, 60)).keys() <= estimator.units.keys()


@pytest.mark.parametrize("estimator", OBSERVABLES, ids=lambda o: o.name)
def test_large_means_cost_no_digits(estimator):
    """Massive activations: a mean of 1e4 on a spread of 1, in float32, whose spacing there is 1e-3."""
    x, *_ = fields(estimator, 2000, torch.float64, offset=0.0)
    rounded = (x.values + 1e4).to(torch.float32)
    pair = [Ensemble.of(rounded), Ensemble.of(rounded.flip(1))][: estimator.monoid.inputs]
    if estimator.name == "correlation":
        pair = [Ensemble.of(rounded, Chain(SITES))]
    exact = [source.with_values(source.values.to(torch.float64)) for source in pair]
    found, expected = (evaluate(estimator, *sources) for sources in (pair, exact))
    assert_close(found, expected, 1e-5)
