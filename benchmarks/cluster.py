"""A simulated cluster: many small actors, many tiny shards; the driver's memory, and what is left in Ray's store."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from _tiny import Tiny

from blockspin import member
from blockspin.engine.base import Executor, Task
from blockspin.engine.measure import measure

COUNTS = (200, 2_000, 10_000)
MOST = 1024
"""Bytes a shard that the driver may take: the list of shards and its ledger, not a state (131 kB)."""
EVERY = 50
"""Shards between two looks at Ray's store."""
SLACK = 12 * 2**20
"""Bytes by which two runs of the same size differ."""


def resident() -> int:
    """Return the bytes of this process's own memory, without the store that Ray maps."""
    with open("/proc/self/statm") as file:
        total, shared = map(int, file.read().split()[1:3])
    return (total - shared) * os.sysconf("SC_PAGE_SIZE")


def executor_of(name: str, actors: int) -> Executor:
    if name == "serial":
        return member("engine", name)()
    options = {"workers": actors, "cpus": 0.05} if name == "ray" else {"workers": 2}
    return member("engine", name)(**options)


def one(name: str, count: int, actors: int) -> dict[str, float]:
    """Carry out one pass in this process and return what it took."""
    peak, begun = [0, 0.0, 0], time.perf_counter()

    def look(done: int, total: int) -> None:
        peak[0] = max(peak[0], resident())
        if peak[2] % EVERY == 0:  # asking the cluster takes longer than a tiny shard
            peak[1] = max(peak[1], stored(name))
        peak[2] += 1

    with tempfile.TemporaryDirectory() as folder:
        measure(
            Tiny(count),
            [Task(member("observables", "covariance")(), ("x",))],
            executor=executor_of(name, actors),
            store=Path(folder),
            generator=torch.Generator().manual_seed(0),
            progress=look,
        )
    return {"own": peak[0], "store": peak[1], "seconds": time.perf_counter() - begun}


def stored(name: str) -> float:
    """Return the bytes in Ray's object store."""
    if name != "ray":
        return 0.0
    import ray

    if not ray.is_initialized():
        return 0.0
    return max(0.0, ray.cluster_resources()["object_store_memory"] - ray.available_resources()["object_store_memory"])


def main() -> bool:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--actors", type=int, default=32)
    options.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    options.add_argument("--executors", nargs="+", default=["serial", "process", "ray"])
    options.add_argument("--one", help="carry out one pass in this process: the name of an executor")
    given = options.parse_args()
    if given.one:
        print(json.dumps(one(given.one, given.counts[0], given.actors)))
        return True
    held = []
    for name in given.executors:
        rows = []
        for count in given.counts:
            command = [sys.executable, __file__, "--one", name, "--counts", str(count), "--actors", str(given.actors)]
            path = f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"  # actors import the pass
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
            if done.returncode:
                print(done.stderr, file=sys.stderr)
                return False
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            own, store, seconds = rows[-1]["own"] / 2**20, rows[-1]["store"] / 2**20, rows[-1]["seconds"]
            print(f"{name:8s} {count:6d} shards: {own:6.1f} MB, store {store:5.1f} MB, {seconds:5.1f} s", flush=True)
        grown, more = rows[-1]["own"] - rows[0]["own"], max(1, given.counts[-1] - given.counts[0])
        held.append(grown < MOST * more + SLACK)
        print(f"  {grown / more:.0f} bytes a shard: {'held' if held[-1] else 'MISSED'}", flush=True)
    return all(held)


if __name__ == "__main__":
    sys.exit(not main())
