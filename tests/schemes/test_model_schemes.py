"""Schemes made from models, on laws and samples whose answer is known: what they keep, give back and refuse."""

import sys

import pytest
import torch

from blockspin import Chain, Ensemble, Grid, Unordered
from blockspin.errors import ConfigError, GeometryError, MissingDependencyError, NothingFoundError, StepNotPossibleError
from blockspin.flows.iterate import iterate
from blockspin.law import GaussianLaw
from blockspin.schemes._bijectors import couplings_of, from_latents, new_levels, to_latents
from blockspin.schemes.fisher_directions import FisherDirections
from blockspin.schemes.heat_flow import HeatFlow
from blockspin.schemes.neural_rg import NeuralRG
from blockspin.schemes.restricted_boltzmann import RestrictedBoltzmann
from blockspin.testing.worlds import World, gaussian_field, generic_law, ising_ring

NO_CHANCE = torch.Generator()


# --- heat flow -------------------------------------------------------------------------------------------------------


def test_the_lift_of_heat_flow_is_the_regression_of_the_fine_field_on_the_coarse_one(generator):
    field = gaussian_field((4, 6), 0.2).sample(500, generator=generator)
    coarse = HeatFlow(b=2).fit(field, generator=NO_CHANCE)
    x = field.values[:, :, 0].to(torch.float64)
    y = coarse.values(x[:, :, None])[:, :, 0]
    slow = torch.linalg.lstsq(y - y.mean(0), x - x.mean(0)).solution
    lifted = coarse.lift(y[:, :, None])[:, :, 0]
    assert torch.allclose(lifted, x.mean(0) + (y - y.mean(0)) @ slow, atol=1e-9)


def test_the_map_undoes_its_lift_where_samples_are_fewer_than_sites(generator):
    few = gaussian_field((36,), 0.2).sample(6, generator=generator)
    coarse = HeatFlow(b=3).fit(few, generator=NO_CHANCE)
    other = torch.randn(5, 12, 1, dtype=torch.float64, generator=generator)
    assert torch.allclose(coarse.values(coarse.lift(other)), other, atol=1e-12)


def test_short_times_are_decimation_and_open_edges_keep_the_heat(generator):
    field = Ensemble.of(torch.randn(4, 30, 2, dtype=torch.float64, generator=generator), Grid((5, 6), periodic=False))
    with pytest.raises(StepNotPossibleError, match="do not divide"):
        HeatFlow(b=2).fit(field, generator=NO_CHANCE)
    line = Ensemble.of(torch.randn(4, 8, 2, dtype=torch.float64, generator=generator), Chain(8, periodic=False))
    almost = HeatFlow(b=2, time=1e-12).fit(line, generator=NO_CHANCE)
    assert torch.allclose(almost.values(line.values), line.values[:, ::2], atol=1e-10)
    even = torch.ones(1, 8, 2, dtype=torch.float64)
    assert torch.allclose(HeatFlow(b=2).fit(line, generator=NO_CHANCE).values(even), even[:, ::2])


def test_heat_needs_a_lattice_that_is_not_too_large():
    with pytest.raises(GeometryError, match="principal-modes"):
        HeatFlow().fit(GaussianLaw.of(torch.eye(4), Unordered(4)), generator=NO_CHANCE)
    with pytest.raises(StepNotPossibleError, match="momentum-shell"):
        HeatFlow().fit(Ensemble.of(torch.ones(2, 9000), Chain(9000)), generator=NO_CHANCE)


# --- Fisher directions -----------------------------------------------------------------------------------------------


def test_gradients_are_not_centred_and_parameters_are():
    law = GaussianLaw.of(
        torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0])), Unordered(4), torch.tensor([[9.0], [0], [0], [0]])
    )
    gradients = FisherDirections(b=4).fit(law, generator=NO_CHANCE)
    assert gradients.metric.tolist() == pytest.approx([82, 4, 3, 2], abs=1e-12)
    assert gradients.modes[:, 0].tolist() == pytest.approx([1, 0, 0, 0], abs=1e-12)
    parameters = FisherDirections(b=4, rows="parameters").fit(law, generator=NO_CHANCE)
    lifted = parameters.lift(torch.zeros(1, 1, 1, dtype=torch.float64))
    assert lifted[0, :, 0].tolist() == [9, 0, 0, 0]


