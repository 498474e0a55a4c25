"""Closure: whether groups of a process' symbols are a process of their own, which needs no finer detail to predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.special import chdtrc
from torch import Tensor

from blockspin.couplings._machine import EQUAL, deviance, entropies, grouped, require_frequent
from blockspin.couplings._words import WORDS, WordCounts
from blockspin.couplings.base import Coupling, Goodness
from blockspin.errors import ConfigError, TooFewSamplesError
from blockspin.measurement import Measurement
from blockspin.observables.base import State
from blockspin.registry import register


@register
@dataclass(frozen=True)
class Closure(Coupling):
    r"""Groups Z of the symbols X of a stationary process as a process of their own: three notions of closure.

    *Informational*: the past of X tells no more of the next group than the past of Z does, so that

    .. math:: I(X_{\le t} ; Z_{t+1} | Z_{\le t}) = I(X_{\le t} ; Z_{t+1}) - I(Z_{\le t} ; Z_{t+1}) = 0 .

    For a Markov chain and pasts of one step this is lumpability. *Causal*: the states :math:`\upsilon` (pasts of X with
    the same next group) are the causal states :math:`\epsilon_Z` (pasts of Z with the same next group), so that
    :math:`H(\upsilon | \epsilon_Z) = 0`; groups that are closed in one sense are so in the other. *Computational*: the
    causal states of Z are groups of those of X, :math:`H(\epsilon_Z | \epsilon_X) = 0`; a process may be so without
    being closed, where what it shows of itself is simple and what drives it is not seen.

    Quantities, in nats: "from_states" and "from_groups", the two informations; "gap", their difference; "causal_gap"
    and "computational_gap", the two entropies. Groups that tell nothing (a single one) are closed trivially: read the
    gap beside "from_groups". On samples the bias of counting N words, (pasts - 1)(groups - 1) / 2 N, is subtracted
    from each information, so that a gap of none reads 0 on average and may come out negative. Pasts are joined to
    states by a likelihood-ratio test, as ``causal-states`` does; on a law where their futures are equal.

    Args:
        groups: The group of each symbol, numbered 0, 1, ... without a gap; as many as there are symbols.
        past: Symbols of a past.
        level: Probability of telling apart any two pasts that are one state, between 0 and 1.

    Raises:
        ConfigError: If an option cannot be used, or there are more than 2 ** 16 words.

    Do not trust when:
        The groups remember more than ``past`` steps: closure is asked of groups whose past of this length is known, so
        that "gap" falls as it grows; or the symbols do, whose states are then too few. Pasts count as one state by the
        next step alone. Words overlap: the test counts them as independent given the past, units for the errors. Few
        samples make the two entropies too small: pasts that cannot be told apart are joined.

    Example:
        >>> from blockspin import member
        >>> from blockspin.observables.base import evaluate
        >>> law = member("sources", "markov-chain")(window=3).law()  # lumps into {0, 1} and {2, 3}
        >>> [round(abs(float(evaluate(Closure(groups=g), law)["gap"])), 4) for g in ((0, 0, 1, 1), (0, 1, 0, 1))]
        [0.0, 0.0619]

    Source:
        rosas2024; shalizi2004 for finding states.
    """

    name = "closure"
    source = "rosas2024"
    units: ClassVar[Mapping[str, str]] = {
        "from_states": "nat",
        "from_groups": "nat",
        "gap": "nat",
        "causal_gap": "nat",
        "computational_gap": "nat",
    }
    left_out: ClassVar[tuple[str, ...]] = (
        "memory of the groups beyond the past",
        "what symbols tell beyond the groups",
    )
    given: ClassVar[tuple[str, ...]] = ("groups",)
    groups: tuple[int, ...] = (0, 1)
    past: int = 1
    level: float = 0.001

    def __post_init__(self):
        object.__setattr__(self, "groups", tuple(self.groups))
        if len(self.groups) < 2 or sorted(set(self.groups)) != list(range(max(self.groups, default=0) + 1)):
            raise ConfigError("groups", self.groups, "the group of each of two or more symbols, numbered from 0 on.")
        if type(self.past) is not int or self.past < 1:
            raise ConfigError("past", self.past, "a whole number of at least 1.")
        if len(self.groups) ** (self.past + 1) > WORDS:
            raise ConfigError(
                "past", self.past, f"one that leaves at most {WORDS} words of {len(self.groups)} symbols."
            )
        if not 0 < self.level < 1:
            raise ConfigError("level", self.level, "a number between 0 and 1.")

    @property
    def monoid(self) -> WordCounts:
        """Counts of a past and the symbol after it."""
        return WordCounts(len(self.groups), self.past + 1)

    def value(self, state: State) -> dict[str, Tensor]:
        """Return informations and what states of the groups are not told by states of the symbols.

        Raises:
            TooFewSamplesError: If there is no sample, or the rarest past is too rare to be tested.
        """
        symbols = self._counts(state)
        exact = abs(float(state["weight"]) - 1) < EQUAL  # a law: its weights are probabilities
        if not exact:
            require_frequent(symbols, self.past)
        level = 0.0 if exact else self.level
        fine, coarse = self._next_groups(symbols), self._of_groups(symbols)
        told = [_information(counts, biased=not exact) for counts in (fine, coarse)]
        weight, own = symbols.sum(1), grouped(coarse, level)[self._group_past]
        found = {
            "from_states": told[0],
            "from_groups": told[1],
            "gap": told[0] - told[1],
            "causal_gap": _left_open(grouped(fine, level), own, weight),
            "computational_gap": _left_open(own, grouped(symbols, level), weight),
        }
        return {key: torch.tensor(number, dtype=torch.float64) for key, number in found.items()}

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return how far the next group after pasts of symbols, in either part, is from what their groups foretell.

        The deviance a word from the shares that the groups show in both parts together: of closed groups it is chi
        squared, and a small p-value says that they are not. None where every past of the groups is a single past of
        symbols in a single part, so that there is nothing to test.
        """
        parts = [self._counts(part) for part in (fitted, held_out)]
        own = self._of_groups(parts[0] + parts[1])
        share = own / np.maximum(own.sum(1, keepdims=True), 1e-300)
        misfit, rows = deviance(
            np.concatenate([self._next_groups(part) for part in parts]), np.tile(share[self._group_past], (2, 1))
        )
        dof = rows - deviance(own, share)[1]  # less the shares, which are fitted on the very words
        seen = float(own.sum())
        score = Measurement(misfit / 2 / seen, (2 * dof) ** 0.5 / 2 / seen, "nat", seen, "deviance, chi-squared")
        p_value = float(chdtrc(dof, misfit)) if dof > 0 else None
        return Goodness("deviance a word of symbols from what groups foretell", score, p_value)

    @property
    def _group_past(self) -> np.ndarray:
        """The number of the past of groups [pasts of symbols] that each past of symbols shows."""
        group, found = np.array(self.groups), np.zeros(1, dtype=np.int64)
        for _ in range(self.past):
            found = (found[:, None] * (group.max() + 1) + group).reshape(-1)
        return found

    def _counts(self, state: State) -> np.ndarray:
        """Return counts [pasts of symbols, next symbols]."""
        if not state:
            raise TooFewSamplesError("there is no sample", "Give more samples.")
        return state["counts"].numpy().reshape(-1, len(self.groups))

    def _next_groups(self, symbols: np.ndarray) -> np.ndarray:
        """Return counts [pasts of symbols, next groups]."""
        return symbols @ np.eye(max(self.groups) + 1)[list(self.groups)]

    def _of_groups(self, symbols: np.ndarray) -> np.ndarray:
        """Return counts [pasts of groups, next groups]."""
        count = max(self.groups) + 1
        found = np.zeros((count**self.past, count))
        np.add.at(found, self._group_past, self._next_groups(symbols))
        return found


def _information(counts: np.ndarray, *, biased: bool) -> float:
    """Return I(past ; next) of counts [pasts, next] in nats, less the bias of counting where there is one."""
    total = counts.sum()
    rows, columns = counts.sum(1) / total, counts.sum(0) / total
    known = float(entropies(columns[None])[0] + entropies(rows[None])[0] - entropies(counts.reshape(1, -1) / total)[0])
    return known - ((rows > 0).sum() - 1) * ((columns > 0).sum() - 1) / (2 * total) * biased


def _left_open(label: np.ndarray, given: np.ndarray, weight: np.ndarray) -> float:
    """Return H(label | given) in nats of two labels of pasts [pasts], each past with its weight."""
    occurs = weight > 0
    joint = np.zeros((label.max() + 1, given.max() + 1))
    np.add.at(joint, (label[occurs], given[occurs]), weight[occurs] / weight.sum())
    return max(0.0, float(entropies(joint.reshape(1, -1))[0] - entropies(joint.sum(0)[None])[0]))
