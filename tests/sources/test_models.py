"""Statistical models: samples follow the exact law, laws follow theory, and chains are honest about time."""

from functools import cache

import numpy as np
import pytest
import torch

from blockspin.ensemble import Ensemble, group_of
from blockspin.errors import ConfigError, ShapeError
from blockspin.geometry import Grid
from blockspin.law import EnumeratedLaw, GaussianLaw, enumerate_law
from blockspin.registry import members
from blockspin.sources.base import ExactModel, Model
from blockspin.sources.gaussian_field import GaussianField
from blockspin.sources.hierarchical_tree import HierarchicalTree
from blockspin.sources.ising_ring import IsingRing
from blockspin.sources.ising_square import IsingSquare
from blockspin.sources.white_noise import WhiteNoise
from blockspin.theory import gaussian_model, ising_ring

MODELS = {name: cls for name, cls in members("sources").items() if issubclass(cls, Model)}
EXACT = {name: cls for name, cls in MODELS.items() if issubclass(cls, ExactModel)}


def drawn(model: Model, samples: int, seed: int = 0) -> Ensemble:
    return model.sample(samples, generator=torch.Generator().manual_seed(seed))


@cache
def first_of(name: str) -> Ensemble:
    return drawn(MODELS[name](), 4)


@pytest.mark.parametrize("name", MODELS)
def test_same_generator_same_samples(name):
    second, other = (drawn(MODELS[name](), 4, seed) for seed in (0, 1))
    assert torch.equal(first_of(name).values, second.values)
    assert not torch.equal(second.values, other.values)


@pytest.mark.parametrize("name", MODELS)
def test_the_global_generator_is_left_alone(name):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    drawn(MODELS[name](), 4)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


@pytest.mark.parametrize("name", MODELS)
def test_samples_are_float32(name):
    assert first_of(name).values.dtype == torch.float32


@pytest.mark.parametrize("name", EXACT)
def test_second_moments_of_samples_are_those_of_the_law(name):
    model, samples = EXACT[name](), 4000
    x = drawn(model, samples).values.flatten(1).to(torch.float64)
    law = model.law()
    if isinstance(law, GaussianLaw):
        exact = law.covariance
    else:
        v = law.values.flatten(1)
        exact = (v * law.weights[:, None]).T @ v
    products = x[:, :8, None] * x[:, None]  # eight rows are enough
    error = products.std(0) / samples**0.5
    z = (products.mean(0) - exact[:8]) / error.clamp(min=1e-12)  # the square of a spin is 1, without error
    assert float(z.abs().max()) < 5  # the largest of some hundred


@pytest.mark.parametrize("name", EXACT)
def test_independent_samples_are_units_of_their_own(name):
    ensemble = drawn(EXACT[name](), 50)
    assert len(torch.unique(ensemble.units)) == 50
    assert not ensemble.chain


@pytest.mark.parametrize("field", [0.0, 0.3])
def test_the_law_of_the_ring_is_that_of_theory(field):
    law = IsingRing(sites=6, coupling=0.7, field=field).law()
    spins, probability = ising_ring.ring_probabilities(6, 0.7, field)
    order = np.lexsort(spins.T[::-1])
    assert (law.values[:, :, 0].numpy() == spins[order]).all()
    assert law.weights.numpy() == pytest.approx(probability[order], abs=1e-14)


def test_a_long_ring_is_sampled_at_low_temperature():
    values = drawn(IsingRing(sites=400, coupling=2.0), 2000).values[:, :, 0]
    bond = (values * values.roll(-1, 1)).mean(1)
    error = float(bond.std()) / 2000**0.5
    assert abs(float(bond.mean()) - ising_ring.correlation(1, 400, 2.0)) < 4 * error


def test_a_field_breaks_the_symmetry_of_a_sampled_ring():
    model = IsingRing(sites=8, coupling=0.4, field=0.3)
    law, spins = model.law(), drawn(model, 20000).values.mean((1, 2))
    exact = float(law.weights @ law.values.mean((1, 2)))
    assert abs(float(spins.mean()) - exact) < 4 * float(spins.std()) / 20000**0.5


