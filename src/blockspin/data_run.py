"""Data run: the data alone, coarse-grained without a network: their levels, couplings, and what these predict."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from blockspin.config import RunConfig
from blockspin.couplings_cost import couplings_cost
from blockspin.couplings_measured import LARGEST, chosen_couplings
from blockspin.couplings_nulls import chosen_nulls, null_flows
from blockspin.couplings_run import along
from blockspin.errors import MemoryBudgetError
from blockspin.geometry import Geometry
from blockspin.material import Material
from blockspin.memory import resident, size_of
from blockspin.progress import Steps
from blockspin.results import data_about, gaussian_answer, write_results
from blockspin.study import Study, measured_of

READING = 3 * 4
"""Bytes an entry of the records while they are read: as they are, stacked, and the samples that are kept."""
LEVELS = 4
"""Fields as large as the data that the levels of one flow take together, both parts and those exchanged."""
SQUARE = 3 * 8
"""Bytes an entry of the covariance of the finest level while a picture is read back from it."""
GROUP = 8
"""Bytes an entry of the covariance of each group while couplings are measured."""


@dataclass(frozen=True, eq=False)
class DataStudy(Study):
    """A run that reads the data alone.

    Args:
        config: What to do.
        material: The records.
        kernels: Samples that are measured; schemes are fitted on the others.
        steps: The clock.
        shape: Sites and components of the records' field.
        geometry: Of the same.
    """

    shape: torch.Size
    geometry: Geometry

    @classmethod
    def prepare(cls, config: RunConfig, material: Material, steps: Steps) -> DataStudy:
        """Find out what the run will take, refuse what cannot work; nothing is written yet.

        Raises:
            ConfigError: If there are too few records.
            StepNotPossibleError: If the scheme cannot coarse-grain the records even once.
            MemoryBudgetError: If the memory of the configuration is not enough.
        """
        kernels = measured_of(config, material.sample)
        first = config.representation.ensemble(material.sample.first(1))
        shape, geometry = first.values.shape[1:], first.geometry
        study = cls(config, material, kernels, steps, shape, geometry)
        coarse = study.try_scheme(shape, geometry, spins=bool((first.values.abs() == 1).all()))
        need, limit = study.memory_needed(), size_of(config.memory)
        steps.say(f"memory: about {need / 1e9:.2f} GB, the most while levels of a field of {shape.numel()} are held")
        if limit is not None and need > limit:
            raise MemoryBudgetError(
                f"the run needs {need / 1e9:.2f} GB, and memory is {limit / 1e9:.2f} GB",
                "Take fewer samples, coarser data, nulls = off, or more memory.",
            )
        if chosen_couplings(config):
            steps.say(f"time: about {couplings_cost(study, (), (shape, geometry), coarse)}")
        return study

    def memory_needed(self) -> int:
        """Return the most bytes that the run will take: all levels, and those of its null flows, are held at once."""
        width = self.shape.numel()
        field, flows = len(self.material.sample) * width, 1 + len(chosen_nulls(self.config))
        measured = GROUP * self.config.groups * min(width, LARGEST) ** 2 if chosen_couplings(self.config) else 0
        levels = READING * field + 4 * LEVELS * flows * field
        return resident() + levels + max(measured, SQUARE * width**2)

    def hashes(self) -> dict[str, str]:
        """Return a hash of the records that were read."""
        digest = hashlib.blake2b(self.material.sample.ids.numpy().tobytes(), digest_size=16)
        return {"records": digest.hexdigest()}


def carry_out_alone(study: DataStudy, folder: Path) -> None:
    """Measure the levels of the data, ask of them, write the folder."""
    with study.steps.step("reading the data as an ensemble"):
        parts = study.records(study.config.representation)
    explicit, exchanged = study.explicit(parts)
    nulls, missing = null_flows(study, (None, parts), explicit)
    coupled = along(study, folder, {"explicit": explicit}, nulls)
    del nulls  # their samples are not needed any more
    answers, notes = gaussian_answer(study, explicit, {})
    about: dict[str, Any] = {"network": {}, "data": data_about(study, study.config.data)}
    about |= {"predicted": list(coupled.sentences), "question_notes": [*missing, *notes]}
    flows = {"explicit": coupled.flows["explicit"], "exchanged": exchanged}
    write_results(study, folder, answers, flows, about, {"hashes": study.hashes()})
