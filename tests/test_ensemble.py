"""Ensemble and Batch: validated once, keyed by content, split and drawn by hash."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspin import Chain, Ensemble, Unordered
from blockspin.ensemble import Batch, content_hash, content_ids, distinct, draw, group_of, mix
from blockspin.errors import NonFiniteError, ShapeError, TooFewSamplesError


def field(samples=50, sites=4, seed=0):
    return torch.randn(samples, sites, 1, generator=torch.Generator().manual_seed(seed))


def test_two_axes_mean_one_component():
    ensemble = Ensemble.of(field()[:, :, 0])
    assert ensemble.values.shape == (50, 4, 1)
    assert ensemble.geometry == Unordered(4)


def test_whole_numbers_become_float32():
    assert Ensemble.of(torch.tensor([[1, -1], [-1, 1]])).values.dtype == torch.float32


@pytest.mark.parametrize("values", [torch.zeros(5), torch.zeros(5, 3, 1), torch.zeros(5, 4, 1, 1)])
def test_a_wrong_shape_is_refused_by_name(values):
    with pytest.raises(ShapeError, match="4, components"):
        Ensemble.of(values, Chain(4))


def test_one_sample_is_refused_by_name():
    with pytest.raises(TooFewSamplesError, match="1 sample"):
        Ensemble.of(field(1))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused_with_its_place(bad):
    values = field()
    values[7, 2] = bad
    with pytest.raises(NonFiniteError, match="sample 7"):
        Ensemble.of(values)


def test_equal_contents_share_a_unit_and_not_an_id():
    ensemble = Ensemble.of(field(5)[[0, 1, 0, 0, 2]])
    assert len(set(ensemble.ids.tolist())) == 5
    assert ensemble.units[0] == ensemble.units[2] == ensemble.units[3]
    assert len(set(ensemble.units.tolist())) == 3


def test_ids_do_not_depend_on_the_order_of_other_samples():
    values = field()
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    assert torch.equal(content_ids(values)[0][order], content_ids(values[order])[0])


def test_ids_are_the_same_on_every_machine():
    assert content_hash(b"blockspin") == -1856294748592472553  # as computed with hashlib's blake2b of 8 bytes


def test_samples_of_a_chain_are_units_of_their_own():
    assert Ensemble.of(torch.ones(4, 2), chain=True).units.tolist() == [0, 1, 2, 3]


def test_batches_hold_every_sample_once_in_order():
    ensemble = Ensemble.of(field())
    joined = Batch.join(ensemble.batches(7))
    assert torch.equal(joined.values, ensemble.values)
    assert torch.equal(joined.ids, ensemble.ids)


def test_halves_share_no_unit_and_lose_no_sample():
    ensemble = Ensemble.of(field(), units=torch.arange(50) // 3)
    first, second = ensemble.halves()
    assert len(first) + len(second) == 50
    assert not set(first.units.tolist()) & set(second.units.tolist())


def test_halves_of_a_chain_are_halves_of_its_time():
    first, second = Ensemble.of(field(), chain=True).halves()
    assert first.units.tolist() == list(range(25))
    assert second.units.tolist() == list(range(25, 50))


def test_two_samples_cannot_be_halved():
    with pytest.raises(TooFewSamplesError, match="halves"):
        Ensemble.of(field(2)).halves()


def test_a_factor_a_site_multiplies_that_site():
    factor = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    ensemble = Ensemble.of(field())
    assert torch.equal(ensemble.times(factor).values, ensemble.values * factor)


def test_other_values_keep_the_keys():
    ensemble = Ensemble.of(field())
    assert torch.equal(ensemble.with_values(ensemble.values * 2).ids, ensemble.ids)


@given(st.integers(1, 40), st.integers(0, 3))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_every_sample_of_a_unit_falls_in_one_group(groups, salt):
    units = torch.arange(200) // 4
    group = group_of(units, groups, salt=salt)
    assert int(group.min()) >= 0
    assert int(group.max()) < groups
    assert all(len(set(group[units == unit].tolist())) == 1 for unit in range(50))


def test_groups_by_hash_are_of_about_equal_size():
    counts = torch.bincount(group_of(torch.arange(20_000), 20))
    assert float((counts - 1000).abs().max()) < 4 * 1000**0.5


def test_groups_of_a_chain_are_stretches_of_equal_length():
    assert torch.equal(group_of(torch.arange(60), 4, chain=True), torch.arange(60) // 15)


def test_a_draw_does_not_depend_on_the_order():
    ids = content_ids(field())[0]
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    assert set(ids[draw(ids, 10)].tolist()) == set(ids[order][draw(ids[order], 10)].tolist())


def test_a_smaller_draw_is_part_of_a_larger_one():
    ids = content_ids(field())[0]
    assert set(draw(ids, 10).tolist()) < set(draw(ids, 20).tolist())


def test_mixing_is_one_to_one_and_depends_on_the_salt():
    keys = torch.arange(-5000, 5000)
    assert len(torch.unique(mix(keys))) == 10_000
    assert not torch.equal(mix(keys, 0), mix(keys, 1))


def test_mixing_is_that_of_splitmix64():
    """The first output of SplitMix64 seeded with 0, as published with the generator."""
    assert int(mix(torch.tensor([0]))) & (2**64 - 1) == 0xE220A8397B1DCDAF


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(1, 3), (500, 1), (500, 6), (40, 0)])
def test_distinct_rows_are_those_of_the_slow_twin(shape, dtype, generator):
    rows = torch.randint(0, 3, shape, generator=generator).to(dtype)
    found, index = distinct(rows)
    if shape[1]:
        expected, expected_index = torch.unique(rows, dim=0, return_inverse=True)
        assert torch.equal(found, expected)
        assert torch.equal(index, expected_index)
    assert torch.equal(found[index], rows)
