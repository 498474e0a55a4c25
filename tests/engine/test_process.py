"""Worker processes: the same bytes as serial, and what happens when one dies or fails."""

import os
import signal
import threading
import time
from multiprocessing import resource_tracker

import pytest
import torch
from passes import TASKS, Failing, Killing, Logged, Slow, plain, small_pass

from blockspin.engine import _messages
from blockspin.engine.measure import measure
from blockspin.engine.process import Process
from blockspin.engine.serial import Serial
from blockspin.errors import ConfigError, NonFiniteError, WorkerLostError


def run(reading, executor, store=None):
    return measure(reading, TASKS, executor=executor, store=store, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def expected():
    return plain(run(small_pass(), Serial()))


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_give_the_same_bytes_as_serial(expected, workers):
    assert plain(run(small_pass(), Process(workers=workers))) == expected


def bullets(folder, count):
    folder.mkdir()
    for i in range(count):
        (folder / str(i)).touch()
    return folder


@pytest.mark.slow
def test_a_killed_worker_costs_its_shard_only(tmp_path, expected):
    log = tmp_path / "log"
    reading = Logged(Killing(small_pass(), "0001.000002", bullets(tmp_path / "bullets", 1)), log)
    assert plain(run(reading, Process(workers=1), tmp_path / "states")) == expected
    begun = log.read_text().split()
    assert sorted(begun) == sorted([*(shard.key for shard in reading.shards()), "0001.000002"])


@pytest.mark.slow
def test_few_shards_are_in_flight(tmp_path):
    """Workers do not run ahead of the fold: what is finished and not yet folded is held in memory."""
    log = tmp_path / "log"
    reading = Logged(small_pass(), log)
    works = [task.work for task in TASKS]
    results = Process(workers=1).run(reading, works, reading.shards())
    next(results)
    time.sleep(0.3)
    results.close()
    assert len(log.read_text().split()) <= 2


@pytest.mark.slow
def test_a_shard_that_kills_three_workers_ends_the_pass(tmp_path):
    reading = Killing(small_pass(), "0001.000002", bullets(tmp_path / "bullets", 3))
    with pytest.raises(WorkerLostError, match=r"3 times on shard 0001\.000002"):
        run(reading, Process(workers=2), tmp_path / "states")
    assert (tmp_path / "states" / "group-0000.safetensors").exists()


def test_an_error_in_a_worker_comes_back_by_name():
    with pytest.raises(NonFiniteError, match="layer 3") as caught:
        run(Failing(small_pass(), "0000.000001"), Process(workers=1))
    assert caught.value.remedy == "Remove it."


@pytest.mark.slow
def test_an_interrupt_ends_the_workers(tmp_path, expected):
    resource_tracker.ensure_running()  # of Python itself: it stays, and is no worker
    before = _children()
    timer = threading.Timer(6, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(Slow(small_pass(), 1.0), Process(workers=2), tmp_path)
    time.sleep(0.2)
    assert _children() == before
    assert plain(run(small_pass(), Serial(), tmp_path)) == expected


def _children():
    with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children") as file:
        return set(file.read().split())


def test_no_worker_is_refused_by_name():
    with pytest.raises(ConfigError, match="workers"):
        Process(workers=0)


def test_a_pass_that_cannot_be_pickled_is_refused_by_name():
    reading = Slow(small_pass(), lambda: None)
    with pytest.raises(ConfigError, match="serial"):
        run(reading, Process(workers=1))


def test_the_environment_is_restored():
    before = dict(os.environ)
    with pytest.raises(NonFiniteError):
        run(Failing(small_pass(), "0000.000000"), Process(workers=1))
    assert dict(os.environ) == before


def test_a_worker_with_another_blockspin_is_refused_by_name(monkeypatch):
    """As on a cluster where one machine has another version; a worker process has always the driver's."""
    recipe = _messages.recipe_of(small_pass(), [], "ray")
    _messages.opened(recipe)
    monkeypatch.setattr(_messages, "code", lambda: "another")
    with pytest.raises(ConfigError, match=r"executor = 'ray'.*blockspin and torch"):
        _messages.opened(recipe)
