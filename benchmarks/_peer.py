"""A peer's package in its own interpreter: a process that does its job once whenever it is asked."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

LOOP = """
import json, resource, sys, time
answers, sys.stdout = sys.stdout, sys.stderr  # what the peer prints is no answer
def serve(job):
    for _ in sys.stdin:
        begun = time.perf_counter()
        result = job()
        seconds = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "peak_mb": peak, "result": result}), file=answers, flush=True)
"""


def interpreter(name: str) -> Path | None:
    """Return the interpreter of the environment ``name`` under PEERS_DIR, or None."""
    folder = os.environ.get("PEERS_DIR")
    path = Path(folder or "peers") / name / "bin" / "python"
    return path if path.is_file() else None


class Peer:
    """A peer at work.

    Args:
        python: Its interpreter.
        job: Code that ends with a call of ``serve`` on a function that returns plain values.
        threads: Threads that it may use.
    """

    def __init__(self, python: Path, job: str, threads: int = 2):
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        own = {"PYTHONPATH": "", "HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg", **dict.fromkeys(names, str(threads))}
        self.process = subprocess.Popen(
            [str(python), "-c", LOOP + job],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **own},
        )

    def run(self) -> dict[str, Any]:
        """Let it do its job once; return "seconds", "peak_mb" and "result"."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer ended with status {self.process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *reason: object) -> None:
        self.process.kill()
        self.process.wait()
