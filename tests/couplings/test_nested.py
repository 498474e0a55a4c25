"""Nested models: no coupling beyond the mass on white noise, the true ones where there are some, and what is sloppy."""

import pytest
import torch

from blockspin.couplings.effective_action import EffectiveAction
from blockspin.couplings.nested import NestedModels, nested_models
from blockspin.ensemble import Ensemble
from blockspin.errors import TooFewSamplesError
from blockspin.geometry import Chain
from blockspin.observables.base import accumulate
from blockspin.registry import member

RING = Chain(16)
ACTION = EffectiveAction(RING, operators=("mass", "gradient", "quartic"), tested=("pair[2]", "sextic"))


def nested(samples: Ensemble, action: EffectiveAction = ACTION) -> NestedModels:
    return nested_models(action, accumulate(action.monoid, samples))


def white(seed: int, samples: int = 200) -> Ensemble:
    return member("sources", "white-noise")(shape=(16,)).sample(samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("seeds", "most"), [(40, 6), pytest.param(200, 18, marks=pytest.mark.slow)]
)  # one-sided 1 % at a level of 5 %
def test_white_noise_needs_no_coupling_beyond_the_mass(seeds, most):
    alarms = sum(nested(white(seed)).needed > 1 for seed in range(seeds))
    assert alarms <= most


@pytest.mark.slow
def test_p_values_of_white_noise_are_calibrated():
    rejected = sum(nested(white(seed, 1000)).p_values[0] < 0.05 for seed in range(200))
    assert rejected <= 18


def test_a_quartic_field_needs_its_three_couplings():
    source = member("sources", "phi4")(shape=(16,), hopping=0.2, coupling=0.5, chains=200, burn_in=20, sweeps=3)
    found = nested(source.sample(1000, generator=torch.Generator().manual_seed(0)))
    assert found.quantities == ("mass", "gradient", "quartic")
    assert found.counts == (1, 2, 3, 4, 5)
    assert found.p_values[0] < 1e-6
    assert found.p_values[-1] is None
    assert found.excess.value.min() == 0


def test_a_gaussian_field_needs_no_power_of_the_field():
    law = member("sources", "gaussian-field")(shape=(16,), mass=0.5).law()
    samples = law.sample(1000, generator=torch.Generator().manual_seed(0))
    action = EffectiveAction(RING, operators=("mass", "derivative", "quartic"), tested=("sextic",))
    assert nested(samples, action).quantities == ("mass", "derivative")


def test_families_of_modes_are_steps():
    generator = torch.Generator().manual_seed(0)
    radius = 2 + 0.4 * torch.randn(2000, 1, generator=generator)
    y = radius * torch.nn.functional.normalize(torch.randn(2000, 3, generator=generator))
    y = torch.cat([y, 0.1 * torch.randn(2000, 2, generator=generator)], 1)
    fit_half, held_out = Ensemble.of(y).halves()
    action = EffectiveAction.on(fit_half, modes=3, operators=("mass", "quartic", "product"), tested=("linear",))
    found = nested(held_out, action)
    assert found.counts == (3, 6, 9, 12)
    assert found.quantities == ("mass", "quartic", "product")  # a shell


def test_the_spectrum_is_that_of_the_scaled_information():
    found = nested(white(0), EffectiveAction(RING, operators=("mass", "quartic", "sextic"), tested=()))
    # for a unit Gaussian <x^2>, <x^4>/6, <x^6>/36, ... over factorials, scaled to a unit diagonal
    moment = {2: 1, 4: 3, 6: 15, 8: 105, 10: 945}
    powers = (1, 3, 5)
    A = torch.tensor([[float(moment[p + q]) for q in powers] for p in powers], dtype=torch.float64)
    root = A.diagonal().sqrt()
    exact = torch.linalg.eigvalsh(A / torch.outer(root, root)).flip(0).numpy()
    assert (abs(found.spectrum.value - exact) < 4 * found.spectrum.error).all()
    assert found.spectrum.value.sum() == pytest.approx(3)
    assert (found.sloppy, found.stiff) == (0, 3)


def test_powers_of_a_narrow_field_about_a_mean_are_sloppy(generator):
    field = Ensemble.of(10 + torch.randn(500, 16, dtype=torch.float64, generator=generator), RING)
    found = nested(field, EffectiveAction(RING, operators=("linear", "mass", "cubic"), tested=()))
    assert found.sloppy == 1


def test_too_few_units_are_refused():
    samples = white(0)
    few = Ensemble.of(samples.values, RING, units=torch.arange(200) % 3)
    with pytest.raises(TooFewSamplesError, match="hold some out"):
        nested(few)
