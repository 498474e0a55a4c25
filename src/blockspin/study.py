"""Study: one run under way, and what it measures of ensembles that are held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from blockspin.config import RunConfig
from blockspin.ensemble import Batch, Ensemble
from blockspin.errors import ConfigError, NothingFoundError
from blockspin.flow import Flow
from blockspin.flows.iterate import iterate
from blockspin.flows.rescaling import spins_kept
from blockspin.geometry import Geometry
from blockspin.material import Material
from blockspin.observables.base import accumulate
from blockspin.progress import Steps
from blockspin.registry import member
from blockspin.representations.base import DataRepresentation
from blockspin.ruler import Ruler
from blockspin.sources.base import Sample

DATA = "data"
"""Label of the data as the first point of the implicit flow."""
FEWEST = 8
"""Samples without which nothing is measured."""

Field = tuple[torch.Size, Geometry]
"""Sites and components of a field, and its geometry."""
Parts = tuple[Ensemble, Ensemble]
"""The part that schemes are fitted on, and the part that is measured: the kernel sample."""


@dataclass(frozen=True, eq=False)
class Study:
    """One run under way.

    Args:
        config: What to do.
        material: The records, and the network where there is one.
        kernels: Samples that are measured; schemes are fitted on the others.
        steps: The clock.
    """

    config: RunConfig
    material: Material
    kernels: int
    steps: Steps

    def ruler(self) -> Ruler:
        """Return how ensembles in memory are measured."""
        return Ruler(self.config.groups, self.config.threads, self.kernels, self.generator(1).initial_seed())

    def generator(self, stream: int) -> torch.Generator:
        """Return the randomness of one purpose."""
        return torch.Generator().manual_seed(1000 * self.config.seed + stream)

    def contents(self) -> Mapping[int, Any]:
        """Return what each sample was read from, by its id."""
        return self.material.contents

    def records(self, representation: DataRepresentation) -> Parts:
        """Return the records as ensembles of their own, not read through a network; of repeated contents one."""
        whole = representation.ensemble(self.material.sample)
        state = accumulate(rows_of(len(whole)).monoid, whole)
        return self.split(ensemble_of(state, whole.values.shape[1:], whole.geometry))

    def split(self, whole: Ensemble) -> Parts:
        """Both parts are drawn by hash, so that they are the same for every layer and for the data."""
        return whole.select(torch.arange(self.kernels, len(whole))), whole.select(torch.arange(self.kernels))

    def explicit(self, parts: Parts) -> tuple[Flow, Flow]:
        """Return the coarse-grained flow of a field, and the same with the two parts exchanged."""
        scheme = self.config.scheme
        with self.steps.step(f"coarse-graining by {scheme.name}"):
            forth, back = (
                self.ruler().levels(
                    iterate(
                        pair,
                        scheme,
                        generator=self.generator(2),
                        steps=self.config.steps or None,
                        rescaling=spins_kept,
                        name=name,
                    )
                )
                for pair, name in ((parts, scheme.name), (parts[::-1], f"{scheme.name}, parts exchanged"))
            )
        return forth, back

    def try_scheme(self, shape: torch.Size, geometry: Geometry, *, spins: bool = False) -> Field | None:
        """Take one step on noise of a field's shape, to refuse early what the geometry does not allow.

        Args:
            shape: Sites and components.
            geometry: Of the sites.
            spins: Whether the field has the values -1 and +1 alone, which some schemes need.

        Returns:
            Shape and geometry of the coarse field; None of a scheme that finds nothing in noise, as it should be.

        Raises:
            StepNotPossibleError: If the scheme cannot coarse-grain the field even once.
        """
        samples = len(self.material.sample) - self.kernels
        noise = torch.randn(samples, *shape, generator=self.generator(0))
        field = Ensemble.of(noise.sign() if spins else noise, geometry)
        with suppress(NothingFoundError):
            coarse = self.config.scheme.fit(field, generator=self.generator(0))(field)
            return coarse.values.shape[1:], coarse.geometry
        return None


def measured_of(config: RunConfig, sample: Sample) -> int:
    """Return how many samples are measured: at most three in four, the scheme being fitted on the others.

    Raises:
        ConfigError: If there are too few records.
    """
    units = len(torch.unique(sample.units))  # of repeated contents one sample is kept
    kernels = min(config.kernel_samples, 3 * units // 4)
    if kernels < FEWEST:
        raise ConfigError("samples", units, "at least 12 different records.")
    return kernels


def rows_of(count: int) -> Any:
    """Return the observable whose state keeps samples themselves, one a unit, the first by hash."""
    return member("observables", "gram")(limit=count)


def ensemble_of(state: Mapping[str, torch.Tensor], shape: torch.Size, geometry: Geometry) -> Ensemble:
    """Return the samples that a state keeps as an ensemble, each of a shape [sites, components]."""
    values = state["first"].reshape(-1, *shape)
    return Ensemble(Batch(values, state["ids"], state["units"], state["weights"]), geometry)
