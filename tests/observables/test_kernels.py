"""Kernels between samples without making them: equal to those that are made, and bounds that hold."""

import pickle

import pytest
import torch
from engine.test_errorbars import assert_covers, read

from blockspin import Ensemble, Measurement
from blockspin.errors import ConfigError, ConstantUnitsError, FitFailedError, TooFewSamplesError
from blockspin.observables import _blocks
from blockspin.observables._blocks import leading_eigenvalues, squared_norm
from blockspin.observables._rows import Rows
from blockspin.observables.base import accumulate, evaluate, gram_of
from blockspin.observables.gram import Gram
from blockspin.observables.leading_spectrum import LeadingSpectrum
from blockspin.observables.nystroem import Landmarks, Nystroem

DOUBLE = torch.float64


def field(samples, sites, seed=0):
    """Variances that fall as 1 / rank."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, sites, dtype=DOUBLE, generator=generator) / torch.arange(1, sites + 1).sqrt()


def landmarks(x, count, length=0.0):
    return Landmarks.of(accumulate(Rows(count), Ensemble.of(x)), length)


def kernel(x, length):
    return torch.exp(-torch.cdist(x, x).square() / (2 * length**2)) if length else (x - x.mean(0)) @ (x - x.mean(0)).T


def centred_spectrum(K):
    H = torch.eye(len(K), dtype=DOUBLE) - 1 / len(K)
    return torch.linalg.eigvalsh(H @ K @ H).flip(0).clamp(min=0)


# --- by blocks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "sites"), [(300, 120), (120, 300), (300, 8)])
def test_the_leading_eigenvalues_are_those_of_the_whole_kernel(samples, sites):
    x = field(samples, sites)
    expected = torch.linalg.eigvalsh(x @ x.T).flip(0)[:10].clamp(min=0)
    found = leading_eigenvalues(x, 10, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10 * float(expected[0]))


@pytest.mark.parametrize(("samples", "sites"), [(200, 70), (70, 200)])
def test_the_norm_by_blocks_is_that_of_the_whole_kernel(samples, sites, monkeypatch):
    monkeypatch.setattr(_blocks, "ENTRIES", 500)
    x = field(samples, sites)
    torch.testing.assert_close(squared_norm(x), (x @ x.T).square().sum(), rtol=1e-12, atol=0)


def test_leading_spectrum_agrees_with_gram():
    source = Ensemble.of(field(400, 100))
    found, whole = evaluate(LeadingSpectrum(), source), evaluate(Gram(), source)
    torch.testing.assert_close(found["spectrum"], whole["spectrum"][:16], rtol=0, atol=1e-10)
    K = gram_of(source.values)
    torch.testing.assert_close(found["participation_ratio"], K.trace() ** 2 / K.square().sum(), rtol=1e-12, atol=0)


def test_memory_is_that_of_a_block(monkeypatch):
    """Blocks of 1 MiB where the kernel of 4,000 samples would have 128; torch's own allocations are counted by size."""
    monkeypatch.setattr(_blocks, "ENTRIES", 2**17)
    sizes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            sizes.extend(t.numel() for t in (out if isinstance(out, tuple | list) else (out,)) if torch.is_tensor(t))
            return out

    x = field(4000, 6)
    with Watch():
        _blocks.subset_products(x, x, torch.ones(1, 4000, dtype=torch.bool))
        squared_norm(x)
    assert max(sizes) <= 2**17


# --- landmarks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0.0, 2.0])
@pytest.mark.parametrize("count", [5, 20, 60])
def test_the_bound_holds_and_the_residual_is_exact(length, count):
    x = field(200, 40)
    marks = landmarks(x, count, length)
    found = evaluate(Nystroem(marks), Ensemble.of(x))
    C, W = marks.kernel(x), marks.kernel(marks.values)
    K = kernel(x, length) if length else (x - marks.values.mean(0)) @ (x - marks.values.mean(0)).T
    approximate = C @ torch.linalg.pinv(W, rcond=1e-10, hermitian=True) @ C.T
    assert float(found["residual"]) == pytest.approx(float((K - approximate).trace()) / 200, abs=1e-9)
    assert float(found["trace"]) == pytest.approx(float(K.trace()) / 200, rel=1e-12)
    lower, truth = found["spectrum"], centred_spectrum(K)[:32] / 200
    torch.testing.assert_close(lower, centred_spectrum(approximate)[:32] / 200, rtol=0, atol=1e-8)
    assert bool((lower <= truth + 1e-9).all())
    assert bool((truth <= lower + found["residual"] + 1e-9).all())


@pytest.mark.parametrize("length", [0.0, 2.0])
def test_more_landmarks_leave_less(length):
    x = field(300, 60)
    left = [float(evaluate(Nystroem(landmarks(x, m, length)), Ensemble.of(x))["residual"]) for m in (4, 16, 40, 120)]
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.5 * left[0]


def test_as_many_landmarks_as_directions_leave_nothing_of_a_linear_kernel():
    x = field(300, 12)
    found = evaluate(Nystroem(landmarks(x, 40)), Ensemble.of(x))
    assert float(found["rank"]) == 12
    assert float(found["residual"]) == pytest.approx(0, abs=1e-12 * float(found["trace"]) * 40)
    expected = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)
    torch.testing.assert_close(found["spectrum"][:12], expected, rtol=1e-9, atol=0)


def test_landmarks_are_what_they_hold():
    x = field(100, 3)
    first, second = landmarks(x, 10, 1.0), landmarks(x, 10, 1.0)
    assert (first, hash(first)) == (second, hash(second))
    assert first != landmarks(x, 10, 2.0) != landmarks(x, 11, 2.0)
    assert pickle.loads(pickle.dumps(Nystroem(first))).monoid == Nystroem(second).monoid
    assert first == landmarks(x[torch.arange(99, -1, -1)], 10, 1.0)


def test_the_jackknife_covers_at_given_landmarks():
    """The truth is the mean over many samples of a world of 2,000 units."""
    world = field(2000, 8)
    marks = landmarks(world, 6)
    truth = evaluate(Nystroem(marks), Ensemble.of(world))
    rows = []
    for seed in range(60):
        chosen = torch.randint(2000, (400,), generator=torch.Generator().manual_seed(seed))
        sample = Ensemble.of(world[chosen], units=torch.arange(400))
        rows.append(read({"x": sample}, [Nystroem(marks)]).measurements()[("x",)])
    assert_covers([row["nystroem/residual"] for row in rows], float(truth["residual"]))
    spectrum = [row["nystroem/spectrum"] for row in rows]
    first = [Measurement(m.value[0], m.error[0], dof=m.dof) for m in spectrum]
    assert_covers(first, float(truth["spectrum"][0]))


def test_what_does_not_suffice_is_refused_by_name():
    x = field(30, 3)
    with pytest.raises(TooFewSamplesError):
        Landmarks.of({})
    with pytest.raises(ConfigError):
        landmarks(x, 5, -1.0)
    with pytest.raises(ConstantUnitsError):
        evaluate(Nystroem(Landmarks(torch.ones(4, 3, dtype=DOUBLE))), Ensemble.of(x))
    with pytest.raises(TooFewSamplesError):
        Nystroem(landmarks(x, 5)).value({})
    with pytest.raises(FitFailedError, match="weighted"):
        evaluate(LeadingSpectrum(), Ensemble.of(x, weights=torch.arange(1, 31)))
    with pytest.raises(ConstantUnitsError):
        evaluate(LeadingSpectrum(), Ensemble.of(torch.ones(20, 3), units=torch.arange(20)))
