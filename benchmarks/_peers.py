"""Peers: another package in an environment of its own, a process that lives as long as the benchmark and does jobs.

Environments are folders of virtual environments in PEERS_DIR. A peer's script defines ``start(settings)``, which
returns {name: function of a part}; this module is both who asks and, run by the peer's own interpreter, who answers.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


class Peer:
    """A package in an environment of its own.

    Args:
        environment: Name of the folder of its virtual environment.
        script: Name of the module beside this one that holds its jobs.
        settings: What the jobs need to know.
        threads: Threads of torch.
    """

    def __init__(self, environment: str, script: str, settings: dict[str, Any], threads: int):
        variables = {**os.environ, "OMP_NUM_THREADS": str(threads), "PEER_THREADS": str(threads)}
        variables.pop("PYTHONPATH", None)
        command = [str(python_of(environment)), str(Path(__file__).resolve()), script]
        self._noise = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._noise}
        self._process = subprocess.Popen(command, env=variables, text=True, **pipes)
        self.about = self.ask({"settings": settings})

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """Send one job and return the answer."""
        print(json.dumps(job), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            self._noise.seek(0)
            raise RuntimeError(self._noise.read().decode()[-2000:])
        return json.loads(line)

    def do(self, name: str, part: int = 0) -> dict[str, Any]:
        """Carry out a job on a part of the work."""
        return self.ask({"job": name, "part": part})

    def stop(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def python_of(environment: str) -> Path:
    """Return the interpreter of an environment."""
    return (
        Path(os.environ.get("PEERS_DIR", str(Path(tempfile.gettempdir()) / "peers"))) / environment / "bin" / "python"
    )


def is_there(environment: str) -> bool:
    """Whether an environment is there; says so where it is not."""
    found = python_of(environment).exists()
    if not found:
        print(f"not compared with {environment}: there is no {python_of(environment)} (set PEERS_DIR)", flush=True)
    return found


def _answer() -> None:
    """Do the jobs that come on the standard input; what packages print goes elsewhere."""
    answers, sys.stdout = sys.stdout, sys.stderr
    import torch

    torch.set_num_threads(int(os.environ["PEER_THREADS"]))
    torch.set_grad_enabled(False)
    jobs: dict[str, Any] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if "settings" in asked:
            jobs = importlib.import_module(sys.argv[1]).start(asked["settings"])
            answer = {"version": jobs.pop("version")}
        else:
            jobs[asked["job"]](asked["part"])
            high = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
            answer = {"peak_mb": int(high[1]) / 1024}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _answer()
