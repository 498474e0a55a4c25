"""Planted groups: sites that are grouped by construction, found again by their correlations alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from blockspin.errors import NothingFoundError
from blockspin.flows.iterate import iterate
from blockspin.geometry import Unordered
from blockspin.law import GaussianLaw, Source
from blockspin.registry import member, register
from blockspin.schemes._markov import galerkin
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import markov as theory

GROUPS, SIZE, INSIDE, BETWEEN = 6, 8, 0.5, 0.05
FINDERS = ("macrostates", "percolation", "quotient", "laplacian")


@register
@dataclass(frozen=True)
class PlantedGroupsTether(Tether):
    """Find planted groups in samples of shuffled sites, a tree level by level, and nothing in noise."""

    name = "planted-groups"
    system = "groups of equally correlated sites, a tree of groups, a lumpable chain, and white noise"
    source = "kemeny1960"
    schemes = FINDERS

    def rows(self) -> Iterator[Row]:
        """Yield adjusted Rand indices, spectra and operators (exact), levels of a tree, and refusals of noise."""
        generator = torch.Generator().manual_seed(0)
        order = torch.randperm(GROUPS * SIZE, generator=generator)
        label = (torch.arange(GROUPS * SIZE) // SIZE)[order]
        law = GaussianLaw.of(_covariance()[order][:, order], Unordered(len(order)))
        samples = law.sample(4000, generator=generator)
        for name in FINDERS:
            options = {"tau": 3.0, "neighbours": SIZE - 1} if name == "laplacian" else {}
            found = _labels(name, samples, options)
            score = theory.adjusted_rand(found, label.numpy())
            yield exact(f"{name}: adjusted Rand index of planted groups, 4000 samples", 1.0, score, 1e-12)
        yield from _spectrum(law)
        yield from _tree()
        yield from _lumping()
        noise = GaussianLaw.of(torch.eye(48), Unordered(48)).sample(1000, generator=generator)
        for name in FINDERS:
            if name != "quotient":
                yield exact(
                    f"{name}: ends on white noise by name (1 = yes)", 1.0, float(_finds_nothing(name, noise)), 0
                )
        orbits = _labels("quotient", noise, {}).max() + 1
        yield exact("quotient: orbits of white noise, whose sites are all alike", 1, orbits, 0)


def _covariance() -> torch.Tensor:
    eye = torch.eye(GROUPS * SIZE, dtype=torch.float64)
    inside = torch.kron(eye[:GROUPS, :GROUPS], torch.full((SIZE, SIZE), INSIDE - BETWEEN, dtype=torch.float64))
    return inside + BETWEEN + (1 - INSIDE) * eye


def _labels(name: str, source: Source, options: dict) -> np.ndarray:
    coarse = member("schemes", name)(**options).fit(source, generator=torch.Generator())
    return (coarse.memberships.argmax(1) if name == "macrostates" else coarse.cluster).numpy()


def _finds_nothing(name: str, source: Source) -> bool:
    try:
        _labels(name, source, {})
    except NothingFoundError:
        return True
    return False


def _spectrum(law: GaussianLaw) -> Iterator[Row]:
    coarse = member("schemes", "macrostates")().fit(law, generator=torch.Generator())
    expected = theory.group_walk_spectrum(GROUPS, SIZE, INSIDE, BETWEEN)
    gap = np.abs(coarse.eigenvalues.numpy() - expected).max()
    yield exact("macrostates: spectrum of the walk, largest deviation from its closed form", 0.0, gap, 1e-12)
    own = np.sort(np.linalg.eigvals(coarse.operator.numpy()).real)[::-1]
    gap = np.abs(own - expected[:GROUPS]).max()
    yield exact("macrostates: the coarse walk has the slow eigenvalues, largest deviation", 0.0, gap, 1e-12)
    chi = coarse.memberships
    yield exact(
        "macrostates: memberships add up to one, largest deviation", 0.0, float((chi.sum(1) - 1).abs().max()), 1e-12
    )
    yield exact(
        "macrostates: smallest membership of a site in its own group", 1.0, float(chi.max(1).values.min()), 1e-10
    )


def _tree() -> Iterator[Row]:
    law = member("sources", "hierarchical-tree")(branching=2, depth=5, ratio=1.0).law()
    flow = iterate(law, member("schemes", "macrostates")(), generator=torch.Generator())
    leaf, chi = np.arange(32), np.eye(32)
    for level, scale in enumerate(flow.scales[1:4], 1):
        chi = chi @ scale.map.memberships.numpy()
        score = theory.adjusted_rand(chi.argmax(axis=1), leaf // 2**level)
        yield exact(f"macrostates: adjusted Rand index of level {level} of a binary tree", 1.0, score, 1e-12)


def _lumping() -> Iterator[Row]:
    T = theory.LUMPABLE
    for name, group in (("{0,1} {2,3}", np.array([0, 0, 1, 1])), ("{0,2} {1,3}", np.array([0, 1, 0, 1]))):
        pi, chi = theory.stationary(T), np.eye(2)[group]
        once, twice = galerkin(T, pi, chi), galerkin(T @ T, pi, chi)
        gap = np.abs(once @ once - twice).max()
        if name == "{0,1} {2,3}":
            deviation = np.abs(once - theory.lumped(T, group)).max()
            yield exact(f"coarse operator of a lumpable chain less the lumped chain, {name}", 0.0, deviation, 1e-12)
            yield exact(f"two coarse steps less the coarse of two steps, {name}", 0.0, gap, 1e-12)
        else:
            yield exact(
                f"the same of groups that are not lumpable, {name}, beyond 0.01 (1 = yes)", 1.0, float(gap > 0.01), 0
            )
