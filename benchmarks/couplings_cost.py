"""Time told of couplings before a run, against what they take in it.

python benchmarks/couplings_cost.py
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from blockspin.config import RunConfig
from blockspin.run import run

STEPS = (
    "measuring couplings",
    "measuring couplings of null flows",
    "predicting held-out scales",
    "following how couplings run",
)
RUNS = {
    "MiniLM": {"samples": 1500, "kernel_samples": 500},
    "cluster-tree": {"model": "builtin:cluster-tree", "samples": 800, "kernel_samples": 500},
}


def main() -> None:
    for name, given in RUNS.items():
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()) as said:
            run(RunConfig().with_options({"executor": "serial", "out": f"{folder}/run", **given}))
        text = said.getvalue()
        told = sum(map(float, re.findall(r"([\d.]+) s for", re.search("and about (.*couplings.*)", text)[1])))
        spent = sum(float(found[1]) for step in STEPS if (found := re.search(rf"^{step}: ([\d.]+) s", text, re.M)))
        print(f"{name}: {told:.0f} s were told, {spent:.0f} s were spent: {told / spent:.2f}")


if __name__ == "__main__":
    main()
