"""Gaussian model: block averages, momentum shells and the hierarchical tree on exact laws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, pi

import torch

from blockspin.law import GaussianLaw
from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import gaussian_model as theory

ROUNDING = 1e-11
"""Products of matrices of a few hundred rows in double precision."""


@register
@dataclass(frozen=True)
class GaussianModelTether(Tether):
    """Push exact Gaussian laws through schemes and compare with sums over modes."""

    name = "gaussian-model"
    system = "Gaussian field under block average and momentum shell"
    source = "wilson1974"
    schemes = ("block-average", "momentum-shell", "principal-modes", "correlation-pairing")

    def rows(self) -> Iterator[Row]:
        """Yield block variances, the flow of the mass, and the levels of the tree."""
        for shape, mass, eta, b in (((64,), 0.1, 0.0, 2), ((64,), 0.1, 0.0, 8), ((16, 16), 0.0, 0.25, 4)):
            yield _block_variance(shape, mass, eta, b)
        for eta in (0.0, 0.5):
            yield from _mass(64, 0.1, 2, eta)
        yield from _tree(2, 5, 0.7)
        yield from _modes(2, 5, 0.7)
        yield _siblings(2, 5, 0.7)
        for eta in (0.25, 1.0):
            yield from _scale_free(eta)


def _pushed(law: GaussianLaw, scheme: str, **options: int) -> GaussianLaw:
    return law.push(member("schemes", scheme)(**options).fit(law, generator=torch.Generator()))


def _block_variance(shape: tuple[int, ...], mass: float, eta: float, b: int) -> Row:
    law = member("sources", "gaussian-field")(shape=shape, mass=mass, eta=eta).law()
    measured = float(_pushed(law, "block-average", b=b).covariance.diagonal().mean())
    sizes = " x ".join(map(str, shape))
    quantity = f"variance of the mean over blocks of {b} ({sizes} sites, r = {mass}, eta = {eta})"
    return exact(quantity, theory.block_average_variance(shape, mass, b, eta), measured, ROUNDING, "field^2")


def _mass(sites: int, mass: float, b: int, eta: float) -> Iterator[Row]:
    law = member("sources", "gaussian-field")(shape=(sites,), mass=mass, eta=eta).law()
    coarse = _pushed(law, "momentum-shell", b=b)
    spectrum = torch.fft.fft(coarse.covariance[0]).real
    expected = theory.mass_after_shell(mass, b, eta)
    for n in (1, 5):
        k = 2 * pi * n / coarse.geometry.sites
        ratio = float(spectrum[n] / spectrum[0])  # r' / (k^(2 - eta) + r'), whatever the field renormalisation
        measured = k ** (2 - eta) * ratio / (1 - ratio)
        quantity = f"r' after a momentum shell from mode {n} (r = {mass}, b = {b}, eta = {eta}, {sites} sites)"
        yield exact(quantity, expected, measured, 1e-9)


def _tree(branching: int, depth: int, ratio: float) -> Iterator[Row]:
    model = member("sources", "hierarchical-tree")(branching=branching, depth=depth, ratio=ratio)
    law = model.law()
    variances = model.variances.numpy()
    for levels in (0, 1):
        expected = theory.tree_spectrum(variances, branching)
        measured = torch.linalg.eigvalsh(law.covariance).flip(0).numpy()
        quantity = f"largest misfit of the spectrum of a tree of {law.geometry.sites} leaves, {levels} levels averaged"
        yield exact(quantity, 0.0, float(abs(measured - expected).max()), ROUNDING, "field^2")
        law = _pushed(law, "block-average", b=branching)
        variances = theory.tree_level_variances(variances, branching)


def _modes(branching: int, depth: int, ratio: float) -> Iterator[Row]:
    model = member("sources", "hierarchical-tree")(branching=branching, depth=depth, ratio=ratio)
    spectrum = theory.tree_spectrum(model.variances.numpy(), branching)
    for share in (2, 4):
        coarse = _pushed(model.law(), "principal-modes", b=share)
        measured = float(coarse.covariance.diagonal().sum())
        quantity = f"variance in the first 1/{share} of the modes of a tree of {len(spectrum)} leaves"
        yield exact(quantity, float(spectrum[: len(spectrum) // share].sum()), measured, ROUNDING, "field^2")


def _siblings(branching: int, depth: int, ratio: float) -> Row:
    """Pair by correlation: siblings are the most correlated leaves, so that pairs are the right blocks."""
    model = member("sources", "hierarchical-tree")(branching=branching, depth=depth, ratio=ratio)
    coarse = _pushed(model.law(), "correlation-pairing")
    measured = torch.linalg.eigvalsh(coarse.covariance).flip(0).numpy()
    expected = theory.tree_spectrum(theory.tree_level_variances(model.variances.numpy(), branching), branching)
    # sums or means of pairs: only shares of the variance are compared
    misfit = abs(measured / measured.sum() - expected / expected.sum()).max()
    leaves = branching**depth
    return exact(
        f"largest misfit of the spectrum of {leaves} leaves paired by correlation", 0.0, float(misfit), ROUNDING
    )


def _scale_free(eta: float, side: int = 64, samples: int = 1000, groups: int = 20) -> Iterator[Row]:
    """Sample a massless field, sum it over blocks and diagonalise it: exponents with their finite-size shifts."""
    shape, sizes = (side, side), (2, 4, 8, 16)
    field = member("sources", "gaussian-field")(shape=shape, mass=0.0, eta=eta)
    drawn = field.sample(samples, generator=torch.Generator().manual_seed(2))
    variances = []
    for b in sizes:
        averaged = member("schemes", "block-average")(b=b).fit(drawn, generator=torch.Generator())(drawn)
        squares = averaged.values.to(torch.float64).square().mean((1, 2)) * b**4
        variances.append(squares.reshape(groups, -1).mean(1))
    logs = torch.stack(variances).mean(1).log()
    rest = (torch.stack(variances).sum(1, keepdim=True) - torch.stack(variances)).log()
    expected = theory.block_sum_slopes(shape, sizes, eta)
    for i, b in enumerate(sizes[:-1]):
        value, replicas = (x[i + 1] - x[i] for x in (logs, rest))
        error = (groups - 1) / groups**0.5 * float(replicas.std()) / log(4)
        how = f"delete-group jackknife, {groups} groups"
        measured = Measurement(float(value) / log(4), error, n_eff=samples, how=how, dof=groups - 1)
        yield sampled(f"slope of the variance of block sums, {b} to {2 * b} (eta = {eta})", expected[i], measured)
    slope = theory.rank_slope((256, 256), (5, 30_000), eta)
    yield exact(
        f"rank slope of 256 x 256 sites (eta = {eta}): (2 - eta) / 2", theory.rank_exponent(2, eta), slope, 0.02
    )
