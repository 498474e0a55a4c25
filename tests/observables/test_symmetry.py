"""Randomisation tests of symmetry: stated error rates, and power where a symmetry is broken."""

import pytest
import torch

from blockspin import Chain, Ensemble, Unordered
from blockspin.errors import ConfigError, GeometryError, TooFewSamplesError
from blockspin.observables.symmetry import SYMMETRIES, symmetry_p_value


def symmetric(generator, samples=60):
    """Gaussian noise with two components on a ring has every symmetry there is."""
    return Ensemble.of(torch.randn(samples, 6, 2, generator=generator), Chain(6))


def broken(symmetry, field):
    x = field.values.clone()
    if symmetry == "sign":
        x = x + x.square()
    elif symmetry == "rotation":
        x[:, :, 0] *= 2
    else:
        x[:, 0] *= 2
    return field.with_values(x)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.slow
def test_false_alarms_keep_to_the_nominal_rate(symmetry):
    generator = torch.Generator().manual_seed(0)
    alarms = sum(
        symmetry_p_value(symmetric(generator, 30), symmetry, generator=generator, draws=19) <= 0.05 for _ in range(200)
    )
    assert alarms <= 18  # one-sided 1 % bound of 200 trials at 5 %


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_a_broken_symmetry_is_found(symmetry, generator):
    field = broken(symmetry, symmetric(generator))
    assert symmetry_p_value(field, symmetry, generator=generator) == 0.01


def test_units_are_transformed_together(generator):
    """Ten copies of each sample in one unit carry no more evidence than one."""
    rows = torch.randn(12, 4, generator=generator)
    once = Ensemble.of(rows, Unordered(4), units=torch.arange(12))
    copies = Ensemble.of(rows.repeat(10, 1), Unordered(4), units=torch.arange(12).repeat(10))
    p = [symmetry_p_value(e, "sign", generator=torch.Generator().manual_seed(1)) for e in (once, copies)]
    assert p[0] == p[1]


def test_what_cannot_be_asked_is_refused_by_name(generator):
    field = Ensemble.of(torch.randn(20, 3, generator=generator), Unordered(3))
    with pytest.raises(ConfigError, match="sign"):
        symmetry_p_value(field, "parity", generator=generator)
    for symmetry in ("translation", "rotation"):
        with pytest.raises(GeometryError):
            symmetry_p_value(field, symmetry, generator=generator)
    with pytest.raises(TooFewSamplesError):
        symmetry_p_value(field.select(torch.arange(4)), "sign", generator=generator)
