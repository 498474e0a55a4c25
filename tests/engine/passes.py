"""A small pass and tasks that the tests of the engine share, importable by worker processes and by scripts."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from blockspin import Ensemble
from blockspin.engine.base import Pass, Task
from blockspin.engine.in_memory import EnsemblePass
from blockspin.errors import NonFiniteError
from blockspin.observables.cka import Cka
from blockspin.observables.covariance import Covariance
from blockspin.observables.cumulants import Cumulants

TASKS = [
    Task(Covariance(), ("x",)),
    Task(Covariance(), ("y",)),
    Task(Cumulants(), ("x",)),
    Task(Cka(limit=300), ("x", "y")),
]


def small_pass(samples=400, groups=5, shards_per_group=3):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, 12, generator=generator) * torch.linspace(2, 0.5, 12)
    first = Ensemble.of(x)
    second = first.with_values(first.values.flip(1) + 0.5 * torch.randn(samples, 12, 1, generator=generator))
    return EnsemblePass.of({"x": first, "y": second}, groups=groups, batch=16, shards_per_group=shards_per_group)


def plain(measured):
    """All numbers as they go to disk: equal here means equal bytes."""
    return {
        "+".join(names): {key: m.to_dict() for key, m in row.items()} for names, row in measured.measurements().items()
    }


@dataclass(frozen=True)
class Wrapped(Pass):
    """Another pass that is the base of passes with mishaps."""

    inner: Pass

    @property
    def groups(self):
        return self.inner.groups

    @property
    def fingerprint(self):
        return self.inner.fingerprint

    def shards(self):
        return self.inner.shards()

    def batches(self, shard):
        yield from self.inner.batches(shard)


@dataclass(frozen=True)
class Slow(Wrapped):
    """Takes a while over every shard."""

    seconds: float

    def batches(self, shard):
        time.sleep(self.seconds)
        yield from self.inner.batches(shard)


@dataclass(frozen=True)
class Logged(Wrapped):
    """Writes down every shard that is begun."""

    log: Path

    def batches(self, shard):
        with self.log.open("a") as file:
            file.write(f"{shard.key}\n")
        yield from self.inner.batches(shard)


@dataclass(frozen=True)
class Killing(Wrapped):
    """Kills the worker on one shard, as many times as there are files to take away."""

    key: str
    bullets: Path

    def batches(self, shard):
        if shard.key == self.key:
            for bullet in sorted(self.bullets.iterdir()):
                bullet.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        yield from self.inner.batches(shard)


@dataclass(frozen=True)
class Failing(Wrapped):
    """Finds a NaN on one shard."""

    key: str

    def batches(self, shard):
        if shard.key == self.key:
            raise NonFiniteError("layer 3 holds NaN at sample 7", "Remove it.")
        yield from self.inner.batches(shard)


if __name__ == "__main__":  # a run to be killed: python passes.py FOLDER
    from blockspin.engine.measure import measure
    from blockspin.engine.serial import Serial

    print("ready", flush=True)
    measure(
        Slow(small_pass(), 0.02),
        TASKS,
        executor=Serial(),
        store=Path(sys.argv[1]),
        generator=torch.Generator().manual_seed(0),
    )
