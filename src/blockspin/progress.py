"""Progress: a bar with the time left on a terminal, a line a step elsewhere; always on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Steps:
    """The steps of a run, each timed, each shown while it lasts.

    Args:
        console: Where to write; stderr by default.
    """

    def __init__(self, console: Console | None = None):
        self.console = console or Console(stderr=True)
        self.seconds: dict[str, float] = {}

    def say(self, line: str) -> None:
        """Write one line, as it is."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, name: str, total: float | None = None) -> Iterator[Callable[[float, float], None]]:
        """Time a step and show it.

        Args:
            name: What is being done.
            total: How much there is to do, or None where that is not known.

        Yields:
            ``advance(done, total)``, to be called as the work goes on.
        """
        begun = time.perf_counter()
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        with bar:
            task = bar.add_task(name, total=total)
            yield lambda done, of: bar.update(task, completed=done, total=of)
        self.seconds[name] = time.perf_counter() - begun
        self.say(f"{name}: {self.seconds[name]:.1f} s")
