"""Cumulants along chosen directions: exact on laws, zero on Gaussians, found where they were planted."""

import math
import pickle

import pytest
import torch

from blockspin import Chain, Ensemble, GaussianLaw, Unordered
from blockspin.engine._statefile import fingerprint_of
from blockspin.engine.base import Task
from blockspin.engine.errorbars import jackknife
from blockspin.engine.in_memory import EnsemblePass
from blockspin.errors import ConstantUnitsError, ShapeError
from blockspin.law import enumerate_law
from blockspin.observables.base import accumulate, evaluate
from blockspin.observables.covariance import moments
from blockspin.observables.cumulants import Cumulants, Directions

DOUBLE = torch.float64


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def test_they_are_exact_on_a_law():
    law = enumerate_law(Chain(6), (-1.0, 0.0, 2.0), lambda s: 0.4 * (s * s.roll(1, 1)).sum(1) - 0.3 * s[:, 0])
    along = Directions.of(drawn(6, 3))
    y = law.values[:, :, 0] @ along.vectors
    y = y - law.weights @ y
    expected = (law.weights @ y**4) / (law.weights @ y**2) ** 2 - 3
    found = evaluate(Cumulants(along), law)
    torch.testing.assert_close(found["kurtosis_along"], expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found["fourth_order"], expected.mean(), rtol=1e-12, atol=1e-13)


def test_they_vanish_along_every_direction_of_a_gaussian_field():
    """The kurtosis of n Gaussian samples has a standard deviation of sqrt(24 / n)."""
    root = drawn(8, 8, seed=1)
    law = GaussianLaw.of(root @ root.T, Unordered(8))
    samples = law.sample(20_000, generator=torch.Generator().manual_seed(2))
    along = Directions.of(torch.linalg.eigh(law.covariance).eigenvectors)
    found = evaluate(Cumulants(along), samples)["kurtosis_along"]
    assert float(found.abs().max()) < 4 * math.sqrt(24 / 20_000)


def test_a_planted_heavy_direction_is_found_among_the_principal_ones():
    """A Laplace variable (kurtosis 3) along one direction of a Gaussian field, its variance the largest."""
    n, D = 20_000, 12
    uniform = torch.rand(n, generator=torch.Generator().manual_seed(3), dtype=DOUBLE) - 0.5
    laplace = -uniform.sign() * torch.log1p(-2 * uniform.abs())
    planted = Directions.of(drawn(D, 1)).vectors[:, 0]
    x = drawn(n, D, seed=4)
    x = x - torch.outer(x @ planted, planted) + torch.outer(2 * laplace, planted)
    fit, rest = (Ensemble.of(part.to(torch.float32)) for part in (x[: n // 2], x[n // 2 :]))
    _, covariance = moments(fit)
    along = Directions.of(torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :4])
    task = Task(Cumulants(along), ("x",))
    reading = EnsemblePass.of({"x": rest}, groups=20)
    states = []
    for group in range(20):
        states.append(task.work[0].start())
        for shard in (s for s in reading.shards() if s.group == group):
            for joint in reading.batches(shard):
                states[-1] = task.work[0].add(states[-1], joint["x"])
    found = jackknife(task.estimator, states)["kurtosis_along"]
    overlap = float((along.vectors[:, 0] @ planted).abs())
    assert overlap > 0.999
    assert abs(found.value[0] - 3) < 4 * found.error[0] + 12 * (1 - overlap**2)
    assert (abs(found.value[1:]) < 4 * found.error[1:]).all()
    assert found.value[0] > 10 * found.error[1:].max()


def test_equal_numbers_are_equal_directions_and_hash_print_and_travel_alike():
    vectors = drawn(40, 5)
    one, two, other = Directions.of(vectors), Directions.of(3 * vectors.clone()), Directions.of(vectors.flip(1))
    assert one == Directions.of(vectors.clone())
    torch.testing.assert_close(one.vectors, two.vectors, rtol=0, atol=1e-15)
    assert one != other
    assert len({one, Directions.of(vectors), other}) == 2
    assert pickle.loads(pickle.dumps(one)) == one
    assert Cumulants(one).monoid == Cumulants(Directions.of(vectors)).monoid != Cumulants(other).monoid
    assert len(repr(Cumulants(one))) < 100


def test_passes_along_different_directions_are_never_mixed():
    reading = EnsemblePass.of({"x": Ensemble.of(drawn(30, 4))}, groups=2)
    prints = {
        fingerprint_of(reading, [(Cumulants(along).monoid, ("x",))])
        for along in (None, Directions.of(drawn(4, 2)), Directions.of(drawn(4, 2, seed=1)))
    }
    assert len(prints) == 3


@pytest.mark.parametrize("shape", [(5,), (5, 0), (80, 65)])
def test_other_shapes_are_refused_by_name(shape):
    with pytest.raises(ShapeError, match="64 columns"):
        Directions.of(drawn(*shape))


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_a_vector_without_a_direction_is_refused_by_name(value):
    vectors = drawn(5, 3)
    vectors[:, 1] = value
    with pytest.raises(ConstantUnitsError, match="vector 1"):
        Directions.of(vectors)


def test_directions_of_another_field_are_refused_by_name():
    with pytest.raises(ShapeError, match="of 4 numbers do not fit a field of 5"):
        accumulate(Cumulants(Directions.of(drawn(4, 2))).monoid, Ensemble.of(drawn(20, 5)))


def test_a_direction_along_which_nothing_varies_is_refused_by_name():
    x = drawn(50, 4)
    x[:, 3] = 2.0
    with pytest.raises(ConstantUnitsError, match="direction 1"):
        evaluate(Cumulants(Directions.of(torch.eye(4)[:, 2:])), Ensemble.of(x))
