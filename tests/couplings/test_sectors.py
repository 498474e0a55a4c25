"""Sectors: planted ones are found, coupled ones are told from independent ones, and strengths are those planted."""

import pytest
import torch
from grouped import covered, group_states, within_binomial
from scipy.stats import binom

from blockspin.couplings._sector_strengths import partial_correlations
from blockspin.couplings.sectors import Sectors, find_sectors
from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import Ensemble
from blockspin.errors import (
    ConfigError,
    ConstantUnitsError,
    GeometryError,
    NothingFoundError,
    ShapeError,
    TooFewSamplesError,
)
from blockspin.geometry import Unordered
from blockspin.law import GaussianLaw, enumerate_law
from blockspin.observables.base import accumulate, evaluate

LABELS = (0,) * 6 + (1,) * 6


def precision(inside: float, across: float) -> torch.Tensor:
    """Return two rings of six sites, each site coupled to one of the other ring."""
    A = torch.eye(12, dtype=torch.float64)
    for sector in (0, 6):
        for k in range(6):
            i, j = sector + k, sector + (k + 1) % 6
            A[i, j] = A[j, i] = -inside
    for k in range(6):
        A[k, 6 + k] = A[6 + k, k] = -across
    return A


def drawn(across: float, samples: int, seed: int, *, heavy: bool = False) -> Ensemble:
    law = GaussianLaw.of(torch.linalg.inv(precision(0.35, across)), Unordered(12))
    generator = torch.Generator().manual_seed(seed)
    field = law.sample(samples, generator=generator)
    if not heavy:
        return field
    amplitude = torch.exp(0.7 * torch.randn(samples, 2, generator=generator))  # one for each sector
    return field.with_values(field.values * amplitude[:, torch.tensor(LABELS)][..., None])


def p_value(field: Ensemble) -> float:
    coupling = Sectors(LABELS)
    p = coupling.goodness(*(accumulate(coupling.monoid, half) for half in field.halves())).p_value
    assert p is not None
    return p


@pytest.mark.parametrize("heavy", [False, True])
def test_independent_sectors_are_called_coupled_no_more_often_than_the_level(heavy):
    found = sum(p_value(drawn(0.0, 300, seed, heavy=heavy)) < 0.05 for seed in range(200))
    assert found <= 18
    assert found >= binom.ppf(0.001, 200, 0.05)  # and no more seldom: the level is used up


def test_a_coupling_across_is_found_in_nine_cases_of_ten():
    assert sum(p_value(drawn(0.1, 800, seed)) < 0.05 for seed in range(50)) >= 45


def test_strengths_are_mean_squares_of_the_planted_couplings():
    field = drawn(0.2, 20_000, 0)
    coupling = Sectors(LABELS)
    found = jackknife(coupling, group_states(coupling, field, chain=False))
    within, cross = found["within"], found["cross"]
    assert (abs(within.value - 2 * 0.35**2 / 5) < 4 * within.error).all()  # 2 of 5 partners
    assert (abs(cross.value - 0.2**2 / 6) < 4 * cross.error).all()


@pytest.mark.slow
@pytest.mark.parametrize("across", [0.0, 0.2])
def test_intervals_cover(across):
    coupling, truth = Sectors(LABELS), across**2 / 6

    def interval(seed: int) -> tuple[float, float]:
        states = group_states(coupling, drawn(across, 800, seed), chain=False)
        low, high = jackknife(coupling, states)["cross"].interval(0.9)
        return low[0], high[0]

    found = covered(interval, truth)
    if across:
        assert within_binomial(found, 200, 0.9)
    else:  # a product of two numbers without mean: the jackknife's error is too large by the root of two
        assert found >= 180


def test_partial_correlations_are_those_of_the_law():
    A = precision(0.35, 0.1)
    state = {"weight": torch.tensor(1e6), "squares": torch.tensor(1e6), "scatter": torch.linalg.inv(A) * 1e6}
    assert torch.allclose(partial_correlations(state), 2 * torch.eye(12, dtype=torch.float64) - A, atol=1e-12)


