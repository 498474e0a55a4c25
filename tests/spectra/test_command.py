import json
from functools import partial

import pytest
import small_run
import torch
from safetensors.torch import save_file

from blockspin.cli.spectra import command
from blockspin.spectra.network import state_spectra

FACTORY = """
import torch
def small():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(24, 16), torch.nn.LayerNorm(16))
"""


@pytest.fixture
def spectra(tmp_path, told, monkeypatch):
    (tmp_path / "nets.py").write_text(FACTORY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return partial(told, "spectra", "nets:small")


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


@pytest.fixture
def step(tmp_path):
    """A state dict of small_run's network, with other weights."""
    path = tmp_path / "step-7.safetensors"
    save_file({name: 2 * value + 1 for name, value in small_run.make().state_dict().items()}, path)
    return path


def test_a_checkpoint_is_put_into_the_model_or_read_by_itself(step, capsys):
    def listed(*given, **options):
        assert command(*given, **options, as_json=True) == 0
        return json.loads(capsys.readouterr().out)

    plain, inside, alone = listed("small_run:make"), listed("small_run:make", checkpoint=step), listed(checkpoint=step)
    assert plain["layers"] != inside["layers"]
    assert by_name(inside) == by_name(alone)


def by_name(found):
    return {row["name"]: row for row in (*found["layers"], *found["skipped"])}


def test_a_state_dict_does_not_say_what_more_axes_are_and_tied_weights_are_read_once():
    weight = torch.randn(12, 20, generator=torch.Generator().manual_seed(0))
    found = state_spectra({"a": weight, "b": weight, "conv": torch.ones(4, 4, 3, 3), "count": torch.ones(2, 2).long()})
    assert [layer.name for layer in found.layers] == ["a"]
    skipped = {item.name: item.reason for item in found.skipped}
    assert "4 axes may be a convolution or a stack of matrices" in skipped["conv"]
    assert "torch.int64" in skipped["count"]
