"""Memory: what is told before the start is what follows, and a budget is kept or refused."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_run

from blockspin import memory
from blockspin.budget import Need, within
from blockspin.errors import BlockspinError, ConfigError, MemoryBudgetError
from blockspin.memory import guard, resident, size_of
from blockspin.run import run

NEED = Need(base=500, network=100, data=50, samples=20, states=30, question=300, workers=2)


@pytest.mark.parametrize(
    ("text", "size"), [("4GB", 4 * 10**9), ("512 MiB", 512 * 2**20), ("1.5g", 15 * 10**8), ("100", 100), ("", None)]
)
def test_sizes_are_read(text, size):
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["much", "-1GB", "0", "4 XB", "GB", "1e9", "4GB4"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ConfigError, match="memory"):
        size_of(text)


def test_workers_are_given_up_before_the_run_is():
    assert within(NEED, None) == NEED
    assert NEED.total == 500 + 100 + 20 + 30 + 2 * 530
    assert within(NEED, 1200).workers == 1
    with pytest.raises(MemoryBudgetError, match=r"0\.00 GB"):
        within(NEED, 1100)


def test_a_budget_that_cannot_be_kept_leaves_nothing_behind(tmp_path):
    with pytest.raises(MemoryBudgetError, match="kernel_samples"):
        run(small_run.config(tmp_path, memory="1MB", out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_run_that_outgrows_its_budget_stops_and_goes_on(tmp_path, monkeypatch):
    config = small_run.bare(tmp_path, memory="100GB", out=str(tmp_path / "out"))
    calls = iter(range(1000))
    monkeypatch.setattr(memory, "resident", lambda: 10**12 if next(calls) == 3 else 1)
    with pytest.raises(MemoryBudgetError, match=r"holds 1000\.00 GB"):
        run(config)
    assert list((tmp_path / "out" / "states").rglob("*.safetensors"))
    run(config, folder=tmp_path / "out", resume=True)
    alone = run(small_run.bare(tmp_path, out=str(tmp_path / "alone")))
    assert (alone / "answers.json").read_bytes() == (tmp_path / "out" / "answers.json").read_bytes()


def test_what_this_process_holds_grows_with_what_it_holds():
    before = resident()
    held = bytearray(os.urandom(1)) * 2**28  # much beside what is let go of meanwhile
    assert resident() - before > 0.9 * len(held)
    guard(None)
    guard(resident() + 2**30)


@pytest.mark.slow
def test_activations_are_kept_where_asked_for_and_give_the_same_answers(tmp_path):
    plain = run(small_run.bare(tmp_path, out=str(tmp_path / "plain")))
    kept = run(small_run.bare(tmp_path, activations="float32", out=str(tmp_path / "kept")))
    assert (plain / "answers.json").read_bytes() == (kept / "answers.json").read_bytes()
    files = {path.name: len(list(path.iterdir())) for path in (kept / "activations").iterdir()}
    assert set(files) == {"network", "untrained-network"}
    assert all(files.values())
    with pytest.raises(BlockspinError, match="activations = 'int4'"):
        small_run.config(tmp_path, activations="int4")


# --- what is told against what follows --------------------------------------------------------------------------------


def peak_of_tree(command: list[str], cwd: Path) -> tuple[int, str]:
    """Run a command; return the most that it and its children ever held together, and what it wrote on stderr."""
    with (cwd / "stderr").open("w+") as told:
        process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=told)
        most = 0
        while process.poll() is None:
            most = max(most, held_by(process.pid))
            time.sleep(0.01)
        assert process.returncode == 0
        told.seek(0)
        return most, told.read()


def held_by(pid: int, parent: bytes = b"") -> int:
    """Return what a process and its children hold; one that was just forked still shares its parent's pages."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):  # it has just ended
        return 0
    return own * (command != parent) + sum(held_by(int(child), command) for child in children)


def told_and_held(options: list[str], cwd: Path) -> float:
    blockspin = str(Path(sys.executable).with_name("blockspin"))
    most, told = peak_of_tree([blockspin, "run", *options, "--out", "out"], cwd)
    return float(re.search(r"memory: about ([\d.]+) GB", told)[1]) * 1e9 / most


needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("more", [["--couplings", "off"], []])
def test_the_memory_told_is_what_follows(more, tmp_path):
    options = ["--model", "builtin:cluster-tree", "--samples", "400", "--executor", "serial"]
    assert 0.7 < told_and_held([*options, *more], tmp_path) < 1.3


@needs_proc
@pytest.mark.slow
def test_the_memory_told_of_a_training_is_what_follows(tmp_path):
    options = ["--model", "builtin:cluster-tree", "--checkpoints", "builtin", "--samples", "400"]
    assert 0.7 < told_and_held([*options, "--executor", "serial"], tmp_path) < 1.3


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--executor", "serial"], ["--representation", "tokens", "--samples", "900"]])
def test_the_memory_told_is_what_follows_on_a_transformer(more, tmp_path):
    pytest.importorskip("transformers")
    assert 0.7 < told_and_held(["--model", "builtin:minilm", "--data", "builtin:kjv", *more], tmp_path) < 1.3