def test_sectors_are_found_and_hold_on_other_samples():
    fit, measured = drawn(0.0, 2000, 0).halves()
    labels = find_sectors(accumulate(Sectors().monoid, fit), level=0.001)
    assert labels == LABELS
    coupling = Sectors(labels)
    found = jackknife(coupling, group_states(coupling, measured, chain=False))
    assert abs(found["cross"].value[0]) < 4 * found["cross"].error[0]


def test_independent_sectors_are_joined_no_more_often_than_the_level():
    monoid = Sectors().monoid
    joined = sum(max(find_sectors(accumulate(monoid, drawn(0.0, 600, seed)))) == 0 for seed in range(50))
    assert joined <= binom.ppf(0.999, 50, 0.05)


def test_coupled_sectors_are_one():
    assert set(find_sectors(accumulate(Sectors().monoid, drawn(0.2, 2000, 0)))) == {0}


def test_a_law_has_exact_strengths():
    """Six spins: a chain of three, and another, or the two joined by one bond."""
    for joined in (0.0, 0.4):
        law = enumerate_law(
            Unordered(6),
            (-1.0, 1.0),
            lambda s, K=joined: (s[:, :2] * s[:, 1:3] + s[:, 3:5] * s[:, 4:]).sum(1) + K * s[:, 2] * s[:, 3],
        )
        coupling = Sectors((0, 0, 0, 1, 1, 1))
        state = accumulate(coupling.monoid, law)
        assert (float(coupling.value(state)["cross"]) > 1e-3) == (joined > 0)
        assert set(find_sectors(state)) == ({0} if joined else {0, 1})
        goodness = coupling.goodness(state, state)
        assert (goodness.p_value, goodness.score.error) == (None, 0.0)


def test_three_sectors_have_three_pairs():
    coupling = Sectors((0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2))
    assert coupling.pairs == ((0, 1), (0, 2), (1, 2))
    assert evaluate(coupling, drawn(0.0, 500, 0))["cross"].shape == (3,)


