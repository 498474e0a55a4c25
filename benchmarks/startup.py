"""The time that ``blockspin --help`` takes as a whole process."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

BAR = 0.3


def main() -> bool:
    command = [str(Path(sys.executable).with_name("blockspin")), "--help"]
    times = []
    for _ in range(8):
        begun = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - begun)
    middle = median(times[1:])
    print(f"blockspin --help: {middle:.3f} s [{min(times[1:]):.3f}, {max(times[1:]):.3f}], bar {BAR} s")
    return min(times[1:]) <= BAR


if __name__ == "__main__":
    sys.exit(not main())
