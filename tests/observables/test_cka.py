"""Debiased CKA: its estimate of independence, its invariances, what it refuses."""

from itertools import permutations

import pytest
import torch

from blockspin import Ensemble
from blockspin.errors import FitFailedError, TooFewSamplesError
from blockspin.geometry import Chain
from blockspin.law import enumerate_law
from blockspin.observables import _blocks
from blockspin.observables.base import accumulate, evaluate, gram_of, u_inner
from blockspin.observables.cka import Cka, debiased_cka


def noise(samples, sites, seed, dtype=torch.float64):
    return torch.randn(samples, sites, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pair(x, y):
    first = Ensemble.of(x)
    return first, first.with_values(y[:, :, None], Ensemble.of(y).geometry)


def test_the_kernel_product_equals_its_definition_over_all_quadruples():
    K, L = gram_of(noise(7, 3, 0)), gram_of(noise(7, 2, 1))
    terms = [K[i, j] * (L[i, j] + L[k, m] - 2 * L[i, k]) for i, j, k, m in permutations(range(7), 4)]
    torch.testing.assert_close(u_inner(K, L), torch.stack(terms).mean(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("entries", [_blocks.ENTRIES, 60 * 7])
def test_subsets_at_once_equal_subsets_one_by_one(entries, monkeypatch):
    """In one block of rows, and in blocks of seven rows of sixty."""
    monkeypatch.setattr(_blocks, "ENTRIES", entries)
    x = noise(60, 5, 0)
    y = x[:, :3] + noise(60, 3, 1)
    masks = torch.rand(8, 60, generator=torch.Generator().manual_seed(2)) < 0.5
    found = _blocks.subset_products(_blocks.centred(x), _blocks.centred(y), masks)
    for row, (first, second) in zip(found, ((x, y), (x, x), (y, y)), strict=True):
        K, L = gram_of(first), gram_of(second)
        slow = torch.stack([u_inner(K[mask][:, mask], L[mask][:, mask]) for mask in masks])
        torch.testing.assert_close(row, slow, rtol=1e-11, atol=1e-12)


def test_values_of_subsets_equal_values_of_restricted_states():
    x = noise(60, 5, 0)
    state = accumulate(Cka().monoid, *pair(x, x[:, :3] + noise(60, 3, 1)))
    masks = torch.rand(8, 60, generator=torch.Generator().manual_seed(2)) < 0.5
    for mask, found in zip(masks, Cka().values_of(state, masks), strict=True):
        slow = Cka().value(Cka().monoid.restrict(state, mask))
        torch.testing.assert_close(found["similarity"], slow["similarity"], rtol=1e-10, atol=1e-12)


def test_a_field_is_like_itself_rotated_scaled_and_moved():
    x = noise(100, 6, 0)
    rotation = torch.linalg.qr(noise(6, 6, 1)).Q
    found = evaluate(Cka(), *pair(x, 3 * x @ rotation + 5))["similarity"]
    torch.testing.assert_close(found, torch.tensor(1.0, dtype=torch.float64), rtol=1e-12, atol=0)


def test_it_is_symmetric():
    x, y = noise(100, 6, 0), noise(100, 4, 1)
    torch.testing.assert_close(debiased_cka(gram_of(x), gram_of(y)), debiased_cka(gram_of(y), gram_of(x)))


def test_independent_fields_read_zero_on_average():
    found = torch.stack([debiased_cka(gram_of(noise(50, 30, s)), gram_of(noise(50, 30, s + 999))) for s in range(200)])
    assert abs(float(found.mean())) < 4 * float(found.std()) / 200**0.5


def test_repeated_contents_count_once():
    x, y = noise(80, 5, 0), noise(80, 5, 1)
    rows = torch.cat([torch.arange(80), torch.arange(40)])
    once, repeated = (evaluate(Cka(), *pair(x[r], y[r]))["similarity"] for r in (torch.arange(80), rows))
    torch.testing.assert_close(repeated, once, rtol=1e-12, atol=1e-14)


def test_the_limit_draws_units_by_hash_whatever_their_order():
    x, y = noise(80, 5, 0), noise(80, 5, 1)
    back = torch.arange(79, -1, -1)
    found, reversed_ = (evaluate(Cka(limit=30), *pair(x[r], y[r]))["similarity"] for r in (torch.arange(80), back))
    assert torch.equal(found, reversed_)


def test_a_field_that_does_not_vary_is_refused_by_name():
    with pytest.raises(FitFailedError, match="not positive"):
        debiased_cka(gram_of(noise(9, 3, 0)), gram_of(torch.ones(9, 3)))


def test_a_kernel_with_itself_is_never_negative():
    assert all(float(u_inner(*[gram_of(noise(6, 500, seed))] * 2)) > 0 for seed in range(50))


def test_weighted_samples_are_refused_by_name():
    law = enumerate_law(Chain(4), (-1.0, 1.0), lambda s: 0.3 * (s * s.roll(1, 1)).sum(1))
    with pytest.raises(FitFailedError, match="weighted"):
        evaluate(Cka(), law, law)


def test_three_samples_are_refused_by_name():
    with pytest.raises(TooFewSamplesError):
        evaluate(Cka(), *pair(noise(3, 5, 0), noise(3, 5, 1)))
