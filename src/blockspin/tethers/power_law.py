"""Power law: exponents of exact samples, spectra of power-law populations, and noise that must not be called one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch

from blockspin.answer import Verdict
from blockspin.couplings.power_law import find_tail, tail_above
from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.spectra.layer import layer_spectrum, noise_edge, with_surrogates
from blockspin.spectra.surrogate import wishart_spectra
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import marchenko_pastur as theory

ALPHA, SITES, ROWS, REPEATS = 2.5, 64, 128, 400


@register
@dataclass(frozen=True)
class PowerLawTether(Tether):
    """Fit tails whose exponent is known, and spectra that random-matrix theory knows."""

    name = "power-law"
    system = "power-law tails and spectra of random matrices"
    source = "clauset2009"
    minutes = 0.03

    def rows(self) -> Iterator[Row]:
        """Yield exponents, a moment of Wishart spectra, and how often noise passes for a tail."""
        rng = np.random.default_rng(0)
        draws = [(1 - rng.random(2000)) ** (-1 / (ALPHA - 1)) for _ in range(40)]
        slopes = np.array([1 / (tail_above(x, 1.0).alpha - 1) for x in draws])
        yield sampled("1 / (alpha - 1) of exact samples, x_min known", 1 / (ALPHA - 1), _mean(slopes))
        errors = np.array([(find_tail(x).alpha - ALPHA) / find_tail(x).textbook_error for x in draws])
        yield sampled("deviation of alpha in errors, x_min searched", 0.0, _mean(errors))
        population = ((np.arange(SITES) + 0.5) / SITES) ** (-1 / (ALPHA - 1))
        logs = np.log(wishart_spectra(population, ROWS, REPEATS, rng)).mean(1)
        expected = theory.mean_log_eigenvalue(population, ROWS)
        yield sampled(f"mean ln eigenvalue, power-law population ({SITES} x {ROWS})", expected, _mean(logs))
        yield from self._noise(rng)

    def _noise(self, rng: np.random.Generator) -> Iterator[Row]:
        far = noise_edge(4_000_000, 1_000_000, 1.0) / 4_000_000
        yield exact("edge of noise, many rows", theory.edges(0.25)[1], far, 4 * 1_000_000 ** (-2 / 3))
        largest = wishart_spectra(np.ones(SITES), ROWS, REPEATS, rng)[:, 0]
        beyond = float((largest * ROWS > noise_edge(ROWS, SITES, 1.0)).mean())
        spread = sqrt(0.01 * 0.99 / REPEATS)
        share = Measurement(beyond, spread, n_eff=REPEATS, how="binomial at the expected share")
        yield sampled("share of white noise beyond its 99 % edge", 0.01, share)
        called = 0
        for seed in range(10):
            generator = torch.Generator().manual_seed(seed)
            layer = layer_spectrum("noise", torch.randn(ROWS, SITES, generator=generator))
            called += with_surrogates(layer, generator=generator, most=20).verdict is Verdict.YES
        yield exact("white noise that is called a power law, of 10", 0, called, 0.0)


def _mean(values: np.ndarray) -> Measurement:
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    return Measurement(float(values.mean()), error, n_eff=len(values), how=f"{len(values)} independent draws")
