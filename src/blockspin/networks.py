"""Networks: which network a configuration names, and which ones beside it along a training, a width or a context."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch

from blockspin.capture.recipe import NetworkRecipe
from blockspin.config import RunConfig
from blockspin.errors import ConfigError
from blockspin.flows.context import CONTEXT, lengths_of
from blockspin.flows.family import Kinship
from blockspin.flows.training import TRAINING, Checkpoint, checkpoints_of
from blockspin.flows.width import WIDTH, networks_of
from blockspin.organisms.base import Organism, Trained
from blockspin.registry import member, summaries
from blockspin.sources.base import ModuleSource

OWN = "builtin"
"""The checkpoints, or the widths, of a network that is trained on the spot."""
TEXT = "text"


@dataclass(frozen=True, eq=False)
class Family:
    """Networks along one axis.

    Args:
        kinship: What they are to each other.
        members: By position, ascending; the last is the network of the run itself.
    """

    kinship: Kinship
    members: Mapping[int, NetworkRecipe]


@dataclass(frozen=True, eq=False)
class Named:
    """The networks that a configuration names; nothing is opened but what was trained on the spot.

    Args:
        source: The network of the run.
        kinship: What the others are to it; None where it is alone.
        sources: All of them by position, ascending; none where it is alone.
        trained: The organism, where the network was trained on the spot.
    """

    source: ModuleSource
    kinship: Kinship | None = None
    sources: Mapping[int, ModuleSource] = field(default_factory=dict)
    trained: Trained | None = None

    def family(self, config: RunConfig, modality: str) -> Family | None:
        """Return how the networks of the family are opened, or the network at each length of context.

        Raises:
            ConfigError: If contexts are asked for and the data are no text, or a sample is not a record.
        """
        if config.contexts:
            if modality != TEXT or getattr(config.representation, "invertible", False):
                accepted = "none: only texts have a context, read with one sample a record, as pooled."
                raise ConfigError("contexts", list(config.contexts), accepted)
            lengths = lengths_of(config.contexts)
            return Family(CONTEXT, {length: NetworkRecipe(self.source, modality, length) for length in lengths})
        if self.kinship is None:
            return None
        recipes = {at: NetworkRecipe(source, modality, config.max_tokens) for at, source in self.sources.items()}
        return Family(self.kinship, recipes)


def named_networks(config: RunConfig, say: Callable[[str], None]) -> Named:
    """Return the networks that a resolved configuration names.

    Args:
        config: It names a network.
        say: Called with a line before a network is trained on the spot, where there are several.
    """
    if organism_of(config.model):
        return _trained(config, say)
    if config.family:
        models = networks_of(config.family, config.along)
        networks = {position: _network(replace(config, model=model)) for position, model in models.items()}
        return Named(networks[max(networks)], _kinship(config.along), networks)
    found = checkpoints_of(config.checkpoints) if config.checkpoints else ()
    states = {checkpoint.step: _network_at(config, checkpoint) for checkpoint in found}
    return Named(states[max(states)], TRAINING, states) if states else Named(_network(config))


def organism_of(model: str) -> str:
    """Return the name of the organism that a model is, or blank."""
    name = model.removeprefix("builtin:")
    return name if name != model and name in summaries("organisms") else ""


# --- what may stand together ------------------------------------------------------------------------------------------


def with_last(config: RunConfig) -> RunConfig:
    """Return the configuration of a family with its last network, as the widest, as the model.

    Raises:
        ConfigError: If checkpoints or contexts are named beside it, or another model.
        CheckpointError: If there is no family where it should be.
    """
    if config.checkpoint or config.checkpoints or config.contexts:
        accepted = "no checkpoint, checkpoints or contexts beside it: networks of a family differ along one axis."
        raise ConfigError("family", list(config.family), accepted)
    _kinship(config.along)
    if organism_of(config.model):
        _organisms(config)
        return config
    last = list(networks_of(config.family, config.along).values())[-1]
    if config.model not in ("", last):
        raise ConfigError("model", config.model, f"blank, or the last of the family: {last}.")
    return replace(config, model=last)


def with_longest(config: RunConfig) -> RunConfig:
    """Return the configuration of several contexts with the longest as the one that passages are cut to.

    Raises:
        ConfigError: If checkpoints are named beside them, or they are no lengths.
    """
    if config.checkpoints:
        accepted = "no checkpoints beside it: readings of a family differ along one axis."
        raise ConfigError("contexts", list(config.contexts), accepted)
    return replace(config, max_tokens=max(lengths_of(config.contexts)))


def _kinship(along: str) -> Kinship:
    return WIDTH if along == WIDTH.word else Kinship.along(along)


def _organisms(config: RunConfig) -> dict[int, Organism]:
    """Return the recipes of a family that is trained on the spot, by width.

    Raises:
        ConfigError: If the network comes in one size, the widths are no numbers, or another axis is asked for.
    """
    cls = member("organisms", organism_of(config.model))
    if not cls.widths:
        raise ConfigError("family", list(config.family), f"none: {config.model} comes in one size.")
    if config.along != WIDTH.word:
        raise ConfigError("along", config.along, f"{WIDTH.word}, where networks are trained on the spot.")
    given = [str(width) for width in cls.widths] if config.family == (OWN,) else list(config.family)
    if not all(text.isdecimal() for text in given) or len(set(given)) < max(len(given), 2):
        accepted = f"{OWN}, or at least two different widths, as {' '.join(map(str, cls.widths))}."
        raise ConfigError("family", list(config.family), accepted)
    return {width: cls(width=width) for width in sorted(map(int, given))}


# --- opening ----------------------------------------------------------------------------------------------------------


def _trained(config: RunConfig, say: Callable[[str], None]) -> Named:
    """Train the network on the spot, or a whole family of them."""

    def train(organism: Organism) -> Trained:
        return organism.train(generator=torch.Generator().manual_seed(config.seed))

    if not config.family:
        trained = train(member("organisms", organism_of(config.model))())
        source = member("sources", "given-module")(trained.module, trained.tokenizer)
        states = _states(trained) if config.checkpoints else {}
        return Named(source, TRAINING if states else None, states, trained)
    sources, recipes = {}, _organisms(config)
    for number, (width, organism) in enumerate(recipes.items(), 1):
        say(f"training the network of width {width}, {number} of {len(recipes)}")
        trained = train(organism)
        sources[width] = member("sources", "given-module")(trained.module, trained.tokenizer)
    return Named(sources[max(sources)], WIDTH, sources, trained)


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
