"""Moments and fourth cumulants of all hidden states of SmolLM2-135M against its forward pass; memory as text grows."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from _memory import alone
from _pairs import interleaved, paired, verdict
from _passes import forward, options, reading_of, state_mb, summed, tasks, tell_estimate, tell_peak, token_count

from blockspin import member
from blockspin.capture.reading import ActivationPass
from blockspin.sources.base import DataSet, Sample, draw_records

BAR, LAYERS = 1.15, 30
STATES = ("layers.0:input", *(f"layers.{block}" for block in range(LAYERS)))
SHORT, LONG = 128, 512
FLAT_MB = 50.0
"""What memory may grow by between the two lengths of text: ten times the text itself, far below its activations."""


def passages(tokens: int, long: bool) -> Sample:
    """Return so many tokens of the King James Version, about: verses as they come, or joined to long passages."""
    verses = member("sources", "kjv")()
    if not long:
        return draw_records(verses, tokens // 41)  # tokens a verse on average
    contents = [record.content for record in verses.records()]
    joined = [" ".join(contents[start : start + 14]) for start in range(0, len(contents), 14)]
    made: DataSet = member("sources", "given-records")(tuple(joined), "text")
    return draw_records(made, tokens // LONG)


def reading(tokens: int, long: bool) -> ActivationPass:
    return reading_of("builtin:smollm2", passages(tokens, long), "tokens", STATES, LONG if long else SHORT)


def works(over: ActivationPass) -> list:
    return tasks(over, [member("observables", "covariance")(), member("observables", "cumulants")()])


def timed(over: ActivationPass, kind: str, threads: int) -> bool:
    torch.set_num_threads(threads)
    shards, asked = over.shards(), works(over)
    jobs = {"forward": lambda part: forward(over, shards[part]), "ours": lambda part: summed(over, asked, shards[part])}
    estimates: list[float] = []
    jobs["estimate"] = lambda part: estimates.append(over.estimate(asked).seconds)
    times = interleaved(jobs, len(shards))
    tell_estimate(kind, estimates, sum(times["ours"]))
    about = f"{kind}, {token_count(over)} tokens, {len(STATES)} states, {threads} thread(s), {len(shards)} pairs"
    label = f"capture + moments + fourth cumulants / forward ({about})"
    return verdict(label, paired(times["ours"], times["forward"]), BAR)


def flat(kind: str, lengths: tuple[int, int], threads: int) -> bool:
    """Compare the peaks of fresh processes that read short and long texts."""
    common = ["--kind", kind, "--threads", str(threads), "--tokens"]
    rows = [alone(__file__, "--alone", "capture", *common, str(tokens)) for tokens in lengths]
    grown = rows[1]["peak_mb"] - rows[0]["peak_mb"]
    said = " to ".join(f"{row['peak_mb']:.0f} MB at {row['tokens']:.0f} tokens" for row in rows)
    plain = alone(__file__, "--alone", "forward", *common, str(lengths[0]))["peak_mb"]
    over = reading(lengths[0], kind == "long")
    print(f"{kind}: forward alone {plain:.0f} MB, one state {state_mb(over, works(over)):.0f} MB", flush=True)
    print(f"peak memory ({kind}): {said}: {'flat' if grown <= FLAT_MB else 'GROWS'}", flush=True)
    return grown <= FLAT_MB


def main() -> bool:
    made = options(__doc__)
    made.add_argument("--tokens", type=int, default=100_000)
    made.add_argument("--kind", choices=["short", "long"], nargs="+", default=["short", "long"])
    made.add_argument("--no-memory", action="store_true")
    made.add_argument("--no-time", action="store_true")
    given = made.parse_args()
    if given.alone:
        over = reading(given.tokens, given.kind == ["long"])
        tell_peak(given.alone, over, works(over), given.threads[0])
        return True
    held = []
    for kind in given.kind:
        if not given.no_memory:
            held.append(flat(kind, (given.tokens // 10, given.tokens), max(given.threads)))
        if not given.no_time:
            over = reading(given.tokens, kind == "long")
            held += [timed(over, kind, threads) for threads in given.threads]
    return all(held)


if __name__ == "__main__":
    sys.exit(not main())
