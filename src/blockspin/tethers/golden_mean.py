"""Golden mean: entropy rate and statistical complexity of processes with two causal states, from exact windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.law import EnumeratedLaw
from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.sources.base import Model
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import hidden_markov as theory

ROUNDING = 1e-12
"""Entropies over at most 2^8 words."""


@register
@dataclass(frozen=True)
class GoldenMeanTether(Tether):
    """Read entropies of words, and causal states, off the law of windows; pasts of equal futures are one state."""

    name = "golden-mean"
    system = "golden mean and even process, hidden Markov processes of two states"
    source = "crutchfield1989"

    def rows(self) -> Iterator[Row]:
        """Yield h, C and E; the golden mean's are exact at any length, the even process' rate is approached."""
        golden, known = member("sources", "hidden-markov"), theory.golden_mean()
        law = golden.golden_mean(window=6).law()
        words = [_entropy(_word_shares(law, n)) for n in range(7)]
        yield exact("entropy rate of the golden mean", known["entropy_rate"], words[6] - words[5], ROUNDING, "nats")
        yield exact(
            "the same in bits, 2/3", 2 / 3, (words[6] - words[5]) / _entropy(torch.tensor([0.5, 0.5])), ROUNDING, "bits"
        )
        complexity = _causal_entropy(law, 3)
        yield exact("statistical complexity of the golden mean", known["complexity"], complexity, ROUNDING, "nats")
        excess = words[6] - 6 * (words[6] - words[5])
        yield exact("excess entropy of the golden mean", known["excess_entropy"], excess, ROUNDING, "nats")
        even = golden.even(window=15).law()
        rate = _entropy(_word_shares(even, 15)) - _entropy(_word_shares(even, 14))
        # a past of n ones, of chance about 2^-n/2, does not tell the state
        yield exact("entropy rate of the even process", theory.even_process()["entropy_rate"], rate, 2.0**-7, "nats")
        yield sampled(
            "entropy rate of the golden mean from samples",
            known["entropy_rate"],
            _sampled_rate(golden.golden_mean(window=2)),
        )


def _word_shares(law: EnumeratedLaw, length: int) -> Tensor:
    """Return the probabilities of the first ``length`` symbols."""
    if length == 0:
        return torch.ones(1, dtype=torch.float64)
    _, index = torch.unique(law.values[:, :length, 0], dim=0, return_inverse=True)
    return torch.zeros(int(index.max()) + 1, dtype=torch.float64).index_add_(0, index, law.weights)


def _entropy(p: Tensor) -> float:
    p = p.double()
    return -float((p * p.log()).sum())


def _causal_entropy(law: EnumeratedLaw, past: int) -> float:
    """Return the entropy of classes of pasts whose futures have the same law, to nine digits."""
    pasts, i = torch.unique(law.values[:, :past, 0], dim=0, return_inverse=True)
    futures, j = torch.unique(law.values[:, past:, 0], dim=0, return_inverse=True)
    joint = torch.zeros(len(pasts), len(futures), dtype=torch.float64).index_put_((i, j), law.weights, accumulate=True)
    share = joint.sum(1)
    _, state = torch.unique((joint / share[:, None]).round(decimals=9), dim=0, return_inverse=True)
    return _entropy(torch.zeros(int(state.max()) + 1, dtype=torch.float64).index_add_(0, state, share))


def _sampled_rate(model: Model, samples: int = 40_000, parts: int = 20) -> Measurement:
    """Return H(two symbols) - H(one) of samples by a jackknife; the bias, 1 / samples, is far below the error."""
    words = model.sample(samples, generator=torch.Generator().manual_seed(0)).values[:, :, 0]
    code = (2 * words[:, 0] + words[:, 1]).long().reshape(parts, -1)
    counts = torch.stack([torch.bincount(part, minlength=4) for part in code]).double()

    def rate(count: Tensor) -> float:
        p = count / count.sum()
        first = torch.stack([p[0] + p[1], p[2] + p[3]])
        return _entropy(p[p > 0]) - _entropy(first)

    without = torch.tensor([rate(counts.sum(0) - part) for part in counts])
    error = (parts - 1) / parts**0.5 * float(without.std())
    return Measurement(rate(counts.sum(0)), error, "nats", samples, f"plug-in, jackknife over {parts} parts", parts - 1)
