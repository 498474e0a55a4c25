"""Batches kept on disk: read once, the same bytes afterwards, damaged files read anew."""

import pytest
import torch
from passes import TASKS, Failing, Logged, plain, small_pass

from blockspin.engine import _statefile
from blockspin.engine.kept import KeptPass, kept_batches
from blockspin.engine.measure import measure
from blockspin.engine.process import Process
from blockspin.engine.serial import Serial
from blockspin.errors import ConfigError, CorruptStateError, NonFiniteError


def run(reading, executor=None, store=None):
    generator = torch.Generator().manual_seed(0)
    return plain(measure(reading, TASKS, executor=executor or Serial(), store=store, generator=generator))


@pytest.fixture(scope="module")
def expected():
    return run(small_pass())


def test_the_network_is_run_once_and_the_bytes_stay(tmp_path, expected):
    log = tmp_path / "log"
    reading = KeptPass(Logged(small_pass(), log), tmp_path / "kept")
    assert run(reading) == expected
    assert run(reading) == expected
    assert len(log.read_text().split()) == len(small_pass().shards())


@pytest.mark.slow
def test_workers_write_and_read_it_too(tmp_path, expected):
    assert run(KeptPass(small_pass(), tmp_path), Process(workers=2)) == expected
    assert run(KeptPass(Failing(small_pass(), "0000.000000"), tmp_path), Process(workers=1)) == expected


def test_batches_come_as_they_were(tmp_path):
    reading = KeptPass(small_pass(), tmp_path)
    shard = reading.shards()[1]
    list(reading.batches(shard))
    for kept, plain_joint in zip(reading.batches(shard), small_pass().batches(shard), strict=True):
        assert list(kept) == list(plain_joint)
        for name, batch in kept.items():
            for key in ("values", "ids", "units", "weights"):
                assert torch.equal(getattr(batch, key), getattr(plain_joint[name], key))


def test_what_was_kept_is_read_without_the_pass(tmp_path):
    reading = KeptPass(small_pass(), tmp_path)
    run(reading)
    expected = [joint for shard in small_pass().shards() for joint in small_pass().batches(shard)]
    for kept, plain_joint in zip(kept_batches(tmp_path), expected, strict=True):
        assert all(torch.equal(kept[name].values, plain_joint[name].values) for name in plain_joint)
    with pytest.raises(CorruptStateError, match="holds no activations"):
        next(kept_batches(tmp_path / "nothing"))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text"])
def test_a_damaged_file_is_read_anew(damage, tmp_path, expected):
    reading = KeptPass(small_pass(), tmp_path)
    run(reading)
    path = sorted(tmp_path.iterdir())[3]
    whole = path.read_bytes()
    changed = {
        "flip": whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:],
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"\xff" * 100,
    }[damage]
    path.write_bytes(changed)
    assert run(reading) == expected
    assert path.read_bytes() == whole


def test_files_of_another_version_are_read_anew(tmp_path, expected, monkeypatch):
    log = tmp_path / "log"
    reading = KeptPass(Logged(small_pass(), log), tmp_path / "kept")
    run(reading)
    monkeypatch.setattr(_statefile, "versions", lambda: "torch 9")
    assert run(reading) == expected
    assert len(log.read_text().split()) == 2 * len(small_pass().shards())


def test_half_the_space_gives_the_same_rounded_numbers_every_time(tmp_path, expected):
    reading = KeptPass(small_pass(), tmp_path / "half", "bfloat16")
    first = run(reading)
    assert first != expected
    assert run(reading) == first
    run(KeptPass(small_pass(), tmp_path / "whole"))
    sizes = [sum(path.stat().st_size for path in (tmp_path / name).iterdir()) for name in ("half", "whole")]
    assert sizes[0] < sizes[1]
    assert reading.fingerprint != small_pass().fingerprint


def test_what_failed_is_not_kept(tmp_path):
    reading = KeptPass(Failing(small_pass(), "0000.000001"), tmp_path)
    with pytest.raises(NonFiniteError):
        run(reading)
    assert not (tmp_path / "shard-0000.000001.safetensors").exists()
    assert not list(tmp_path.glob("*.tmp"))


def test_another_precision_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="float32 or bfloat16"):
        KeptPass(small_pass(), tmp_path, "int8")
