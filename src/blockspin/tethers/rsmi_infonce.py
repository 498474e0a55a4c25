"""Rsmi-infonce: filters learned from samples of spins, their readings evaluated exactly, and a printed dimer value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import numpy as np
import torch

from blockspin.measurement import Measurement
from blockspin.registry import member, register
from blockspin.tethers.base import Row, Tether, exact, shown
from blockspin.theory import kaufman
from blockspin.theory import rsmi as theory

NATS = log(2)
"""Of a bit."""


@register
@dataclass(frozen=True)
class RsmiInfonceTether(Tether):
    """Learn the filter of a block of 2 x 2 from samples of a 6 x 6 torus, and filters of a large dimer covering."""

    name = "rsmi-infonce"
    system = "filters learned from samples: critical Ising spins, interacting dimers"
    source = "gokmen2021"
    schemes = ("rsmi-infonce",)
    fast = False
    minutes = 2.0

    def rows(self) -> Iterator[Row]:
        """Yield what the learned reading of spins keeps (exact), whether bounds hold; the dimers are shown alone."""
        K = kaufman.CRITICAL_COUPLING
        source = member("sources", "ising-square")(side=6, coupling=K)
        spins = source.sample(6000, generator=torch.Generator().manual_seed(0))
        scheme = member("schemes", "rsmi-infonce")(b=2)
        learned = scheme.fit(spins, generator=torch.Generator().manual_seed(0))
        joint, v = theory.torus_joint(K), theory.spins(4).astype(float)
        kept = theory.information(joint, theory.reading(v @ learned.filters[:, 0].numpy())) * NATS
        best = theory.information(joint, theory.reading(v.sum(1) + 0.5 * v[:, 0])) * NATS
        # majorities differ by their ties, by at most 0.0008 bits; decimation keeps 0.116 bits less
        yield exact("I(learned reading : E) evaluated exactly, 6 x 6 at K_c: a majority", best, kept, 8e-4, "nats")
        whole = theory.information(joint, np.eye(16)) * NATS
        yield exact("the held-out bound stays below I(block : E) (1 = yes)", 1, float(learned.information < whole), 0)
        yield exact("and exceeds what decimation keeps (1 = yes)", 1, float(learned.information > 0.549040 * NATS), 0)
        yield _dimers()


def _dimers() -> Row:
    """Dimers at L = 64, T = 15, blocks of 8, buffer 4, environment 4, two filters, as printed; fewer samples."""
    model = member("sources", "interacting-dimers")(side=64, chains=400, burn_in=50, stretch=5)
    drawn = model.sample(2000, generator=torch.Generator().manual_seed(0))
    scheme = member("schemes", "rsmi-infonce")(b=8, buffer=4, reach=4, modes=2, epochs=20)
    learned = scheme.fit(drawn, generator=torch.Generator().manual_seed(0))
    measured = Measurement(learned.information, learned.error, "nats", how="InfoNCE bound on held-out units")
    return shown("InfoNCE bound of dimers, L = 64, T = 15, two filters: one notebook's output", 0.25668, measured)
