"""Field mixture: two planted fields with their spectra, and one field of any amplitudes that is not called two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from blockspin.geometry import Grid
from blockspin.measurement import Measurement
from blockspin.observables.base import evaluate
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact

SAMPLES = 1000


@register
@dataclass(frozen=True)
class FieldMixtureTether(Tether):
    """Fit one and two fields to a planted mixture of two free fields, and to one free field of random amplitudes."""

    name = "field-mixture"
    system = "one free field, and mixtures of two, on a ring of 64 sites"
    source = "pearson1894"

    def rows(self) -> Iterator[Row]:
        """Yield share and contrast of the planted fields, and how many are called two of what is one."""
        coupling, source = member("couplings", "field-mixture").on(Grid((64,))), member("sources", "field-mixture")
        planted = source(share=0.3)
        found = evaluate(coupling, planted.sample(SAMPLES, generator=torch.Generator().manual_seed(0)))
        error = (0.3 * 0.7 / SAMPLES) ** 0.5  # of a share whose labels are seen; here they are nearly
        share = Measurement(float(found["share"]), error, "1", SAMPLES, "binomial")
        yield Row("share of the first of two fields", 0.3, share, 4 * error)
        modes = coupling.frame.modes()
        first, second = (field.spectrum()[1 : 1 + len(modes.halves)] for field in planted.fields())
        ratio = (first / second).log()
        centred = ratio - (modes.halves @ ratio) / modes.halves.sum()
        shells = torch.zeros(len(modes.weights), dtype=torch.float64)
        shells = shells.index_add_(0, modes.shell, modes.halves * centred) / modes.weights
        expected = float(((modes.weights @ shells.square()) / modes.weights.sum()).sqrt())
        error = expected * (2 / (0.3 * SAMPLES)) ** 0.5 / 2
        contrast = Measurement(
            float(found["contrast"]), error, "1", SAMPLES, "variance of one mode in the smaller part"
        )
        yield Row("contrast of their spectra", expected, contrast, 4 * error)
        called = 0
        for seed in range(10):
            generator = torch.Generator().manual_seed(seed)
            field = member("sources", "gaussian-field")((64,), 0.1).sample(300, generator=generator)
            amplitude = torch.randn(300, 1, 1, generator=generator).exp()
            called += "share" in evaluate(coupling, field.with_values(field.values * amplitude))
        yield exact("ensembles of one field of log-normal amplitudes called two, of 10", 0.0, called, 0.0)
