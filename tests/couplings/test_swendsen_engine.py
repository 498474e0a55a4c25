"""Swendsen's matrix through the engine: the same bytes with one worker or two, uninterrupted or resumed."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from blockspin.couplings.swendsen import Swendsen
from blockspin.engine.base import Executor, Pass, Shard, Task
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.measure import measure
from blockspin.observables.base import Monoid, State
from blockspin.registry import member

COUPLING = Swendsen(shape=(8, 8), even=2, odd=1)


class InterruptedPassError(Exception):
    """Stands for a killed process."""


@dataclass(frozen=True)
class KilledAfter(Executor):
    """Carries out some shards, then dies."""

    name = "killed-after"
    shards: int

    def run(
        self, reading: Pass, works: Sequence[tuple[Monoid, tuple[str, ...]]], shards: Sequence[Shard]
    ) -> Iterator[tuple[Shard, list[State]]]:
        """Yield the states of the first shards."""
        yield from member("engine", "serial")().run(reading, works, shards[: self.shards])
        raise InterruptedPassError


@pytest.fixture(scope="module")
def reading() -> EnsemblePass:
    generator = torch.Generator().manual_seed(0)
    fine = member("sources", "ising-square")(side=8, chains=4, stretch=10).sample(800, generator=generator)
    blocks = fine.geometry.blocks(2)
    total = fine.values[:, blocks.members].sum(2)
    coarse = fine.with_values((total + torch.rand(total.shape, generator=generator) - 0.5).sign(), blocks.coarse)
    return EnsemblePass.of({"coarse": coarse, "fine": fine}, shards_per_group=2, batch=16)


def measured(reading: EnsemblePass, executor: Executor, store: Path | None = None) -> bytes:
    task = Task(COUPLING, ("coarse", "fine"))
    found = measure(reading, [task], executor=executor, store=store, generator=torch.Generator().manual_seed(1))
    rows = {key: number.to_dict() for key, number in found.measurement(task).items()}
    return json.dumps(rows).encode()


@pytest.fixture(scope="module")
def expected(reading) -> bytes:
    return measured(reading, member("engine", "serial")())


def test_an_interrupted_pass_resumes_to_the_same_bytes(reading, expected, tmp_path):
    with pytest.raises(InterruptedPassError):
        measured(reading, KilledAfter(13), tmp_path)
    assert measured(reading, member("engine", "serial")(), tmp_path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_give_the_same_bytes(reading, expected, workers):
    assert measured(reading, member("engine", "process")(workers=workers), None) == expected
