"""A small pass and tasks that the tests of the engine share, importable by worker processes and by scripts."""

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch

from blockspin import Ensemble
from blockspin.engine.base import Pass, Task
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.kept import KeptPass
from blockspin.engine.measure import measure
from blockspin.engine.parts import Part, measure_part, merge_parts
from blockspin.engine.process import Process
from blockspin.engine.serial import Serial
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


def portable_pass():
    """A pass over numbers that are the same on every processor, which those of torch are not."""
    values = numpy.random.default_rng(0).standard_normal((1200, 96), dtype=numpy.float32)
    return EnsemblePass.of({"x": Ensemble.of(torch.from_numpy(values + 3))}, groups=2, batch=256, shards_per_group=2)


PORTABLE_TASKS = [Task(Covariance(), ("x",)), Task(Cumulants(), ("x",))]


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


@dataclass(frozen=True)
class Marked(Wrapped):
    """Writes down who begins a shard, and gives others the time to kill it."""

    log: Path

    def batches(self, shard):
        with self.log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.05)
        yield from self.inner.batches(shard)


@dataclass(frozen=True)
class Raising(Wrapped):
    """Fails on one shard in a way that nobody foresaw."""

    key: str

    def batches(self, shard):
        if shard.key == self.key:
            raise ZeroDivisionError("something unforeseen")
        yield from self.inner.batches(shard)


@dataclass(frozen=True)
class Filling(Wrapped):
    """Fills a disk to the last byte on one shard."""

    key: str
    filler: Path

    def batches(self, shard):
        if shard.key == self.key:
            with suppress(OSError), self.filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        yield from self.inner.batches(shard)


@dataclass(frozen=True)
class Removing(Wrapped):
    """Removes a folder on one shard."""

    key: str
    folder: Path

    def batches(self, shard):
        if shard.key == self.key:
            shutil.rmtree(self.folder)
        yield from self.inner.batches(shard)


# --- the ways that a pass can take, with everything in one folder ----------------------------------------------------


def carry_out(folder, way="serial", pause=0.0):
    """Measure the small pass; its states end in ``folder / "states"``."""
    reading = Slow(small_pass(), pause)
    executor = Process(workers=2) if way in ("process", "kept") else Serial()
    if way == "kept":
        reading = KeptPass(reading, folder / "kept")
    if way == "parts":
        for part in Part(1, 3).all:
            measure_part(reading, TASKS, part, executor=executor, store=folder / "parts")
        merge_parts(reading, TASKS, [folder / "parts"], folder / "states")
    generator = torch.Generator().manual_seed(0)
    return measure(reading, TASKS, executor=executor, store=folder / "states", generator=generator)


def die_at_sync(folder, way, count):
    """Carry out the pass and be killed when the disk is asked to sync for the count-th time."""
    calls, sync = [], os.fsync

    def fatal(descriptor):
        calls.append(descriptor)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(descriptor)

    os.fsync = fatal
    carry_out(folder, way)


def script(folder, part=""):
    """What ``python passes.py FOLDER`` does: a run to be killed, or a part computed under another environment."""
    print("ready", flush=True)
    if part:
        measure_part(portable_pass(), PORTABLE_TASKS, Part.parse(part), executor=Serial(), store=Path(folder))
        return
    generator = torch.Generator().manual_seed(0)
    measure(Slow(small_pass(), 0.02), TASKS, executor=Serial(), store=Path(folder), generator=generator)


if __name__ == "__main__":
    script(*sys.argv[1:])
