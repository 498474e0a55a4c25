"""The energy model finds what no polynomial does, says so only of samples it has not seen, and knows its bias."""

from dataclasses import replace
from math import pi

import numpy as np
import pytest
import torch
from grouped import group_states
from scipy.stats import binom

from blockspin.answer import Verdict
from blockspin.couplings._filter_basis import FilterBasis, Filters
from blockspin.couplings._frame import Frame
from blockspin.couplings._lattice_basis import LatticeBasis
from blockspin.couplings._mode_basis import ModeBasis
from blockspin.couplings.effective_action import EffectiveAction
from blockspin.couplings.energy_judgement import judge_energy
from blockspin.couplings.energy_model import EnergyModel
from blockspin.couplings.energy_sampling import DEGREES, _Energy, bootstrap_bias, draw
from blockspin.couplings_measured import suited
from blockspin.couplings_run import _offer
from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import ConfigError, FitFailedError, HardEdgesError, TooFewSamplesError
from blockspin.geometry import Chain, Grid
from blockspin.observables.base import accumulate
from blockspin.registry import member
from blockspin.running.replicas import Replicas
from blockspin.tethers._continuous_ising import ising_fields
from blockspin.theory import continuous_ising, phi4

NOISE, SHIFT = 0.5, 0.6


def wells(samples: int, seed: int = 0, sites: int = 4) -> Ensemble:
    """Two Gaussians of covariance 0.25 at plus and minus 0.6 on every site."""
    generator = torch.Generator().manual_seed(seed)
    side = SHIFT * (2.0 * torch.randint(2, (samples, 1), generator=generator) - 1)
    return Ensemble.of(side + NOISE * torch.randn(samples, sites, dtype=torch.float64, generator=generator))


def exact_wells(sites: int = 4) -> tuple[float, float]:
    """Curvature of the mixture by quadrature, and that of the Gaussian theory, means over directions in field^-2.

    E = |x|^2 / (2 s^2) - ln cosh(m . x / s^2): along m the field is u = m . x / |m|, of law N(+-|m|, s^2).
    """
    m2 = SHIFT**2 * sites
    u, w = np.polynomial.hermite_e.hermegauss(200)
    bend = (w / np.cosh((m2 + NOISE * m2**0.5 * u) / NOISE**2) ** 2).sum() / (2 * pi) ** 0.5
    curvature = sites / NOISE**2 - m2 / NOISE**4 * bend
    return curvature / sites, ((sites - 1) / NOISE**2 + 1 / (NOISE**2 + m2)) / sites


def halves(model: EnergyModel, field: Ensemble) -> tuple[dict, dict]:
    group = group_of(field.units, 2, salt=99)
    return tuple(accumulate(model.monoid, field.select(group == k)) for k in (0, 1))


def by_hand(field: Ensemble, weights: list[list[float]], offsets: list[float], **options) -> EnergyModel:
    """A model whose filters nobody learned."""
    rows = (torch.tensor(part, dtype=torch.float64) for part in (weights, offsets))
    filters = Filters(*rows, torch.zeros(0, dtype=torch.int64))
    return EnergyModel(field.geometry, Frame.of(field), filters, **options)


# --- gradients against the slow twin ----------------------------------------------------------------------------------


@pytest.mark.parametrize("singular", [False, True])
def test_gradients_and_laplacians_of_steps_on_a_lattice(singular, generator):
    geometry = Grid((3, 4))
    values = torch.randn(6, 12, dtype=torch.float64, generator=generator)
    values = values - values.mean(1, keepdim=True) if singular else values
    frame = Frame.of(_many(singular))
    plain = LatticeBasis(geometry, ("mass",), frame)
    w, b = torch.tensor([[0.7, 0.2, -0.1], [-0.3, 0.5, 0.4]], dtype=torch.float64), torch.tensor([0.4, -0.9])
    basis = FilterBasis(plain, Filters(w, b.to(torch.float64), torch.zeros(0, dtype=torch.int64)))
    near = torch.round(geometry.distances(), decimals=9)
    shells = torch.unique(near)[:3]
    P = frame.modes @ frame.modes.T

    def energy(x, j):
        return sum(
            torch.log(torch.cosh(sum(w[j, k] * x[near[s] == shells[k]].sum() for k in range(3)) + b[j]))
            for s in range(12)
        )

    G, lap = basis.gradients(values.T), basis.laplacians(values.T)
    for j in (0, 1):
        for n in (0, 3):
            f = lambda x, j=j: energy(x, j)  # noqa: E731
            torch.testing.assert_close(G[1 + j, :, n], torch.autograd.functional.jacobian(f, values[n]))
            H = torch.autograd.functional.hessian(f, values[n])
            torch.testing.assert_close(lap[1 + j, n], (P * H).sum())
            torch.testing.assert_close(basis.features(values.T)[j, n], f(values[n]))


