"""Couplings of spins by pseudo-likelihood: exact on enumerated lattices, covered on samples, refused where none."""

from itertools import product

import pytest
import torch
from grouped import covered, group_states, within_binomial
from scipy.stats import binom

from blockspin.couplings.binary_action import BinaryAction
from blockspin.couplings.binary_pairs import BinaryPairs
from blockspin.couplings.binary_passes import fit_in_passes
from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, FitFailedError, GeometryError, ShapeError, TooFewSamplesError
from blockspin.geometry import Chain, Grid, Unordered
from blockspin.law import EnumeratedLaw, enumerate_law
from blockspin.measurement import Measurement
from blockspin.observables.base import accumulate, evaluate
from blockspin.sources.ising_ring import IsingRing
from blockspin.sources.ising_square import IsingSquare

SUMS = 1e-10
"""Rounding of sums over 2^16 configurations, divided by curvatures of about 0.1."""


def torus_law(shape: tuple[int, ...], weight) -> EnumeratedLaw:
    """Return the law exp(weight) over fields [n, *shape]."""
    return enumerate_law(Grid(shape), (-1.0, 1.0), lambda s: weight(s.reshape(-1, *shape)))


def test_couplings_of_a_ring_are_exact():
    law = IsingRing(sites=10, coupling=0.6, field=0.2).law()
    found = evaluate(BinaryAction(Chain(10), reach=2, four=True), law)
    assert float(found["field"]) == pytest.approx(0.2, abs=SUMS)
    assert found["pair"].tolist() == pytest.approx([0.6, 0.0], abs=SUMS)
    assert float(found["four"]) == pytest.approx(0, abs=SUMS)


def test_two_spins_have_two_bonds():
    found = evaluate(BinaryAction(Chain(2)), IsingRing(sites=2, coupling=0.6, field=0.2).law())
    assert [float(found["field"]), *found["pair"].tolist()] == pytest.approx([0.2, 0.6], abs=SUMS)


def test_planted_pairs_and_plaquettes_of_a_torus_are_exact():
    def weight(s):
        right, down = s.roll(-1, 2), s.roll(-1, 1)
        diagonal = s * down.roll(-1, 2) + right * down
        four = s * right * down * down.roll(-1, 2)
        return (0.3 * s * right + 0.3 * s * down - 0.1 * diagonal + 0.05 * four + 0.02 * s).sum((1, 2))

    found = evaluate(BinaryAction(Grid((3, 4)), reach=2, four=True), torus_law((3, 4), weight))
    assert [float(found["field"]), *found["pair"].tolist(), float(found["four"])] == pytest.approx(
        [0.02, 0.3, -0.1, 0.05], abs=SUMS
    )


def test_directions_have_couplings_of_their_own():
    law = torus_law((3, 4), lambda s: (0.5 * s * s.roll(-1, 1) - 0.2 * s * s.roll(-1, 2)).sum((1, 2)))
    action = BinaryAction(Grid((3, 4)), directed=True, magnetic=False)
    assert action.names == ("pairs along (1, 0)", "pairs along (0, 1)")
    assert evaluate(action, law)["pair"].tolist() == pytest.approx([0.5, -0.2], abs=SUMS)


def test_spins_inside_an_open_chain_are_enough():
    chain = enumerate_law(Chain(8, periodic=False), (-1.0, 1.0), lambda s: 0.7 * (s[:, 1:] * s[:, :-1]).sum(1))
    found = evaluate(BinaryAction(Chain(8, periodic=False), reach=2), chain)
    assert found["pair"].tolist() == pytest.approx([0.7, 0.0], abs=SUMS)


def test_a_cubic_lattice_has_couplings():
    law = torus_law((2, 3, 2), lambda s: 0.25 * sum((s * s.roll(-1, axis)).sum((1, 2, 3)) for axis in (1, 2, 3)))
    assert evaluate(BinaryAction(Grid((2, 3, 2))), law)["pair"].tolist() == pytest.approx([0.25], abs=SUMS)


def test_counts_agree_with_a_slow_twin():
    spins = IsingRing(sites=6).sample(30, generator=torch.Generator().manual_seed(0))
    monoid = BinaryAction(Chain(6)).monoid
    counts = accumulate(monoid, spins, size=7)["counts"].sum(0)
    slow = torch.zeros_like(counts)
    for sample, site in product(range(30), range(6)):
        s = spins.values[sample, :, 0]
        bits = [int(s[(site + step) % 6] > 0) for (step,) in monoid.neighbours]
        slow[sum(bit << k for k, bit in enumerate(bits)), int(s[site] > 0)] += 1
    assert torch.equal(counts, slow)


def test_zeros_and_ones_are_spins():
    spins = IsingRing(sites=8, field=0.1).sample(200, generator=torch.Generator().manual_seed(0))
    action = BinaryAction(Chain(8))
    bits = spins.with_values((spins.values + 1) / 2)
    assert torch.equal(evaluate(action, bits)["pair"], evaluate(action, spins)["pair"])


