"""Energies tell directions apart: by displacement, with a closed Laplacian, and only where samples say so."""

from math import pi

import numpy as np
import pytest
import torch
from grouped import group_states
from scipy.stats import binom

from blockspin.couplings._displacements import apart, shells
from blockspin.couplings._filter_basis import FilterBasis, Filters, neighbours
from blockspin.couplings._frame import Frame
from blockspin.couplings._lattice_basis import MOST_PAIRS, LatticeBasis, class_counts
from blockspin.couplings.energy_model import EnergyModel
from blockspin.couplings.energy_observables import observed
from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import Ensemble
from blockspin.errors import ConfigError, GeometryError
from blockspin.geometry import Chain, Grid, Tree
from blockspin.observables.base import accumulate
from blockspin.registry import member

SHARE, WELL, NOISE = 0.8, 0.8, 0.5


def slanted(samples: int, side: int, seed: int = 0) -> Ensemble:
    """Return phi = W^-1 psi with W = 1 - c S, S a shift along the second axis, psi independent between two wells."""
    generator = torch.Generator().manual_seed(seed)
    well = WELL * (2.0 * torch.randint(2, (samples, side, side), generator=generator) - 1)
    psi = well + NOISE * torch.randn(samples, side, side, dtype=torch.float64, generator=generator)
    W, k = torch.eye(side, dtype=torch.float64), torch.arange(side)
    W[k, (k + 1) % side] -= SHARE
    return Ensemble.of((psi @ torch.linalg.inv(W).T).flatten(1), Grid((side, side)))


def exact_slanted() -> tuple[float, float]:
    """Return the mean curvature of the field, and what it has above the Gaussian theory's: in field^-2.

    E(phi) = sum_x e((W phi)_x), whose Laplacian is sum_x e'' |W_x|^2 with |W_x|^2 = 1 + c^2; of the wells
    e'' = 1 / s^2 - (m / s^2)^2 / cosh^2(m psi / s^2). The Gaussian theory has the same W and e'' = 1 / (m^2 + s^2).
    """
    u, w = np.polynomial.hermite_e.hermegauss(200)
    bend = (w / np.cosh(WELL * (WELL + NOISE * u) / NOISE**2) ** 2).sum() / (2 * pi) ** 0.5
    mean = 1 / NOISE**2 - (WELL / NOISE**2) ** 2 * bend
    return (1 + SHARE**2) * mean, (1 + SHARE**2) * (mean - 1 / (WELL**2 + NOISE**2))


# --- displacements ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("geometry", [Grid((4, 3)), Grid((3, 4), periodic=False), Chain(6), Grid((2, 2, 3))])
def test_every_pair_of_sites_is_at_one_displacement(geometry):
    every = [step for shell in shells(geometry, 100, signed=True) for step in shell]
    total = sum(apart(geometry, step, signed=True).long() for step in every)
    assert torch.equal(total, 1 - torch.eye(geometry.sites, dtype=torch.int64))
    pairs = [step for shell in shells(geometry, 100, signed=False) for step in shell]
    total = sum(apart(geometry, step, signed=False).long() for step in pairs)
    assert torch.equal(total, 1 - torch.eye(geometry.sites, dtype=torch.int64))
    length = geometry.distances()
    for k, shell in enumerate(shells(geometry, 100, signed=True)):
        at = torch.stack([length[apart(geometry, step, signed=True)][0] for step in shell])
        assert torch.allclose(at, torch.unique(length.round(decimals=9))[k + 1])


def test_a_step_leads_from_a_site_to_the_next():
    assert apart(Chain(4), (1,), signed=True).nonzero().tolist() == [[0, 1], [1, 2], [2, 3], [3, 0]]
    assert apart(Chain(3, periodic=False), (-1,), signed=True).nonzero().tolist() == [[1, 0], [2, 1]]


def test_only_whole_distances_are_taken_that_have_names():
    counts = class_counts(Grid((16, 16)), 12, directed=True)
    assert counts[:4] == [2, 4, 6, 10]
    assert counts[-1] <= MOST_PAIRS
    assert neighbours(Grid((16, 16)), 2, directed=True) == 8


