"""Ray: carries out shards in actors of a Ray cluster, or of this machine; a dead actor costs its shard only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import ceil, inf
from typing import Any

import torch

from blockspin.engine._crew import Crew, in_order
from blockspin.engine._messages import Arrays, answer, arrays_of, opened, portable, recipe_of
from blockspin.engine.base import Executor, Pass, Shard
from blockspin.errors import ConfigError, MissingDependencyError, check_whole
from blockspin.observables.base import Monoid, State
from blockspin.registry import register

OBJECT_STORE = 256 * 2**20
"""Bytes of shared memory that a Ray started here may take; states cross it a few at a time."""


@register
@dataclass(frozen=True)
class Ray(Executor):
    """Actors of Ray Core, each with its own copy of the pass: one a GPU, or a fraction of one.

    A Ray that runs already is used and left running; otherwise one is started, on this machine or at ``address``, and
    stopped when the pass ends. The pass has to be importable, and its files readable, where the actors run.

    Args:
        workers: How many actors.
        threads: Threads of torch in each; part of the configuration, since sums depend on it.
        gpus: GPUs an actor, a fraction to share one; Ray then shows the actor no other.
        cpus: Processors an actor, as Ray counts them; a fraction lets several small actors share one.
        address: Of a cluster ("auto" for the one that this machine belongs to); blank to start one here.
    """

    name = "ray"
    workers: int = 2
    threads: int = 1
    gpus: float = 0.0
    cpus: float = 1.0
    address: str = ""

    def __post_init__(self):
        for field in ("workers", "threads"):
            check_whole(field, getattr(self, field), 1)
        for field, least in (("gpus", 0.0), ("cpus", 0.01)):
            number = getattr(self, field)
            if not least <= number < inf or (number > 1 and number % 1):
                raise ConfigError(field, number, f"a fraction of one from {least:g} on, or a whole number.")

    def run(
        self, reading: Pass, works: Sequence[tuple[Monoid, tuple[str, ...]]], shards: Sequence[Shard]
    ) -> Iterator[tuple[Shard, list[State]]]:
        """Yield the states of every shard, in order.

        Raises:
            WorkerLostError: If the actor dies three times on the same shard.
            ConfigError: If the pass cannot be pickled, or there are fewer processors or GPUs than the actors ask for.
            MissingDependencyError: If Ray is not installed.
        """
        recipe = recipe_of(reading, works, self.name)
        if shards:
            yield from in_order(_Actors(self, recipe, min(self.workers, len(shards))), shards)


class _Actors(Crew):
    """The actors: which of them is idle, which has what; a dead one is replaced."""

    def __init__(self, plan: Ray, recipe: bytes, count: int):
        self._ray, self.size = _import_ray(), count
        self._ours = not self._ray.is_initialized()
        if self._ours:
            _start(self._ray, plan, count)
        try:
            _require(self._ray, "GPU", "gpus", plan.gpus * count)
            _require(self._ray, "CPU", "cpus", plan.cpus * count)
            resources = {"num_cpus": plan.cpus, "num_gpus": plan.gpus, "max_restarts": 0}
            self._actor = self._ray.remote(**resources)(_Worker)
            self._recipe, self._threads = self._ray.put(recipe), plan.threads
            self._busy: dict[Any, tuple[Any, int]] = {}
            self._idle = [self._hire() for _ in range(count)]
        except BaseException:
            self._stop()
            raise

    @property
    def idle(self) -> bool:
        return bool(self._idle)

    def give(self, index: int, shard: Shard) -> None:
        """Give a shard to an idle actor."""
        actor = self._idle.pop(0)
        self._busy[actor.carry_out.remote(shard)] = (actor, index)

    def receive(self) -> Iterator[tuple[int, Arrays | None]]:
        """Wait for at least one actor."""
        ready, _ = self._ray.wait(list(self._busy), num_returns=1)
        for reference in ready:
            actor, index = self._busy.pop(reference)
            try:
                reply = self._ray.get(reference)
            except (self._ray.exceptions.RayActorError, self._ray.exceptions.ObjectLostError):
                self._idle.append(self._hire())
                yield index, None
                continue
            self._idle.append(actor)
            yield index, arrays_of(reply)

    def dismiss(self) -> None:
        """End all actors, whatever they are doing."""
        if self._ray.is_initialized():
            for actor in (*self._idle, *(actor for actor, _ in self._busy.values())):
                self._ray.kill(actor)
        self._stop()

    def _hire(self) -> Any:
        return self._actor.remote(self._recipe, self._threads)

    def _stop(self) -> None:
        if self._ours:
            self._ray.shutdown()


class _Worker:
    """What runs in an actor."""

    def __init__(self, recipe: bytes, threads: int):
        torch.set_num_threads(threads)
        try:
            self.reading, self.works, self.broken = *opened(recipe), None
        except Exception as reason:
            self.broken = portable(reason)

    def carry_out(self, shard: Shard) -> tuple[str, Any]:
        """Carry out one shard."""
        return ("error", self.broken) if self.broken else answer(self.reading, self.works, shard)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report its use over the network
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leaves the GPUs of CPU actors as they are
    os.environ.setdefault("RAY_worker_niceness", "0")  # of what is started here; Ray's own 15 waits behind all others
    try:
        return import_module("ray")
    except ImportError:
        raise MissingDependencyError("ray is not installed", "pip install 'blockspin[ray]'") from None


def _start(ray: Any, plan: Ray, count: int) -> None:
    environment = {"env_vars": {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(plan.threads)}}
    options: dict[str, Any] = {"log_to_driver": False, "runtime_env": environment, "logging_level": "ERROR"}
    if plan.address:
        options["address"] = plan.address
    else:
        options |= {
            "num_cpus": ceil(plan.cpus * count),
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE,
        }
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError) as reason:
        raise ConfigError("address", plan.address, f"the address of a running Ray cluster ({reason}).") from None


def _require(ray: Any, resource: str, field: str, needed: float) -> None:
    """Refuse what would wait for ever."""
    there = ray.cluster_resources().get(resource, 0.0)
    if needed > there + 1e-6:
        raise ConfigError(field, needed, f"at most {there:g} {resource}s together, as many as the cluster has.")