def _many(singular: bool) -> Ensemble:
    values = torch.randn(60, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return Ensemble.of(values - values.mean(1, keepdim=True) if singular else values, Grid((3, 4)))


def test_gradients_and_laplacians_of_steps_of_modes(generator):
    field = Ensemble.of(torch.randn(40, 3, dtype=torch.float64, generator=generator))
    filters = Filters(torch.tensor([[1.0, -0.5]]).double(), torch.tensor([0.3]).double(), torch.zeros(0).long())
    basis = FilterBasis(ModeBasis(Frame.of(field), 2, ("mass",)), filters)
    y = basis.coordinates(basis.field(field.values))
    f = lambda x: torch.log(torch.cosh(x[0] - 0.5 * x[1] + 0.3))  # noqa: E731
    torch.testing.assert_close(basis.gradients(y)[-1, :, 5], torch.autograd.functional.jacobian(f, y[:, 5]))
    torch.testing.assert_close(
        basis.laplacians(y)[-1, 5], torch.autograd.functional.hessian(f, y[:, 5]).diagonal().sum()
    )


# --- known answers ----------------------------------------------------------------------------------------------------


def test_a_mixture_of_two_gaussians_has_one_step_of_known_height():
    field = wells(20_000)
    frame = Frame.of(field)
    shift = torch.full((4,), SHIFT / NOISE**2, dtype=torch.float64)
    along, offset = (shift @ frame.modes) * frame.deviations, float(shift @ frame.mean)
    model = by_hand(field, [along.tolist()], [offset])
    states = group_states(model, field, chain=False)
    heights = torch.stack([model.couplings(s)[model.places("energy")[-1]] for s in states])
    assert abs(float(heights.mean()) + 1) < 4 * float(heights.std()) / len(heights) ** 0.5
    found = jackknife(model, states)
    curvature, gaussian = exact_wells()
    # principal coordinates are in units of their deviations, by which entries of the curvature are multiplied
    v, stiff = frame.deviations.square(), 1 / NOISE**2
    first = 4 * curvature - 3 * stiff  # along the shift
    expected = float(v[0] * first + v[1:].sum() * stiff) / 4
    assert abs(found["curvature"].value - expected) < 4 * found["curvature"].error
    excess = float(v[0] * (first - (4 * gaussian - 3 * stiff))) / 4
    assert abs(found["excess"].value - excess) < 4 * found["excess"].error
    assert found["polynomial"].value < found["excess"].value


def test_learned_steps_beat_gaussian_and_polynomial_on_two_wells():
    field = wells(4000)
    model = EnergyModel.on(field, filters=1)
    fitted, held_out = halves(model, field)
    test = judge_energy(model, fitted, held_out)
    assert test.verdict is Verdict.YES
    assert test.p_value < 0.01
    assert model.goodness(fitted, held_out).score.value == pytest.approx(test.over_gaussian.value)
    assert float(model.value(held_out)["bare"]) < 0


@pytest.mark.slow
def test_curvature_of_a_strongly_coupled_ring_is_that_of_its_transfer_operator():
    coupling = 4.0
    source = member("sources", "phi4")(
        shape=(16,), hopping=0.25, coupling=coupling, chains=200, burn_in=40, sweeps=3, stretch=1
    )
    field = source.sample(8000, generator=torch.Generator().manual_seed(0))
    model = EnergyModel.on(field)
    found = jackknife(model, group_states(model, field, chain=field.chain))
    expected = 2 + coupling * (12 * phi4.ring_moments(16, 0.25, coupling)["phi2"] - 4)
    assert abs(found["curvature"].value - expected) < 4 * found["curvature"].error
    assert found["bare"].value < 0
    edgeworth = member("couplings", "edgeworth-action").on(field)
    fitted = accumulate(edgeworth.monoid, field)
    assert edgeworth.goodness(fitted, fitted).score.value > 1  # its expansion fails by its own measure
    assert edgeworth.value(fitted)["quartic"] < 12 * coupling  # half of 24 lambda at best


def binder(field: Ensemble) -> float:
    M = field.values.mean((1, 2))
    return float(1 - (M**4).mean() / (3 * (M**2).mean() ** 2))


@pytest.mark.slow
def test_between_order_and_disorder_drawn_fields_have_the_exact_binder_cumulant_where_mean_field_fails():
    generator = torch.Generator().manual_seed(1)
    K = 0.3  # beyond the 1/4 from which mean field is ordered (2/3), below the transition; a Gaussian has 0
    field, exact = ising_fields(4, K, 8000, generator), continuous_ising.binder(4, 4, K)
    assert 0.2 < exact < 0.6
    model = EnergyModel.on(field, filters=2)
    state = accumulate(model.monoid, field)
    drawn = [binder(draw(model, model.couplings(state), 4000, generator=generator)) for _ in range(3)]
    gaussian = binder(draw(model, model.couplings(state, "gaussian"), 4000, generator=generator))
    missed = abs(np.mean(drawn) - exact)
    assert missed < 0.25 * min(abs(exact - gaussian), abs(exact - 2 / 3))
    curvature = jackknife(model, group_states(model, field, chain=False))["curvature"]
    assert abs(curvature.value - continuous_ising.curvature(4, 4, K)) < 4 * curvature.error


# --- honesty ----------------------------------------------------------------------------------------------------------


def test_units_that_taught_filters_are_not_measured():
    field = wells(600)
    model = EnergyModel.on(field, filters=1)
    seen = int(torch.isin(field.units, model.filters.seen).sum())
    assert 200 < seen < 400
    assert float(accumulate(model.monoid, field)["weight"]) == len(field) - seen
    assert float(accumulate(model.monoid, wells(500, seed=1))["weight"]) == 500


def test_of_a_chain_every_group_keeps_units():
    field = replace(wells(800), chain=True)
    model = EnergyModel.on(field, filters=1)
    assert all(state for state in group_states(model, field, chain=True))


@pytest.mark.slow
def test_the_bias_of_finite_samples_is_taken_off():
    biased, found = [], []
    for seed in range(45):
        generator = torch.Generator().manual_seed(seed)
        field = Ensemble.of(torch.randn(400, 4, dtype=torch.float64, generator=generator))
        model = by_hand(field, [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]], [0.5, 0.0])
        value = model.value(accumulate(model.monoid, field))
        found.append(float(value["excess"]))
        biased.append(float(value["excess"] + value["bias"]))
    error = np.std(found) / len(found) ** 0.5
    assert np.mean(biased) > 3 * np.std(biased) / len(biased) ** 0.5
    assert abs(np.mean(found)) < 3 * error


