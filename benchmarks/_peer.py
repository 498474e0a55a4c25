"""A peer's package in its own interpreter: a process that does one of its jobs whenever it is asked."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

LOOP = """
import json, re, sys, time
answers, sys.stdout = sys.stdout, sys.stderr  # what the peer prints is no answer
def serve(jobs):
    jobs = jobs if isinstance(jobs, dict) else {"job": jobs}
    for line in sys.stdin:
        name, given = json.loads(line)
        begun = time.perf_counter()
        result = jobs[name](*given)
        seconds = time.perf_counter() - begun
        peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024  # its own alone
        print(json.dumps({"seconds": seconds, "peak_mb": peak, "result": result}), file=answers, flush=True)
"""
STARTED = """
sys.path.insert(0, {folder!r})
import torch
torch.set_num_threads({threads})
torch.set_grad_enabled(False)
import {script}
serve({script}.start(json.loads({settings!r})))
"""


def interpreter(name: str) -> Path | None:
    """Return the interpreter of the environment ``name`` under PEERS_DIR, or None."""
    folder = Path(os.environ.get("PEERS_DIR", str(Path(tempfile.gettempdir()) / "peers")))
    path = folder / name / "bin" / "python"
    return path if path.is_file() else None


class Peer:
    """A peer at work, a process that lives as long as the benchmark.

    Args:
        python: Its interpreter.
        job: Code that ends with a call of ``serve`` on a function that returns plain values, or on several by name.
        threads: Threads that it may use.
    """

    def __init__(self, python: Path, job: str, threads: int = 2):
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        own = {"PYTHONPATH": "", "HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg", **dict.fromkeys(names, str(threads))}
        self.noise = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self.process = subprocess.Popen(
            [str(python), "-c", LOOP + job],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.noise,
            text=True,
            env={**os.environ, **own},
        )

    @classmethod
    def of(cls, python: Path, script: str, settings: dict[str, Any], threads: int) -> Peer:
        """Start a module beside this one, whose ``start(settings)`` returns {name: function of a part} on torch."""
        folder = str(Path(__file__).resolve().parent)
        given = {"folder": folder, "script": script, "settings": json.dumps(settings), "threads": threads}
        return cls(python, STARTED.format(**given), threads)

    def run(self, name: str = "job", *given: Any) -> dict[str, Any]:
        """Let it do a job once; return "seconds", "peak_mb" and "result"."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, given]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            self.noise.seek(0)
            raise RuntimeError(f"the peer ended with status {status}: {self.noise.read().decode()[-2000:]}")
        return json.loads(line)

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.noise.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *reason: object) -> None:
        self.stop()
