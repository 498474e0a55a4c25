"""Kernel regression RG: unlearnable modes traded for a ridge, against regression on drawn Gaussian features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from blockspin.measurement import Measurement
from blockspin.registry import register
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import kernel_regression_rg as theory

MODES, SAMPLES, RIDGE, DRAWS = 3000, 200, 0.01, 20
KNOWN = {0.5: (0.2242037, 0.208311), 1.0: (0.0282721, 0.013396)}
"""Effective ridge and mean squared error for lambda_k = f_k^2 = k^-(1 + a), by a."""


@register
@dataclass(frozen=True)
class KernelRegressionRGTether(Tether):
    """Regress on power-law features with and without the modes that cannot be learned."""

    name = "kernel-regression-rg"
    system = "kernel ridge regression with a power-law spectrum under removal of modes"
    source = "howard2025"

    def rows(self) -> Iterator[Row]:
        """Yield ridges, errors, scaling laws, and what drawn training sets give."""
        for a, (ridge, error) in KNOWN.items():
            found = theory.generalisation(_spectrum(a), _spectrum(a), SAMPLES, RIDGE)
            yield exact(f"effective ridge (a = {a})", ridge, found.ridge, 1e-7)
            yield exact(f"mean squared error, self-consistent (a = {a})", error, found.error, 1e-6)
        for a, cut, known in ((0.5, 1600, 0.02348), (0.5, 400, 0.07343), (0.5, 200, 0.11473), (1.0, 400, 0.01216)):
            running = theory.running_ridge(_spectrum(a), RIDGE)[cut]
            yield exact(f"running ridge at cut {cut} (a = {a})", known, running, 1e-5)
        yield from _closed_forms()
        yield from _regressions()


def _spectrum(a: float, modes: int = MODES) -> np.ndarray:
    return np.arange(1.0, modes + 1) ** -(1 + a)


def _closed_forms() -> Iterator[Row]:
    yield exact(
        "running ridge of infinitely many modes at cut 100 (a = 0.5)",
        0.209501,
        theory.power_law_ridge(0.5, 100, 0.01),
        1e-6,
    )
    modes = 400_000
    long = _spectrum(0.5, modes)
    tail = 2 / (modes + 0.5) ** 0.5  # of the modes left out, by Euler and Maclaurin
    yield exact(
        "the same, summed", theory.power_law_ridge(0.5, 100, 0.01), theory.running_ridge(long, 0.01)[100] + tail, 1e-9
    )
    for a, limit, known in ((1.0, 2.46740, 2.4603), (2.0, 1.76805, 1.7647)):
        yield exact(f"limit of kappa n^a (a = {a:g})", limit, theory.scaling_prefactor(a), 1e-5)
        kappa = {n: theory.effective_ridge(_spectrum(a, modes), n, 1e-12) for n in (100, 200, 400, 800)}
        yield exact(f"kappa n^a at n = 800 (a = {a:g})", known, kappa[800] * 800**a, 1e-4)
        yield exact(f"kappa n^a at n = 800 against its limit (a = {a:g})", limit, kappa[800] * 800**a, 0.005 * limit)
        slope = np.polyfit(np.log(list(kappa)), np.log(list(kappa.values())), 1)[0]
        yield exact(f"power of n in kappa, n = 100..800 (a = {a:g})", -a, slope, 0.011)


def _regressions() -> Iterator[Row]:
    """Draw training sets; errors are exact sums over modes, so that the training sets alone fluctuate."""
    a, cuts = 0.5, (1600, 400)
    spectrum, rng = _spectrum(a), np.random.default_rng(0)
    ridges = theory.running_ridge(spectrum, RIDGE)
    full: list[float] = []
    removed: dict[int, list[float]] = {cut: [] for cut in cuts}
    away = {(cut, kind): 0.0 for cut in cuts for kind in ("running", "bare")}
    for _ in range(DRAWS):
        phi = rng.standard_normal((SAMPLES, MODES))
        target = np.sqrt(spectrum) * rng.choice([-1.0, 1.0], MODES)
        whole = _fit(phi, phi @ target, spectrum, RIDGE)
        full.append(np.square(whole - target).sum())
        for cut in cuts:
            kept = slice(None, cut)
            found = {r: _fit(phi[:, kept], phi @ target, spectrum[kept], r) for r in (ridges[cut], RIDGE)}
            removed[cut].append(np.square(found[ridges[cut]] - target[kept]).sum() + np.square(target[cut:]).sum())
            away[cut, "running"] += np.square(found[ridges[cut]] - whole[kept]).sum() / DRAWS
            away[cut, "bare"] += np.square(found[RIDGE] - whole[kept]).sum() / DRAWS
    expected = theory.generalisation(spectrum, spectrum, SAMPLES, RIDGE).error
    yield sampled(f"mean squared error, {DRAWS} training sets", expected, _mean(full))
    for cut in cuts:
        yield sampled(f"the same with {cut} modes kept and the running ridge", expected, _mean(removed[cut]))
        ratio = away[cut, "running"] / away[cut, "bare"]
        yield exact(f"squared distance from the whole fit, running over bare ridge, {cut} modes kept", 0.0, ratio, 0.2)


def _fit(phi: np.ndarray, y: np.ndarray, spectrum: np.ndarray, ridge: float) -> np.ndarray:
    """Return the coefficients of the regression on features of those variances."""
    scaled = phi * spectrum
    return scaled.T @ np.linalg.solve(scaled @ phi.T + ridge * np.eye(len(y)), y)


def _mean(values: list[float]) -> Measurement:
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Measurement(np.mean(values), error, "1", len(values), f"{len(values)} training sets", len(values) - 1)
