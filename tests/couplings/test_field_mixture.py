"""One field or two: two are found with their spectra, one is not called two whatever its amplitudes."""

from math import log

import pytest
import torch

from blockspin.answer import Verdict
from blockspin.couplings.field_mixture import FieldMixture, judge_mixture
from blockspin.ensemble import Ensemble
from blockspin.errors import (
    ConfigError,
    ConstantUnitsError,
    FitFailedError,
    GeometryError,
    ShapeError,
    TooFewSamplesError,
)
from blockspin.geometry import Chain, Grid, Unordered
from blockspin.observables.base import accumulate, evaluate
from blockspin.registry import member
from blockspin.sources.gaussian_field import GaussianField

LATTICE = Grid((64,))
FIELD = GaussianField((64,), 0.1)
MIXTURE = member("sources", "field-mixture")
"""By default half of the samples have mass 0.01 and half 1."""


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one_field(seed: int, samples: int = 300) -> Ensemble:
    return FIELD.sample(samples, generator=seeded(seed))


def heavy_amplitudes(seed: int, samples: int = 300) -> Ensemble:
    """Return the field of multivariate Student's t with three degrees of freedom."""
    field = one_field(seed, samples)
    chi2 = torch.randn(samples, 3, generator=seeded(seed + 10_000)).square().sum(1)
    return field.with_values(field.values * (3 / chi2).sqrt()[:, None, None])


def heavy_noise(seed: int, samples: int = 300) -> Ensemble:
    """Return white noise of Student's t with three degrees of freedom a site, filtered to the spectrum of the field."""
    normal = torch.randn(samples, 64, 4, dtype=torch.float64, generator=seeded(seed))
    white = normal[..., 0] * (3 / normal[..., 1:].square().sum(-1)).sqrt()
    values = torch.fft.ifft(torch.fft.fft(white) * FIELD.spectrum().sqrt()).real
    return Ensemble.of(values.float(), LATTICE, units=torch.arange(samples))


WORLDS = {"Gaussian": one_field, "heavy amplitudes": heavy_amplitudes, "heavy noise": heavy_noise}


def test_two_fields_are_found_with_share_and_spectra():
    coupling, source = FieldMixture.on(LATTICE), MIXTURE(share=0.4)
    found = evaluate(coupling, source.sample(1000, generator=seeded(0)))
    first, second = (field.spectrum()[1:33] for field in source.fields())
    modes = coupling.frame.modes()
    ratio = (first / second).log()
    mean = torch.zeros(len(modes.weights), dtype=torch.float64).index_add_(0, modes.shell, modes.halves * ratio)
    expected = mean / modes.weights - (modes.halves @ ratio) / modes.halves.sum()
    # a sample's first shells hold one or two modes: the share is known to sqrt(.24 / 1000), ratios to sqrt(2 / 400)
    assert float(found["share"]) == pytest.approx(0.4, abs=4 * 0.0155)
    assert found["ratio"].tolist() == pytest.approx(expected.tolist(), abs=4 * 0.07)
    assert float(found["evidence"]) > 100


def test_one_field_yields_evidence_alone():
    assert set(evaluate(FieldMixture.on(LATTICE), one_field(0))) == {"evidence"}


def called_two(draw, seeds: int) -> int:
    coupling = FieldMixture.on(LATTICE)
    return sum(set(evaluate(coupling, draw(seed))) > {"evidence"} for seed in range(seeds))


@pytest.mark.parametrize("world", WORLDS)
def test_one_field_is_not_called_two(world):
    assert called_two(WORLDS[world], 3) == 0


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_one_field_is_seldom_called_two(world):
    assert called_two(WORLDS[world], 200) <= 18


def test_the_verdicts():
    coupling = FieldMixture.on(LATTICE)

    def judged(field: Ensemble):
        return judge_mixture(coupling, accumulate(coupling.monoid, field), generator=seeded(0))

    two = judged(MIXTURE().sample(300, generator=seeded(1)))
    assert (two.verdict, two.power) == (Verdict.YES, None)
    assert two.p_value < 1e-10
    one = judged(one_field(1, 800))
    assert one.verdict is Verdict.NO
    assert one.power is not None
    assert one.power >= 0.9
    few = judged(one_field(1, 60))
    assert few.verdict is Verdict.CANNOT_TELL
    assert "would have been found" in few.reason


