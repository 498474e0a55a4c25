"""Process: carries out shards in worker processes of this machine; a killed worker costs its shard only."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from blockspin.engine.base import Executor, Pass, Shard, states_of_shard
from blockspin.errors import BlockspinError, ConfigError, WorkerLostError
from blockspin.observables.base import Monoid, State
from blockspin.registry import register

TRIES = 3
"""How often a shard is given to a worker before the pass gives up."""
SHARDS_PER_WORKER = 2
"""Shards in flight (being carried out, or waiting for an earlier one) a worker: what bounds the memory."""


@register
@dataclass(frozen=True)
class Process(Executor):
    """Worker processes of this machine, started anew (``spawn``), each with its own copy of the pass.

    A script that uses it keeps its own work under ``if __name__ == "__main__":``, because workers import it.

    Args:
        workers: How many processes.
        threads: Threads of torch in each; part of the configuration, since sums depend on it.
    """

    name = "process"
    workers: int = 2
    threads: int = 1

    def __post_init__(self):
        for field in ("workers", "threads"):
            if getattr(self, field) < 1:
                raise ConfigError(field, getattr(self, field), "an integer of at least 1.")

    def run(
        self, reading: Pass, works: Sequence[tuple[Monoid, tuple[str, ...]]], shards: Sequence[Shard]
    ) -> Iterator[tuple[Shard, list[State]]]:
        """Yield the states of every shard, in order.

        Raises:
            WorkerLostError: If the worker dies three times on the same shard.
            ConfigError: If the pass cannot be pickled.
        """
        recipe = _recipe(reading, works)
        crew = _Crew(recipe, self.threads, min(self.workers, len(shards)))
        waiting, done, tries = deque(range(len(shards))), {}, [0] * len(shards)
        try:
            for position in range(len(shards)):
                while position not in done:
                    while waiting and waiting[0] < position + SHARDS_PER_WORKER * self.workers and crew.idle:
                        index = waiting.popleft()
                        crew.give(index, shards[index])
                    for index, result in crew.receive():
                        if result is None:
                            tries[index] += 1
                            _give_up(shards[index], tries[index])
                            waiting.appendleft(index)
                        else:
                            done[index] = result
                yield shards[position], _unpacked(done.pop(position))
        finally:
            crew.dismiss()


def _recipe(reading: Pass, works: Sequence[tuple[Monoid, tuple[str, ...]]]) -> bytes:
    try:
        return pickle.dumps((reading, list(works)))
    except (pickle.PicklingError, AttributeError, TypeError) as reason:
        raise ConfigError(
            "executor", "process", f"'serial', since this pass cannot leave its process ({reason})"
        ) from None


class _Crew:
    """The workers: which of them is idle, which has what; a dead one is replaced."""

    def __init__(self, recipe: bytes, threads: int, count: int):
        self._recipe, self._threads = recipe, threads
        self._process: dict[Connection, BaseProcess] = {}
        self._busy: dict[Connection, int] = {}
        self.idle: list[Connection] = []
        for _ in range(count):
            self._hire()

    def give(self, index: int, shard: Shard) -> None:
        """Give a shard to an idle worker; a worker that died while idle shows when it is asked for the result."""
        link = self.idle.pop(0)
        with contextlib.suppress(OSError):
            link.send(shard)
        self._busy[link] = index

    def receive(self) -> Iterator[tuple[int, Any]]:
        """Wait for at least one worker; yield the shard's index with its states, or with None if the worker died."""
        for link in wait(list(self._busy)):
            assert isinstance(link, Connection)
            index = self._busy.pop(link)
            try:
                kind, result = link.recv()
            except (EOFError, OSError):
                self._dismiss_one(link)
                self._hire()
                yield index, None
                continue
            if kind == "error":
                raise pickle.loads(result)
            self.idle.append(link)
            yield index, result

    def dismiss(self) -> None:
        """End all workers, whatever they are doing."""
        for link in list(self._process):
            self._dismiss_one(link)

    def _hire(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        with _environment(OMP_WAIT_POLICY="PASSIVE", OMP_NUM_THREADS=str(self._threads)):
            process = context.Process(target=_work, args=(theirs, self._recipe, self._threads), daemon=True)
            process.start()
        theirs.close()
        self._process[ours] = process
        self.idle.append(ours)

    def _dismiss_one(self, link: Connection) -> None:
        process = self._process.pop(link)
        link.close()
        process.terminate()
        process.join()
        process.close()


def _give_up(shard: Shard, tries: int) -> None:
    if tries >= TRIES:
        raise WorkerLostError(
            f"a worker process died {tries} times on shard {shard.key} ({shard.samples} samples)",
            "Give it more memory or a smaller batch, or use the serial executor to see the reason. A script must keep "
            'its work under `if __name__ == "__main__":`.',
        )


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set environment variables for the processes that are started inside."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# --- in the worker ---------------------------------------------------------------------------------------------------


def _work(link: Connection, recipe: bytes, threads: int) -> None:
    """Carry out shards until the driver closes the link; Ctrl-C is the driver's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    with contextlib.suppress(EOFError, OSError):
        try:
            reading, works = pickle.loads(recipe)
        except Exception as reason:
            link.recv()
            link.send(("error", _portable(reason)))
            return
        while True:
            shard = link.recv()
            link.send(_answer(reading, works, shard))


def _answer(reading: Pass, works: Sequence[tuple[Monoid, tuple[str, ...]]], shard: Shard) -> tuple[str, Any]:
    try:
        return "states", _packed(states_of_shard(reading, works, shard))
    except Exception as reason:
        return "error", _portable(reason)


def _portable(reason: Exception) -> bytes:
    """Return an error so that it can cross to the driver, with the place where it was raised as a note."""
    if not isinstance(reason, BlockspinError):
        reason.add_note("in a worker process:\n" + "".join(traceback.format_exception(reason)))
    try:
        pickle.loads(pickle.dumps(reason))
    except Exception:
        reason = RuntimeError("".join(traceback.format_exception(reason)))
    return pickle.dumps(reason)


def _packed(states: Sequence[State]) -> list[dict[str, Any]]:
    """Return states as arrays, which cross by value: tensors would leave their memory behind in the worker."""
    return [{key: tensor.detach().contiguous().numpy() for key, tensor in state.items()} for state in states]


def _unpacked(states: Sequence[dict[str, Any]]) -> list[State]:
    return [{key: torch.from_numpy(array) for key, array in state.items()} for state in states]
