"""Overlap: exact on enumerated pairs; glasses differ from sample to sample and magnets do not."""

import pytest
import torch

from blockspin.engine.errorbars import measure_error
from blockspin.ensemble import Batch, Ensemble
from blockspin.errors import ConfigError, ConstantUnitsError, ShapeError, TooFewSamplesError
from blockspin.geometry import Unordered
from blockspin.law import EnumeratedLaw, enumerate_law
from blockspin.observables.base import accumulate
from blockspin.observables.overlap import Overlap, OverlapSums

SITES = 8


def glass(seed: int | None, beta: float) -> EnumeratedLaw:
    """Spins that all couple: at random, or alike where there is no seed."""
    if seed is None:
        J = torch.ones(SITES, SITES, dtype=torch.float64)
    else:
        J = torch.randn(SITES, SITES, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * SITES**0.5
    J = torch.triu(J, 1) / SITES
    return enumerate_law(Unordered(SITES), (-1.0, 1.0), lambda s: beta * ((s @ J) * s).sum(1))


def replicas(laws: list[EnumeratedLaw], pairs: int, seed: int = 0) -> tuple[Ensemble, Ensemble]:
    """Draw pairs of independent configurations of each law; a law is a unit."""
    generator = torch.Generator().manual_seed(seed)
    units = torch.arange(len(laws)).repeat_interleave(pairs)
    sides = []
    for _ in range(2):
        rows = [torch.multinomial(law.weights, pairs, replacement=True, generator=generator) for law in laws]
        drawn = torch.cat([law.values[row] for law, row in zip(laws, rows, strict=True)])
        sides.append(Ensemble.of(drawn, Unordered(SITES), units=units))
    return sides[0], sides[1]


def exact_moments(law: EnumeratedLaw) -> torch.Tensor:
    """Return <q^2> and <q^4> by the double sum over configurations."""
    s, p = law.values[:, :, 0], law.weights
    q = s @ s.T / SITES
    return torch.stack([p @ q**2 @ p, p @ q**4 @ p])


def test_independent_spins_have_a_closed_form():
    law = glass(None, 0.0)
    first = law.values.repeat_interleave(len(law.values), 0)
    second = law.values.repeat(len(law.values), 1, 1)
    sides = [Ensemble.of(x, Unordered(SITES), units=torch.zeros(len(x))) for x in (first, second)]
    found = Overlap().value(accumulate(Overlap().monoid, *sides))
    assert float(found["second"]) == pytest.approx(1 / SITES, abs=1e-13)
    assert float(found["binder"]) == pytest.approx(1 / SITES, abs=1e-12)  # <q^4> = (3 N - 2) / N^3
    assert float(found["mean"]) == pytest.approx(0, abs=1e-13)
    assert float(found["histogram"].sum()) == pytest.approx(1)
    assert "variation" not in found  # one unit


@pytest.mark.parametrize(("seeds", "beta"), [([None] * 100, 1.5), (list(range(100)), 1.5)])
def test_moments_and_variation_agree_with_the_double_sum_within_their_errors(seeds, beta):
    laws = [glass(seed, beta) for seed in seeds]
    states = [accumulate(OverlapSums(), *(x.select(x.units % 10 == g) for x in replicas(laws, 40))) for g in range(10)]
    found = measure_error(Overlap(), states, generator=torch.Generator().manual_seed(0))
    moments = torch.stack([exact_moments(law) for law in laws])
    second, fourth = moments.mean(0)
    expected = {"second": second, "binder": (3 - fourth / second**2) / 2, "variation": moments[:, 0].var() / second**2}
    for key, value in expected.items():
        assert abs(float(value) - found[key].value) < 4 * found[key].error, key
    glassy = seeds[0] is not None
    assert (found["variation"].value > 4 * found["variation"].error) == glassy


def test_real_fields_overlap_by_their_cosine():
    x = torch.tensor([[1.0, 2.0, 2.0], [3.0, 0.0, 4.0]])
    first = Ensemble.of(x, units=torch.tensor([0, 0]))
    second = first.with_values(first.values * torch.tensor([2.0, -5.0])[:, None, None])
    found = Overlap(bins=2).value(accumulate(Overlap(bins=2).monoid, first, second))
    assert float(found["mean"]) == pytest.approx(0)
    assert found["histogram"].tolist() == [0.5, 0.5]


def test_what_has_no_overlap_is_refused():
    with pytest.raises(ConfigError):
        Overlap(bins=0)
    with pytest.raises(TooFewSamplesError):
        Overlap().value({})
    ones = Ensemble.of(torch.ones(3, 2))
    with pytest.raises(ShapeError, match="same sites"):
        OverlapSums().add({}, ones.batch, Batch(torch.ones(3, 4, 1), ones.ids, ones.units, ones.weights))
    with pytest.raises(ConstantUnitsError, match="no direction"):
        OverlapSums().add({}, ones.batch, ones.batch.with_values(torch.zeros(3, 2, 1)))
