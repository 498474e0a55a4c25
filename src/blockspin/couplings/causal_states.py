"""Causal states: the smallest machine that predicts a process of few symbols, read off the futures of its pasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.special import chdtrc
from torch import Tensor

from blockspin.couplings._machine import EQUAL, Machine, deviance, entropies, grouped, machine_of, require_frequent
from blockspin.couplings._words import WORDS, WordCounts
from blockspin.couplings.base import Coupling, Goodness
from blockspin.errors import ConfigError, TooFewSamplesError, check_between, check_whole
from blockspin.measurement import Measurement
from blockspin.observables.base import State
from blockspin.registry import register


@register
@dataclass(frozen=True)
class CausalStates(Coupling):
    r"""The epsilon-machine of a stationary process: pasts with the same future are one state.

    Pasts of a fixed length are joined while a likelihood-ratio test on the next symbol does not tell them apart: each,
    the most frequent first, joins the state that it is most like, or opens a new one where it differs from all at the
    stated level (Bonferroni over pasts). A past that only a longer one could tell (blocks of unknown parity in the even
    process) makes no state: a state needs one past whose last symbols but for the first tell it already. From state to
    state the machine goes by the symbol shown, which must lead all pasts of a state to one; its stationary weights
    :math:`\pi` give

    .. math:: h = -\sum_s \pi_s \sum_x P(x|s) \ln P(x|s), \qquad C = -\sum_s \pi_s \ln \pi_s .

    Quantities: "entropy_rate" h, in nats a symbol; "complexity" C, in nats; "states"; "undetermined", the share of time
    at which the past does not tell the state.

    Args:
        past: Symbols of a past.
        symbols: Size of the alphabet.
        level: Probability of telling apart any two pasts that are one state, between 0 and 1.

    Raises:
        ConfigError: If an option cannot be used, or there are more than 2 ** 16 words.

    Do not trust when:
        The past is shorter than the memory of the process, and goodness of fit is poor; or few samples: pasts that
        cannot be told apart are joined, so that the machine is too simple. Windows overlap: words in one are counted
        as independent by the test (given the state they are), by units for the errors. Transient states are not shown.

    Source:
        shalizi2004; crutchfield1989 for the quantities.
    """

    name = "causal-states"
    source = "shalizi2004"
    units: ClassVar[Mapping[str, str]] = {
        "entropy_rate": "nat",
        "complexity": "nat",
        "states": "1",
        "undetermined": "1",
    }
    left_out: ClassVar[tuple[str, ...]] = ("memory beyond the past", "transient states")
    noted: ClassVar[tuple[str, ...]] = ("states", "undetermined")
    past: int = 3
    symbols: int = 2
    level: float = 0.001

    def __post_init__(self):
        for field, least in (("past", 1), ("symbols", 2)):
            check_whole(field, getattr(self, field), least)
        if self.symbols ** (self.past + 1) > WORDS:
            raise ConfigError("past", self.past, f"one that leaves at most {WORDS} words of {self.symbols} symbols.")
        check_between("level", self.level, 0, 1)

    @property
    def monoid(self) -> WordCounts:
        """Counts of a past and the symbol after it."""
        return WordCounts(self.symbols, self.past + 1)

    def value(self, state: State) -> dict[str, Tensor]:
        """Return entropies of the machine.

        Raises:
            TooFewSamplesError: If the rarest past is too rare to be tested.
            FitFailedError: If pasts of this length do not make a machine.
        """
        machine = self.machine(state)
        counts = self._counts(state).sum(1)
        found = {
            "entropy_rate": float(machine.weight @ entropies(machine.emission)),
            "complexity": float(entropies(machine.weight[None])[0]),
            "states": len(machine.weight),
            "undetermined": counts[machine.state < 0].sum() / counts.sum(),
        }
        return {key: torch.tensor(number, dtype=torch.float64) for key, number in found.items()}

    def machine(self, state: State) -> Machine:
        """Return the machine of a state of the monoid; see ``value`` for what is refused."""
        counts = self._counts(state)
        exact = abs(float(state["weight"]) - 1) < EQUAL  # a law: its weights are probabilities
        if not exact:
            require_frequent(counts, self.past)
        label = grouped(counts, 0.0 if exact else self.level)
        return machine_of(counts, self._told(label, counts.sum(1)), EQUAL if exact else self.level)

    def goodness(self, fitted: State, held_out: State) -> Goodness:
        """Return the log-likelihood a symbol of held-out words, less that of their own frequencies.

        The p-value is that of their deviance against the machine's probabilities, pooled over both parts, so that the
        noise of the fit does not count as misfit; on few pasts it is a little too large.
        """
        machine, counts = self.machine(fitted), self._counts(held_out)
        told = machine.state >= 0
        state, counts = machine.state[told], counts[told]
        loss, _ = deviance(counts, machine.emission[state])
        pooled = np.zeros_like(machine.emission)
        np.add.at(pooled, state, counts + self._counts(fitted)[told])
        misfit, dof = deviance(counts, (pooled / pooled.sum(1, keepdims=True))[state])
        impossible = bool((counts[machine.emission[state] == 0] > 0).any())
        p_value = 0.0 if impossible else float(chdtrc(dof, misfit)) if dof else None
        seen = float(counts.sum())
        score = Measurement(-loss / 2 / seen, (2 * dof) ** 0.5 / 2 / seen, "nat", seen, "deviance, chi-squared")
        return Goodness("held-out log-likelihood a symbol, less the best", score, p_value)

    def _counts(self, state: State) -> np.ndarray:
        """Return counts [pasts, symbols]."""
        if not state:
            raise TooFewSamplesError("there is no sample", "Give more samples.")
        return state["counts"].numpy().reshape(-1, self.symbols)

    def _told(self, label: np.ndarray, often: np.ndarray) -> np.ndarray:
        """Return the labels, -1 for pasts of groups without a member whose last symbols but for the first tell it."""
        tails = label.reshape(self.symbols, -1)  # row: the first symbol; column: the rest of the past
        occurs = (often > 0).reshape(self.symbols, -1)
        high, low = np.where(occurs, tails, -1).max(0), np.where(occurs, tails, len(label)).min(0)
        sure = np.unique(high[(high == low) & occurs.any(0)])
        kept = np.where(np.isin(label, sure) & (often > 0), label, -1)
        return np.where(kept >= 0, np.searchsorted(sure, kept), -1)
