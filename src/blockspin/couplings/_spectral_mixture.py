"""Spectral mixture: one or two Gaussian fields by the shapes of their samples' spectra, whatever the amplitudes."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

STARTS = (0.2, 0.5, 0.8)
"""Where the samples are cut to begin with, in the order of their leading contrast."""
ROUNDS = 200
TRIED = 12
"""Rounds after which the best beginning is gone on with."""
GAIN = 1e-4
"""Nats a round below which a fit has settled: far below what tells two fields from one."""
SETTLED = 1e-9


@dataclass(frozen=True, eq=False)
class TwoShapes:
    """Two shapes of spectra over the same modes.

    Args:
        mean: Common spectrum up to a factor, float64 [modes].
        rates: 1 / (spectrum over the common one) of each field and shell, float64 [2, shells]; the geometric mean over
            degrees of freedom is 1.
        share: Probability of the first.
    """

    mean: Tensor
    rates: Tensor
    share: float


@dataclass(frozen=True, eq=False)
class Modes:
    """What the modes of a frame are.

    Args:
        halves: Half the degrees of freedom of each mode, float64 [modes]: 1 of a complex amplitude, 1/2 of a real one.
        shell: int64 [modes]; the shell of each, from 0.
    """

    halves: Tensor
    shell: Tensor

    @property
    def weights(self) -> Tensor:
        """Half the degrees of freedom of each shell, float64 [shells]."""
        total = torch.zeros(int(self.shell.max()) + 1, dtype=torch.float64)
        return total.index_add_(0, self.shell, self.halves)

    def shells(self, powers: Tensor, mean: Tensor) -> Tensor:
        """Return sums over shells of powers over the common spectrum, float64 [samples, shells]."""
        total = torch.zeros(len(powers), len(self.weights), dtype=torch.float64)
        return total.index_add_(1, self.shell, powers * (self.halves / mean))


def one_shape(powers: Tensor, modes: Modes) -> Tensor:
    r"""Return the spectrum [modes], up to a factor, of one Gaussian field times a random amplitude a sample.

    Maximum likelihood of the composition of each sample, which does not depend on the law of the amplitude: Tyler's
    estimator for a diagonal covariance, by its fixed-point iteration. Source: tyler1987.
    """
    total, halves = modes.halves.sum(), modes.halves
    mean = powers.mean(0)
    for _ in range(ROUNDS):
        amplitude = powers @ (halves / mean) / total
        factor = (powers / amplitude[:, None]).mean(0) / mean
        mean = mean * factor
        if float((factor - 1).abs().max()) < SETTLED:
            break
    return mean


def log_density(powers: Tensor, mean: Tensor, modes: Modes) -> Tensor:
    """Return the log-density [samples] of the composition under one shape, but for what no shape enters."""
    return -modes.halves.sum() * (powers @ (modes.halves / mean)).log() - modes.halves @ mean.log()


def log_mixture(powers: Tensor, fit: TwoShapes, modes: Modes) -> Tensor:
    """Return the same under a mixture of two."""
    return torch.logsumexp(_joint(modes.shells(powers, fit.mean), fit, modes), 1) - modes.halves @ fit.mean.log()


def _joint(shells: Tensor, fit: TwoShapes, modes: Modes) -> Tensor:
    """Return ln of share and density of each field, [samples, 2]."""
    prior = torch.tensor([fit.share, 1 - fit.share], dtype=torch.float64).log()
    return prior + fit.rates.log() @ modes.weights - modes.weights.sum() * (shells @ fit.rates.T).log()


def two_shapes(powers: Tensor, modes: Modes) -> TwoShapes:
    """Fit two shapes by expectation and maximisation from several beginnings; the best is returned.

    The first is the one with the larger share of its power in the first shell.
    """
    mean = one_shape(powers, modes)
    shells = modes.shells(powers, mean)
    logs = (shells / shells.sum(1, keepdim=True)).log()
    centred = logs - logs.mean(0)
    contrast = centred @ torch.linalg.eigh(centred.T @ centred)[1][:, -1]
    found = []
    for share in STARTS:
        first = torch.where(contrast > contrast.quantile(1 - share), 0.9, 0.1).to(torch.float64)
        found.append(_iterated(shells, TwoShapes(mean, _uniform(modes), share), first, modes, TRIED))
    _, fit, first = max(found, key=lambda item: item[0])
    _, fit, _ = _iterated(shells, fit, first, modes, ROUNDS)
    order = [0, 1] if float(fit.rates[0, 0]) <= float(fit.rates[1, 0]) else [1, 0]
    return TwoShapes(mean, fit.rates[order], fit.share if order[0] == 0 else 1 - fit.share)


def _uniform(modes: Modes) -> Tensor:
    return torch.ones(2, len(modes.weights), dtype=torch.float64)


def _iterated(
    shells: Tensor, fit: TwoShapes, first: Tensor, modes: Modes, rounds: int
) -> tuple[float, TwoShapes, Tensor]:
    """Return likelihood, fit and the probability that each sample is of the first, after some rounds."""
    a, before = modes.weights, -float("inf")
    likelihood = before
    for _ in range(rounds):
        parts = torch.stack([first, 1 - first])  # [2, samples]
        total = parts.sum(1)
        pulled = (parts / (fit.rates @ shells.T)) @ shells  # [2, shells]
        rates = a * total[:, None] / (a.sum() * pulled)
        rates = rates / torch.exp(rates.log() @ a / a.sum())[:, None]
        share = float((total[0] / total.sum()).clamp(1 / len(shells), 1 - 1 / len(shells)))
        fit = TwoShapes(fit.mean, rates, share)
        joint = _joint(shells, fit, modes)
        likelihood = float(torch.logsumexp(joint, 1).sum())
        first = torch.softmax(joint, 1)[:, 0]
        if likelihood - before < GAIN:
            break
        before = likelihood
    return likelihood, fit, first


def log_evidence(powers: Tensor, half: Tensor, modes: Modes) -> float:
    r"""Return ln of the evidence for two shapes against one.

    If there is one, it is above ln(1 / a) with probability a at most, at any number of samples.
    Two shapes are fitted on each half of the samples; on the other half their likelihood is divided by the largest that
    one shape can have there. The mean over the two directions is an e-value: no law of large numbers is needed, which
    fails for likelihood ratios of mixtures. Samples must be independent. Source: wasserman2020.

    Args:
        powers: Of the modes, float64 [samples, modes].
        half: bool [samples]; which samples are in the first half.
        modes: What the modes are.
    """
    ways = []
    for fitted, held_out in ((powers[half], powers[~half]), (powers[~half], powers[half])):
        fit = two_shapes(fitted, modes)
        gain = log_mixture(held_out, fit, modes) - log_density(held_out, one_shape(held_out, modes), modes)
        ways.append(float(gain.sum()))
    high = max(ways)
    return high + log(sum(torch.exp(torch.tensor(way - high, dtype=torch.float64)).item() for way in ways) / 2)
