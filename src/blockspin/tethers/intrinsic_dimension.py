"""Intrinsic dimension: flat tori, whose dimension is known, in many more sites."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from blockspin.ensemble import Ensemble
from blockspin.measurement import Measurement
from blockspin.observables.base import evaluate
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, sampled

SAMPLES, SITES, REPEATS = 2000, 30, 6


@register
@dataclass(frozen=True)
class IntrinsicDimensionTether(Tether):
    """Measure the dimension of tori without edges, turned at random into more sites."""

    name = "intrinsic-dimension"
    system = "flat tori of dimension 1 to 3"
    source = "facco2017"

    def rows(self) -> Iterator[Row]:
        """Yield the dimension from two neighbours, and from neighbours 1 and 2, 2 and 4."""
        for dimension in (1, 2, 3):
            two = member("observables", "two-nn")(limit=SAMPLES)
            gride = member("observables", "gride")(limit=SAMPLES, scales=2)
            draws = [torus(dimension, seed) for seed in range(REPEATS)]
            found = torch.stack([evaluate(two, draw)["dimension"] for draw in draws])
            scales = torch.stack([evaluate(gride, draw)["dimension"] for draw in draws])
            about = f"torus of dimension {dimension}, {SAMPLES} samples"
            columns = {"two neighbours": found, "neighbours 1 and 2": scales[:, 0], "neighbours 2 and 4": scales[:, 1]}
            for label, values in columns.items():
                error = float(values.std()) / REPEATS**0.5
                how = f"{REPEATS} independent data sets"
                measured = Measurement(float(values.mean()), error, "1", REPEATS, how)
                yield sampled(f"dimension from {label} ({about})", dimension, measured)


def torus(dimension: int, seed: int) -> Ensemble:
    """Return samples of constant density on a product of circles, in many sites."""
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * torch.pi * torch.rand(SAMPLES, dimension, dtype=torch.float64, generator=generator)
    basis = torch.linalg.qr(torch.randn(SITES, 2 * dimension, dtype=torch.float64, generator=generator)).Q
    return Ensemble.of(torch.cat([angle.cos(), angle.sin()], dim=1) @ basis.T)
