"""Capture with streamed moments of all layers against the plain forward pass, on MiniLM and real passages.

Beside it nnsight and TransformerLens, where their environments are in PEERS_DIR, on the same batches.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from _memory import alone
from _pairs import interleaved, paired, shown, verdict
from _passes import encoded, forward, options, reading_of, state_mb, summed, tasks, tell_estimate, tell_peak
from _peer import Peer, interpreter

from blockspin import member
from blockspin.capture.reading import ActivationPass
from blockspin.sources.base import draw_records
from blockspin.sources.network import _builtin_file

BAR, ROOM = 1.10, 200.0
MODEL = "builtin:minilm"
STATES = ("encoder.layer.0:input", *(f"encoder.layer.{block}" for block in range(6)))
"""What the library of the network calls its hidden states."""
PEERS = {"nnsight": ("nnsight", "_peer_nnsight"), "transformer-lens": ("saelens", "_peer_transformer_lens")}


def readings(passages: int) -> dict[str, ActivationPass]:
    sample = draw_records(member("sources", "kjv")(), passages)
    kinds = {
        "pooled, 13 points": ("pooled", ()),
        "tokens, 7 states": ("tokens", STATES),
        "tokens, 13 points": ("tokens", ()),
    }
    return {name: reading_of(MODEL, sample, *kind) for name, kind in kinds.items()}


def moments(reading: ActivationPass) -> list:
    return tasks(reading, [member("observables", "covariance")()])


def peers_of(reading: ActivationPass, folder: str, threads: int) -> dict[str, Peer]:
    """Start the peers that are there and hand them the batches of every shard."""
    path = Path(folder) / "batches.json"
    keys = ("input_ids", "token_type_ids", "attention_mask")
    parts = [
        [{key: inputs[key].tolist() for key in keys if key in inputs} for inputs in encoded(reading, shard)]
        for shard in reading.shards()
    ]
    path.write_text(json.dumps(parts))
    settings = {"batches": str(path), "folder": str(_builtin_file(MODEL).parent)}
    found = {}
    for name, (environment, script) in PEERS.items():
        python = interpreter(environment)
        if python is None:
            print(f"not compared with {name}: there is no environment {environment} in PEERS_DIR", flush=True)
        else:
            found[name] = Peer.of(python, script, settings, threads)
    return found


def timed(passes: dict[str, ActivationPass], threads: int, with_peers: bool) -> list[bool]:
    torch.set_num_threads(threads)
    any_pass = next(iter(passes.values()))
    shards = any_pass.shards()
    jobs = {"forward": lambda part: forward(any_pass, shards[part])}
    for name, reading in passes.items():
        works = moments(reading)
        jobs[name] = lambda part, reading=reading, works=works: summed(reading, works, shards[part])
    estimates: list[float] = []
    jobs["estimate"] = lambda part: estimates.append(reading.estimate(works).seconds)
    with tempfile.TemporaryDirectory() as folder:
        peers = peers_of(any_pass, folder, threads) if with_peers else {}
        for other, peer in peers.items():
            jobs[f"{other} forward"] = lambda part, peer=peer: peer.run("forward", part)
            jobs[f"{other} capture"] = lambda part, peer=peer: peer.run("capture", part)
        times = interleaved(jobs, len(shards))
        for other, peer in peers.items():
            called = f"{other} {peer.run('version')['result']}"
            label = f"{called}, capture alone, everything kept / its forward, {threads} thread(s)"
            shown(label, paired(times[f"{other} capture"], times[f"{other} forward"]))
            print(f"{other}: peak of its process {peer.run('forward', 0)['peak_mb']:.0f} MB", flush=True)
            peer.stop()
    about = f"{len(any_pass.sample)} passages, {threads} thread(s), {len(shards)} pairs"
    print(f"forward: {sum(times['forward']):.1f} s ({about})", flush=True)
    tell_estimate(name, estimates, sum(times[name]))
    label = "capture + moments / forward"
    return [verdict(f"{label} ({name}, {about})", paired(times[name], times["forward"]), BAR) for name in passes]


def memory(passes: dict[str, ActivationPass], common: Sequence[str]) -> list[bool]:
    """Compare peaks of fresh processes that do one pass each."""
    plain = alone(__file__, "--alone", "forward", *common)["peak_mb"]
    held = []
    for name, reading in passes.items():
        bar = plain + ROOM + 2 * state_mb(reading, moments(reading))
        found = alone(__file__, "--alone", name, *common)["peak_mb"]
        held.append(found <= bar)
        said = "held" if held[-1] else "MISSED"
        print(f"peak memory ({name}): {found:.0f} MB, forward {plain:.0f} MB, bar {bar:.0f} MB: {said}", flush=True)
    return held


def main() -> bool:
    made = options(__doc__)
    made.add_argument("--passages", type=int, default=2000)
    made.add_argument("--no-peers", action="store_true")
    given = made.parse_args()
    passes = readings(given.passages)
    if given.alone:
        reading = passes.get(given.alone, next(iter(passes.values())))
        tell_peak(given.alone, reading, moments(reading), given.threads[0])
        return True
    held = memory(passes, ["--passages", str(given.passages), "--threads", "1"])
    for threads in given.threads:
        held += timed(passes, threads, with_peers=not given.no_peers)
    return all(held)


if __name__ == "__main__":
    sys.exit(not main())