def test_weights_count_as_often_as_they_say():
    spins = IsingRing(sites=8).sample(100, generator=torch.Generator().manual_seed(0))
    twice = Ensemble.of(spins.values, spins.geometry, weights=torch.full((100,), 2.0))
    action = BinaryAction(Chain(8))
    assert evaluate(action, twice)["pair"].tolist() == pytest.approx(
        evaluate(action, spins)["pair"].tolist(), abs=1e-12
    )


# --- errors and goodness of fit ---------------------------------------------------------------------------------------


def ring_interval(seed: int) -> tuple[float, float]:
    spins = IsingRing(sites=12, coupling=0.5).sample(100, generator=torch.Generator().manual_seed(seed))
    action = BinaryAction(Chain(12))
    low, high = jackknife(action, group_states(action, spins, chain=False))["pair"].interval(0.9)
    return low[0], high[0]


def square_interval(seed: int) -> tuple[float, float]:
    source = IsingSquare(side=4, coupling=0.35, chains=20, burn_in=30, stretch=5)
    spins = source.sample(400, generator=torch.Generator().manual_seed(seed))
    action = BinaryAction(Grid((4, 4)), magnetic=False)
    low, high = jackknife(action, group_states(action, spins, chain=True))["pair"].interval(0.9)
    return low[0], high[0]


@pytest.mark.slow
def test_intervals_of_a_ring_cover():
    assert within_binomial(covered(ring_interval, 0.5, 25), 25, 0.9)


@pytest.mark.slow
@pytest.mark.parametrize(("interval", "truth"), [(ring_interval, 0.5), (square_interval, 0.35)])
def test_intervals_cover_in_nine_cases_of_ten(interval, truth):
    assert 170 <= covered(interval, truth) <= 190


def p_value(seed: int, second: float) -> float:
    """Return the p-value of the theory of neighbours alone, with a planted coupling of second neighbours."""
    law = enumerate_law(
        Chain(8), (-1.0, 1.0), lambda s: (0.4 * s * s.roll(-1, 1) + second * s * s.roll(-2, 1)).sum(1)
    ).ensemble
    index = torch.multinomial(law.weights, 1000, replacement=True, generator=torch.Generator().manual_seed(seed))
    spins = Ensemble.of(law.values[index], Chain(8), units=torch.arange(1000))
    action = BinaryAction(Chain(8))
    p = action.goodness(*(accumulate(action.monoid, half) for half in spins.halves())).p_value
    assert p is not None
    return p


def test_p_values_reject_the_truth_no_more_often_than_they_say():
    assert sum(p_value(seed, 0.0) < 0.05 for seed in range(25)) <= binom.ppf(0.99, 25, 0.05)


@pytest.mark.slow
def test_p_values_are_those_of_the_level():
    assert sum(p_value(seed, 0.0) < 0.05 for seed in range(200)) <= 18


def test_a_coupling_that_is_left_out_is_noticed():
    assert p_value(0, 0.15) < 1e-3


def test_the_held_out_score_is_that_of_the_law():
    source = IsingRing(sites=10, coupling=0.5)
    action, law = BinaryAction(Chain(10)), source.law()
    exact = accumulate(action.monoid, law)
    expected = action.goodness(exact, exact)
    assert (expected.p_value, expected.score.error) == (None, 0.0)
    parts = [accumulate(action.monoid, source.sample(2000, generator=torch.Generator().manual_seed(s))) for s in (0, 1)]
    score = action.goodness(*parts).score
    assert abs(score.value - expected.score.value) < 4 * score.error


def test_the_fit_names_its_couplings():
    action = BinaryAction(Chain(10), reach=2)
    states = [accumulate(action.monoid, IsingRing(sites=10).law())] * 2
    measured = {key: Measurement(value, 0.0) for key, value in action.value(states[0]).items()}
    assert set(action.fit(measured, action.goodness(*states)).parameters) == {"field", "pair"}
    assert action.names == ("field", "pairs at distance 1", "pairs at distance 2")
    assert action.tested == ("pairs at distance 3", "four in a row")


# --- several passes ---------------------------------------------------------------------------------------------------


def test_more_neighbours_than_a_table_holds_take_passes():
    wide = BinaryAction(Grid((5, 5)), reach=4, magnetic=False)
    with pytest.raises(ConfigError, match="fit_in_passes"):
        _ = wide.monoid
    spins = IsingSquare(side=5, coupling=0.3, burn_in=30, stretch=1).sample(
        1000, generator=torch.Generator().manual_seed(0)
    )
    pair = fit_in_passes(wide, spins)["pair"]
    assert (abs(pair.value - [0.3, 0, 0, 0]) < 4 * pair.error).all()