def test_a_sloppy_quadratic_keeps_its_likelihood_on_the_stiff_half(generator):
    """Forgetting the sloppy half of a posterior costs half a nat a direction on average, and no less is possible."""
    precision = generic_law(Unordered(12)).covariance * 50
    law = GaussianLaw.of(torch.linalg.inv(precision), Unordered(12))
    draws = law.sample(4000, generator=generator)
    stiff = FisherDirections(b=2, rows="parameters").fit(law, generator=NO_CHANCE)
    lost = (draws.values - stiff.lift(stiff.values(draws.values)))[:, :, 0].to(torch.float64)
    cost = (lost @ precision * lost).sum(1) / 2
    assert abs(float(cost.mean()) - 3) < 4 * float(cost.std()) / 4000**0.5


def test_directions_that_were_not_sampled_are_not_called_stiff(generator):
    few = generic_law(Unordered(12)).sample(8, generator=generator)
    with pytest.raises(StepNotPossibleError, match="5 of 12 directions do not vary"):
        FisherDirections(rows="parameters").fit(few, generator=NO_CHANCE)
    FisherDirections(rows="gradients").fit(few, generator=NO_CHANCE)
    with pytest.raises(ConfigError, match="gradients or parameters"):
        FisherDirections(rows="weights")


# --- restricted Boltzmann machine ------------------------------------------------------------------------------------


def spins(K: float, samples: int, seed: int = 0) -> Ensemble:
    return World("ring", ising_ring(12, K)).fields(samples, seed=seed)


def test_a_machine_predicts_sites_that_it_has_not_seen(generator):
    machine = RestrictedBoltzmann(epochs=20).fit(spins(0.7, 1500), generator=generator)
    fresh = machine.log_conditionals(spins(0.7, 1500, seed=1).values).mean(1)
    error = (float(machine.pseudo_likelihood.error) ** 2 + float(fresh.var()) / len(fresh)) ** 0.5
    assert abs(float(machine.pseudo_likelihood.value) - float(fresh.mean())) < 4 * error
    assert machine.gain.value > 4 * machine.gain.error


def test_conditionals_are_those_of_the_marginal_of_the_machine(generator):
    machine = RestrictedBoltzmann(b=3, epochs=20).fit(spins(0.7, 1000), generator=generator)
    law = ising_ring(12, 0.0)
    v = (law.values[:, :, 0] + 1) / 2
    energy = v @ machine.visible_bias + torch.nn.functional.softplus(v @ machine.weights.T + machine.hidden_bias).sum(1)
    log_p = energy - torch.logsumexp(energy, 0)
    found = machine.log_conditionals(law.values)
    for i in (0, 5):
        other = torch.arange(4096) ^ (1 << (11 - i))
        assert torch.allclose(found[:, i], log_p - torch.logaddexp(log_p, log_p[other]), atol=1e-10)


def test_hidden_units_see_neighbours(generator):
    """Receptive fields of a ring are local, as against the same weights on sites in any other order."""
    machine = RestrictedBoltzmann(b=2).fit(spins(0.9, 2000), generator=generator)
    share = machine.weights.square() / machine.weights.square().sum(1, keepdim=True)
    distance = Chain(12).distances()

    def extent(order):
        return float(torch.einsum("hi,ij,hj->", share, distance[order][:, order], share))

    shuffled = [extent(torch.randperm(12, generator=generator)) for _ in range(200)]
    assert extent(torch.arange(12)) < min(shuffled)


@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_a_stack_of_machines_keeps_the_two_values_of_its_field(low, generator):
    field = spins(1.0, 2000)
    field = field.with_values(low + (1 - low) * (field.values + 1) / 2)
    for sites in (6, 3):
        machine = RestrictedBoltzmann(epochs=30).fit(field, generator=generator)
        assert float(machine.visible_mean(machine(field).values).min()) >= low
        field = machine(field)
        assert field.geometry.sites == sites
        assert sorted(set(field.values.flatten().tolist())) == [low, 1.0]


def test_what_is_not_binary_or_holds_nothing_is_refused(generator, monkeypatch):
    with pytest.raises(StepNotPossibleError, match="sites of two values"):
        RestrictedBoltzmann().fit(gaussian_field((6,), 0.1).sample(20, generator=generator), generator=generator)
    with pytest.raises(NothingFoundError, match="which is nothing"):
        RestrictedBoltzmann(epochs=5).fit(spins(0.0, 1000), generator=generator)
    with pytest.raises(StepNotPossibleError, match="too few"):
        RestrictedBoltzmann().fit(spins(1.0, 3), generator=generator)
    monkeypatch.setitem(sys.modules, "sklearn.neural_network", None)
    with pytest.raises(MissingDependencyError, match=r"blockspin\[rbm\]"):
        RestrictedBoltzmann().fit(spins(1.0, 100), generator=generator)


