"""Faults: processes that are killed, files that are damaged, disks that are full; the bytes at the end are the same.

The ways to carry out a pass are those of ``passes.carry_out``; what a pass does in one of them is in its own test.
"""

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import passes
import pytest
import torch
from passes import TASKS, Filling, Marked, Raising, Removing, carry_out, plain, small_pass

from blockspin.engine import store
from blockspin.engine._files import LOCK, clear_leftovers, locked, write_bytes
from blockspin.engine._statefile import Saved, decode, encode
from blockspin.engine.base import Executor
from blockspin.engine.kept import KeptPass
from blockspin.engine.measure import measure
from blockspin.engine.parts import Part, measure_part, merge_parts
from blockspin.engine.process import Process
from blockspin.engine.ray import Ray
from blockspin.engine.serial import Serial
from blockspin.errors import CorruptStateError, DeclarationError, DiskSpaceError, RunFolderError

HERE = os.pathsep.join([os.path.dirname(__file__), *filter(None, [os.environ.get("PYTHONPATH")])])
"""Where actors find the passes of the tests, and the blockspin that is tested."""
SEEDS = [pytest.param(seed, marks=[pytest.mark.slow] if seed else []) for seed in range(20)]
"""Twenty seeds, the first of them in the default suite."""


def uniform(seed, low, high):
    return low + (high - low) * float(torch.rand((), generator=torch.Generator().manual_seed(seed)))


def run(folder, reading=None, executor=None):
    generator = torch.Generator().manual_seed(0)
    return measure(reading or small_pass(), TASKS, executor=executor or Serial(), store=folder, generator=generator)


def states(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of an undisturbed run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder)
    return folder


def assert_undisturbed(folder, whole):
    """The same bytes as an undisturbed run, and nothing beside them."""
    assert states(folder) == states(whole)
    assert {path.name for path in folder.iterdir()} == {*states(whole), LOCK}
    assert not list(folder.parent.rglob("*.tmp"))


