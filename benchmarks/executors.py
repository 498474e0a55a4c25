"""Serial, process and Ray on MiniLM and real passages: equal bytes, speed-up on two workers, overhead of Ray.

Starting workers is not counted: the clock runs from the moment when as many shards are folded as can be in flight, so
that every worker has been started, to the moment when the last one is folded.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from _pairs import PAIRS, paired, verdict

from blockspin import member
from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.engine._crew import SHARDS_PER_WORKER
from blockspin.engine.base import Executor, Task
from blockspin.engine.measure import measure
from blockspin.sources.base import draw_records

WARM = 2 * SHARDS_PER_WORKER
"""Shards that are not timed, the same for every executor."""
MOST_OVERHEAD = 1.10


def reading_of(passages: int) -> ActivationPass:
    sample = draw_records(member("sources", "kjv")(), passages)
    recipe = NetworkRecipe(member("sources", "network")("builtin:minilm"), "text")
    reading = ActivationPass(recipe, sample, (), member("representations", "tokens")())
    return replace(reading, layers=reading.network.stream())


def timed(reading: ActivationPass, executor: Executor) -> tuple[float, str]:
    """Return the seconds between the first shards and the last, and a hash of all state files."""
    tasks = [Task(member("observables", "covariance")(), (layer,)) for layer in reading.layers]
    moments: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        measure(
            reading,
            tasks,
            executor=executor,
            store=Path(folder),
            generator=torch.Generator().manual_seed(0),
            progress=lambda done, total: moments.append(time.perf_counter()),
        )
        digest = hashlib.sha256()
        for path in sorted(Path(folder).glob("*.safetensors")):
            digest.update(path.name.encode() + path.read_bytes())
    return moments[-1] - moments[WARM], digest.hexdigest()


def in_turn(pair: int, first: Callable[[], float], second: Callable[[], float]) -> tuple[float, float]:
    """Return the times of two jobs, the second going first in every other pair: neither profits from its place."""
    if pair % 2:
        after = second()
        return first(), after
    return first(), second()


def main() -> bool:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--passages", type=int, default=3200, help="of the job that every executor carries out once")
    options.add_argument("--short", type=int, default=600, help="passages of the short job that is paired")
    options.add_argument("--pairs", type=int, default=PAIRS)
    options.add_argument("--long", type=int, default=6400, help="passages of the long job that is paired")
    options.add_argument("--long-pairs", type=int, default=2)
    given = options.parse_args()
    process, ray = (member("engine", name)(workers=2) for name in ("process", "ray"))
    who = {
        "serial": member("engine", "serial")(),
        "process x1": replace(process, workers=1),
        "process x2": process,
        "ray x1": replace(ray, workers=1),
        "ray x2": ray,
    }
    reading = reading_of(given.passages)
    print(
        f"{given.passages} passages, tokens, {len(reading.layers)} layers, {len(reading.shards())} shards", flush=True
    )
    found = {}
    for name, executor in who.items():
        found[name] = seconds, digest = timed(reading, executor)
        gain = found["serial"][0] / seconds
        print(f"  {name:10s} {seconds:6.1f} s, {gain:.2f} times as fast as serial, states {digest[:16]}", flush=True)
    held = [len({digest for _, digest in found.values()}) == 1]
    print("the same bytes from all" if held[0] else "MISSED: bytes differ")
    for passages, pairs in ((given.short, given.pairs), (given.long, given.long_pairs)):
        reading = reading_of(passages)
        times: list[float] = []

        def clock(executor: Executor, reading=reading, times=times) -> float:
            times.append(timed(reading, executor)[0])
            return times[-1]

        name = f"ray x2 / process x2, {passages} passages, {pairs} pairs"
        both = [in_turn(pair, lambda: clock(ray), lambda: clock(process)) for pair in range(pairs)]
        held.append(verdict(name, paired(*zip(*both, strict=True)), MOST_OVERHEAD))
        print(f"  one took {min(times):.1f} to {max(times):.1f} s", flush=True)
    return all(held)


if __name__ == "__main__":
    sys.exit(not main())
