"""Model folders made to do harm: nothing of theirs is run, nothing is unpickled, and every fault is named."""

import json

import pytest
import torch
from hostile import DEEP, HEADERS, Acting, little_memory

from blockspin.errors import ConfigError, MissingModelError
from blockspin.registry import member

NETWORK = member("sources", "network")
SIZE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 31}
CODE = """
from pathlib import Path
Path({mark!r}).mkdir(exist_ok=True)
from transformers import BertConfig, BertModel, BertTokenizer
class Config(BertConfig):
    model_type = "evil"
class Model(BertModel):
    config_class = Config
class Tokenizer(BertTokenizer):
    pass
"""


@pytest.fixture
def folder(tmp_path):
    """A sound model folder."""
    from transformers import BertConfig, BertModel

    with torch.random.fork_rng():
        BertModel(BertConfig(**SIZE)).save_pretrained(tmp_path / "model")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    (tmp_path / "model" / "vocab.txt").write_text("\n".join(words))
    (tmp_path / "model" / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    return tmp_path / "model"


def configured(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refused(folder, words="no network can be loaded"):
    with little_memory(), pytest.raises(MissingModelError, match=words) as error:
        NETWORK(str(folder)).load()
    assert error.value.remedy
    assert len(str(error.value)) < 2000


def test_the_control_a_sound_folder_is_read(folder):
    loaded = NETWORK(str(folder)).load()
    assert type(loaded.module).__name__ == "BertModel"
    assert loaded.tokenizer("a b")["input_ids"]


@pytest.mark.parametrize("header", HEADERS)
def test_weights_with_a_hostile_header_are_refused(folder, header):
    (folder / "model.safetensors").write_bytes(HEADERS[header])
    refused(folder, "no network can be loaded|the weights of")


def test_weights_of_another_network_are_not_replaced_by_random_ones(folder):
    from safetensors.torch import save_file

    save_file({"other": torch.zeros(2)}, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, "not those of its network, BertModel: its files do not hold embeddings")


@pytest.mark.parametrize("way", ["bare", "zipped"])
def test_a_pickle_in_the_place_of_weights_is_not_opened(folder, tmp_path, way):
    import pickle

    (folder / "model.safetensors").unlink()
    acting = {"embeddings.word_embeddings.weight": Acting(tmp_path / "mark")}
    place = folder / "pytorch_model.bin"
    place.write_bytes(pickle.dumps(acting)) if way == "bare" else torch.save(acting, place)
    refused(folder)
    assert not (tmp_path / "mark").exists()
    if way == "zipped":  # the control: opened without care it would have acted
        torch.load(place, weights_only=False)
        assert (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"vocab_size": 10**12},
        {"hidden_size": 2**20},
        {"hidden_size": -8},
        {"hidden_size": "x"},
        {"hidden_size": 0},
        {"num_attention_heads": 0},
        {"model_type": "no-such-type"},
        {"model_type": ["bert"]},
        {"hidden_act": "__import__('os').abort()"},
    ],
    ids=str,
)
def test_a_configuration_that_lies_about_the_weights_is_refused(folder, changes):
    configured(folder, **changes)
    refused(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", ["[" * DEEP, '{"a":' * DEEP, "\0", "[]", "9" * 10_000])
def test_a_description_that_is_none_is_refused(folder, name, content):
    (folder / name).write_text(content)
    refused(folder)


# --- code that comes with a model -------------------------------------------------------------------------------------


@pytest.fixture
def evil(folder, tmp_path, monkeypatch):
    """A folder with code of its own that leaves a mark."""
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path))
    (folder / "evil.py").write_text(CODE.format(mark=str(tmp_path / "mark")))
    configured(folder, model_type="evil", auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})
    return folder


def test_code_of_a_model_is_not_run_unless_it_is_asked_for_by_name(evil, tmp_path):
    refused(evil, "read it, and give trust_remote_code the model's name")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("trusted", ["yes", "true", "*", "another/model"])
def test_code_of_all_models_cannot_be_asked_for(evil, tmp_path, trusted):
    with pytest.raises(ConfigError, match="the model's own name"):
        NETWORK(str(evil), trust_remote_code=trusted)
    assert not (tmp_path / "mark").exists()


def test_code_of_a_known_kind_of_model_is_passed_by(folder, evil, tmp_path):
    configured(evil, model_type="bert")
    assert type(NETWORK(str(evil)).load().module).__module__.startswith("transformers.models.bert")
    assert not (tmp_path / "mark").exists()


def test_code_of_a_tokenizer_is_not_run_either(folder, evil, tmp_path):
    configured(evil, model_type="bert", auto_map={})
    told = {"tokenizer_class": "Tokenizer", "auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}
    (evil / "tokenizer_config.json").write_text(json.dumps(told))
    (evil / "vocab.txt").unlink()
    refused(evil)
    assert not (tmp_path / "mark").exists()


def test_the_control_code_that_is_asked_for_by_name_is_run(evil, tmp_path):
    loaded = NETWORK(str(evil), trust_remote_code=str(evil)).load()
    assert type(loaded.module).__name__ == "Model"
    assert (tmp_path / "mark").exists()
