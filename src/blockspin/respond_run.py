"""Respond run: a configuration and the name of some features in, their couplings and their answers to shifts out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blockspin.capture.base import Network
from blockspin.capture.reading import ActivationPass
from blockspin.config import RunConfig
from blockspin.errors import BlockspinError, ConfigError
from blockspin.interventions.experiment import Experiment, Maker, beside_stream, experiment
from blockspin.interventions.features import Features, autoencoder, directions, heads, neurons, principal
from blockspin.interventions.plan import Plan
from blockspin.interventions.verdict import answer_of, matrices, running
from blockspin.material import OFF, open_material, resolved
from blockspin.network_study import activations_of, executor_of
from blockspin.progress import Steps
from blockspin.run_folder import require_finished, write_json
from blockspin.sources.checkpoint import listed, state_of

DEFAULTS: Mapping[str, Any] = {"representation": {"name": "tokens"}, "samples": 200, "groups": 40}
"""Where they differ from those of a run: samples are positions, and each half of the groups has errors of its own."""
RESPONSES = "responses.json"
MADE = {"principal": principal, "neurons": neurons}
"""Features that are made of what a layer shows, so many of them."""
HEADS = "heads"
PLACES = {HEADS: "blocks.*.z", "neurons": "blocks.*.mlp_mid"}
"""Layers that are read where none are named; for other features the stream."""
ACCEPTED = (
    "principal:8, neurons:8, heads, or a file: npy of a matrix [features, entries], or a state dict of an autoencoder "
    "(W_enc, W_dec, b_enc) and the numbers of its latents, as sae.safetensors:3,14,15."
)


def begun(path: Path | None) -> tuple[RunConfig, Path | None]:
    """Return the configuration to start from, and the folder of the finished run that it is of.

    Args:
        path: A TOML file, or the folder of a run, whose representation and numbers of samples and groups play no part.

    Raises:
        ConfigError: If it is no configuration.
        RunFolderError: If it is a folder, but not that of a finished run.
    """
    if path is None:
        return RunConfig().with_options(DEFAULTS), None
    if not path.is_dir():
        return RunConfig.from_toml(path), None
    require_finished(path)
    return RunConfig.from_toml(path / "config.toml").with_options(DEFAULTS), path


def write_responses(folder: Path, found: Mapping[str, Any]) -> None:
    """Write ``responses.json`` into the folder of a run."""
    write_json(folder / RESPONSES, found)


def respond(config: RunConfig, features: str, plan: Plan, steps: Steps) -> dict[str, Any]:
    """Return how features couple along a network, and whether shifts move them so: plain values for JSON.

    Args:
        config: The network and the data.
        features: What they are: "principal:8", "neurons:8", "heads", or a file.
        plan: What is done with them.
        steps: The clock.

    Raises:
        ConfigError: If something named cannot be used.
        ShapeError: If features do not fit a layer.
        TooFewSamplesError: If records or groups are too few.
    """
    made = parsed(features)
    if config.model != OFF:
        config = resolved(config)
    material = None if config.model == OFF else open_material(config, steps.say)
    if material is None or material.recipe is None:
        raise ConfigError("model", config.model, "a network: data alone have nothing that could be shifted.")
    reading = activations_of(config, material.recipe, material.sample)
    with steps.step("opening the network"):
        reading = with_layers(reading, config.layers, made.kind)
    found = _carried_out(reading, made, plan, config, steps)
    steps.say("the same with its untrained copy, as a control")
    untrained = _untrained(reading, made, plan, config, steps)
    alone = untrained if isinstance(untrained, Experiment) else None
    return {
        "format": 1,
        "features": features,
        "answer": answer_of(found, alone, plan).to_dict(),
        "running": running(found, plan),
        "graph": found.graph.to_dict(),
        "responses": matrices(found),
        "untrained": {"how": alone.how, "running": running(alone, plan)} if alone else {"reason": untrained},
    }


def _carried_out(reading: ActivationPass, made: Parsed, plan: Plan, config: RunConfig, steps: Steps) -> Experiment:
    return experiment(
        reading,
        made.maker(reading.network),
        plan,
        executor=executor_of(config),
        generator=torch.Generator().manual_seed(config.seed),
        step=steps.step,
    )


def _untrained(reading: ActivationPass, made: Parsed, plan: Plan, config: RunConfig, steps: Steps) -> Experiment | str:
    """Return what came of the untrained copy, or why nothing did."""
    recipe = replace(reading.recipe, untrained_seed=config.seed)
    try:
        return _carried_out(replace(reading, recipe=recipe), made, plan, config, steps)
    except BlockspinError as reason:  # a copy whose features, say, do not vary: the network's own answers stand
        return str(reason)


# --- what the features are --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Parsed:
    """Features as they were named.

    Args:
        kind: "heads", one of ``MADE``, or "" for those of a file.
        count: How many, of those that are made of what a layer shows.
        given: Those of a file.
    """

    kind: str
    count: int = 0
    given: Features | None = None

    def maker(self, network: Network) -> Maker:
        """Return the features of each layer of a network."""

        def make(layer: str, covariance: Tensor) -> Features:
            if self.given is not None:
                return self.given
            if self.kind == HEADS:
                return heads(covariance, network.places.heads(network.places.place(layer).path))
            return MADE[self.kind](covariance, self.count)

        return make


def parsed(features: str) -> Parsed:
    """Return the features that a text names.

    Raises:
        ConfigError: If it names none, or a file that cannot be read.
        CheckpointError: If a state dict cannot be read, or holds more than tensors.
        ShapeError: If directions are no matrix, or tensors of an autoencoder do not belong together.
    """
    if features == HEADS:
        return Parsed(HEADS)
    name, _, numbers = features.rpartition(":")
    if name in MADE and numbers.isdecimal() and int(numbers):
        return Parsed(name, int(numbers))
    latents = bool(re.fullmatch(r"\d+(,\d+)*", numbers)) and bool(name)
    path = Path(name if latents else features).expanduser()
    if not path.is_file():
        raise ConfigError("features", features, ACCEPTED)
    if path.suffix == ".npy":
        return Parsed("", given=_matrix(path))
    state = state_of(path)
    if not latents or not {"W_enc", "W_dec", "b_enc"} <= set(state):
        held = f"{features} (which holds {listed(state)})"
        raise ConfigError("features", held, ACCEPTED)
    return Parsed("", given=autoencoder(state, tuple(map(int, numbers.split(",")))))


def _matrix(path: Path) -> Features:
    try:
        values = np.load(path, allow_pickle=False)
        if values.dtype.kind not in "fiu":
            raise ValueError(f"values of type {values.dtype}")
    except (OSError, ValueError, EOFError) as reason:
        raise ConfigError("features", str(path), f"a matrix [features, entries] of numbers ({reason}).") from None
    rows = len(values) if values.ndim else 0
    return directions(torch.from_numpy(values.astype(float)), tuple(f"row {number}" for number in range(rows)))


def with_layers(reading: ActivationPass, layers: Sequence[str], kind: str) -> ActivationPass:
    """Return a reading of the layers named; otherwise of those that suit the features, which can be shifted."""
    if layers or kind in PLACES:
        return reading.with_layers(layers or (PLACES[kind],))
    every = reading.with_layers()
    *sources, last = every.layers
    return every.with_layers([*(layer for layer in sources if not beside_stream(every, layer)), last])
