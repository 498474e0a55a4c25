"""Observables of a fitted energy carry all their errors, and are refused where chains stay where they began."""

from math import log, tanh

import pytest
import torch

from blockspin.couplings._filter_basis import Filters
from blockspin.couplings._frame import Frame
from blockspin.couplings.energy_model import EnergyModel
from blockspin.couplings.energy_observables import observed
from blockspin.couplings.energy_sampling import _Energy, difference, draw
from blockspin.ensemble import Ensemble
from blockspin.errors import FitFailedError
from blockspin.geometry import Grid
from blockspin.observables.base import accumulate, evaluate
from blockspin.registry import member
from blockspin.tethers._continuous_ising import ising_fields
from blockspin.theory import continuous_ising


def three_wells(height: float) -> tuple[EnergyModel, torch.Tensor]:
    """One mode between walls at 1 and -1 deviations: x^2 / 8 and two humps, each of three steps."""
    field = Ensemble.of(torch.randn(400, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    steep, wide = 8.0, 0.25
    offsets = [steep * (side + k * wide) for side in (1, -1) for k in (-1, 0, 1)]
    rows = torch.full((6, 1), steep, dtype=torch.float64), torch.tensor(offsets, dtype=torch.float64)
    model = EnergyModel(field.geometry, Frame.of(field), Filters(*rows, torch.zeros(0).long()), modes=1)
    couplings = torch.zeros(sum(map(len, model.basis.steps.values())), dtype=torch.float64)
    couplings[model.basis.steps["mass"]] = 0.25
    couplings[model.basis.steps["feature"]] = height * torch.tensor([1.0, -2, 1, 1, -2, 1], dtype=torch.float64)
    return model, couplings


def test_chains_that_only_change_sign_have_not_mixed():
    """Every chain's mean is the middle, so that R of the coordinate itself is 1; its square never changes well."""
    model, couplings = three_wells(height=5)
    energy = _Energy(model, couplings)
    E = energy.at(torch.tensor([[0.0, 1.0, 1.8]], dtype=torch.float64))[0]
    assert E[1] - max(E[0], E[2]) > 10  # walls
    with pytest.raises(FitFailedError, match="have not mixed"):
        draw(model, couplings, 1000, generator=torch.Generator().manual_seed(0))
    model, couplings = three_wells(height=0.2)
    draw(model, couplings, 1000, generator=torch.Generator().manual_seed(0))


def test_errors_are_those_of_drawing_and_of_fitting():
    """Of a Gaussian theory the variance is 1 / a: its error is that of a, beside which drawing has little."""
    generator = torch.Generator().manual_seed(3)
    field = Ensemble.of(torch.randn(600, 1, dtype=torch.float64, generator=generator))
    model = EnergyModel(
        field.geometry,
        Frame.of(field),
        Filters(torch.ones(1, 1).double(), torch.zeros(1).double(), torch.zeros(0).long()),
        modes=1,
    )
    state = accumulate(model.monoid, field)
    second = observed(model, state, member("observables", "binder")(), generator=generator)["second"]
    assert abs(second.value - 1) < 4 * second.error
    assert second.error > 0.8 * (2 / 600) ** 0.5  # what 600 samples tell of a variance
    assert second.error < 2.5 * (2 / 600) ** 0.5
    assert second.n_eff == 200


def test_the_difference_of_two_energies_is_that_of_the_operators(generator):
    field = Ensemble.of(torch.randn(60, 12, dtype=torch.float64, generator=generator), Grid((3, 4)))
    filters = Filters(torch.tensor([[0.7, 0.2]]).double(), torch.tensor([0.4]).double(), torch.zeros(0).long())
    model = EnergyModel(field.geometry, Frame.of(field), filters, reach=1)
    g = torch.zeros(sum(map(len, model.basis.steps.values())), dtype=torch.float64)
    g[model.basis.steps["mass"]], g[model.basis.steps["feature"]] = 0.3, -0.7
    x = field.values[:, :, 0] - model.frame.mean
    expected = 0.15 * x.square().sum(1) - 0.7 * model.basis.features(x.T)[0]
    torch.testing.assert_close(difference(model, field, g), expected)


def critical_fields(side: int, samples: int) -> Ensemble:
    """Continuous Ising fields at the transition: spins by clusters, and given them a Gaussian of mean A s."""
    generator, K = torch.Generator().manual_seed(0), log(1 + 2**0.5) / 2
    assert abs(tanh(K) - (2**0.5 - 1)) < 1e-12
    source = member("sources", "ising-square")(side=side, coupling=K, algorithm="swendsen-wang", chains=200, sweeps=5)
    spins = source.sample(samples, generator=generator).values.reshape(samples, -1).to(torch.float64)
    A = torch.from_numpy(continuous_ising.coupling_matrix(side, side, K)[0])
    noise = torch.randn(samples, side**2, dtype=torch.float64, generator=generator)
    return Ensemble.of(spins @ A + noise @ torch.linalg.cholesky(A).T, Grid((side, side)))


@pytest.mark.slow
def test_fields_drawn_at_the_transition_are_those_of_the_source_where_the_form_reaches_across_the_lattice():
    field = critical_fields(8, 8000)
    binder, found = member("observables", "binder")(), {}
    for reach in (12, 14):  # of 14 distances
        model = EnergyModel.on(field, directed=False, reach=reach)
        assert model.reach == reach
        options = {"samples": 4000, "gap": 30, "burn_in": 300}
        state = accumulate(model.monoid, field)
        found[reach] = observed(model, state, binder, generator=torch.Generator().manual_seed(0), **options)
    for key, exact in evaluate(binder, field).items():
        assert abs(found[14][key].value - float(exact)) < 4 * found[14][key].error
        assert found[14][key].error < 0.05 * float(exact)
    assert found[12]["binder"].value + 4 * found[12]["binder"].error < found[14]["binder"].value


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_whitened_scores_draw_the_exact_cumulant_of_a_small_lattice_at_the_transition(seed):
    K, generator = log(1 + 2**0.5) / 2, torch.Generator().manual_seed(seed)
    field = ising_fields(4, K, 8000, generator)
    model = EnergyModel.on(field, filters=2, whitened=True, seed=seed)
    found = observed(model, accumulate(model.monoid, field), member("observables", "binder")(), generator=generator)
    assert abs(found["binder"].value - continuous_ising.binder(4, 4, K)) < 4 * found["binder"].error