def test_the_power_is_that_of_drawn_fields():
    """A mixture of the stated contrast is found as often as the simulation says: always, here."""
    source = MIXTURE(first_mass=0.1, second_mass=1.0)
    found = sum(
        float(evaluate(FieldMixture.on(LATTICE), source.sample(600, generator=seeded(s)))["evidence"]) > 3
        for s in range(10)
    )
    assert found == 10


def test_the_held_out_gain_tells_two_from_one():
    coupling = FieldMixture.on(LATTICE)
    scores = []
    for field in (MIXTURE().sample(400, generator=seeded(0)), one_field(0, 400)):
        halves = [accumulate(coupling.monoid, half) for half in field.halves()]
        scores.append(coupling.goodness(*halves).score)
    assert scores[0].value > 4 * scores[0].error
    assert scores[1].value < 4 * scores[1].error


def test_principal_modes_serve_where_there_is_no_lattice():
    fit, measured = MIXTURE().sample(1200, generator=seeded(0)).halves()
    unordered = measured.with_values(measured.values, Unordered(64))
    found = evaluate(FieldMixture.in_modes_of(fit), unordered)
    assert float(found["share"]) == pytest.approx(0.5, abs=0.1)
    fit, measured = one_field(0, 1200).halves()
    assert set(evaluate(FieldMixture.in_modes_of(fit), measured)) == {"evidence"}


def unordered(field):
    return field.with_values(field.values, Unordered(64))


def test_a_field_without_a_lattice_gives_half_of_its_units_for_the_modes():
    field = unordered(MIXTURE().sample(1200, generator=seeded(0)))
    coupling = FieldMixture.on(field)
    state = accumulate(coupling.monoid, field)
    assert 400 < len(state["ids"]) < 800
    assert not set(state["units"].tolist()) & coupling.frame.seen
    assert float(coupling.value(state)["share"]) == pytest.approx(0.5, abs=0.1)


@pytest.mark.slow
def test_one_field_without_a_lattice_is_called_two_no_more_often_than_the_level():
    fields = (unordered(one_field(seed, 600)) for seed in range(200))
    assert sum(float(evaluate(FieldMixture.on(f), f)["evidence"]) > log(20) for f in fields) <= 18


def test_waves_of_a_square_lattice():
    source = MIXTURE(shape=(16, 16))
    assert "share" in evaluate(FieldMixture.on(Grid((16, 16))), source.sample(400, generator=seeded(0)))
    frame = FieldMixture.on(Grid((4, 4)), modes=99).frame
    assert frame.modes().halves.sum() == 15 / 2  # all waves but the mean
    white = torch.randn(4000, 16, generator=seeded(0))
    powers = frame.powers(white)
    assert (abs(powers.mean(0) - 1) < 5 * powers.std(0) / 4000**0.5).all()


def test_parts_merge_to_the_whole():
    monoid, field = FieldMixture.on(LATTICE, limit=50).monoid, one_field(0, 90)
    whole, parts = accumulate(monoid, field), accumulate(monoid, field, size=13)
    assert torch.equal(whole["ids"], parts["ids"])
    assert torch.allclose(whole["powers"], parts["powers"])


def test_what_cannot_be_told_apart_is_refused():
    coupling = FieldMixture.on(LATTICE)
    with pytest.raises(TooFewSamplesError):
        evaluate(coupling, one_field(0, 30))
    with pytest.raises(TooFewSamplesError):
        FieldMixture.in_modes_of(one_field(0, 100))
    with pytest.raises(ShapeError):
        evaluate(coupling, GaussianField((32,)).sample(50, generator=seeded(0)))
    with pytest.raises(FitFailedError):
        evaluate(coupling, Ensemble.of(one_field(0, 50).values, LATTICE, weights=torch.arange(1.0, 51.0)))
    with pytest.raises(ConstantUnitsError):
        evaluate(coupling, Ensemble.of(torch.ones(50, 64), LATTICE, units=torch.arange(50)))
    with pytest.raises(ConstantUnitsError):
        FieldMixture.in_modes_of(Ensemble.of(torch.ones(50, 64)))
    for geometry in (Chain(64, periodic=False), Unordered(64)):
        with pytest.raises(GeometryError):
            FieldMixture.on(geometry)
    with pytest.raises(ConfigError):
        FieldMixture.on(LATTICE, limit=3)
    with pytest.raises(ConfigError):
        judge_mixture(coupling, {}, generator=seeded(0), level=1.0)
