"""Bayesian renormalization: directions in parameter space that data of a given number tell apart, and their cost."""

from __future__ import annotations

from math import log1p

import numpy as np


def distinguishable(information: np.ndarray, data: float) -> np.ndarray:
    """Return which directions are kept at T data: T e >= 1 for an eigenvalue e of the Fisher information.

    Valid at regular points, where the likelihood is quadratic. At a singular one (a product of two weights at 0) every
    eigenvalue may vanish while the data still fix lambda parameters' worth: see ``learning_coefficient``.

    Args:
        information: Eigenvalues [k], a datum.
        data: T.

    Source:
        berman2023.
    """
    return data * np.asarray(information) >= 1


def averaging_cost(modes: int, data: float) -> float:
    """Return k / (2 T), in nats a datum: what the posterior's spread along k directions costs. Source: berman2023."""
    return modes / (2 * data)


def predictive_divergence(dimension: int, data: float) -> float:
    r"""Return the mean divergence of the predicted law of a Gaussian of unknown mean from the true one, in nats.

    .. math:: E D_{KL} = \frac d2 \ln(1 + 1/T)

    For a flat prior and known variance; exact. It tends to ``averaging_cost``, d / (2 T). Source: berman2023.
    """
    return dimension / 2 * log1p(1 / data)


def source_information(squared_momentum: np.ndarray, mass: float) -> np.ndarray:
    """Return 1 / (k^2 + m^2), the Fisher information of a free field's linear source at each mode.

    It falls with k, so that a cut in information is a cut in momentum. Source: berman2023.
    """
    return 1 / (np.asarray(squared_momentum) + mass**2)
