"""Sloppy models: the stiff directions of hopping, of the Ising ring before and after decimation, and of posteriors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import atanh, tanh

import torch
from torch import Tensor

from blockspin.ensemble import distinct
from blockspin.geometry import Unordered
from blockspin.law import EnumeratedLaw, GaussianLaw
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact
from blockspin.theory import ising_ring, sloppy

ROUNDING = 1e-12
"""Eigenvalues of matrices of seven rows as a share of the largest; sums over 2^12 configurations."""
SEVEN_STEPS = (0.142857, 8.4451e-3, 3.3009e-4, 1.0636e-5, 3.812e-7, 1.773e-8)
"""lambda_n / lambda_0, n = 1 ... 6, after seven steps, to the digits of an independent script."""
PRINTED = (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11)


@register
@dataclass(frozen=True)
class SloppyTether(Tether):
    """Read the Fisher metric off exact laws of the score, and compare its eigenvalues."""

    name = "sloppy"
    system = "Fisher metric of hopping on a line, of the Ising ring, and of Gaussian posteriors"
    source = "machta2013"
    schemes = ("fisher-directions", "decimation")

    def rows(self) -> Iterator[Row]:
        """Yield eigenvalues of the metric, the information that decimation keeps, and relevant directions."""
        two, seven = _ratios(2), _ratios(7)
        for n, (expected, ratio) in enumerate(zip(sloppy.ratios_of_two_steps(3), two, strict=True), 1):
            yield exact(f"lambda_{n} / lambda_0 of hopping, 2 steps", expected, ratio, ROUNDING)
        for n, (expected, ratio) in enumerate(zip(SEVEN_STEPS, seven, strict=True), 1):
            yield exact(f"lambda_{n} / lambda_0 of hopping, 7 steps", expected, ratio, PRINTED[n - 1])
        for steps in (1, 3, 5, 50):
            for n, expected in enumerate(sloppy.stiffest(steps, 3)):
                measured = float(_hopping(steps)[n])
                yield exact(f"lambda_{n} of hopping, {steps} steps", expected, measured, ROUNDING * 7 * steps**2)
        yield from _decimated(12, 0.6)
        yield from _posterior()


def _metric(scores: Tensor, weights: Tensor, rows: str = "gradients") -> Tensor:
    """Return the eigenvalues that the scheme reads off a law of scores [outcomes, parameters]."""
    law = EnumeratedLaw.of(scores[:, :, None], weights, Unordered(scores.shape[1]))
    return member("schemes", "fisher-directions")(b=2, rows=rows).fit(law, generator=torch.Generator()).metric


def _hopping(steps: int) -> Tensor:
    scores, density = sloppy.hopping_scores(steps, 3)
    return _metric(torch.from_numpy(scores), torch.from_numpy(density))


def _ratios(steps: int) -> list[float]:
    found = _hopping(steps)
    return (found[1:] / found[0]).tolist()


def _decimated(sites: int, K: float) -> Iterator[Row]:
    """Compare the metric of (h, K) on the ring with that of the spins that decimation keeps.

    The score of the kept spins is the mean of the score given them; h and K do not mix by the symmetry of up and down.
    """
    fine = member("sources", "ising-ring")(sites=sites, coupling=K).law()
    s = fine.values[:, :, 0]
    scores = torch.stack([s.sum(1), (s * s.roll(1, 1)).sum(1)], dim=1)
    scores = scores - fine.weights @ scores
    kept = member("schemes", "decimation")(b=2).fit(fine, generator=torch.Generator()).values(fine.values)[:, :, 0]
    _, index = distinct(kept)
    weights = torch.zeros(int(index.max()) + 1, dtype=torch.float64).index_add_(0, index, fine.weights)
    sums = torch.zeros(len(weights), 2, dtype=torch.float64).index_add_(0, index, scores * fine.weights[:, None])
    share = _metric(sums / weights[:, None], weights) / _metric(scores, fine.weights)
    expected = dict(zip(("coupling", "field"), ising_ring.fisher_retained(K, sites), strict=True))
    for name, found in zip(("field", "coupling"), share.tolist(), strict=True):
        yield exact(f"Fisher information kept, {name} (K = {K}, {sites} spins)", expected[name], found, ROUNDING * 100)
    infinite = dict(zip(("coupling", "field"), ising_ring.fisher_retained(K), strict=True))
    for name, printed in (("coupling", 0.4477), ("field", 0.9168)):
        yield exact(f"Fisher information kept, {name}, infinite ring (K = {K})", printed, infinite[name], 5e-5)
    slope = (atanh(tanh(K + 1e-4) ** 2) - atanh(tanh(K - 1e-4) ** 2)) / 2e-4  # of K', for the closed form itself
    coarse = 1 - tanh(atanh(tanh(K) ** 2)) ** 2
    yield exact(
        "Fisher information kept, coupling, by the recursion",
        infinite["coupling"],
        slope**2 * coarse / 2 / (1 - tanh(K) ** 2),
        1e-7,
    )


def _posterior() -> Iterator[Row]:
    """Read the metric of n data points off a posterior with a unit prior: 1 + n lambda."""
    spectrum = torch.arange(1, 41, dtype=torch.float64) ** -2.0
    law = GaussianLaw.of(torch.diag(1 / (1 + 300 * spectrum)), Unordered(40))
    posterior = member("schemes", "fisher-directions")(b=2, rows="parameters").fit(law, generator=torch.Generator())
    gap = float((posterior.metric - 1 - 300 * spectrum).abs().max())
    yield exact("precision of a posterior less prior and n times the metric, largest", 0.0, gap, ROUNDING * 300)
    gradients = GaussianLaw.of(torch.diag(spectrum), Unordered(40))
    found = member("schemes", "fisher-directions")(b=2).fit(gradients, generator=torch.Generator())
    for data in (10, 150, 1000):
        expected = sloppy.relevant_directions(data, 2.0)
        yield exact(f"directions that {data} data tell apart, metric i^-2", expected, found.relevant(data), 0.0)
