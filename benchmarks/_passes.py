"""Passes of a network over passages, and the forward pass alone over the same batches."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from _memory import told

from blockspin import member
from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.engine.base import Shard, Task, states_of_shard
from blockspin.engine.measure import measure
from blockspin.engine.serial import Serial
from blockspin.observables.base import Estimator
from blockspin.sources.base import Sample

Work = Sequence[Task]


def forward(reading: ActivationPass, shard: Shard) -> None:
    """Run the network alone over the batches of a shard, tokenised alike."""
    network = reading.network
    with torch.no_grad():
        for inputs in encoded(reading, shard):
            network.encoder.call(network.module, inputs)


def encoded(reading: ActivationPass, shard: Shard):
    """Yield the inputs of the batches of a shard."""
    for rows in reading.rows(shard):
        yield reading.network.run([reading.sample.records[i].content for i in rows.tolist()])[0]


def summed(reading: ActivationPass, works: Work, shard: Shard) -> None:
    """Capture and add up the batches of a shard, nothing kept."""
    states_of_shard(reading, [task.work for task in works], shard)


def tasks(reading: ActivationPass, estimators: Sequence[Estimator]) -> list[Task]:
    """Return every estimator on every layer."""
    return [Task(estimator, (layer,)) for layer in reading.layers for estimator in estimators]


def reading_of(
    model: str, sample: Sample, representation: str, layers: Sequence[str] = (), max_tokens: int = 128
) -> ActivationPass:
    """Return a pass over some layers, by default the depth flow."""
    recipe = NetworkRecipe(member("sources", "network")(model), "text", max_tokens)
    reading = ActivationPass(recipe, sample, (), member("representations", representation)())
    return reading.with_layers(layers)


def tell_estimate(name: str, estimates: Sequence[float], took: float) -> None:
    """Print what a pass was estimated to take, on average over estimates made in between, beside what it took."""
    expected = sum(estimates) / len(estimates)
    print(f"{name}: estimated {expected:.1f} s, took {took:.1f} s ({took / expected:.2f})", flush=True)


def token_count(reading: ActivationPass) -> int:
    """Return how many tokens the network reads, padding not counted."""
    cost = reading.network.encoder.cost
    return sum(cost(record.content) for record in reading.sample.records)


def state_mb(reading: ActivationPass, works: Work) -> float:
    """Return the size of one state of all works, in MB of 2^20 bytes."""
    first = reading.shards()[0]
    states = states_of_shard(reading, [task.work for task in works], first)
    return sum(tensor.numel() * tensor.element_size() for state in states for tensor in state.values()) / 2**20


def tell_peak(kind: str, reading: ActivationPass, works: Work, threads: int) -> None:
    """Do one pass, as a run does it, and tell its seconds and the peak memory of this process.

    Args:
        kind: "forward" for the network alone, anything else for capture with sums, states on disk.
        reading: The pass.
        works: What is added up.
        threads: Threads of torch.
    """
    torch.set_num_threads(threads)
    begun = time.perf_counter()
    if kind == "forward":
        for shard in reading.shards():
            forward(reading, shard)
    else:
        generator = torch.Generator().manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            measure(reading, works, executor=Serial(threads), store=Path(folder) / "states", generator=generator)
    told(seconds=time.perf_counter() - begun, tokens=token_count(reading))


def options(about: str | None) -> argparse.ArgumentParser:
    """Return the options of every benchmark of capture."""
    made = argparse.ArgumentParser(description=about)
    made.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    made.add_argument("--alone", default="", help="one pass in this process: forward, or what is captured")
    return made
