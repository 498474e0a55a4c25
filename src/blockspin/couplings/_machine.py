"""Machine: pasts grouped by their futures, and the predictor of hidden states that they make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from blockspin.errors import FitFailedError, TooFewSamplesError

EQUAL = 1e-9
"""Probabilities of a law that differ by less are equal."""
LEAST = 5.0
"""Occurrences that chance must give a symbol after the rarest past for a chi-squared test to hold (Cochran's rule)."""


@dataclass(frozen=True, eq=False)
class Machine:
    """A machine whose next state follows from its state and the symbol it shows.

    Args:
        state: int64 [pasts]; the state of each past, -1 where it does not occur or does not tell the state.
        emission: float64 [states, symbols]; the probability of each symbol.
        following: int64 [states, symbols]; the state after it, -1 where the symbol never comes.
        weight: float64 [states]; the stationary probabilities.
    """

    state: np.ndarray
    emission: np.ndarray
    following: np.ndarray
    weight: np.ndarray


def require_frequent(counts: np.ndarray, past: int) -> None:
    """Refuse counts [pasts, symbols] of pasts that are too long for the samples to be tested.

    Raises:
        TooFewSamplesError: If the rarest past is too rare.
    """
    often = counts.sum(1)
    symbol = counts.sum(0) / counts.sum()
    need = LEAST / float(symbol[symbol > 0].min())
    rarest = float(often[often > 0].min())
    if rarest < need:
        raise TooFewSamplesError(
            f"the rarest past of {past} symbols occurs {rarest:.0f} times, and {need:.0f} are needed",
            f"Give about {need / rarest:.0f} times the samples, or a shorter past.",
        )


def grouped(counts: np.ndarray, level: float) -> np.ndarray:
    """Return the group [pasts] of each past, -1 where it does not occur; at level 0 equal futures make a group."""
    often = counts.sum(1)
    label, pooled = np.full(len(counts), -1), np.zeros((0, counts.shape[1]))
    occurring = np.flatnonzero(often > 0)
    for past in occurring[np.argsort(-often[occurring], kind="stable")]:
        likeness = np.array([_likeness(counts[past], group, level) for group in pooled])
        if len(likeness) and likeness.max() > level / len(occurring):
            label[past] = int(likeness.argmax())
            pooled[label[past]] += counts[past]
        else:
            label[past] = len(pooled)
            pooled = np.concatenate([pooled, counts[past][None]])
    return label


def _likeness(one: np.ndarray, other: np.ndarray, level: float) -> float:
    """Return the p-value of two rows of counts under one law; at level 0 whether their shares are equal."""
    if level == 0:
        return float(np.abs(one / one.sum() - other / other.sum()).max() < EQUAL)
    both = one + other
    loss, _ = deviance(np.stack([one, other]), np.broadcast_to(both / both.sum(), (2, len(both))))
    dof = int((both > 0).sum()) - 1
    return float(chdtrc(dof, loss)) if dof else 1.0


def deviance(counts: np.ndarray, expected: np.ndarray) -> tuple[float, int]:
    """Return twice the log-likelihood ratio of rows of counts against their expected shares, and its freedoms."""
    total = counts.sum(1, keepdims=True)
    seen = counts > 0
    with np.errstate(divide="ignore"):
        terms = counts[seen] * np.log(counts[seen] / (total * expected)[seen])
    rows = total[:, 0] > 0
    return 2 * float(terms.sum()), int(((expected[rows] > 0).sum(1) - 1).sum())


def machine_of(counts: np.ndarray, label: np.ndarray, slack: float) -> Machine:
    """Return the machine of labelled pasts: emissions by counting, transitions by where the told pasts go."""
    states, symbols = int(label.max()) + 1, counts.shape[1]
    if not states:
        raise FitFailedError("no past tells its state", "Give longer pasts.")
    emission, flow = np.zeros((states, symbols)), np.zeros((states, symbols, states))
    after = np.arange(len(counts))[:, None] * symbols % len(counts) + np.arange(symbols)  # the past one step on
    for past in np.flatnonzero(label >= 0):
        emission[label[past]] += counts[past]
        for x in np.flatnonzero((counts[past] > 0) & (label[after[past]] >= 0)):
            flow[label[past], x, label[after[past, x]]] += counts[past, x]
    share = flow.max(2) / np.maximum(flow.sum(2), 1e-300)
    split = (flow.sum(2) > 0) & (share < 1 - slack)
    lost = (flow.sum(2) == 0) & (emission > 0)
    if split.any() or lost.any():
        raise FitFailedError(
            f"{states} states are not closed: {int(split.sum())} of their symbols lead to several states, "
            f"{int(lost.sum())} to pasts that tell none",
            "Give longer pasts, or more samples.",
        )
    emission = emission / emission.sum(1, keepdims=True)
    following = np.where(flow.sum(2) > 0, flow.argmax(2), -1)
    return Machine(label, emission, following, _stationary(emission, following))


def _stationary(emission: np.ndarray, following: np.ndarray) -> np.ndarray:
    """Return the stationary probabilities of the states."""
    n = len(emission)
    P = np.zeros((n, n))
    for x in range(emission.shape[1]):
        goes = following[:, x] >= 0
        np.add.at(P, (np.flatnonzero(goes), following[goes, x]), emission[goes, x])
    equations = np.concatenate([P.T - np.eye(n), np.ones((1, n))])
    right = np.zeros(n + 1)
    right[-1] = 1
    solution, _, rank, _ = np.linalg.lstsq(equations, right, rcond=None)
    if rank < n:
        raise FitFailedError("the machine falls apart into several that do not meet", "Give more samples.")
    return solution.clip(min=0)


def entropies(p: np.ndarray) -> np.ndarray:
    """Return the entropy of each row of probabilities, in nats."""
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(1)
