"""Checkpoints: put whole into the network that they fit, refused by name where they do not, and never executed."""

import pickle

import pytest
import small_run
import torch
from capture.networks import transformer
from safetensors.torch import save_file
from torch import nn

from blockspin.errors import CheckpointError, ConfigError
from blockspin.registry import member
from blockspin.sources.checkpoint import load_checkpoint, state_of

NETWORK = member("sources", "network")


def doubled():
    return {name: 2 * value for name, value in small_run.make().state_dict().items()}


@pytest.fixture(params=["step.safetensors", "step.pt", "step.bin"])
def file(request, tmp_path):
    path = tmp_path / request.param
    (save_file if path.suffix == ".safetensors" else torch.save)(doubled(), path)
    return path


def test_the_network_has_the_weights_of_the_file(file):
    module = NETWORK("small_run:make", str(file)).load().module
    assert all(torch.equal(value, doubled()[name]) for name, value in module.state_dict().items())


def test_a_network_that_is_somebody_elses_is_not_changed(file, monkeypatch):
    shared = small_run.make()
    monkeypatch.setattr(small_run, "make", lambda: shared)
    before = {name: value.clone() for name, value in shared.state_dict().items()}
    assert NETWORK("small_run:make", str(file)).load().module is not shared
    assert all(torch.equal(value, before[name]) for name, value in shared.state_dict().items())


def test_a_network_of_transformers_is_loaded(tmp_path):
    module = transformer("bert")
    module.save_pretrained(tmp_path / "model")
    state = {name: value + 1 if value.is_floating_point() else value for name, value in module.state_dict().items()}
    torch.save(state, tmp_path / "step.pt")
    fresh = transformer("bert")
    load_checkpoint(fresh, tmp_path / "step.pt")
    assert all(torch.equal(value, state[name]) for name, value in fresh.state_dict().items())


def test_tied_weights_may_stand_under_one_name(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            self.last.weight = self.first.weight

    save_file({"first.weight": torch.eye(3)}, tmp_path / "one.safetensors")
    module = Tied()
    load_checkpoint(module, tmp_path / "one.safetensors")
    assert torch.equal(module.last.weight, torch.eye(3))


def without(name):
    return {key: value for key, value in doubled().items() if key != name}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (without("2.bias"), r"has no 2\.bias"),
        ({**doubled(), "9.weight": torch.ones(2)}, r"more than this network, 9\.weight"),
        ({**doubled(), "0.bias": torch.ones(3)}, r"0\.bias \(\[3\] of float32 for \[16\] of float32\)"),
        (
            {**doubled(), "0.bias": torch.ones(16, dtype=torch.int8)},
            r"0\.bias \(\[16\] of int8 for \[16\] of float32\)",
        ),
        ({"a": torch.ones(1)}, r"has no 0\.bias, 0\.weight, 2\.bias, 2\.weight, 4\.bias and 1 more"),
    ],
)
def test_what_does_not_fit_is_refused_by_name_and_nothing_is_changed(state, said, tmp_path):
    path = tmp_path / "step.safetensors"
    save_file(state, path)
    module, before = small_run.make(), small_run.make().state_dict()
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(module, path)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


class Malicious:
    """Whoever unpickles it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return (type(self.folder).mkdir, (self.folder,))


@pytest.mark.parametrize("write", [torch.save, lambda thing, path: path.write_bytes(pickle.dumps(thing))])
def test_a_file_that_would_run_code_is_refused(write, tmp_path):
    write({"0.weight": Malicious(tmp_path / "run")}, tmp_path / "step.pt")
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        state_of(tmp_path / "step.pt")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"dear", b"\xff" * 64, b"PK\x03\x04 broken"])
def test_damaged_files_are_refused(content, ending, tmp_path):
    path = tmp_path / f"step.{ending}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="step"):
        state_of(path)


def test_whatever_is_no_state_dict_is_refused(tmp_path):
    torch.save({"model": doubled(), "step": 3}, tmp_path / "wrapped.pt")
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    for name, said in (("wrapped.pt", "no tensor at model, step"), ("tensor.pt", "no tensors by name")):
        with pytest.raises(CheckpointError, match=said):
            state_of(tmp_path / name)
    with pytest.raises(CheckpointError, match="ends in"):
        state_of(tmp_path / "step.npz")
    with pytest.raises(CheckpointError, match="cannot be read"):
        state_of(tmp_path / "none.pt")
    with pytest.raises(ConfigError, match="checkpoint"):
        NETWORK("small_run:make", "step.pt", device_map="auto")
