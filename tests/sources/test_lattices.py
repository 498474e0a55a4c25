"""Spins and fields on lattices: every update samples the exact law, compiled or not, and units are many times long."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from blockspin.engine.autocorrelation import integrated_time
from blockspin.errors import ConfigError
from blockspin.measurement import Measurement
from blockspin.sources import _compiled
from blockspin.sources._metropolis import Metropolis, attempt_by_sublattice
from blockspin.sources._periodic_ising import ALGORITHMS
from blockspin.sources._swendsen_wang import SwendsenWang
from blockspin.sources._torus import Torus
from blockspin.sources._wolff import Wolff, flip_by_components
from blockspin.sources.ising_cubic import IsingCubic
from blockspin.sources.ising_square import IsingSquare
from blockspin.sources.phi4 import Phi4
from blockspin.tethers._means import mean_over_units
from blockspin.theory import phi4 as theory

compiled = pytest.mark.skipif(not _compiled.available(), reason="numba is not installed (the extra 'fast')")
UPDATES = [
    pytest.param(lambda torus, K: SwendsenWang(torus, K), id="swendsen-wang"),
    pytest.param(lambda torus, K: Wolff(torus, K, flip=flip_by_components, clusters=4), id="wolff"),
    pytest.param(
        lambda torus, K: Wolff(torus, K, flip=_compiled.flip_clusters, clusters=4), id="wolff-compiled", marks=compiled
    ),
    pytest.param(lambda torus, K: Metropolis(torus, K, attempt=attempt_by_sublattice), id="metropolis"),
    pytest.param(
        lambda torus, K: Metropolis(torus, K, attempt=_compiled.attempt_flips), id="metropolis-compiled", marks=compiled
    ),
]


def within_binomial(count: int, trials: int, level: float) -> bool:
    """Whether so many successes are compatible with the level (two-sided, one in a thousand)."""
    low, high = binom.interval(0.999, trials, level)
    return low <= count <= high


def over_chains(numbers: np.ndarray) -> Measurement:
    """Return the mean over independent chains of numbers [chains, times]."""
    means = numbers.mean(1)
    return Measurement(means.mean(), means.std(ddof=1) / len(means) ** 0.5)


def run(update, shape: tuple[int, ...], K: float, times: int = 60, chains: int = 200) -> dict[str, Measurement]:
    """Return bond energy, squared and fourth power of the magnetisation after a burn-in of 30 sweeps."""
    rng = np.random.default_rng(5)
    torus = Torus(shape, chains)
    moves, spins = update(torus, K), rng.integers(0, 2, (chains, torus.sites), dtype=np.uint8)
    spins = moves.sweep(spins, 30, rng)
    bond, m = np.empty((chains, times)), np.empty((chains, times))
    for t in range(times):
        spins = moves.sweep(spins, 1, rng)
        s = 2.0 * spins - 1
        bond[:, t] = (s[:, :, None] * s[:, torus.neighbours]).mean((1, 2))
        m[:, t] = s.mean(1)
    return {"bond": over_chains(bond), "m2": over_chains(m**2), "m4": over_chains(m**4)}


def enumerated(shape: tuple[int, ...], K: float) -> dict[str, float]:
    """Return the same numbers over all configurations, from rolls rather than a table of neighbours."""
    sites = int(np.prod(shape))
    s = 2.0 * ((np.arange(2**sites)[:, None] >> np.arange(sites)) & 1) - 1
    grid = s.reshape(-1, *shape)
    bonds = sum((grid * np.roll(grid, 1, axis)).reshape(len(s), -1).sum(1) for axis in range(1, len(shape) + 1))
    weight = np.exp(K * (bonds - bonds.max()))
    weight /= weight.sum()
    m = s.mean(1)
    return {"bond": weight @ bonds / (len(shape) * sites), "m2": weight @ m**2, "m4": weight @ m**4}


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize(("shape", "K"), [((3, 4), 0.35), ((7,), 0.8)])
def test_every_update_samples_the_enumerated_law(update, shape, K):
    found, exact = run(update, shape, K), enumerated(shape, K)
    for key, measured in found.items():
        assert abs(measured.value - exact[key]) < 4 * measured.error, key
        assert measured.error < 0.02


@pytest.mark.parametrize("update", UPDATES)
def test_without_coupling_spins_are_coin_flips(update):
    found = run(update, (4, 4), 0.0)
    assert abs(found["bond"].value) < 4 * found["bond"].error
    assert abs(found["m2"].value - 1 / 16) < 4 * found["m2"].error


def test_an_update_that_is_wrong_is_noticed():
    found, exact = run(lambda torus, K: SwendsenWang(torus, 1.05 * K), (3, 4), 0.35), enumerated((3, 4), 0.35)
    assert abs(found["bond"].value - exact["bond"]) > 4 * found["bond"].error


def cubic_bond(K: float) -> float:
    """Return the exact mean bond of 3 x 3 x 3 spins from the trace of a transfer matrix of 2^9 layers."""
    s = 2.0 * ((np.arange(512)[:, None] >> np.arange(9)) & 1) - 1
    layer = s.reshape(-1, 3, 3)
    inside = sum((layer * np.roll(layer, 1, axis)).reshape(512, -1).sum(1) for axis in (1, 2))

    def log_partition(K: float) -> float:
        T = np.exp(K * (s @ s.T + (inside[:, None] + inside[None]) / 2) - 27 * K)
        return float(np.log(np.trace(T @ T @ T))) + 81 * K

    return (log_partition(K + 1e-4) - log_partition(K - 1e-4)) / 2e-4 / 81


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_cubic_lattice_has_the_energy_of_its_transfer_matrix(algorithm):
    model = IsingCubic(side=3, algorithm=algorithm, chains=64, sweeps=3)
    s = model.sample(64 * 60, generator=torch.Generator().manual_seed(0)).values.reshape(64, 60, 3, 3, 3)
    bond = sum((s * s.roll(1, axis)).mean((2, 3, 4)) for axis in (2, 3, 4)) / 3
    found = over_chains(bond.numpy())
    assert abs(found.value - cubic_bond(model.coupling)) < 4 * found.error


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("member", "side"), [(IsingSquare, 8), (IsingCubic, 6)])
def test_units_are_many_autocorrelation_times_long_at_the_critical_point(algorithm, member, side):
    sweeps = 5 if algorithm == "metropolis" else 1
    model = member(side=side, algorithm=algorithm, chains=8, sweeps=sweeps, burn_in=300)
    shape = (8, 1000, *(side,) * model.dimension)
    s = model.sample(8000, generator=torch.Generator().manual_seed(1)).values.reshape(shape)
    sites = tuple(range(2, s.ndim))
    energy = torch.stack([(s * s.roll(1, axis)).mean(sites) for axis in sites]).sum(0)
    for number in (energy, s.mean(sites) ** 2):
        time = integrated_time(number)
        assert model.unit_length > 20 * time.value
        assert time.value * sweeps < model.unit_length * sweeps / 50 + 4 * time.error * sweeps


def test_sublattices_hold_no_neighbours():
    for shape in ((4, 6), (3, 4), (5, 5, 3)):
        torus = Torus(shape, 1)
        assert sorted(np.concatenate(torus.sublattices).tolist()) == list(range(torus.sites))
        for part in torus.sublattices:
            assert not set(part.tolist()) & set(torus.neighbours[part].reshape(-1).tolist())


def test_a_sweep_of_wolff_holds_about_as_many_sites_as_there_are():
    torus, rng = Torus((8, 8), 16), np.random.default_rng(0)
    spins = rng.integers(0, 2, (16, 64), dtype=np.uint8)
    tuned, spins = Wolff(torus, 0.3, flip=flip_by_components).burnt_in(spins, 50, rng)
    _, flipped = flip_by_components(spins, torus, 0.3, 40 * tuned.clusters, rng)
    assert tuned.clusters > 3
    assert flipped / (40 * spins.size) == pytest.approx(1.0, abs=0.2)  # the number of clusters is a whole one


def test_without_the_compiler_the_same_updates_are_found(monkeypatch):
    monkeypatch.setattr(_compiled, "available", lambda: False)
    for algorithm in ALGORITHMS:
        spins = IsingSquare(side=4, algorithm=algorithm, burn_in=3).sample(
            20, generator=torch.Generator().manual_seed(0)
        )
        assert set(spins.values.unique().tolist()) == {-1.0, 1.0}


def phi4_moments(model: Phi4, a_chain: int) -> dict[str, np.ndarray]:
    shape = (model.chains, a_chain, *model.shape)
    x = model.sample(model.chains * a_chain, generator=torch.Generator().manual_seed(3)).values.reshape(shape).double()
    sites = tuple(range(2, x.ndim))
    bond = torch.stack([(x * x.roll(1, axis)).mean(sites) for axis in sites]).mean(0)
    return {"phi2": (x**2).mean(sites).numpy(), "phi4": (x**4).mean(sites).numpy(), "bond": bond.numpy()}


@pytest.mark.parametrize(("hopping", "coupling"), [(0.3, 0.0), (0.3, 0.5), (0.4, 20.0)])
def test_phi4_on_a_ring_has_the_moments_of_its_transfer_operator(hopping, coupling):
    model = Phi4(shape=(6,), hopping=hopping, coupling=coupling, chains=200, sweeps=2)
    exact = theory.ring_moments(6, hopping, coupling)
    for key, numbers in phi4_moments(model, 60).items():
        found = over_chains(numbers)
        assert abs(found.value - exact[key]) < 4 * found.error, key


def test_strong_phi4_is_an_ising_model():
    model = Phi4(shape=(3, 4), hopping=0.175, coupling=5000.0, chains=200, sweeps=2)
    x = model.sample(200 * 40, generator=torch.Generator().manual_seed(3)).values
    assert float((x.abs() - 1).abs().max()) < 0.03  # six deviations 1 / sqrt(8 lambda)
    s = x.sign().reshape(200, 40, 3, 4)
    found = over_chains(((s * s.roll(1, 2)).mean((2, 3)) + (s * s.roll(1, 3)).mean((2, 3))).numpy() / 2)
    assert abs(found.value - enumerated((3, 4), 0.35)["bond"]) < 4 * found.error


def calibrated(model: Phi4, number, truth: float, seeds: int) -> bool:
    """Whether error bars by groups of units hold the truth about as often as they should, and are not biased."""
    deviations = []
    for seed in range(seeds):
        ensemble = model.sample(model.chains * 30, generator=torch.Generator().manual_seed(seed))
        found = mean_over_units(number(ensemble.values.double().reshape(-1, *model.shape)), ensemble)
        deviations.append((float(found.value) - truth) / float(found.error))
    z = np.array(deviations)
    return within_binomial(int((np.abs(z) < 1).sum()), seeds, 0.67) and abs(z.mean()) < 4 * 1.05 / seeds**0.5


@pytest.mark.slow
def test_errors_of_the_slowest_free_field_are_calibrated():
    """tau is some 40 times the distance of samples here."""
    model = Phi4(shape=(6, 6), hopping=0.249, coupling=0.0, burn_in=0, sweeps=2)
    truth, _ = theory.free_moments((6, 6), 0.249)
    assert calibrated(model, lambda x: (x**2).mean((1, 2)), truth, 40)
    ensemble = model.sample(1200, generator=torch.Generator().manual_seed(0))
    number = (ensemble.values.double() ** 2).mean((1, 2))
    honest = mean_over_units(number, ensemble).error
    assert honest > 2.5 * float(number.std()) / len(number) ** 0.5  # as if samples were independent


@pytest.mark.slow
def test_errors_near_the_transition_are_calibrated():
    model = Phi4(shape=(6, 6), hopping=0.33, coupling=0.5, burn_in=60, sweeps=1)

    def identity(x):
        bond = sum((x * x.roll(1, axis)).mean((1, 2)) for axis in (1, 2)) / 2
        square = (x**2).mean((1, 2))
        return 2 * square + 2 * ((x**4).mean((1, 2)) - square) - 8 * 0.33 * bond

    assert calibrated(model, identity, 1.0, 30)


@pytest.mark.parametrize(("hopping", "coupling"), [(0.3, 0.5), (0.34, 0.5), (0.2475, 0.01)])
def test_autocorrelation_times_of_phi4_are_what_its_docstring_says(hopping, coupling):
    model = Phi4(shape=(12, 12), hopping=hopping, coupling=coupling, chains=8)
    x = model.sample(8 * 300, generator=torch.Generator().manual_seed(1)).values.reshape(8, 300, -1)
    for number in (x.mean(2) ** 2, (x**2).mean(2)):
        assert integrated_time(number).value * model.sweeps < 15 + 5  # no less than the distance of samples


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (IsingSquare, {"algorithm": "glauber"}),
        (IsingCubic, {"side": 2}),
        (IsingSquare, {"stretch": -1}),
        (Phi4, {"shape": (2, 4)}),
        (Phi4, {"shape": ()}),
        (Phi4, {"hopping": 0.3, "coupling": 0.0}),
        (Phi4, {"coupling": -1.0}),
    ],
)
def test_options_that_cannot_be_used_are_refused_by_name(model, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        model(**options)