# --- processes that are killed ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drivers():
    """Starts processes that have imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "blockspin.engine.parts", "blockspin.engine.process"])
    return context.Process


def killed(process, seconds=None):
    """Start a process, kill it after a while unless it kills itself, and return the workers that it had."""
    process.start()
    children = []
    if seconds is not None:
        time.sleep(seconds)
        with suppress(FileNotFoundError), open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
            children = [int(pid) for pid in file.read().split()]
        process.kill()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL or (seconds is not None and process.exitcode == 0)  # was faster
    process.close()
    return children


@pytest.mark.parametrize("way", ["serial", "parts"])
@pytest.mark.parametrize("count", [1, 2, 3, 8, *(pytest.param(n, marks=pytest.mark.slow) for n in range(9, 30))])
def test_a_driver_killed_at_any_step_of_a_write_is_resumed_to_the_same_bytes(drivers, tmp_path, whole, way, count):
    killed(drivers(target=passes.die_at_sync, args=(tmp_path, way, count)))
    carry_out(tmp_path, way)
    assert_undisturbed(tmp_path / "states", whole)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["parts", "process", "kept"])
@pytest.mark.parametrize("seed", range(20))
def test_a_driver_killed_at_any_moment_is_resumed_to_the_same_bytes(drivers, tmp_path, whole, way, seed):
    low, high = (0.05, 0.5) if way == "parts" else (2.0, 6.0)  # workers take seconds to start
    pause = 0.02 if way == "parts" else 0.4
    workers = killed(drivers(target=carry_out, args=(tmp_path, way, pause)), uniform(seed, low, high))
    carry_out(tmp_path, way)
    assert_undisturbed(tmp_path / "states", whole)
    limit = time.monotonic() + 30
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < limit, "a worker outlives its driver"
        time.sleep(0.05)


def alive(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("count", range(1, 11))
def test_a_merge_killed_at_any_step_is_done_again(drivers, tmp_path, whole, count):
    for part in Part(1, 2).all:
        measure_part(small_pass(), TASKS, part, executor=Serial(), store=tmp_path / "parts")
    killed(drivers(target=merge_and_die, args=(tmp_path, count)))
    merge_parts(small_pass(), TASKS, [tmp_path / "parts"], tmp_path / "states")
    assert_undisturbed(tmp_path / "states", whole)


def merge_and_die(folder, count):
    """Like ``die_at_sync``; the parts are finished, so that nothing but the merge syncs."""
    calls = []

    def fatal(descriptor):
        calls.append(descriptor)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = fatal
    merge_parts(small_pass(), TASKS, [folder / "parts"], folder / "states")


def kill_one(log, seed):
    """Kill whoever carries out a shard that is drawn at random, at a random moment."""
    count, limit = 1 + int(uniform(seed, 0, 12)), time.monotonic() + 60
    while not log.exists() or len(log.read_text().split()) < count:
        assert time.monotonic() < limit
        time.sleep(0.002)
    time.sleep(uniform(seed + 100, 0, 0.06))
    os.kill(int(log.read_text().split()[-1]), signal.SIGKILL)


def run_under_fire(tmp_path, seed, executor, kept):
    reading = Marked(small_pass(), tmp_path / "log")
    reading = KeptPass(reading, tmp_path / "kept") if kept else reading
    killer = threading.Thread(target=kill_one, args=(tmp_path / "log", seed))
    killer.start()
    try:
        run(tmp_path / "states", reading, executor)
    finally:
        killer.join()


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_worker_killed_at_any_moment_costs_its_shard_only(tmp_path, whole, seed):
    run_under_fire(tmp_path, seed, Process(workers=2), kept=seed % 2)
    assert_undisturbed(tmp_path / "states", whole)
    assert len((tmp_path / "log").read_text().split()) <= 15 + 1


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 * 2**20,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": HERE, "OMP_NUM_THREADS": "1"}},
    )
    yield ray
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("seed", range(20))
def test_an_actor_killed_at_any_moment_costs_its_shard_only(cluster, tmp_path, whole, seed):
    run_under_fire(tmp_path, seed, Ray(workers=2), kept=seed % 2)
    assert_undisturbed(tmp_path / "states", whole)
    assert len((tmp_path / "log").read_text().split()) <= 15 + 1


# --- one writer a folder ---------------------------------------------------------------------------------------------


def test_a_second_driver_on_the_same_folder_is_refused_by_name(tmp_path, whole):
    with locked(tmp_path / "states"), pytest.raises(RunFolderError, match="written by another process"):
        run(tmp_path / "states")
    run(tmp_path / "states")
    assert_undisturbed(tmp_path / "states", whole)


def test_the_lock_of_a_killed_driver_is_free(drivers, tmp_path):
    process = drivers(target=hold_for_ever, args=(tmp_path,))
    process.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    with pytest.raises(RunFolderError, match="another process"):
        run(tmp_path)
    process.kill()
    process.join()
    process.close()
    (tmp_path / "held").unlink()
    run(tmp_path)


def hold_for_ever(folder):
    with locked(folder):
        (folder / "held").touch()
        time.sleep(600)


def test_a_process_that_was_forked_does_not_keep_the_lock(tmp_path):
    """The copy of the open file in a child must not hold what the driver let go of."""
    with locked(tmp_path):
        copy = os.dup(max(int(fd) for fd in os.listdir("/proc/self/fd") if is_lock(fd)))
    with locked(tmp_path):
        pass
    os.close(copy)


def is_lock(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").endswith(f"/{LOCK}")
    except OSError:
        return False


def test_the_temporary_file_of_a_live_process_stays(tmp_path, monkeypatch):
    seen, sync = [], os.fsync

    def look(descriptor):
        clear_leftovers(tmp_path)
        seen.append(len(list(tmp_path.glob("*.tmp"))))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    (tmp_path / "x.1.tmp").touch()
    write_bytes(tmp_path / "x", b"payload")
    assert seen[0] == 1  # its own; the other one has been cleared away
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_a_killed_worker_left_of_a_kept_shard_is_cleared_away(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "shard-0001.000001.safetensors.99999.tmp").write_bytes(b"half")
    run(None, KeptPass(small_pass(), kept))
    assert len(list(kept.iterdir())) == len(small_pass().shards())


# --- files that are damaged ------------------------------------------------------------------------------------------


def flipped(payload, seed):
    """Flip one bit, in every second seed within the header."""
    header = 8 + int.from_bytes(payload[:8], "little")
    generator = torch.Generator().manual_seed(seed)
    place = int(torch.randint(header if seed % 2 else len(payload), (), generator=generator))
    bit = 1 << int(torch.randint(8, (), generator=generator))
    return payload[:place] + bytes([payload[place] ^ bit]) + payload[place + 1 :]


DAMAGE = {
    "one byte": lambda payload: payload[:1],
    "length of the header alone": lambda payload: payload[:8],
    "middle of the header": lambda payload: payload[:100],
    "header alone": lambda payload: payload[: 8 + int.from_bytes(payload[:8], "little")],
    "middle": lambda payload: payload[: len(payload) // 2],
    "last byte": lambda payload: payload[:-1],
    "a byte too many": lambda payload: payload + b"\0",
    "zeros": lambda payload: bytes(len(payload)),
    **{f"flip {seed}": lambda payload, seed=seed: flipped(payload, seed) for seed in range(20)},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state_is_found_and_done_again(tmp_path, whole, damage):
    shutil.copytree(whole, tmp_path / "states")
    victim = tmp_path / "states" / "group-0003.safetensors"
    victim.write_bytes(DAMAGE[damage](victim.read_bytes()))
    reading = Marked(small_pass(), tmp_path / "log")
    run(tmp_path / "states", reading)
    assert_undisturbed(tmp_path / "states", whole)
    assert len((tmp_path / "log").read_text().split()) == 3


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_kept_shard_is_found_and_read_again(tmp_path, damage):
    log, key = tmp_path / "log", small_pass().shards()[4].key
    reading = KeptPass(Marked(small_pass(), log), tmp_path / "kept")
    list(reading.batches(small_pass().shards()[4]))
    victim = tmp_path / "kept" / f"shard-{key}.safetensors"
    sound = victim.read_bytes()
    victim.write_bytes(DAMAGE[damage](sound))
    list(reading.batches(small_pass().shards()[4]))
    assert victim.read_bytes() == sound
    assert len(log.read_text().split()) == 2


def replaced(saved, keys, ledger):
    return Saved(saved.fingerprint, [keys[i] for i in ledger], saved.states)


@pytest.mark.parametrize("ledger", [[0, 0, 1], [0, 2], [1, 0, 2], [2], [0, 1, 2, 2]])
def test_a_ledger_that_repeats_or_leaves_out_a_shard_is_not_believed(tmp_path, whole, ledger):
    shutil.copytree(whole, tmp_path / "states")
    victim = tmp_path / "states" / "group-0001.safetensors"
    saved = decode(victim, len(TASKS) + 1)
    victim.write_bytes(encode(replaced(saved, saved.ledger, ledger)))
    run(tmp_path / "states")
    assert_undisturbed(tmp_path / "states", whole)


def test_the_state_of_another_group_is_not_believed_and_that_of_another_run_is_refused(tmp_path, whole):
    shutil.copytree(whole, tmp_path / "states")
    shutil.copy(whole / "group-0000.safetensors", tmp_path / "states" / "group-0002.safetensors")
    run(tmp_path / "states")
    assert_undisturbed(tmp_path / "states", whole)
    run(tmp_path / "other", small_pass(samples=300))
    shutil.copy(tmp_path / "other" / "group-0002.safetensors", tmp_path / "states")
    before = states(tmp_path / "states")
    with pytest.raises(RunFolderError, match=r"group-0002.* another pass"):
        run(tmp_path / "states")
    for part in Part(1, 1).all:
        measure_part(small_pass(), TASKS, part, executor=Serial(), store=tmp_path / "parts")
    with pytest.raises(RunFolderError, match="another pass"):
        merge_parts(small_pass(), TASKS, [tmp_path / "parts"], tmp_path / "states")
    assert states(tmp_path / "states") == before


def test_a_state_that_goes_away_after_the_pass_is_named(tmp_path):
    measured = run(tmp_path / "states")
    (tmp_path / "states" / "group-0002.safetensors").unlink()
    with pytest.raises(CorruptStateError, match="group-0002"):
        measured.measurements()


# --- disks and folders -----------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    """A disk of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this user may not mount a small disk: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("kept", [False, True], ids=["states", "kept"])
def test_a_full_disk_stops_with_what_is_done_intact(disk, tmp_path, whole, kept, monkeypatch):
    monkeypatch.setattr(store, "SPARE", 0)
    reading = Filling(small_pass(), "0002.000001", disk / "filler")
    folder = tmp_path / "here" / "states" if kept else disk / "states"
    reading = KeptPass(reading, disk / "kept") if kept else reading
    with pytest.raises(DiskSpaceError, match="disk is full"):
        run(folder, reading)
    assert not list(disk.rglob("*.tmp"))
    assert [decode(path, 5).ledger[0] for path in sorted(folder.glob("*.safetensors"))][:2] == [
        "0000.000000",
        "0001.000000",
    ]
    (disk / "filler").unlink()
    run(folder, KeptPass(small_pass(), disk / "kept") if kept else None)
    assert_undisturbed(folder, whole)
    assert not list(disk.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("reason", "named"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DiskSpaceError),
        (OSError(errno.EIO, "Input/output error"), RunFolderError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=["full", "broken", "interrupted"],
)
@pytest.mark.parametrize("count", range(1, 13))
def test_a_write_that_fails_at_any_step_leaves_what_is_done(tmp_path, monkeypatch, reason, named, count):
    """Two groups of three shards: six files, each synced with its folder."""
    small = {"samples": 60, "groups": 2}
    calls, sync = [], os.fsync

    def failing(descriptor):
        calls.append(descriptor)
        if len(calls) == count:
            raise reason
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(named):
        run(tmp_path / "states", small_pass(**small))
    monkeypatch.undo()
    assert sum(len(decode(path, 5).ledger) for path in (tmp_path / "states").glob("*.safetensors")) == count // 2
    assert not list(tmp_path.rglob("*.tmp"))
    assert plain(run(tmp_path / "states", small_pass(**small))) == plain(run(None, small_pass(**small)))


def test_a_folder_that_must_not_be_written_is_refused_by_name_and_can_be_merged_from(
    disk, tmp_path, whole, monkeypatch
):
    monkeypatch.setattr(store, "SPARE", 0)
    for part in Part(1, 2).all:
        measure_part(small_pass(), TASKS, part, executor=Serial(), store=disk)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for place in (disk / "states", disk / Part(1, 2).folder):
        with pytest.raises(RunFolderError, match="Read-only"):
            run(place)
    with pytest.raises(RunFolderError, match="Read-only"):
        run(None, KeptPass(small_pass(), disk / "kept"))
    merge_parts(small_pass(), TASKS, [disk], tmp_path / "here" / "states")
    assert_undisturbed(tmp_path / "here" / "states", whole)


def test_a_folder_that_is_removed_in_mid_run_is_named(tmp_path, whole):
    reading = Removing(small_pass(), "0001.000001", tmp_path / "states")
    with pytest.raises(RunFolderError, match=r"group-0001.*cannot be written"):
        run(tmp_path / "states", reading)
    run(tmp_path / "states")
    assert_undisturbed(tmp_path / "states", whole)


# --- batches and executors that misbehave ----------------------------------------------------------------------------


@pytest.mark.parametrize("executor", [Serial(), pytest.param(Process(workers=2), marks=pytest.mark.slow)])
def test_a_batch_that_raises_is_named_and_what_is_done_stays(tmp_path, whole, executor):
    with pytest.raises(ZeroDivisionError) as caught:
        run(tmp_path / "states", Raising(small_pass(), "0002.000001"), executor)
    assert any("in shard 0002.000001" in note for note in caught.value.__notes__)
    reading = Marked(small_pass(), tmp_path / "log")
    run(tmp_path / "states", reading)
    assert_undisturbed(tmp_path / "states", whole)
    if isinstance(executor, Serial):
        assert len((tmp_path / "log").read_text().split()) == 15 - 7


@dataclass(frozen=True)
class Careless(Executor):
    """Serial, with some shards left out, repeated or exchanged."""

    name = "careless"
    order: tuple[int, ...]

    def run(self, reading, works, shards):
        yield from Serial().run(reading, works, [shards[i] for i in self.order])


@pytest.mark.parametrize("order", [range(14), (0, 0), (1, 0), (0, 2), (*range(15), 14)], ids=str)
def test_an_executor_that_leaves_out_or_repeats_a_shard_is_refused_by_name(tmp_path, whole, order):
    with pytest.raises(DeclarationError, match="careless"):
        run(tmp_path / "states", executor=Careless(tuple(order)))
    run(tmp_path / "states")
    assert_undisturbed(tmp_path / "states", whole)


# --- what the bytes do not depend on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", [Serial(), pytest.param(Process(workers=2), marks=pytest.mark.slow)])
def test_the_bytes_do_not_depend_on_what_the_caller_has_set(tmp_path, whole, executor, request):
    reading = small_pass()
    request.getfixturevalue("other_settings")
    run(tmp_path / "states", reading, executor)
    assert_undisturbed(tmp_path / "states", whole)
