"""GGUF files: written once, in one step, under a name of their own; SmolLM2 is the network that it says it is."""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from blockspin.errors import DiskSpaceError, MissingDependencyError, MissingModelError
from blockspin.registry import member
from blockspin.sources import _gguf
from blockspin.sources._gguf import STALE, UNFINISHED, dequantised

NETWORK = member("sources", "network")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.gguf"
    path.write_bytes(b"GGUF, first version")
    return path


@pytest.fixture
def written(monkeypatch):
    """Writing replaced by one small file; the list of what was written."""
    calls = []

    def write(file, folder):
        calls.append(file.read_bytes())
        (folder / "config.json").write_bytes(file.read_bytes())

    monkeypatch.setattr(_gguf, "_write", write)
    return calls


def test_a_file_is_written_once_and_another_version_beside_it(file, tmp_path, written):
    first = dequantised(file, tmp_path / "cache")
    assert dequantised(file, tmp_path / "cache") == first
    file.write_bytes(b"GGUF, second version")
    second = dequantised(file, tmp_path / "cache")
    assert written == [b"GGUF, first version", b"GGUF, second version"]
    assert (first / "config.json").read_bytes() != (second / "config.json").read_bytes()
    assert sorted((tmp_path / "cache").iterdir()) == sorted([first, second])


def test_workers_that_write_at_once_share_one_whole_folder(file, tmp_path, monkeypatch):
    together = Barrier(4, timeout=30)

    def write(file, folder):
        (folder / "config.json").write_text("whole")
        together.wait()

    monkeypatch.setattr(_gguf, "_write", write)
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: dequantised(file, tmp_path / "cache"), range(4)))
    assert len(folders) == 1
    assert list((tmp_path / "cache").iterdir()) == list(folders)
    assert (folders.pop() / "config.json").read_text() == "whole"


def test_what_failed_leaves_nothing(file, tmp_path, monkeypatch):
    def fail(file, folder):
        (folder / "model.safetensors").write_bytes(b"half")
        raise DiskSpaceError("full")

    monkeypatch.setattr(_gguf, "_write", fail)
    with pytest.raises(DiskSpaceError):
        dequantised(file, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_what_a_killed_worker_left_is_removed_when_it_is_old(file, tmp_path, written):
    old, new = (tmp_path / "cache" / f"{UNFINISHED}{name}" for name in ("old", "new"))
    for left in (old, new):
        left.mkdir(parents=True)
    os.utime(old, (0, os.path.getmtime(new) - STALE - 60))
    dequantised(file, tmp_path / "cache")
    assert not old.exists()
    assert new.exists()


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _gguf.cache_folder() == tmp_path / "blockspin"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert _gguf.cache_folder() == tmp_path / "home" / ".cache" / "blockspin"


def test_a_missing_package_is_named(file, tmp_path, monkeypatch):
    monkeypatch.setattr(_gguf, "find_spec", lambda name: None if name == "gguf" else object())
    with pytest.raises(MissingDependencyError, match=r"gguf(.|\n)*blockspin\[gguf\]"):
        dequantised(file, tmp_path / "cache")


def test_a_file_that_is_no_gguf_is_refused_by_name(file, monkeypatch, tmp_path):
    pytest.importorskip("gguf")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(MissingModelError, match=r"small\.gguf"):
        NETWORK(str(file)).load()
    assert not list((tmp_path / "blockspin").iterdir())


@pytest.mark.slow
def test_a_file_that_is_cut_short_is_refused_by_name(monkeypatch, tmp_path):
    from blockspin.sources.network import _builtin_file

    try:
        whole = _builtin_file("builtin:smollm2")
    except MissingModelError as reason:
        pytest.skip(f"SmolLM2 is not tested: {reason}")
    (tmp_path / "cut.gguf").write_bytes(whole.read_bytes()[:60_000_000])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(MissingModelError, match=r"cut\.gguf"):
        NETWORK(str(tmp_path / "cut.gguf")).load()


@pytest.fixture(scope="session")
def smollm2():
    source = NETWORK("builtin:smollm2")
    try:
        source.locate()
        return source.load()
    except (MissingModelError, MissingDependencyError) as reason:
        pytest.skip(f"SmolLM2 is not tested: {reason}")


@pytest.mark.slow
def test_smollm2_is_whole_and_predicts_text(smollm2):
    """2.96 nats a token on this text when measured on 2026-11-24; a uniform guess is ln 49152 = 10.8."""
    module, tokenizer = smollm2.module, smollm2.tokenizer
    assert type(module).__name__ == "LlamaModel"
    assert sum(p.numel() for p in module.parameters()) == 134_515_008
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    records = list(member("sources", "kjv")().records())[:40]
    tokens = tokenizer(" ".join(record.content for record in records))["input_ids"][:512]
    ids = torch.tensor([tokens])
    with torch.no_grad():
        logits = module(input_ids=ids).last_hidden_state[0] @ module.embed_tokens.weight.T
        loss = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:])
    assert 1.0 < float(loss) < 3.5


@pytest.mark.slow
def test_smollm2_is_the_same_again_and_by_the_path_of_its_file(smollm2):
    from blockspin.sources.network import _builtin_file

    again = NETWORK(str(_builtin_file("builtin:smollm2"))).load()
    for (name, one), (other, two) in zip(
        smollm2.module.state_dict().items(), again.module.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(one, two)


@pytest.mark.slow
def test_the_depth_flow_of_smollm2_has_a_point_after_every_attention_and_every_mlp(smollm2):
    from blockspin.capture._stream import depth_stream

    assert len(depth_stream(smollm2.module)) == 61
