"""Five steps of correlation pairing against greedy pairing in plain NumPy, on 2,000 units and 5,000 samples."""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from _pairs import ratio, verdict

from blockspin import Ensemble, Unordered, member

BAR = 1.0


def activations(units: int, samples: int) -> np.ndarray:
    """Forty common factors and independent noise, float64 [units, samples]."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((units, 40)) @ rng.standard_normal((40, samples)) / 6
    return factors + rng.standard_normal((units, samples)) / 2


def plain(field: np.ndarray, steps: int) -> list[int]:
    """Sites in order of their largest correlation, each with the best partner that is free; sums of the pairs."""
    sizes = [len(field)]
    for _ in range(steps):
        correlation = np.corrcoef(field)
        np.fill_diagonal(correlation, -np.inf)
        free, pairs = np.ones(len(field), dtype=bool), []
        for site in np.argsort(-correlation.max(axis=1)):
            if not free[site]:
                continue
            free[site] = False
            row = np.where(free, correlation[site], -np.inf)
            partner = int(row.argmax())
            if free[partner]:
                free[partner] = False
                pairs.append((site, partner))
        first, second = np.array(pairs).T
        field = field[first] + field[second]
        sizes.append(len(field))
    return sizes


def ours(ensemble: Ensemble, steps: int) -> list[int]:
    """The same through the scheme: fit and map."""
    scheme, generator, sizes = member("schemes", "correlation-pairing")(), torch.Generator(), [ensemble.geometry.sites]
    for _ in range(steps):
        ensemble = scheme.fit(ensemble, generator=generator)(ensemble)
        sizes.append(ensemble.geometry.sites)
    return sizes


def main() -> bool:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--units", type=int, default=2000)
    options.add_argument("--samples", type=int, default=5000)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    field = activations(given.units, given.samples)
    rows = torch.from_numpy(field.T.astype(np.float32))
    ensemble = Ensemble.of(rows, Unordered(given.units), units=torch.arange(given.samples))
    label = (
        f"{given.units} units x {given.samples} samples, float32 against float64, torch on {given.threads} thread(s)"
    )
    return verdict(
        f"five steps of pairing / NumPy ({label})", ratio(lambda: ours(ensemble, 5), lambda: plain(field, 5)), BAR
    )


if __name__ == "__main__":
    sys.exit(not main())