def test_renormalised_fields_are_still_binary(generator):
    flow = iterate(spins(1.0, 3000), RestrictedBoltzmann(epochs=30), generator=generator, steps=2)
    assert [scale.ensemble.geometry.sites for scale in flow] == [12, 6, 3]
    assert all(len(torch.unique(scale.ensemble.values)) == 2 for scale in flow)


# --- neural RG -------------------------------------------------------------------------------------------------------


def random_levels(grid, components, generator):
    """Return levels whose couplings do something."""
    levels = new_levels(grid, components, hidden=5, depth=3, generator=generator)
    for coupling in couplings_of(levels):
        for part in (coupling.second, coupling.constant):
            part += 0.3 * torch.randn(part.shape, dtype=part.dtype, generator=generator)
    return levels


@pytest.mark.parametrize(
    ("grid", "components"), [(Chain(12), 1), (Grid((4, 6)), 2), (Grid((4, 4), periodic=False), 1), (Grid((2, 2, 2)), 1)]
)
def test_latents_go_back_to_the_field_and_the_volume_is_that_of_the_jacobian(grid, components, generator):
    levels = random_levels(grid, components, generator)
    x = torch.randn(3, grid.sites, components, dtype=torch.float64, generator=generator)
    z, volume = to_latents(levels, x)
    back, negative = from_latents(levels, z, components)
    assert torch.allclose(back, x, atol=1e-10)
    assert torch.allclose(volume, -negative, atol=1e-10)
    for row, found in zip(x, volume, strict=True):
        J = torch.autograd.functional.jacobian(lambda y: to_latents(levels, y[None])[0][0], row)
        assert float(torch.linalg.slogdet(J.reshape(len(z[0]), -1))[1]) == pytest.approx(float(found), abs=1e-9)


def test_untrained_levels_are_block_averages():
    levels = new_levels(Grid((4, 4)), 1, hidden=3, depth=2, generator=torch.Generator().manual_seed(0))
    x = torch.arange(16, dtype=torch.float64).reshape(1, 16, 1)
    assert levels[0].forward(x)[0][0, :, 0].tolist() == pytest.approx([5, 9, 21, 25])
    assert len(levels) == 2


def test_training_finds_the_density_of_a_gaussian_field(generator):
    """No density scores better than the field's own, and after a short training the score is near it."""
    law = gaussian_field((4, 4), 0.3)
    field = law.sample(3000, generator=generator)
    machine = NeuralRG(steps=150, hidden=16, depth=2, rate=0.02).fit(field, generator=generator)
    own = torch.distributions.MultivariateNormal(torch.zeros(16, dtype=torch.float64), law.covariance)
    entropy = float(own.entropy()) / 16
    assert float(machine.gain.value) > 4 * float(machine.gain.error) > 0
    assert -0.1 < float(machine.score.value) + entropy < 4 * float(machine.score.error)
    drawn = machine.generate(4000, generator=generator)[:, :, 0]
    fresh = own.log_prob(drawn)
    assert float(fresh.mean()) / 16 == pytest.approx(-entropy, abs=0.15)


def test_a_field_without_a_density_or_a_lattice_is_refused(generator):
    flips = World("ring", ising_ring(12, 0.5)).fields(100)
    with pytest.raises(StepNotPossibleError, match=r"noise = 0\.1"):
        NeuralRG().fit(flips, generator=generator)
    with pytest.raises(GeometryError, match="no lattice"):
        NeuralRG().fit(generic_law(Unordered(12)).sample(50, generator=generator), generator=generator)
    with pytest.raises(StepNotPossibleError, match="do not divide into blocks of 2"):
        NeuralRG().fit(gaussian_field((9,), 0.3).sample(50, generator=generator), generator=generator)
    with pytest.raises(StepNotPossibleError, match=r"law\.sample"):
        NeuralRG().fit(gaussian_field((8,), 0.3), generator=generator)


def test_a_symmetric_density_is_the_average_over_signs(generator):
    machine = NeuralRG(steps=3, hidden=4, depth=2).fit_action(
        lambda x: ((x[:, :, 0] - 1) ** 2).sum(1), Grid((2, 2)), symmetric=True, generator=generator
    )
    x = torch.randn(5, 4, 1, dtype=torch.float64, generator=generator)
    assert torch.allclose(machine.log_density(x), machine.log_density(-x))