def test_passes_and_counts_agree():
    law = IsingRing(sites=8, field=0.1).law()
    action = BinaryAction(Chain(8), reach=2)
    passes, counts = fit_in_passes(action, law), evaluate(action, law)
    assert passes["pair"].value.tolist() == pytest.approx(counts["pair"].tolist(), abs=SUMS)
    spins = IsingRing(sites=8).sample(2000, generator=torch.Generator().manual_seed(1))
    wide, table = fit_in_passes(action, spins), jackknife(action, group_states(action, spins, chain=False))
    assert wide["pair"].value.tolist() == pytest.approx(table["pair"].value.tolist(), abs=1e-9)
    assert wide["pair"].error.tolist() == pytest.approx(table["pair"].error.tolist(), rel=0.1)  # second order in 1/20


# --- given pairs ------------------------------------------------------------------------------------------------------


def glass() -> tuple[EnumeratedLaw, BinaryPairs, torch.Tensor, torch.Tensor]:
    pairs = ((0, 1), (1, 2), (0, 2), (3, 2), (4, 1))
    h, J = torch.tensor([0.1, -0.2, 0.0, 0.3, 0.05]), torch.tensor([0.5, -0.4, 0.3, 0.6, -0.7])
    h, J = h.to(torch.float64), J.to(torch.float64)

    def weight(s):
        return s[:, :5] @ h + sum(coupling * s[:, i] * s[:, j] for coupling, (i, j) in zip(J, pairs, strict=True))

    return enumerate_law(Unordered(6), (-1.0, 1.0), weight), BinaryPairs(6, pairs), h, J


def test_given_pairs_are_exact():
    law, coupling, h, J = glass()
    found = evaluate(coupling, law)
    assert found["field"].tolist() == pytest.approx(h.tolist(), abs=SUMS)
    assert found["pair"].tolist() == pytest.approx(J.tolist(), abs=SUMS)


def test_sampled_pairs_are_within_their_errors():
    law, coupling, _, J = glass()
    index = torch.multinomial(law.weights, 4000, replacement=True, generator=torch.Generator().manual_seed(0))
    units = Ensemble.of(law.values[index], Unordered(6), units=torch.arange(4000))
    found = jackknife(coupling, group_states(coupling, units, chain=False))["pair"]
    assert (abs(found.value - J.numpy()) < 4 * found.error).all()
    score = coupling.goodness(*(accumulate(coupling.monoid, half) for half in units.halves())).score
    exact = accumulate(coupling.monoid, law)
    assert abs(score.value - coupling.goodness(exact, exact).score.value) < 4 * score.error


@pytest.mark.parametrize("pairs", [((0, 0),), ((0, 1), (1, 0)), ((0, 9),), (), tuple((0, k) for k in range(1, 14))])
def test_pairs_that_cannot_be_used_are_refused(pairs):
    with pytest.raises(ConfigError):
        BinaryPairs(14 if len(pairs) > 2 else 6, pairs)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [(-1.0, 0.0, 1.0), (0.5, -1.0, 1.0), (2.0, -2.0, 2.0)])
def test_other_values_name_the_coupling_for_them(values):
    field = Ensemble.of(torch.tensor(values).repeat(20, 2)[:, :4], Chain(4))
    with pytest.raises(ShapeError, match="effective-action"):
        evaluate(BinaryAction(Chain(4)), field)


def test_three_values_over_two_batches_are_refused():
    field = Ensemble.of(torch.tensor([[1.0, -1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0]]), Chain(4))
    action = BinaryAction(Chain(4))
    with pytest.raises(ShapeError, match="three values"):
        action.value(accumulate(action.monoid, field, size=1))


def test_spins_that_follow_their_neighbours_without_fail_give_no_number():
    up = torch.ones(40, 6)
    up[::2] = -1
    with pytest.raises(FitFailedError):
        evaluate(BinaryAction(Chain(6)), Ensemble.of(up, Chain(6)))


@pytest.mark.parametrize("options", [{"reach": 0}, {"reach": 9}, {"geometry": Chain(3), "four": True}])
def test_options_that_cannot_be_used_are_refused(options):
    with pytest.raises(ConfigError):
        BinaryAction(**{"geometry": Chain(6), **options})


def test_sites_without_a_lattice_are_sent_to_given_pairs():
    with pytest.raises(GeometryError, match="binary-pairs"):
        BinaryAction(Unordered(6))


def test_a_field_of_another_size_or_no_sample_is_refused():
    with pytest.raises(ShapeError):
        evaluate(BinaryAction(Chain(6)), IsingRing(sites=5).law())
    with pytest.raises(TooFewSamplesError):
        BinaryAction(Chain(6)).value({})


def test_few_units_give_no_goodness():
    action = BinaryAction(Chain(6))
    spins = IsingRing(sites=6).sample(20, generator=torch.Generator().manual_seed(0))
    state = accumulate(action.monoid, spins)
    with pytest.raises(TooFewSamplesError, match="20 blocks"):
        action.goodness(state, state)
