"""Relative entropy: Ising rings and Gaussian fields under coarse-graining, enumerated, against closed forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import atanh, tanh

import numpy as np
import torch

from blockspin.engine.errorbars import jackknife
from blockspin.law import EnumeratedLaw, GaussianLaw
from blockspin.measurement import Measurement
from blockspin.observables.base import accumulate
from blockspin.observables.relative_entropy import pair_state
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import relative_entropy as theory

ROUNDING = 1e-11
"""Sums over 2^12 configurations of logarithms down to 1e-9."""


@register
@dataclass(frozen=True)
class RelativeEntropyTether(Tether):
    """Coarse-grain pairs of exact laws and compare what is left to tell them apart."""

    name = "relative-entropy"
    system = "relative entropy of two Ising rings under decimation, of two Gaussian fields under block average"
    source = "erdmenger2022"
    schemes = ("decimation", "block-average")

    def rows(self) -> Iterator[Row]:
        """Yield relative entropies after each step, their growth, and the bias of estimated covariances."""
        for K, reference in ((0.8, 0.3), (0.2, 0.9)):
            yield from _rings(12, K, reference, 2)
        yield exact("D a spin of an infinite ring against 4096 spins", theory.ising_chain(0.8, 0.3), _long(), 1e-12)
        yield from _plateaus()
        yield from _fields()
        yield _bias(6, 2000, 400)
        yield from _observed()


def _rings(sites: int, K: float, reference: float, steps: int) -> Iterator[Row]:
    ring = member("sources", "ising-ring")
    first, second = ring(sites=sites, coupling=K).law(), ring(sites=sites, coupling=reference).law()
    expected = theory.decimated_ising_ring(K, reference, sites, steps)
    last = np.inf
    for step in range(steps + 1):
        D = _enumerated(first, second)
        quantity = f"D(K = {K} || K_0 = {reference}), {sites // 2**step} of {sites} spins left"
        yield exact(quantity, expected[step], D, ROUNDING, "nat")
        yield exact(f"growth of {quantity}, at most rounding", 0.0, max(0.0, D - last), ROUNDING, "nat")
        if step == steps:
            break
        last = D
        coarsen = member("schemes", "decimation")(b=2).fit(first, generator=torch.Generator())
        first, second = first.push(coarsen), second.push(coarsen)


def _enumerated(first: EnumeratedLaw, second: EnumeratedLaw) -> float:
    assert torch.equal(first.values, second.values)
    return float(first.weights @ (first.weights / second.weights).log())


def _long() -> float:
    return theory.ising_ring(0.8, 0.3, 4096) / 4096


def _plateaus() -> Iterator[Row]:
    """Compare a chain with what decimation makes of it, on equal numbers of spins: D rises to K tanh K - ln cosh K."""
    for K, known in ((0.5, 0.1109440717), (1.0, 0.3278133255), (2.0, 0.6030524128)):
        quantity = f"D a spin of a chain (K = {K}) and its fixed point, independent spins"
        yield exact(quantity, known, theory.ising_chain(K, 0.0), 1e-10, "nat")
    steps = (0.028316, 0.121268, 0.247688, 0.318138, 0.327688, 0.327813)
    for n, known in enumerate(steps, 1):
        D = theory.ising_chain(1.0, atanh(tanh(1.0) ** 2**n))
        yield exact(f"D a spin of a chain (K = 1) and of {n} decimations of it", known, D, 5e-7, "nat")


def _fields() -> Iterator[Row]:
    """Average blocks of two massive fields; a chain of 64 has its modes told apart one by one."""
    field = member("sources", "gaussian-field")
    first, second = field(shape=(64,), mass=0.5).law(), field(shape=(64,), mass=0.1).law()
    ratio = _spectrum(first) / _spectrum(second)
    yield exact(
        "D of two massive fields, as a sum over modes",
        float((ratio - 1 - np.log(ratio)).sum() / 2),
        theory.gaussian(first.covariance.numpy(), second.covariance.numpy()),
        1e-10,
        "nat",
    )
    last = np.inf
    for _ in range(3):
        D = theory.gaussian(first.covariance.numpy(), second.covariance.numpy())
        sites = first.geometry.sites
        yield exact(f"growth of D at {sites} blocks, at most rounding", 0.0, max(0.0, D - last), 1e-10, "nat")
        last = D
        coarsen = member("schemes", "block-average")(b=2).fit(first, generator=torch.Generator())
        first, second = first.push(coarsen), second.push(coarsen)


def _spectrum(law: GaussianLaw) -> np.ndarray:
    return np.fft.fft(law.covariance[0].numpy()).real


def _bias(sites: int, samples: int, repeats: int) -> Row:
    """Estimate one covariance from samples of white noise: D should be 0 and is the bias."""
    rng = np.random.default_rng(0)
    draws = (rng.standard_normal((samples, sites)) for _ in range(repeats))
    found = np.array([theory.gaussian(x.T @ x / samples, np.eye(sites)) for x in draws])
    error = found.std(ddof=1) / repeats**0.5
    measured = Measurement(found.mean(), error, "nat", repeats, f"{repeats} data sets", repeats - 1)
    return sampled(f"bias of D, {sites} sites, {samples} samples", theory.gaussian_bias(sites, samples), measured)


def _observed(samples: int = 20_000, groups: int = 20) -> Iterator[Row]:
    """Measure D by the observable: on the laws exactly, and on samples of both fields with its bias subtracted."""
    field, observable = member("sources", "gaussian-field"), member("observables", "relative-entropy")()
    models = [field(shape=(16,), mass=mass) for mass in (0.5, 0.2)]
    laws = [model.law() for model in models]
    known = theory.gaussian(laws[0].covariance.numpy(), laws[1].covariance.numpy())
    found = observable.value(pair_state(*laws))["divergence"]
    yield exact(
        "D of two massive fields of 16 sites, by the observable on their laws", known, float(found), 1e-10, "nat"
    )
    generator = torch.Generator().manual_seed(0)
    first = models[0].sample(samples, generator=generator)
    second = first.with_values(models[1].sample(samples, generator=generator).values)
    parts = [torch.arange(g, samples, groups) for g in range(groups)]
    states = [accumulate(observable.monoid, first.select(part), second.select(part)) for part in parts]
    yield sampled(f"the same from {samples} samples", known, jackknife(observable, states)["divergence"])