@pytest.mark.slow
def test_a_gaussian_field_is_seldom_taken_for_more():
    alarms, seeds = 0, 60
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        field = Ensemble.of(torch.randn(1000, 4, dtype=torch.float64, generator=generator))
        model = EnergyModel.on(field, filters=2)
        alarms += judge_energy(model, *halves(model, field)).verdict is Verdict.YES
    assert alarms <= binom.ppf(0.99, seeds, 0.05)


@pytest.mark.slow
def test_bias_by_the_bootstrap_is_small_where_the_energy_is_right():
    field = wells(2000)
    model = EnergyModel.on(field, filters=1)
    state = accumulate(model.monoid, field)
    bias = bootstrap_bias(model, state, generator=torch.Generator().manual_seed(0), replicas=4, filters=1)
    assert set(bias) == {"curvature", "bare", "excess", "polynomial"}
    excess = model.value(state)["excess"]
    assert abs(bias["excess"].value) < 0.2 * excess
    assert bias["excess"].error > 0


# --- refusals and the run ---------------------------------------------------------------------------------------------


def test_atoms_and_edges_are_refused_by_name(generator):
    with pytest.raises(HardEdgesError, match="exactly 0"):
        EnergyModel.on(Ensemble.of(torch.randn(800, 4, generator=generator).relu()))
    with pytest.raises(HardEdgesError):
        EnergyModel.on(Ensemble.of(torch.randn(800, 4, generator=generator).sign(), Chain(4)))


