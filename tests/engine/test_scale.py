"""Many shards and many workers: what the driver holds does not grow with them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from blockspin.engine.ray import Ray
from blockspin.errors import ConfigError

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "cluster.py"


def own_memory(executor, count):
    """Peak of the driver's own memory in bytes, in a process of its own."""
    command = [sys.executable, BENCHMARK, "--one", executor, "--counts", str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["own"]


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "process"])  # Ray has a test of its own
def test_the_drivers_memory_does_not_grow_with_the_number_of_shards(executor):
    """The states of 2,000 shards, 131 kB each, would be 262 MB."""
    assert own_memory(executor, 2200) - own_memory(executor, 200) < 14 * 2**20


@pytest.mark.parametrize("cpus", [0.0, -1.0, 1.5, float("nan"), float("inf")])
def test_what_is_no_share_of_a_processor_is_refused_by_name(cpus):
    with pytest.raises(ConfigError, match="cpus"):
        Ray(cpus=cpus)


@pytest.mark.parametrize("gpus", [-0.5, 1.5, float("nan")])
def test_what_is_no_share_of_a_gpu_is_refused_by_name(gpus):
    with pytest.raises(ConfigError, match="gpus"):
        Ray(gpus=gpus)
