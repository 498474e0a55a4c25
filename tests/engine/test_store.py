"""States on disk: a pass that is cut short goes on, and never on the wrong or on damaged states."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import dataclass

import passes
import pytest
import torch
from passes import TASKS, plain, small_pass

import blockspin
from blockspin.engine import _statefile
from blockspin.engine.base import Executor, Task
from blockspin.engine.measure import measure
from blockspin.engine.serial import Serial
from blockspin.errors import DiskSpaceError, OtherVersionsError, RunFolderError
from blockspin.observables.covariance import Covariance


def run(folder, executor=None, tasks=TASKS, **options):
    generator = torch.Generator().manual_seed(0)
    return measure(small_pass(**options), tasks, executor=executor or Serial(), store=folder, generator=generator)


@pytest.fixture(scope="module")
def expected():
    return plain(run(None))


@dataclass(frozen=True)
class Counting(Executor):
    """Serial, and a list of the shards that were carried out; ends after so many."""

    carried: list
    stop: int = 99

    def run(self, reading, works, shards):
        for shard, states in Serial().run(reading, works, shards):
            if len(self.carried) == self.stop:
                raise KeyboardInterrupt
            self.carried.append(shard.key)
            yield shard, states


def test_on_disk_equals_in_memory(tmp_path, expected):
    assert plain(run(tmp_path)) == expected


def test_states_of_another_version_are_not_gone_on_with(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Counting([], 4))
    here = f"computed with blockspin {blockspin.__version__} and torch {torch.__version__}, and installed are torch 9"
    monkeypatch.setattr(_statefile, "versions", lambda: "torch 9")
    with pytest.raises(OtherVersionsError, match=f"group-0000.*{re.escape(here)}. Install those versions"):
        run(tmp_path)
    with pytest.raises(RunFolderError, match="another pass"):
        run(tmp_path, samples=300)  # which pass it is comes first


def test_what_is_finished_is_not_done_again(tmp_path):
    run(tmp_path)
    carried = []
    run(tmp_path, Counting(carried))
    assert carried == []


@pytest.mark.parametrize("stop", [0, 1, 3, 7, 14])
def test_an_interrupted_pass_goes_on_where_it_stopped(tmp_path, expected, stop):
    first, second = [], []
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Counting(first, stop))
    assert plain(run(tmp_path, Counting(second))) == expected
    assert first + second == [shard.key for shard in small_pass().shards()]


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def altered(path):
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(bytes(content))


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut_short, altered, emptied])
def test_a_damaged_group_is_done_again(tmp_path, expected, damage):
    run(tmp_path)
    damage(tmp_path / "group-0002.safetensors")
    carried = []
    assert plain(run(tmp_path, Counting(carried))) == expected
    assert carried == ["0002.000000", "0002.000001", "0002.000002"]


@pytest.mark.parametrize(
    "other", [{"samples": 401}, {"groups": 4}, {"shards_per_group": 2}, {"tasks": [Task(Covariance(), ("x",))]}]
)
def test_states_of_another_pass_are_refused_by_name(tmp_path, other):
    run(tmp_path)
    with pytest.raises(RunFolderError, match="another pass"):
        run(tmp_path, **other)


def test_a_full_disk_leaves_what_is_done(tmp_path, expected, monkeypatch):
    calls, sync = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 9:  # every file is synced, and then its folder
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskSpaceError, match="full"):
        run(tmp_path)
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "group-0000.safetensors",
        "group-0001.safetensors",
        "lock",
    ]
    carried = []
    assert plain(run(tmp_path, Counting(carried))) == expected
    assert len(carried) == 15 - 4


def test_too_little_space_is_refused_before_the_first_byte(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 10**6, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskSpaceError, match="MB free"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_temporary_files_of_a_killed_run_are_removed(tmp_path):
    (tmp_path / "group-0000.tmp").write_bytes(b"half")
    run(tmp_path)
    assert not list(tmp_path.glob("*.tmp"))


def test_a_group_without_samples_is_empty_on_disk_and_in_memory(tmp_path):
    task = Task(Covariance(), ("x",))
    sizes = [
        [len(state) for state in run(folder, tasks=[task], samples=12, groups=30).group_states(task)]
        for folder in (tmp_path, None)
    ]
    assert sizes[0] == sizes[1]
    assert 0 in sizes[0]


def kill_and_resume(folder, seconds):
    """Start a run in a process of its own and kill it after a while."""
    with subprocess.Popen([sys.executable, passes.__file__, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    return plain(run(folder))


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.03, 0.2])
def test_a_killed_run_ends_with_the_same_bytes(tmp_path, expected, seconds):
    assert kill_and_resume(tmp_path, seconds) == expected


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_run_killed_at_any_moment_ends_with_the_same_bytes(tmp_path, expected, seed):
    moment = 0.4 * float(torch.rand((), generator=torch.Generator().manual_seed(seed)))
    assert kill_and_resume(tmp_path, moment) == expected
