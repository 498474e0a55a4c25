"""Spectral field theory: canonical dimensions of noise spectra, in closed form, as printed and from samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import numpy as np
import torch

from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import marchenko_pastur
from blockspin.theory import spectral_field_theory as theory

SITES, DOF, REPEATS = 300, 600, 24
WINDOW = (0.1, 1.0)


@register
@dataclass(frozen=True)
class SpectralFieldTheoryTether(Tether):
    """Measure canonical dimensions of white noise and compare with those of Marchenko and Pastur's density."""

    name = "spectral-field-theory"
    system = "Marchenko-Pastur spectrum as the momenta of a field"
    source = "lahoche2021"

    def rows(self) -> Iterator[Row]:
        """Yield dimensions at the edge, inside of the bulk, and from sampled spectra."""
        for ratio in (0.1, 0.5, 0.9):
            found = theory.noise_dimensions(1e-6, ratio)
            for name, limit in (("quadratic", 2 / 3), ("quartic", 1 / 3), ("sextic", 0.0), ("field", 1 / 3)):
                yield exact(f"{name} dimension at the edge (ratio {ratio})", limit, getattr(found, name), 1e-5)
        yield _edge(0.5)
        printed = {
            (0.01, 0.5): (0.6819, 0.3486, 0.0154),
            (0.1, 0.5): (0.8149, 0.4860, 0.1570),
            (0.7, 0.5): (1.5806, 1.3448, 1.1089),
            (0.7, 0.9): (1.7765, 1.6333, 1.4901),
        }
        for (x, ratio), known in printed.items():
            found = theory.noise_dimensions(x, ratio)
            for name, value in zip(("quadratic", "quartic", "sextic"), known, strict=True):
                yield exact(f"{name} dimension at x = {x} (ratio {ratio})", value, getattr(found, name), 1e-4)
        yield from self._sampled()

    def _sampled(self) -> Iterator[Row]:
        """Compare slopes of counted modes with slopes of the share of modes."""
        spectra = noise_spectra(np.random.default_rng(0))
        observable = member("observables", "canonical-dimensions")(window=WINDOW)
        found = [observable.of_spectrum(torch.from_numpy(spectrum), SITES / DOF) for spectrum in spectra]
        for name, expected in _window_dimensions().items():
            values = np.array([float(quantities[name]) for quantities in found])
            error = values.std(ddof=1) / REPEATS**0.5
            how = f"{REPEATS} independent data sets"
            measured = Measurement(values.mean(), error, n_eff=REPEATS, how=how, dof=REPEATS - 1)
            yield sampled(f"{name.replace('_', ' ')} of {SITES} sites of noise, {DOF} samples", expected, measured)


def _edge(ratio: float) -> Row:
    """Count modes by squared momentum 1 / lambda - 1 / lambda_max near the upper edge: they fill three dimensions."""
    _, high = marchenko_pastur.edges(ratio)
    x = np.geomspace(1e-5, 1e-4, 9)
    eigenvalue = 1 / (x + 1 / high)
    density = marchenko_pastur.density(eigenvalue, ratio) * eigenvalue**2
    slope = np.polyfit(np.log(x), np.log(density), 1)[0]
    return exact(f"power of the density of modes at the edge (ratio {ratio})", 0.5, slope, 0.002)


def noise_spectra(rng: np.random.Generator) -> list[np.ndarray]:
    """Return covariance spectra of independent unit Gaussians of known mean."""
    draws = (rng.standard_normal((DOF, SITES)) for _ in range(REPEATS))
    return [np.linalg.eigvalsh(x.T @ x / DOF) for x in draws]


def _window_dimensions() -> dict[str, float]:
    """Return what the slopes over the two halves of the window are for infinitely many sites."""
    ratio = SITES / DOF
    low, high = marchenko_pastur.edges(ratio)
    points = (WINDOW[0], (WINDOW[0] * WINDOW[1]) ** 0.5, WINDOW[1])
    tau = [log(1 - marchenko_pastur.share_below(low + 1 / (x + 1 / (high - low)), ratio)) for x in points]
    half = log(WINDOW[1] / WINDOW[0]) / 2
    quadratic = 2 * half / (tau[2] - tau[0])
    bend = log((tau[1] - tau[0]) / (tau[2] - tau[1])) / ((tau[2] - tau[0]) / 2)
    return {"quadratic": quadratic, "quartic": 2 * quadratic - 1 - bend, "effective_dimension": 2 / quadratic}
