"""Process: carries out shards in worker processes of this machine; a killed worker costs its shard only."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from blockspin.engine._crew import Crew, in_order
from blockspin.engine._messages import Arrays, answer, arrays_of, opened, portable, recipe_of
from blockspin.engine.base import Executor, Pass, Shard
from blockspin.errors import check_whole
from blockspin.observables.base import Monoid, State
from blockspin.registry import register


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
            check_whole(field, getattr(self, field), 1)

    def run(
        self, reading: Pass, works: Sequence[tuple[Monoid, tuple[str, ...]]], shards: Sequence[Shard]
    ) -> Iterator[tuple[Shard, list[State]]]:
        """Yield the states of every shard, in order.

        Raises:
            WorkerLostError: If the worker dies three times on the same shard.
            ConfigError: If the pass cannot be pickled.
        """
        recipe = recipe_of(reading, works, self.name)
        yield from in_order(_Processes(recipe, self.threads, min(self.workers, len(shards))), shards)


class _Processes(Crew):
    """The processes: which of them is idle, which has what; a dead one is replaced."""

    def __init__(self, recipe: bytes, threads: int, count: int):
        self._recipe, self._threads, self.size = recipe, threads, count
        self._process: dict[Connection, BaseProcess] = {}
        self._busy: dict[Connection, int] = {}
        self._idle: list[Connection] = []
        try:
            for _ in range(count):
                self._hire()
        except BaseException:
            self.dismiss()
            raise

    @property
    def idle(self) -> bool:
        return bool(self._idle)

    def give(self, index: int, shard: Shard) -> None:
        """Give a shard to an idle worker; a worker that died while idle shows when it is asked for the result."""
        link = self._idle.pop(0)
        with contextlib.suppress(OSError):
            link.send(shard)
        self._busy[link] = index

    def receive(self) -> Iterator[tuple[int, Arrays | None]]:
        """Wait for at least one worker."""
        for link in wait(list(self._busy)):
            assert isinstance(link, Connection)
            index = self._busy.pop(link)
            try:
                reply = link.recv()
            except (EOFError, OSError):
                self._dismiss_one(link)
                self._hire()
                yield index, None
                continue
            self._idle.append(link)
            yield index, arrays_of(reply)

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
        self._idle.append(ours)

    def _dismiss_one(self, link: Connection) -> None:
        process = self._process.pop(link)
        link.close()
        process.terminate()
        process.join()
        process.close()


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


def _work(link: Connection, recipe: bytes, threads: int) -> None:
    """Carry out shards in a worker until the driver closes the link; Ctrl-C is the driver's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    with contextlib.suppress(EOFError, OSError):
        try:
            reading, works = opened(recipe)
        except Exception as reason:
            link.recv()
            link.send(("error", portable(reason)))
            return
        while True:
            shard = link.recv()
            link.send(answer(reading, works, shard))
