"""Correlation length: that of free fields, of the Ising ring nearly, none of white noise, and what is refused."""

from math import log, sinh, tanh

import pytest
import torch

from blockspin.ensemble import Ensemble
from blockspin.errors import ConstantUnitsError, GeometryError, ShapeError
from blockspin.geometry import Chain, Grid, Unordered
from blockspin.observables.base import evaluate
from blockspin.observables.correlation_length import CorrelationLength
from blockspin.registry import member
from blockspin.tethers.swendsen import grouped


def free_field(shape, mass, samples, spacing=1.0):
    """Draw waves of power 1 / (k^2 + r), k in lattice waves."""
    k = torch.zeros(shape, dtype=torch.float64)
    for axis, n in enumerate(shape):
        steps = (2 * torch.sin(torch.pi * torch.arange(n, dtype=torch.float64) / n)).square()
        k = k + steps.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    white = torch.randn(samples, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    axes = tuple(range(1, len(shape) + 1))
    field = torch.fft.ifftn(torch.fft.fftn(white, dim=axes) / (k + mass).sqrt(), dim=axes).real
    return Ensemble.of(field.flatten(1), Grid(shape, True, spacing))


@pytest.mark.parametrize(("shape", "spacing"), [((32,), 1.0), ((16, 16), 1.0), ((8, 24), 1.0), ((32,), 4.0)])
def test_a_free_field_has_the_length_of_its_mass(shape, spacing):
    field = free_field(shape, 0.25, 4000, spacing)
    found = grouped(CorrelationLength(field.geometry), field)
    assert found["square"].value == pytest.approx(4.0 * spacing**2, abs=4 * found["square"].error)
    assert found["ratio"].value == pytest.approx(found["length"].value / max(shape) / spacing)


def test_the_ising_ring_has_the_second_moment_of_its_exponential():
    K, sites = 0.5, 16
    law = member("sources", "ising-ring")(sites=sites, coupling=K).law()
    found = float(evaluate(CorrelationLength(Chain(sites)), law)["length"])
    assert found == pytest.approx(1 / (2 * sinh(-log(tanh(K)) / 2)), rel=2 * tanh(K) ** sites + 1e-12)


def test_white_noise_has_none_beyond_its_error():
    field = Ensemble.of(torch.randn(2000, 32, generator=torch.Generator().manual_seed(0)), Chain(32))
    found = grouped(CorrelationLength(Chain(32)), field)["square"]
    assert abs(found.value) < 4 * found.error


@pytest.mark.parametrize("geometry", [Unordered(8), Chain(8, periodic=False), Chain(2)])
def test_waves_belong_to_periodic_lattices(geometry):
    with pytest.raises(GeometryError, match="periodic"):
        CorrelationLength(geometry)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ConstantUnitsError):
        evaluate(CorrelationLength(Chain(4)), Ensemble.of(torch.ones(9, 4)))
    with pytest.raises(ShapeError, match="4 sites"):
        evaluate(CorrelationLength(Chain(4)), Ensemble.of(torch.randn(9, 5)))