@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize("geometry", [Grid((3, 4)), Grid((3, 4), periodic=False)])
def test_gradients_products_and_laplacians_are_those_of_autograd(geometry, whitened, generator):
    """The slow twin: a filter laid around every site by hand, in a subspace, differentiated twice."""
    values = torch.randn(60, 12, dtype=torch.float64, generator=generator)
    values -= values.mean(1, keepdim=True)
    values[:, :3] *= 2
    frame = Frame.of(Ensemble.of(values - values.mean(1, keepdim=True), geometry))
    plain = LatticeBasis(geometry, ("mass", "pair[2]"), frame, directed=True, whitened=whitened)
    w, b = torch.randn(2, 9, dtype=torch.float64, generator=generator), torch.tensor([0.4, -0.9], dtype=torch.float64)
    basis = FilterBasis(plain, Filters(w, b, torch.zeros(0, dtype=torch.int64)))
    sites = [tuple(place) for place in geometry.coordinates().tolist()]
    steps = [(0, 0), *(step for shell in shells(geometry, 2, signed=True) for step in shell)]
    assert len(steps) == 9

    def at(x, place, step):
        ends = [(p + k, n) for p, k, n in zip(place, step, geometry.shape, strict=True)]
        if not geometry.periodic and any(not 0 <= end < n for end, n in ends):
            return 0.0
        return x[sites.index(tuple(end % n for end, n in ends))]

    def energies(x):
        pair = sum(x[k] * at(x, place, shells(geometry, 1, signed=False)[0][1]) for k, place in enumerate(sites))
        seen = [
            sum(
                torch.log(torch.cosh(sum(w[j, t] * at(x, place, s) for t, s in enumerate(steps)) + b[j]))
                for place in sites
            )
            for j in (0, 1)
        ]
        return torch.stack([x.square().sum() / 2, pair, *seen])

    L = frame.modes * frame.deviations if whitened else frame.modes
    x = values[7]
    G = torch.autograd.functional.jacobian(energies, x)
    torch.testing.assert_close(basis.gradients(x[:, None])[:, :, 0], G)
    torch.testing.assert_close(basis.products(basis.gradients(x[:, None])), G @ L @ L.T @ G.T)
    H = [torch.autograd.functional.hessian(lambda y, k=k: energies(y)[k], x) for k in range(4)]
    torch.testing.assert_close(basis.laplacians(x[:, None])[:, 0], torch.stack([(L @ L.T * h).sum() for h in H]))


# --- known answer -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_field_with_a_direction_has_its_exact_curvature_and_one_that_sees_none_has_less():
    field = slanted(2000, 4)
    curvature, excess = exact_slanted()
    rows = {}
    for directed in (False, True):
        model = EnergyModel.on(field, filters=1, directed=directed)
        rows[directed] = jackknife(model, group_states(model, field, chain=False))
    assert abs(rows[True]["curvature"].value - curvature) < 4 * rows[True]["curvature"].error
    assert abs(rows[True]["excess"].value - excess) < 4 * rows[True]["excess"].error
    for key, exact in (("curvature", curvature), ("excess", excess)):
        assert rows[False][key].value + 10 * rows[False][key].error < exact


def plain_wells(samples: int, seed: int) -> Ensemble:
    """Two wells a site, each on its own."""
    generator = torch.Generator().manual_seed(seed)
    side = 1.2 * torch.randint(2, (samples, 36), generator=generator) - 0.6
    return Ensemble.of(side + 0.4 * torch.randn(samples, 36, generator=generator), Grid((6, 6)))


@pytest.mark.slow
def test_a_field_without_directions_keeps_the_filters_that_see_none():
    field = plain_wells(800, 0)
    model = EnergyModel.on(field, filters=1, reach=3)
    assert not model.directed
    assert model == EnergyModel.on(field, filters=1, reach=3, directed=False)
    assert model.remarks({}) == {"directed": 0.0}


@pytest.mark.slow
def test_directions_are_seldom_seen_where_there_are_none():
    """One standard error is passed by chance in 16 of 100 cases."""
    seeds = 25
    seen = sum(EnergyModel.on(plain_wells(800, seed), filters=1, reach=3).directed for seed in range(seeds))
    assert seen <= binom.ppf(0.99, seeds, 0.16)


def test_directions_are_refused_where_there_are_none():
    field = Ensemble.of(torch.randn(400, 8, generator=torch.Generator().manual_seed(0)), Tree(2, 3))
    with pytest.raises(GeometryError, match="no displacement"):
        EnergyModel.on(field, directed=True)
    assert not EnergyModel.on(field, filters=1).directed
    with pytest.raises(GeometryError, match="no displacement"):
        EnergyModel.on(Ensemble.of(field.values), directed=True)
    with pytest.raises(GeometryError, match="4 displacements"):
        LatticeBasis(Grid((3, 3)), ("pair[5]",), directed=True).matrix("pair[5]")
    with pytest.raises(ConfigError, match="whitened"):
        LatticeBasis(Grid((3, 3)), ("mass",), whitened=True)


@pytest.mark.slow
def test_fields_drawn_from_an_energy_with_directions_have_the_exact_spread_of_their_mean():
    """The mean of phi is that of psi over 1 - c."""
    field = slanted(6000, 5)
    model = EnergyModel.on(field, filters=1, whitened=True)
    assert model.directed
    state, binder = accumulate(model.monoid, field), member("observables", "binder")()
    second = observed(model, state, binder, generator=torch.Generator().manual_seed(1))["second"]
    assert abs(second.value - (WELL**2 + NOISE**2) / 25 / (1 - SHARE) ** 2) < 4 * second.error
    assert second.error < 0.1 * second.value
