"""Interacting dimers are mixed: independent of their start, translation invariant, and of the exact energy."""

from collections import Counter

import numpy as np
import pytest
import torch

from blockspin.engine.autocorrelation import integrated_time
from blockspin.errors import ConfigError
from blockspin.sources.interacting_dimers import Coverings, InteractingDimers
from blockspin.theory import dimers as theory


def dimers(model: InteractingDimers, samples: int, seed: int = 0) -> np.ndarray:
    """Return samples [chains, times, side, side, 2]."""
    drawn = model.sample(samples, generator=torch.Generator().manual_seed(seed)).values.numpy().astype(float)
    return drawn.reshape(model.chains, -1, model.side, model.side, 2)


def fields(crew: Coverings) -> np.ndarray:
    """Return the state of every chain [chains, side, side, 2]."""
    return crew.field().reshape(crew.chains, crew.side, crew.side, 2).astype(float)


def parallel(field: np.ndarray) -> np.ndarray:
    """Return the number of parallel pairs of fields [..., side, side, 2]."""
    right, below = field[..., 0], field[..., 1]
    return (right * np.roll(right, -1, -2) + below * np.roll(below, -1, -1)).sum((-1, -2))


def columns(field: np.ndarray) -> np.ndarray:
    """Return the columnar order of fields [..., side, side, 2]: 1 for columns as they begin."""
    side = field.shape[-2]
    return 2 * (field[..., 0] * (-1.0) ** np.arange(side)).sum((-1, -2)) / side**2


def winding(field: np.ndarray) -> np.ndarray:
    """Return the flux of the electric field along rows, of fields [..., side, side, 2]; an integer."""
    r, c = np.indices(field.shape[-3:-1])
    return ((-1.0) ** (r + c) * field[..., 0]).sum((-1, -2)) / field.shape[-2]


def deviations(a: np.ndarray, b: np.ndarray | float) -> float:
    """Return by how many errors two means over independent chains, or a mean and a number, differ."""
    variance = a.var(ddof=1) / len(a) + (b.var(ddof=1) / len(b) if isinstance(b, np.ndarray) else 0.0)
    return abs(a.mean() - np.mean(b)) / variance**0.5


def test_every_site_has_one_dimer_at_every_time():
    crew = Coverings(6, 2.0, 5)
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert crew.move(3, rng) >= 15
        assert set(np.unique(crew.towards)) <= {0, 1, 2, 3}
        partner = crew.near[np.arange(36), crew.towards]
        assert (np.take_along_axis(crew.towards, partner, 1) == (crew.towards + 2) % 4).all()


def test_coverings_are_drawn_as_often_as_their_weights_say():
    """Chi-square over all 272 coverings of the smallest torus, from independent chains."""
    chains, T = 4000, 1.5
    crew = Coverings(4, T, chains)
    crew.move(80, np.random.default_rng(0))
    found = Counter(row.tobytes() for row in crew.towards)
    pairs = {row.tobytes(): n for row, n in zip(crew.towards, parallel(fields(crew)), strict=True)}
    counts = theory.coverings(4, 4)
    whole = sum(number * np.exp(n / T) for n, number in counts.items())
    expected = {key: chains * np.exp(n / T) / whole for key, n in pairs.items()}
    unseen = chains - sum(expected.values())
    chi2 = sum((found[key] - expected[key]) ** 2 / expected[key] for key in found) + unseen
    k, rare = 272, sum(number * whole / np.exp(n / T) for n, number in counts.items())
    error = (2 * (k - 1) + (rare - k**2 - 2 * k + 2) / chains) ** 0.5
    assert len(found) <= k
    assert unseen > -1e-9
    assert abs(chi2 - (k - 1)) < 4 * error


@pytest.mark.parametrize("T", [pytest.param(1.0, marks=pytest.mark.slow), 15.0])
def test_the_energy_is_that_of_the_transfer_matrix(T):
    found = parallel(dimers(InteractingDimers(side=6, temperature=T, chains=1000), 4000))
    assert deviations(found.mean(1), theory.parallel_mean(6, 6, T)) < 4


@pytest.mark.slow
def test_two_starts_agree_after_the_burn_in_and_not_before():
    """Columns have no flux and staggered dimers have the most: the two are furthest apart."""
    crews = [Coverings(8, 15.0, 400) for _ in range(2)]
    row, column = np.divmod(np.arange(64), 8)
    crews[1].towards[:] = (row + column) % 2 * 2
    numbers = (columns, lambda field: winding(field) ** 2, parallel)
    rng = np.random.default_rng(3)
    for sweeps, agree in ((0, False), (InteractingDimers.burn_in, True)):
        for crew in crews:
            crew.warm(sweeps, rng)
        found = [deviations(number(fields(crews[0])), number(fields(crews[1]))) < 4 for number in numbers]
        assert all(found) if agree else not any(found)


@pytest.mark.slow
def test_bonds_are_alike_after_the_burn_in_and_not_before():
    for burn_in, sweeps, alike in ((InteractingDimers.burn_in, 1, True), (0, 1, False)):
        means = dimers(InteractingDimers(side=16, chains=200, burn_in=burn_in, sweeps=sweeps), 200).mean((0, 1))
        deviation = abs(means - 0.25) / (0.25 * 0.75 / 200) ** 0.5  # independent chains, a sample each
        assert (deviation.max() < 4) == alike


@pytest.mark.slow
def test_burn_in_and_units_are_many_autocorrelation_times_long():
    model = InteractingDimers(side=8, chains=64)
    field = dimers(model, 64 * 150)
    for number in (columns(field), winding(field), parallel(field)):
        kept = integrated_time(torch.from_numpy(number)).value  # in samples that are kept
        assert model.burn_in > 10 * kept * model.sweeps
        assert model.stretch > 20 * kept


@pytest.mark.slow
def test_bonds_of_a_large_torus_are_alike():
    field = dimers(InteractingDimers(side=64, chains=400, burn_in=40), 400)
    deviation = abs(field.mean((0, 1)) - 0.25) / (0.25 * 0.75 / 400) ** 0.5
    assert deviation.max() < 4.5  # of 8192 bonds; one in 150,000 is beyond by chance
    assert deviations(columns(field)[:, 0], 0.0) < 4


@pytest.mark.parametrize("wrong", [{"side": 5}, {"temperature": 0.0}, {"sweeps": 0}, {"chains": 0}])
def test_options_that_cannot_be_used_are_refused(wrong):
    with pytest.raises(ConfigError):
        InteractingDimers(**wrong)
