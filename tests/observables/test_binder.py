"""Binder: exact on small laws, in its limits, with an honest error, and refused where it has no meaning."""

import pytest
import torch
from scipy.stats import binom

from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import Ensemble
from blockspin.errors import ConstantUnitsError, ShapeError, TooFewSamplesError
from blockspin.geometry import Chain
from blockspin.law import enumerate_law
from blockspin.observables.base import accumulate, evaluate
from blockspin.observables.binder import Binder


@pytest.mark.parametrize("sites", [1, 4, 9])
def test_independent_spins_have_a_closed_form(sites):
    law = enumerate_law(Chain(sites), (-1.0, 1.0), lambda s: torch.zeros(len(s), dtype=torch.float64))
    found = evaluate(Binder(), law)  # <m^4> = (3 N - 2) / N^3
    assert float(found["binder"]) == pytest.approx(1 - (3 - 2 / sites) / 3, abs=1e-13)
    assert float(found["second"]) == pytest.approx(1 / sites, abs=1e-14)


def test_an_ordered_phase_has_two_thirds():
    law = enumerate_law(Chain(8), (-1.0, 1.0), lambda s: 4.0 * (s * s.roll(1, 1)).sum(1))
    assert float(evaluate(Binder(), law)["binder"]) == pytest.approx(2 / 3, abs=1e-4)


@pytest.mark.slow
def test_the_interval_covers_the_exact_value():
    law = enumerate_law(Chain(6), (-1.0, 1.0), lambda s: 0.5 * (s * s.roll(1, 1)).sum(1))
    truth, generator, count = float(evaluate(Binder(), law)["binder"]), torch.Generator().manual_seed(0), 0
    for _ in range(200):
        rows = torch.multinomial(law.weights, 800, replacement=True, generator=generator)
        sample = Ensemble.of(law.values[rows], Chain(6), units=torch.arange(800))
        states = [accumulate(Binder().monoid, sample.select(part)) for part in torch.arange(800).reshape(20, 40)]
        low, high = jackknife(Binder(), states)["binder"].interval(0.68)
        count += low <= truth <= high
    low, high = binom.interval(0.999, 200, 0.68)
    assert low <= count <= high


def test_what_has_no_ratio_is_refused():
    with pytest.raises(ShapeError, match="2 components"):
        evaluate(Binder(), Ensemble.of(torch.randn(5, 3, 2)))
    with pytest.raises(ConstantUnitsError):
        evaluate(Binder(), Ensemble.of(torch.tensor([[1.0, -1.0], [2.0, -2.0]])))
    with pytest.raises(TooFewSamplesError):
        Binder().value({})
