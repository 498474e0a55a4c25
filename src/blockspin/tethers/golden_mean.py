"""Golden mean: entropy rate and statistical complexity of processes with two causal states, from exact windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import distinct
from blockspin.law import EnumeratedLaw
from blockspin.observables.base import accumulate, evaluate
from blockspin.registry import member, register
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
        yield from _machines()


def _machines() -> Iterator[Row]:
    """Reconstruct the machines, exactly from windows and from samples."""
    for about, process, known in (
        ("golden mean", "golden_mean", theory.golden_mean()),
        ("even process", "even", theory.even_process()),
    ):
        make = getattr(member("sources", "hidden-markov"), process)
        coupling = member("couplings", "causal-states")(past=4)
        found = evaluate(coupling, make(window=6).law())
        for key in ("entropy_rate", "complexity"):
            yield exact(f"{key} of the machine of the {about}", known[key], float(found[key]), ROUNDING, "nat")
        yield exact(f"states of the machine of the {about}", 2, float(found["states"]), 0)
        drawn = make(window=12).sample(4000, generator=torch.Generator().manual_seed(0))
        measured = jackknife(coupling, [accumulate(coupling.monoid, drawn.select(part)) for part in _parts(4000)])
        for key in ("entropy_rate", "complexity"):
            yield sampled(f"{key} of the machine of the {about}, 4000 windows of 12", known[key], measured[key])


def _parts(samples: int, parts: int = 20) -> list[Tensor]:
    return list(torch.arange(samples).reshape(parts, -1))


def _word_shares(law: EnumeratedLaw, length: int) -> Tensor:
    """Return the probabilities of the first ``length`` symbols."""
    if length == 0:
        return torch.ones(1, dtype=torch.float64)
    _, index = distinct(law.values[:, :length, 0])
    return torch.zeros(int(index.max()) + 1, dtype=torch.float64).index_add_(0, index, law.weights)


def _entropy(p: Tensor) -> float:
    p = p.double()
    return -float((p * p.log()).sum())


def _causal_entropy(law: EnumeratedLaw, past: int) -> float:
    """Return the entropy of classes of pasts whose futures have the same law, to nine digits."""
    pasts, i = distinct(law.values[:, :past, 0])
    futures, j = distinct(law.values[:, past:, 0])
    joint = torch.zeros(len(pasts), len(futures), dtype=torch.float64).index_put_((i, j), law.weights, accumulate=True)
    share = joint.sum(1)
    _, state = distinct((joint / share[:, None]).round(decimals=9))
    return _entropy(torch.zeros(int(state.max()) + 1, dtype=torch.float64).index_add_(0, state, share))