def test_parts_merge_to_the_whole():
    field, monoid = drawn(0.1, 101, 0), Sectors().monoid
    whole = accumulate(monoid, field)
    for key, tensor in accumulate(monoid, field, size=1).items():
        assert torch.allclose(tensor, whole[key], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("labels", [(0, 0), (0, 2), (1, 2)])
def test_labels_that_cannot_be_used_are_refused(labels):
    with pytest.raises(ConfigError):
        Sectors(labels)


def test_what_has_no_couplings_is_refused():
    with pytest.raises(TooFewSamplesError):
        evaluate(Sectors(LABELS), drawn(0.0, 20, 0))
    with pytest.raises(ShapeError):
        evaluate(Sectors((0, 1)), drawn(0.0, 100, 0))
    field = drawn(0.0, 100, 0)
    still = field.values.clone()
    still[:, 3] = 1.0
    with pytest.raises(ConstantUnitsError):
        evaluate(Sectors(LABELS), field.with_values(still))
    with pytest.raises(TooFewSamplesError):
        Sectors(LABELS).value({})
    with pytest.raises(ConfigError):
        find_sectors(accumulate(Sectors().monoid, field), level=0.0)


def wide(parts=None, samples: int = 60, seed: int = 0) -> Ensemble:
    """Return three sectors of 40 sites that hang together by a mode each; the first two share a cause."""
    generator = torch.Generator().manual_seed(seed)
    cause, noise = torch.randn(samples, 4, generator=generator), torch.randn(samples, 120, generator=generator)
    mode = torch.stack([cause[:, 0] + cause[:, 3], cause[:, 1] + cause[:, 3], cause[:, 2]], 1)
    values = mode.repeat_interleave(40, 1) + 0.3 * noise
    return Ensemble.of(values, Unordered(120, parts=tuple((name, 40) for name in parts or ())))


def test_fields_wider_than_samples_are_read_along_modes_of_their_sectors():
    field = wide(("a", "b", "c"), samples=90)
    coupling = Sectors.on(field)
    assert coupling.frame is not None
    assert torch.bincount(torch.tensor(coupling.labels)).tolist() == [10, 10, 10]
    found = evaluate(coupling, field)
    assert set(found) == {"mean_cross", "outside", "cross"}  # modes of one sector have no correlation
    assert coupling.remarks({})["least share of its variance"] > 0.9
    assert Sectors.on(field, modes=1).labels == (0, 1, 2)
    assert coupling.entries["cross"] == ["a, b", "a, c", "b, c"]


def test_modes_of_sectors_make_no_coupling_and_show_one_that_is_there():
    """Along modes made of the very samples that are measured: no sector knows of the others."""
    below = 0
    for seed in range(100):
        field = wide(samples=200, seed=seed)
        field = field.with_values(field.values[:, 40:], Unordered(80))  # the last two share nothing
        coupling = Sectors.on(field, blocks=2, modes=3)
        halves = [accumulate(coupling.monoid, half) for half in field.halves()]
        below += coupling.goodness(*halves).p_value < 0.05
    assert binom.ppf(0.001, 100, 0.05) <= below <= binom.ppf(0.999, 100, 0.05)
    field = wide(samples=400)
    coupling = Sectors.on(field, blocks=3, modes=1)
    cross = jackknife(coupling, group_states(coupling, field, chain=False))["cross"]
    assert [bool(clear) for clear in cross.value > 4 * cross.error] == [True, False, False]


def test_sectors_that_were_found_pass_by_the_units_that_they_were_found_on():
    field = drawn(0.0, 3000, 0)
    coupling = Sectors.on(field, by="found")
    assert coupling.labels == LABELS
    state = accumulate(coupling.monoid, field)
    assert float(state["one_weight"] + state["two_weight"]) == 3000 - len(coupling.frame.seen)
    assert 1300 < len(coupling.frame.seen) < 1700
    assert set(coupling.value(state)) == {"mean_within", "mean_cross"}
    with pytest.raises(NothingFoundError):
        Sectors.on(drawn(0.2, 3000, 0), by="found")


def test_sites_that_stand_still_are_left_out():
    field = drawn(0.0, 500, 0)
    still = field.values.clone()
    still[:, 3] = 1.0
    coupling = Sectors.on(field.with_values(still), blocks=2)
    assert coupling.labels == (0,) * 5 + (1,) * 6
    assert set(evaluate(coupling, field.with_values(still))) == {"within", "cross"}
    still[:, :6] = 1.0
    with pytest.raises(ConstantUnitsError, match="block 0"):
        Sectors.on(field.with_values(still), blocks=2)


def test_sites_after_a_normalisation_are_refused_and_their_modes_are_not():
    field = drawn(0.0, 500, 0)
    flat = field.with_values(field.values - field.values.mean(1, keepdim=True))
    with pytest.raises(ConstantUnitsError, match="modes"):
        evaluate(Sectors.on(flat, blocks=2), flat)
    assert "cross" in evaluate(Sectors.on(flat, blocks=2, modes=4), flat)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, GeometryError),
        ({"by": "parts"}, GeometryError),
        ({"by": "heads of state"}, ConfigError),
        ({"blocks": 5}, ConfigError),
        ({"blocks": 2, "by": "found"}, ConfigError),
        ({"by": "found", "modes": 2}, ConfigError),
        ({"blocks": 2, "names": ("a, b", "c")}, ConfigError),
        ({"labels": (0, 1)}, ShapeError),
    ],
)
def test_what_says_nothing_or_too_much_of_sectors_is_refused(options, error):
    with pytest.raises(error):
        Sectors.on(drawn(0.0, 100, 0), **options)


def test_stretches_of_coarse_grained_sites_mean_nothing():
    field = drawn(0.0, 100, 0)
    with pytest.raises(GeometryError, match="in no order"):
        Sectors.on(field.with_values(field.values, Unordered(12, 2.0)), blocks=2)
