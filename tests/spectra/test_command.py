import json
import subprocess
import sys
from pathlib import Path

import pytest

BLOCKSPIN = str(Path(sys.executable).with_name("blockspin"))
FACTORY = """
import torch
def small():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(24, 16), torch.nn.LayerNorm(16))
"""


@pytest.fixture
def spectra(tmp_path):
    (tmp_path / "nets.py").write_text(FACTORY, encoding="utf-8")

    def call(*options):
        given = [BLOCKSPIN, "spectra", "nets:small", *options]
        return subprocess.run(given, capture_output=True, text=True, timeout=120, cwd=tmp_path)

    return call


def test_json_has_one_row_a_layer_and_names_what_was_skipped(spectra):
    done = spectra("--p-values", "--surrogates", "20", "--json")
    found = json.loads(done.stdout)
    (row,) = found["layers"]
    assert (row["name"], row["shape"], row["verdict"]) == ("0.weight", [16, 24], "no")
    assert row["p_value"] > 0
    assert [item["name"] for item in found["skipped"]] == ["0.bias", "1.weight", "1.bias"]
    assert "p-values" in done.stderr


def test_the_table_says_why(spectra):
    shown = spectra().stdout
    assert "0.weight: no: no eigenvalue is beyond" in shown
    assert "skipped (a vector of 16 has no spectrum): 0.bias" in shown


def test_too_few_surrogates_are_a_mistake_of_use(spectra):
    done = spectra("--surrogates", "3")
    assert (done.returncode, "at least 20" in done.stderr) == (2, True)
