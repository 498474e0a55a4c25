"""Bayesian renormalization: costs of directions by simulated inference, and where counting of directions fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import bayesian_renormalization as theory
from blockspin.theory.learning_coefficient import normal_crossing, running_normal_crossing

DIMENSION, REPEATS = 5, 200_000


@register
@dataclass(frozen=True)
class BayesianRenormalizationTether(Tether):
    """Infer Gaussian means from few data, and count modes at a regular and at a singular point."""

    name = "bayesian-renormalization"
    system = "shells of Fisher information"
    source = "berman2023"

    def rows(self) -> Iterator[Row]:
        """Yield divergences of predicted laws, the order of shells, and the singular product of two weights."""
        rng = np.random.default_rng(0)
        for data, known in ((10, 0.238275), (100, 0.024876)):
            value = theory.predictive_divergence(DIMENSION, data)
            yield exact(f"divergence of the predicted law, T = {data}", known, value, 1e-6)
            yield sampled(f"the same by simulation, T = {data}", value, _divergence(data, rng))
        k = np.linspace(0, np.pi, 33)
        information = theory.source_information(2 - 2 * np.cos(k), 0.5)
        response = np.diag(np.linalg.inv(np.diag(2 - 2 * np.cos(k) + 0.25)))
        yield exact("order of shells against that of momenta", 1.0, float((np.diff(information) < 0).all()), 0.0)
        yield exact("information of sources against a response", 0.0, abs(information - response).max(), 1e-12)
        yield from _singular()


def _divergence(data: int, rng: np.random.Generator) -> Measurement:
    """Draw data, and take the divergence of N(mean, 1 + 1/T) from N(0, 1) exactly."""
    means = rng.standard_normal((REPEATS, DIMENSION)) / data**0.5
    s = 1 + 1 / data
    D = (DIMENSION * (np.log(s) + 1 / s - 1) + np.square(means).sum(1) / s) / 2
    return Measurement(D.mean(), D.std(ddof=1) / REPEATS**0.5, "nat", REPEATS, f"{REPEATS} data sets", REPEATS - 1)


def _singular() -> Iterator[Row]:
    """Compare modes counted by Fisher information with twice the learning coefficient for f = x w_1 w_2 at 0."""
    h, w = 1e-6, np.zeros(2)
    gradient = np.array([np.prod(w + h * e) - np.prod(w - h * e) for e in np.eye(2)]) / (2 * h)
    counted = theory.distinguishable(np.linalg.eigvalsh(np.outer(gradient, gradient)), 1e12).sum()
    yield exact("directions that Fisher information counts for x w1 w2 at 0", 0, counted, 0.0)
    limit = float(normal_crossing((1, 1)).value)
    yield exact("twice the learning coefficient there", 1.0, 2 * limit, 0.0)
    running = [2 * running_normal_crossing((1, 1), t) for t in (1e3, 1e6, 1e9)]
    yield exact(
        "twice the running coefficient stays above 0 and grows to it", 1.0, float(0 < running[0] < running[2]), 0
    )
