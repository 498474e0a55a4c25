"""Peak memory of a piece of work in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

MARK = "peak of a process: "


def peak_mb() -> float:
    """Return the largest resident memory of this process so far, in MB of 2^20 bytes.

    The kernel's own mark: the one that getrusage gives starts at that of the process which started this one.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024


def told(**also: float) -> None:
    """Print the peak, and other numbers, for the process that asked."""
    print(MARK + json.dumps({"peak_mb": peak_mb(), **also}), flush=True)


def alone(script: str, *arguments: str) -> dict[str, float]:
    """Run a benchmark's script in a fresh process and return what it told."""
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)
    line = next((line for line in done.stdout.splitlines() if line.startswith(MARK)), None)
    if done.returncode or line is None:
        raise RuntimeError(f"{script} {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
    return json.loads(line.removeprefix(MARK))
