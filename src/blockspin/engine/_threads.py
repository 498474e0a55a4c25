"""What of torch's global state the bytes of a sum depend on: threads, the default dtype, the precision of products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` threads inside, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def numerics(threads: int | None = None) -> Iterator[None]:
    """Compute as a fresh process would, whatever the caller has set: float32 by default, full products, no autocast.

    Args:
        threads: Threads of torch inside; None leaves them.
    """
    dtype, precision = torch.get_default_dtype(), torch.get_float32_matmul_precision()
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch_threads(torch.get_num_threads() if threads is None else threads),
            torch.autocast("cpu", enabled=False),
        ):
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_float32_matmul_precision(precision)


@contextmanager
def side_by_side() -> Iterator[Callable[[Callable[[Item], None], Sequence[Item]], None]]:
    """Give a loop over items that runs as many of them at once as torch has threads, each item on one of them.

    Small operations take longer to be divided among threads than to be carried out. An item's result is that of one
    thread, whichever it is; what an item raises is raised by the loop.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        yield _one_by_one
        return
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:

        def loop(work: Callable[[Item], None], items: Sequence[Item]) -> None:
            with torch_threads(1):
                for _ in pool.map(work, items):
                    pass

        yield loop


def _one_by_one(work: Callable[[Item], None], items: Sequence[Item]) -> None:
    for item in items:
        work(item)
