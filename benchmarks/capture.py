"""Capture with streamed moments of all layers against the plain forward pass, on MiniLM and real passages."""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from _pairs import ratio, verdict

from blockspin import member
from blockspin.capture.reading import ActivationPass
from blockspin.capture.recipe import NetworkRecipe
from blockspin.engine.base import states_of_shard
from blockspin.sources.base import draw_records

BAR = 1.10


def main() -> bool:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--passages", type=int, default=2000)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    sample = draw_records(member("sources", "kjv")(), given.passages)
    recipe = NetworkRecipe(member("sources", "network")("builtin:minilm"), "text")
    held = []
    for name in ("pooled", "tokens"):
        reading = ActivationPass(recipe, sample, (), member("representations", name)())
        reading = ActivationPass(recipe, sample, reading.network.stream(), reading.representation)
        works = [(member("observables", "covariance")().monoid, (layer,)) for layer in reading.layers]
        network, shards = reading.network, reading.shards()

        def plain(reading=reading, network=network, shards=shards) -> None:
            """The same batches, tokenised alike, through the network alone."""
            with torch.no_grad():
                for shard in shards:
                    for rows in reading.rows(shard):
                        inputs, _ = network.run([sample.records[i].content for i in rows.tolist()])
                        network.encoder.call(network.module, inputs)

        def ours(reading=reading, works=works, shards=shards) -> None:
            for shard in shards:
                states_of_shard(reading, works, shard)

        label = f"{name}, {len(reading.layers)} layers, {len(sample)} passages, {given.threads} thread(s)"
        held.append(verdict(f"capture + moments / forward ({label})", ratio(ours, plain), BAR))
    return all(held)


if __name__ == "__main__":
    sys.exit(not main())
