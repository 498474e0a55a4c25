import os
import signal
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads that spin slow small steps down
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from types import SimpleNamespace

import pytest
import torch

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell began the tests in the background


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def told(monkeypatch, capsys, tmp_path):
    """Run the command line in this process, where nothing heavy has to be new: its exit code and what it wrote."""

    def tell(*options, cwd=tmp_path) -> SimpleNamespace:
        from blockspin.cli.app import main

        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["blockspin", *map(str, options)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=ended.value.code, stdout=out, stderr=err)

    return tell


def _settings() -> tuple:
    return torch.get_num_threads(), torch.get_default_dtype(), torch.get_float32_matmul_precision()


@pytest.fixture
def other_settings():
    """What a caller may have set of torch's global state, and must find again."""
    before = _settings()
    torch.set_num_threads(2)
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        yield
    found = _settings()
    torch.set_num_threads(before[0])
    torch.set_default_dtype(before[1])
    torch.set_float32_matmul_precision(before[2])
    assert found == (2, torch.float64, "medium")
