"""Observables of an enumerated law equal its expectations, computed here by brute force."""

import torch

from blockspin import Chain
from blockspin.ensemble import Batch
from blockspin.law import enumerate_law
from blockspin.observables.base import accumulate, evaluate
from blockspin.observables.correlation import Correlation
from blockspin.observables.covariance import Covariance
from blockspin.observables.cumulants import Cumulants, PowerSums, directions
from blockspin.observables.participation_ratio import ParticipationRatio

LAW = enumerate_law(Chain(6), (-1.0, 0.0, 2.0), lambda s: 0.4 * (s * s.roll(1, 1)).sum(1) - 0.3 * s[:, 0])


def expectation(f):
    return (LAW.weights * f).sum()


def brute_covariance():
    x = LAW.values[:, :, 0]
    mean = torch.stack([expectation(x[:, i]) for i in range(6)])
    d = x - mean
    return d, torch.stack([torch.stack([expectation(d[:, i] * d[:, j]) for j in range(6)]) for i in range(6)])


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


def test_covariance_of_a_law():
    _, C = brute_covariance()
    found = evaluate(Covariance(), LAW)
    close(found["variance"], C.trace())
    close(found["spectrum"], torch.linalg.eigvalsh(C).flip(0))


def test_participation_ratio_of_a_law_is_exact_either_way():
    _, C = brute_covariance()
    for value in evaluate(ParticipationRatio(), LAW).values():
        close(value, C.trace() ** 2 / C.square().sum())


def test_correlation_of_a_law():
    _, C = brute_covariance()
    shells = [C.diagonal().mean(), *(C.diagonal(r).sum() + C.diagonal(6 - r).sum() for r in (1, 2))]
    found = evaluate(Correlation(Chain(6)), LAW)
    close(found["distance"], torch.arange(4, dtype=torch.float64))
    close(found["covariance"][:3], torch.stack([shells[0], shells[1] / 6, shells[2] / 6]))
    close(found["correlation"][3], C.diagonal(3).mean() / shells[0])


def test_cumulants_of_a_law():
    d, C = brute_covariance()
    kurtosis = torch.stack([expectation(d[:, i] ** 4) / C[i, i] ** 2 - 3 for i in range(6)])
    skewness = torch.stack([expectation(d[:, i] ** 3) / C[i, i] ** 1.5 for i in range(6)])
    along = d @ directions(6)
    fourth = torch.stack([expectation(y**4) / expectation(y**2) ** 2 - 3 for y in along.T])
    found = evaluate(Cumulants(), LAW)
    close(found["kurtosis"], kurtosis.mean())
    close(found["skewness"], skewness.mean())
    close(found["fourth_order"], fourth.mean())


def test_a_weight_of_two_is_a_sample_twice():
    batch = LAW.ensemble.batch.select(torch.arange(40))
    weights = 1.0 + (torch.arange(40) % 2)
    weighted = Batch(batch.values, batch.ids, batch.units, weights.to(torch.float64))
    rows = torch.arange(40).repeat_interleave(weights.long())
    twice = Batch(batch.values[rows], batch.ids[rows], batch.units[rows], torch.ones(len(rows), dtype=torch.float64))
    first, second = (PowerSums().add({}, b) for b in (weighted, twice))
    for key in ("weight", "mean", "second", "third", "fourth"):
        close(first[key], second[key])


def test_a_law_in_small_batches_is_the_same_law():
    close(
        Covariance().value(accumulate(Covariance().monoid, LAW, size=7))["spectrum"],
        evaluate(Covariance(), LAW)["spectrum"],
    )
