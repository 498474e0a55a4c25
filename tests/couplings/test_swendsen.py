"""Swendsen's matrix: exact on enumerated rings, its errors honest on chains, and 2D Ising exponents."""

from itertools import product
from math import log

import pytest
import torch
from grouped import group_states, within_binomial
from scipy.stats import binom

from blockspin.couplings._operators import operator_names, operator_values
from blockspin.couplings.swendsen import Swendsen, spins_about
from blockspin.engine.errorbars import jackknife, merged
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, GeometryError, ShapeError, TooFewSamplesError
from blockspin.geometry import Chain, Grid, Unordered
from blockspin.law import enumerate_law
from blockspin.measurement import Measurement
from blockspin.observables.base import accumulate, evaluate
from blockspin.registry import member
from blockspin.sources.ising_square import IsingSquare
from blockspin.theory.ising_ring import linearised_decimation

SITES = 8
K = 0.5


def decimated(fine: Ensemble, b: int = 2) -> Ensemble:
    return fine.with_values(fine.values[:, ::b], Chain(fine.geometry.sites // b))


def majority(fine: Ensemble, generator: torch.Generator) -> Ensemble:
    blocks = fine.geometry.blocks(2)
    total = fine.values[:, blocks.members].sum(2)
    tie = torch.rand(total.shape, generator=generator) - 0.5
    return fine.with_values((total + tie).sign(), blocks.coarse)


def ring(sites: int = 12, coupling: float = 0.6) -> Ensemble:
    return member("sources", "ising-ring")(sites=sites, coupling=coupling).law().ensemble


@pytest.mark.parametrize(("even", "odd"), [(1, 1), (2, 2)])
@pytest.mark.parametrize("b", [2, 3])
@pytest.mark.parametrize("coupling", [0.6, 0.9])
def test_exponents_of_a_decimated_ring_are_exact(coupling, b, even, odd):
    fine = ring(coupling=coupling)
    found = evaluate(Swendsen(shape=(12,), b=b, even=even, odd=odd), decimated(fine, b), fine)
    expected = [log(x) / log(b) for x in linearised_decimation(coupling, b)]
    assert [float(found["y_even"]), float(found["y_odd"])] == pytest.approx(expected, abs=1e-11)


def test_decimation_generates_no_other_coupling_from_the_nearest_neighbour_one():
    fine = ring()
    matrix = evaluate(Swendsen(shape=(12,), even=2, odd=1), decimated(fine), fine)["matrix_even"]
    assert float(matrix[1, 0]) == pytest.approx(0, abs=1e-11)


def test_parts_merge_to_the_whole():
    fine = ring()
    coupling = Swendsen(shape=(12,), even=2, odd=2)
    coarse = decimated(fine)
    halves = [torch.arange(0, len(fine), 2), torch.arange(1, len(fine), 2)]
    parts = [accumulate(coupling.monoid, coarse.select(half), fine.select(half)) for half in halves]
    whole = accumulate(coupling.monoid, coarse, fine)
    for key, tensor in merged(coupling.monoid, parts).items():
        assert torch.allclose(tensor, whole[key], rtol=1e-12, atol=1e-12)


def test_a_constant_operator_yields_no_number_and_is_named():
    fine = ring(sites=4)
    coupling = Swendsen(shape=(4,), even=2, odd=1)  # two coarse spins: their second neighbours are themselves
    state = accumulate(coupling.monoid, decimated(fine), fine)
    assert set(coupling.value(state)) == {"y_odd", "matrix_odd"}
    assert coupling.absent(state)["y_even"] == "operator second neighbours does not fluctuate on the coarse lattice"


def test_collinear_operators_yield_no_number_and_are_named():
    fine = ring(sites=12)
    coupling = Swendsen(shape=(12,), b=3, even=4, odd=1)  # on four coarse spins, third neighbours are first neighbours
    state = accumulate(coupling.monoid, decimated(fine, 3), fine)
    assert "collinear" in coupling.absent(state)["y_even"]


def test_a_negative_eigenvalue_yields_a_matrix_but_no_exponent():
    fine = ring()
    alternating = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(3)[:, None]
    coarse = decimated(fine).times(alternating)  # turns the coupling of neighbours over
    coupling = Swendsen(shape=(12,), even=1, odd=1)
    state = accumulate(coupling.monoid, coarse, fine)
    assert "y_even" not in coupling.value(state)
    assert "not positive" in coupling.absent(state)["y_even"]


def test_batches_in_the_wrong_order_are_refused():
    fine = ring()
    with pytest.raises(ShapeError, match="coarse, fine"):
        evaluate(Swendsen(shape=(12,), even=1, odd=1), fine, decimated(fine))


@pytest.mark.parametrize("options", [{"shape": (4, 4, 4, 4)}, {"b": 5}, {"even": 9}, {"odd": 0}])
def test_options_that_cannot_be_used_are_refused(options):
    with pytest.raises(ConfigError):
        Swendsen(**options)


def test_too_few_samples_are_refused():
    fine = ring().select(torch.arange(2))
    coupling = Swendsen(shape=(12,), even=2, odd=1)
    with pytest.raises(TooFewSamplesError):
        coupling.value(accumulate(coupling.monoid, decimated(fine), fine))


# --- any grid, any field ----------------------------------------------------------------------------------------------

CUBIC = {  # every product of the operator, as vectors; the lattice makes the rest
    "neighbours": 3,
    "diagonal neighbours": 6,
    "plaquette": 3,
    "space diagonals": 4,
    "second neighbours": 3,
    "spin": 1,
    "corner of three": 12,
    "three in a row": 3,
    "three of a diamond": 12,
    "cross of five": 3,
}


def test_operators_of_the_cubic_lattice_have_all_their_orientations():
    up = torch.ones(2, 64)
    counts = {"even": 5, "odd": 5}
    values = operator_values(Ensemble.of(up, Grid((4, 4, 4))).batch, Grid((4, 4, 4)), counts)
    names = [name for sector in ("even", "odd") for name in operator_names(3, sector)]
    assert dict(zip(names, (values[0] / 64).tolist(), strict=True)) == CUBIC
    generator = torch.Generator().manual_seed(0)
    spins = (torch.rand(5, 4, 4, 4, generator=generator) - 0.5).sign()
    turned = [spins.permute(0, *axes).flip(flip) for axes in ((1, 2, 3), (2, 3, 1), (3, 2, 1)) for flip in (1, 2, 3)]
    rows = [operator_values(Ensemble.of(x.reshape(5, -1)).batch, Grid((4, 4, 4)), counts) for x in turned]
    assert all(torch.equal(row, rows[0]) for row in rows)


@pytest.mark.parametrize("shape", [(7,), (4, 6), (4, 2, 4)])
def test_open_edges_leave_out_what_would_reach_beyond_them(shape):
    """Surround the lattice by zeros: what reaches beyond vanishes, whatever the edges."""
    generator = torch.Generator().manual_seed(1)
    field = torch.randn(3, *shape, dtype=torch.float64, generator=generator)
    padded = torch.nn.functional.pad(field, (0, 4) * len(shape))
    counts = {"even": 4, "odd": 5}
    wide = Grid(tuple(padded.shape[1:]))
    expected = operator_values(Ensemble.of(padded.reshape(3, -1)).batch, wide, counts, real=True)
    found = operator_values(Ensemble.of(field.reshape(3, -1)).batch, Grid(shape, False), counts, real=True)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_a_real_field_has_powers_at_one_site_and_spins_have_not():
    assert operator_names(2, "even", real=True)[:3] == ("square", "fourth power", "neighbours")
    assert operator_names(2, "odd", real=True)[:2] == ("spin", "cube")
    field = torch.tensor([[1.0, 2.0, -1.0, 0.5]] * 2)
    values = operator_values(Ensemble.of(field).batch, Chain(4), {"even": 3, "odd": 2}, real=True)
    assert values[0].tolist() == pytest.approx([6.25, 18.0625, 2 - 2 - 0.5 + 0.5, 2.5, 8.125])


@pytest.mark.parametrize("b", [2, 3])
def test_exponents_of_averaged_white_noise_are_those_of_the_trivial_fixed_point(b):
    """y = d / 2 for the field; 0 for its variance, which unit-variance rescaling leaves where it was."""
    values = torch.randn(4000, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    fine = Ensemble.of(values, Chain(12), units=torch.arange(4000))
    coarse = member("schemes", "block-average")(b=b).fit(fine, generator=torch.Generator())(fine).times(b**0.5)
    coupling = Swendsen.between(fine.geometry, coarse.geometry, even=1, odd=1, real=True)
    assert coupling.b == b
    found = jackknife(coupling, group_states(coupling, coarse, fine, chain=False))
    assert float(found["y_odd"].value) == pytest.approx(0.5, abs=1e-12)
    assert abs(found["y_even"].value) < 4 * found["y_even"].error < 0.2


@pytest.mark.parametrize("scheme", ["block-average", "decimation", "majority-rule"])
def test_thresholded_images_go_through_any_scheme(scheme):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(600, 64, generator=generator).exp() + torch.rand(600, 1, generator=generator)
    pixels = Ensemble.of(images, Grid((8, 8), False))
    fit_half, rest = pixels.halves()
    spins = spins_about(rest, fit_half.values.median(0).values)
    assert abs(float(spins.values.mean())) < 0.1
    coarse = member("schemes", scheme)(b=2).fit(spins, generator=generator)(spins)
    real = scheme == "block-average"
    fine = rest if real else spins
    coupling = Swendsen.between(fine.geometry, coarse.geometry, even=2, odd=1, real=real)
    assert coupling.periodic is False
    found = jackknife(coupling, group_states(coupling, coarse, fine, chain=False))
    assert found["y_odd"].error > 0


def test_fields_that_have_no_operators_are_refused_by_name():
    fine = ring()
    coupling = Swendsen(shape=(12,), even=1, odd=1)
    two = fine.with_values(fine.values.repeat(1, 1, 2))
    with pytest.raises(ShapeError, match="2 components"):
        evaluate(coupling, decimated(two), two)
    with pytest.raises(ShapeError, match="spins_about"):
        evaluate(coupling, decimated(fine.times(2.0)), fine.times(2.0))
    with pytest.raises(GeometryError, match="leaves one"):
        Swendsen.between(Chain(12), Unordered(6))


# --- error bars -------------------------------------------------------------------------------------------------------


def heat_bath_chains(chains: int, sweeps: int, coupling: float, generator: torch.Generator) -> torch.Tensor:
    """Return [chains, sweeps, SITES] spins of independent rings, a fifth of the sites refreshed in each sweep."""
    spins = torch.sign(torch.rand(chains, SITES, generator=generator) - 0.5)
    kept = torch.empty(chains, sweeps, SITES)
    for sweep in range(-100, sweeps):
        for parity in (0, 1):
            near = torch.roll(spins, 1, 1) + torch.roll(spins, -1, 1)
            up = torch.rand(spins.shape, generator=generator) < torch.sigmoid(2 * coupling * near)
            fresh = up.to(torch.float32) * 2 - 1
            chosen = torch.rand(spins.shape, generator=generator) < 0.2
            chosen[:, 1 - parity :: 2] = False
            spins = torch.where(chosen, fresh, spins)
        if sweep >= 0:
            kept[:, sweep] = spins
    return kept


def exact_ring_exponents(coupling: Swendsen) -> dict[str, float]:
    law = ring(SITES, K)
    return {key: float(value) for key, value in evaluate(coupling, decimated(law), law).items() if value.ndim == 0}


def coverage(seeds: int, *, chain: bool) -> dict[str, int]:
    """Count the chains whose intervals cover the exact exponents, with groups contiguous in time or hashed."""
    coupling = Swendsen(shape=(SITES,), even=1, odd=1)
    truth = exact_ring_exponents(coupling)
    counts = dict.fromkeys(truth, 0)
    for values in heat_bath_chains(seeds, 2000, K, torch.Generator().manual_seed(5)):
        fine = Ensemble.of(values, Chain(SITES), chain=True)
        measured = jackknife(coupling, group_states(coupling, decimated(fine), fine, chain=chain))
        for key, exact in truth.items():
            low, high = measured[key].interval(0.68)
            counts[key] += low <= exact <= high
    return counts


@pytest.mark.slow
def test_intervals_from_contiguous_stretches_cover_the_exact_exponents():
    counts = coverage(200, chain=True)
    assert all(within_binomial(count, 200, 0.68) for count in counts.values()), counts


@pytest.mark.slow
def test_intervals_from_hashed_sweeps_of_a_chain_are_too_short():
    counts = coverage(60, chain=False)
    assert all(count < binom.ppf(0.001, 60, 0.68) for count in counts.values()), counts


# --- the square lattice at its critical point -------------------------------------------------------------------------


def second_step(side: int, samples: int) -> dict[str, Measurement]:
    """Measure both exponents at the second blocking, with three even and two odd operators."""
    generator = torch.Generator().manual_seed(1)
    spins = IsingSquare(side=side).sample(samples, generator=generator)
    once = majority(spins, generator)
    twice = majority(once, generator)
    coupling = Swendsen(shape=(side // 2, side // 2), even=3, odd=2)
    states = group_states(coupling, twice, once, chain=True)
    return jackknife(coupling, states)


def exact_square_exponents(coupling: Swendsen, K: float) -> dict[str, torch.Tensor]:
    """Return the exponents of the 4 x 4 torus blocked by majority, by enumeration of spins and of how ties fall."""

    def log_weight(s: torch.Tensor) -> torch.Tensor:
        s = s.reshape(-1, 4, 4)
        return K * (s * s.roll(-1, 1) + s * s.roll(-1, 2)).sum((1, 2))

    fine = enumerate_law(Grid((4, 4)), (-1.0, 1.0), log_weight).ensemble
    blocks = fine.geometry.blocks(2)
    total = fine.values[:, blocks.members].sum(2)
    state = coupling.monoid.start()
    for ties in product((-0.5, 0.5), repeat=4):
        coarse = fine.with_values((total + torch.tensor(ties)[:, None]).sign(), blocks.coarse)
        state = coupling.monoid.merge(state, accumulate(coupling.monoid, coarse, fine))
    return coupling.value(state)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["y_even", "y_odd"])
def test_intervals_cover_the_exact_exponent_of_the_blocked_square_lattice(key):
    coupling = Swendsen(shape=(4, 4), even=2, odd=1)
    generator = torch.Generator().manual_seed(4)
    spins = IsingSquare(side=4, chains=200, sweeps=1, stretch=5).sample(200_000, generator=generator)
    coarse = majority(spins, generator)
    truth = float(exact_square_exponents(coupling, IsingSquare().coupling)[key])
    count = 0
    for chain in torch.arange(200_000).reshape(200, 1000):
        states = group_states(coupling, coarse.select(chain), spins.select(chain), chain=True)
        low, high = jackknife(coupling, states)[key].interval(0.68)
        count += low <= truth <= high
    assert within_binomial(count, 200, 0.68)


def test_exponents_of_the_critical_square_lattice():
    found = second_step(16, 4000)
    # truncation and lattice size: from 8 to 4 spins a side, y_t = 1.003(4) and y_h = 1.8704(5) are known of long runs
    assert abs(found["y_even"].value - 1) < 0.01 + 4 * found["y_even"].error
    assert abs(found["y_odd"].value - 15 / 8) < 0.005 + 4 * found["y_odd"].error


@pytest.mark.slow
def test_exponents_of_the_critical_square_lattice_to_stated_accuracy():
    found = second_step(32, 20000)
    assert abs(found["y_even"].value - 1) < 0.02
    assert abs(found["y_odd"].value - 15 / 8) < 0.005


def test_away_from_the_critical_point_the_coupling_is_irrelevant():
    generator = torch.Generator().manual_seed(2)
    spins = IsingSquare(side=16, coupling=0.2).sample(2000, generator=generator)
    coupling = Swendsen(shape=(16, 16), even=1, odd=1)
    found = evaluate(coupling, majority(spins, generator), spins)
    assert float(found.get("y_even", torch.tensor(-1.0))) < 0
    assert 0.9 < float(found["y_odd"]) < 1.3  # d / 2 = 1 at the trivial fixed point


def test_goodness_measures_the_truncation():
    generator = torch.Generator().manual_seed(3)
    spins = IsingSquare(side=8).sample(4000, generator=generator)
    coarse = majority(spins, generator)
    wide, narrow = Swendsen(shape=(8, 8), even=3, odd=1), Swendsen(shape=(8, 8), even=2, odd=1)
    first, second = torch.arange(2000), torch.arange(2000, 4000)
    scores = []
    for coupling in (wide, narrow):
        states = [accumulate(coupling.monoid, coarse.select(half), spins.select(half)) for half in (first, second)]
        scores.append(coupling.goodness(*states).score.value)
    assert scores[0] < 0.02 < 0.04 < scores[1]  # the diagonal coupling matters, the plaquette hardly


def test_a_grid_of_one_axis_is_a_ring():
    assert Swendsen(shape=(12,), even=1, odd=1).monoid.shape == Grid((12,)).shape