def test_too_few_samples_and_bad_options_are_refused(generator):
    field = Ensemble.of(torch.randn(60, 3, generator=generator))
    with pytest.raises(TooFewSamplesError):
        EnergyModel.on(field)
    with pytest.raises(ConfigError):
        EnergyModel.on(field, filters=0)
    model = by_hand(field, [[1.0, 0.0]], [0.0], modes=2)
    with pytest.raises(ConfigError):
        judge_energy(model, {}, {}, level=2.0)


@pytest.mark.parametrize("geometry", [None, Grid((3, 4))])
def test_what_is_drawn_from_is_the_sum_of_all_operators(geometry, generator):
    values = torch.randn(60, 12, dtype=torch.float64, generator=generator)
    field = Ensemble.of(values) if geometry is None else Ensemble.of(values, geometry)
    model = by_hand(field, [[0.7, 0.2, -0.1], [-0.3, 0.5, 0.4]], [0.4, -0.9], reach=2, modes=3)
    basis, count = model.basis, sum(map(len, model.basis.steps.values()))
    g = torch.randn(count, dtype=torch.float64, generator=generator)
    q = torch.randn(basis.rank, 5, dtype=torch.float64, generator=generator)
    energy = _Energy(model, g)
    x = energy.directions @ q
    G, expected = basis.gradients(x), torch.zeros(5, dtype=torch.float64)
    for name, places in basis.steps.items():
        for j, place in enumerate(places):
            power = (G[place] * x).sum(0) / DEGREES.get(name, 2.0)
            expected += g[place] * (basis.features(x)[j] if name == "feature" else power)
    E, slope = energy.at(q)
    torch.testing.assert_close(E, expected)
    torch.testing.assert_close(slope, energy.directions.T @ torch.einsum("a,adn->dn", g, G))
    g[basis.steps["quartic"]] = g[basis.steps["cubic"]] = 0  # the quick way, without curved operators
    lesser = _Energy(model, g)
    at = q[:, :1].clone().requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(lesser.at(at)[0].sum(), at)[0], lesser.at(q[:, :1])[1])


def test_what_is_no_density_is_not_drawn_from():
    field = wells(300)
    model = by_hand(field, [[1.0, 0.0]], [0.0], modes=2)
    couplings = torch.zeros(sum(map(len, model.basis.steps.values())), dtype=torch.float64)
    couplings[model.basis.steps["mass"]] = torch.tensor([1.0, -1.0], dtype=torch.float64)
    with pytest.raises(FitFailedError, match="no density"):
        draw(model, couplings, 100, generator=torch.Generator().manual_seed(0))


def test_fields_drawn_from_a_quadratic_form_have_its_covariance():
    field = wells(300)
    model = by_hand(field, [[1.0, 0.0]], [0.0], modes=2)
    couplings = torch.zeros(sum(map(len, model.basis.steps.values())), dtype=torch.float64)
    couplings[model.basis.steps["mass"]] = torch.tensor([2.0, 0.5], dtype=torch.float64)
    drawn = draw(model, couplings, 2000, generator=torch.Generator().manual_seed(0))
    y = model.basis.field(drawn.values)
    torch.testing.assert_close(y.square().mean(1), torch.tensor([0.5, 2.0], dtype=torch.float64), rtol=0.15, atol=0)


def test_a_run_measures_it_like_any_other_coupling():
    field = wells(1200)
    model = suited("energy-model", field)
    assert isinstance(model, EnergyModel)
    row = Replicas.of(model, group_states(model, field, chain=False))
    assert {"curvature", "bare", "excess", "polynomial"} <= set(row.values)
    assert set(row.notes) == {"rank", "condition", "bias"}
    assert row.goodness.score.value > 0
    assert "exactly 0" in suited("energy-model", Ensemble.of(field.values.relu()))


def test_theories_that_expand_name_it_as_remedy():
    assert "energy-model" in _offer(EffectiveAction.name)
    assert "energy-model" in _offer("edgeworth-action")
    assert _offer("energy-model") == ""
