"""Networks of transformers whose files lack weights or hold more: refused by name, but for heads that nothing reads."""

import json

import pytest
import torch
from capture.networks import passages
from safetensors.torch import load_file, save_file

from blockspin.capture.hooks import capture
from blockspin.capture.recipe import NetworkRecipe
from blockspin.errors import MissingModelError
from blockspin.registry import member
from blockspin.spectra.network import network_spectra

NETWORK = member("sources", "network")
BERT = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 31}
LLAMA = {**BERT, "num_key_value_heads": 1}
T5 = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "vocab_size": 31}
GPT = {"n_embd": 8, "n_layer": 2, "n_head": 2, "vocab_size": 31, "n_positions": 16}
VIT = {**BERT, "image_size": 8, "patch_size": 4}
del VIT["vocab_size"]


def saved(place, kind, options, *, binary=False):
    """Make a small network of a class of transformers and save it; return the file of its weights."""
    import transformers

    cls = getattr(transformers, kind)
    with torch.random.fork_rng():
        made = cls(cls.config_class(**options))
    made.save_pretrained(place)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    (place / "vocab.txt").write_text("\n".join(words))
    (place / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    file = place / "model.safetensors"
    if not binary:
        return file
    torch.save(load_file(file), place / "pytorch_model.bin")
    file.unlink()
    return place / "pytorch_model.bin"


def rewritten(file, edit):
    state = load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    edit(state)
    save_file(state, file, metadata={"format": "pt"}) if file.suffix == ".safetensors" else torch.save(state, file)


def refused(place, words):
    with pytest.raises(MissingModelError, match=words) as error:
        NETWORK(str(place)).load()
    assert "whole" in error.value.remedy


# --- what is ordinary -------------------------------------------------------------------------------------------------

ORDINARY = [
    ("BertModel", BERT, ()),
    ("BertForMaskedLM", BERT, ("pooler",)),
    ("BertForSequenceClassification", BERT, ()),
    ("GPT2LMHeadModel", GPT, ()),
    ("LlamaForCausalLM", LLAMA, ()),
    ("LlamaForCausalLM", {**LLAMA, "tie_word_embeddings": True}, ()),
    ("T5ForConditionalGeneration", T5, ()),
    ("ViTForImageClassification", VIT, ("pooler",)),
]


@pytest.mark.parametrize(("kind", "options", "absent"), ORDINARY, ids=lambda value: str(value)[:40])
def test_a_network_saved_with_another_head_is_read(tmp_path, kind, options, absent):
    saved(tmp_path, kind, options)
    loaded = NETWORK(str(tmp_path)).load()
    assert loaded.absent == absent
    values = loaded.module.state_dict().items()
    bad = {name.partition(".")[0] for name, value in values if not bool(value.isfinite().all())}
    assert bad == set(absent)


def test_every_opening_of_a_network_without_its_pooler_is_the_same(tmp_path):
    saved(tmp_path, "BertForMaskedLM", BERT)
    recipe = NetworkRecipe(NETWORK(str(tmp_path)), "text")
    assert recipe.open().weights_hash() == recipe.open().weights_hash()


def test_nothing_is_read_that_depends_on_what_is_absent(tmp_path):
    saved(tmp_path, "BertForMaskedLM", BERT)
    network = NetworkRecipe(NETWORK(str(tmp_path)), "text").open()
    inputs, _ = network.run(passages(3))
    found = capture(network, inputs, ("encoder.layer.1", "encoder.layer.0"))
    assert all(bool(values.isfinite().all()) for values in found.values())
    assert set(capture(network, inputs, ("pooler:input",))) == {"pooler:input"}
    for layers in (("pooler",), ("pooler.dense",), ("encoder.layer.0", "pooler.activation")):
        with pytest.raises(MissingModelError, match=r"'pooler.*' comes after 'pooler', whose weights are not in"):
            capture(network, inputs, layers)
    assert not any(module._forward_pre_hooks for module in network.module.modules())


def test_what_is_absent_has_no_spectrum(tmp_path):
    saved(tmp_path, "BertForMaskedLM", BERT)
    loaded = NETWORK(str(tmp_path)).load()
    found = network_spectra(loaded.module, absent=loaded.absent)
    assert {item.name: item.reason for item in found.skipped}[
        "pooler.dense.weight"
    ] == "it is in no file of the network"
    assert not [layer.name for layer in found.layers if layer.name.startswith("pooler")]


# --- what is not ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [False, True], ids=["safetensors", "bin"])
@pytest.mark.parametrize(
    "name", ["encoder.layer.1.output.dense.weight", "embeddings.LayerNorm.bias", "pooler.dense.bias"]
)
def test_a_missing_tensor_is_named(tmp_path, name, binary):
    file = saved(tmp_path, "BertModel", BERT, binary=binary)
    rewritten(file, lambda state: state.pop(name))
    refused(tmp_path, f"BertModel: its files do not hold {name}\\. Check")


def test_a_missing_block_and_a_name_in_its_place_are_both_named(tmp_path):
    file = saved(tmp_path, "BertModel", BERT)

    def rename(state):
        for name in [name for name in state if "layer.1." in name]:
            state[name.replace("layer.1.", "layer.7.")] = state.pop(name)

    rewritten(file, rename)
    refused(tmp_path, r"do not hold encoder\.layer\.1\..* and 11 more; have more in its parts, encoder\.layer\.7\.")


def test_a_configuration_of_fewer_layers_than_the_file_is_refused(tmp_path):
    saved(tmp_path, "BertModel", BERT)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": 1}))
    refused(tmp_path, r"have more in its parts, encoder\.layer\.1\.")


def test_tied_weights_that_are_missing_under_both_names_are_noticed_when_anything_is_read(tmp_path):
    file = saved(tmp_path, "GPT2LMHeadModel", GPT)
    rewritten(file, lambda state: [state.pop(name) for name in list(state) if "wte" in name or "lm_head" in name])
    network = NetworkRecipe(NETWORK(str(tmp_path)), "text").open()
    inputs, _ = network.run(passages(3))
    with pytest.raises(MissingModelError, match=r"'h\.0' comes after 'wte'"):
        capture(network, inputs, ("h.0",))