def test_too_long_a_ring_has_no_law():
    with pytest.raises(ShapeError, match="too many to enumerate"):
        IsingRing(sites=17).law()


def square_law(side: int, coupling: float) -> EnumeratedLaw:
    def log_weight(s: torch.Tensor) -> torch.Tensor:
        s = s.reshape(-1, side, side)
        return coupling * (s * s.roll(-1, 1) + s * s.roll(-1, 2)).sum((1, 2))

    return enumerate_law(Grid((side, side)), (-1.0, 1.0), log_weight)


@pytest.fixture(scope="module")
def small_square() -> Ensemble:
    return drawn(IsingSquare(side=3, coupling=0.35, chains=8, sweeps=5, stretch=25), 4000)


@pytest.mark.parametrize("power", [2, 4])
def test_clusters_sample_the_enumerated_square_lattice(small_square, power):
    law, spins = square_law(3, 0.35), small_square
    exact = float(law.weights @ law.values.mean((1, 2)) ** power)
    unit = torch.stack([(spins.values[spins.units == u].mean((1, 2)) ** power).mean() for u in spins.units.unique()])
    assert abs(float(unit.mean()) - exact) < 4 * float(unit.std()) / len(unit) ** 0.5


def test_the_binder_cumulant_of_the_critical_square_lattice():
    spins = drawn(IsingSquare(side=16), 4000)
    m = spins.values.mean((1, 2)).to(torch.float64)
    group = group_of(spins.units, 20, chain=True)

    def binder(m: torch.Tensor) -> torch.Tensor:
        return 1 - (m**4).mean() / (3 * (m**2).mean() ** 2)

    error = 19 / 20**0.5 * float(torch.stack([binder(m[group != g]) for g in range(20)]).std())
    assert abs(float(binder(m)) - 0.6107) < 0.002 + 4 * error  # the infinite lattice; 0.002 for the finite one


def test_units_of_chains_are_stretches_of_one_chain():
    spins = drawn(IsingSquare(side=3, chains=2, burn_in=1, stretch=3), 16)
    assert spins.units.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5]
    assert spins.chain


@pytest.mark.parametrize(("shape", "mass", "eta"), [((16,), 0.1, 0.0), ((6, 8), 0.0, 0.5)])
def test_the_spectrum_of_the_field_is_that_of_theory(shape, mass, eta):
    model = GaussianField(shape=shape, mass=mass, eta=eta)
    assert model.spectrum().numpy() == pytest.approx(gaussian_model.spectrum(shape, mass, eta), rel=1e-12)
    eigenvalues = torch.linalg.eigvalsh(model.law().covariance)
    assert eigenvalues.numpy() == pytest.approx(np.sort(model.spectrum().flatten().numpy()), abs=1e-12)


def test_the_spectrum_of_the_tree_is_that_of_theory():
    model = HierarchicalTree(branching=3, depth=3, ratio=0.6)
    exact = gaussian_model.tree_spectrum(model.variances.numpy(), 3)
    assert torch.linalg.eigvalsh(model.law().covariance).flip(0).numpy() == pytest.approx(exact, abs=1e-12)


def test_white_noise_has_as_many_components_as_asked_for():
    ensemble = drawn(WhiteNoise(shape=(4, 2), components=3, deviation=2.0), 10)
    assert ensemble.values.shape == (10, 8, 3)
    assert float(WhiteNoise(shape=(4, 2), components=3, deviation=2.0).law().covariance[5, 5]) == 4.0


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (IsingRing, {"sites": 1}),
        (IsingRing, {"coupling": float("nan")}),
        (IsingSquare, {"side": 2}),
        (IsingSquare, {"coupling": -0.1}),
        (IsingSquare, {"sweeps": 0}),
        (GaussianField, {"shape": ()}),
        (GaussianField, {"mass": -1.0}),
        (GaussianField, {"eta": 2.5}),
        (WhiteNoise, {"components": 0}),
        (HierarchicalTree, {"branching": 1}),
        (HierarchicalTree, {"depth": 20}),
    ],
)
def test_options_that_cannot_be_used_are_refused_by_name(model, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        model(**options)
