"""Hidden Markov: entropy rates and statistical complexities in closed form, and the correlation length of a chain."""

from __future__ import annotations

from math import log

import numpy as np


def correlation_length(P: np.ndarray) -> float:
    """Return xi = -1 / ln |lambda_2| of a transition matrix [states, states], in steps; 0 where lambda_2 = 0.

    Valid for chains with one eigenvalue of modulus 1; asymptotic where there are more than two states.
    Source: kemeny1960.
    """
    second = float(np.sort(np.abs(np.linalg.eigvals(P)))[-2])
    return 0.0 if second < 1e-12 else -1 / log(second)


def binary_entropy(p: float) -> float:
    """Return -p ln p - (1 - p) ln(1 - p) in nats, for p in [0, 1]."""
    return -sum(x * log(x) for x in (p, 1 - p) if x > 0)


def golden_mean(p: float = 0.5) -> dict[str, float]:
    """Return "entropy_rate", "complexity" and "excess_entropy", in nats, of the golden mean process.

    After a one a zero comes with probability p, after a zero always a one; the causal states are the last symbols, with
    probabilities 1 / (1 + p) and p / (1 + p). h = H(p) / (1 + p), C = H(1 / (1 + p)), E = C - h. Exact for p in (0, 1).
    Source: crutchfield1989 for the quantities.
    """
    h, C = binary_entropy(p) / (1 + p), binary_entropy(1 / (1 + p))
    return {"entropy_rate": h, "complexity": C, "excess_entropy": C - h}


def even_process(p: float = 0.5) -> dict[str, float]:
    """Return the same numbers of the even process: its past determines its causal state, so that E = C.

    In its first state it shows a one with probability p and goes to the second, which shows a one and goes back;
    h = H(p) / (1 + p), C = H(1 / (1 + p)). Exact for p in (0, 1). Source: crutchfield1989 for the quantities.
    """
    h, C = binary_entropy(p) / (1 + p), binary_entropy(1 / (1 + p))
    return {"entropy_rate": h, "complexity": C, "excess_entropy": C}
