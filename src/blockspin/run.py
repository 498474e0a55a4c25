"""Run: a config in, a run folder out; the one place where the families meet."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from blockspin.answer import Answer
from blockspin.budget import disk_needed, memory_needed, within
from blockspin.config import RunConfig
from blockspin.controls import explicit_controls
from blockspin.couplings_measured import chosen_couplings
from blockspin.couplings_nulls import chosen_nulls, null_flows
from blockspin.couplings_run import along
from blockspin.data_run import DataStudy, carry_out_alone
from blockspin.engine._files import FULL, locked, unwritable
from blockspin.engine._threads import torch_threads
from blockspin.family_run import FamilyRun, along_family, networks_read, parameters_of, told
from blockspin.flow import Flow
from blockspin.flows.training import TRAINING
from blockspin.layer_run import ask_of_layers, read_layers
from blockspin.loss_run import loss_of
from blockspin.material import HOW_TO_GET_THE_EXAMPLE, OFF, Material, open_material, resolved
from blockspin.memory import size_of
from blockspin.network_study import NETWORK, UNTRAINED, NetworkStudy
from blockspin.organisms.checkpoints import write_checkpoints
from blockspin.progress import Steps
from blockspin.registry import member
from blockspin.results import data_about, gaussian_answer, write_results
from blockspin.run_folder import open_folder, require_empty, require_space
from blockspin.training_run import trajectory

QUESTION = "retrace"
LAYERS = {"network": NETWORK, "network-untrained": UNTRAINED}
"""Flows over depth whose linear maps are read as random layers, by slug, and their networks."""


def run(config: RunConfig, *, folder: Path | None = None, resume: bool = False, shared: Path | None = None) -> Path:
    """Carry out a run and return its folder.

    Args:
        config: What to do; blank fields get the built-in example.
        folder: Where to; by default where the configuration says, or the next free name beside it.
        resume: Finish a run that was interrupted in ``folder``.
        shared: Folder of states that equal passes of several runs share, or None.

    Raises:
        BlockspinError: Naming what cannot be used and what to do; nothing is written before all of it was checked.
        KeyboardInterrupt: After Ctrl-C, saying how to go on.
    """
    config = resolved(config)
    place = folder or _free(config)
    if not resume:
        require_empty(place)  # told before a network is read or trained
    with torch_threads(config.threads):
        finish = _begun(config, shared)
        open_folder(place, config.to_toml(), resume=resume)
        with resumable(place, f"blockspin run --resume {place}"), locked(place / "states"):
            finish(place)
    return place


def _begun(config: RunConfig, shared: Path | None) -> Callable[[Path], None]:
    """Return what carries out a run into its folder, after all that cannot work was refused."""
    if config.model == OFF:
        return partial(carry_out_alone, DataStudy.prepare(config, *_opened(config)))
    study = prepared(config)
    if chosen_couplings(config):
        study.steps.say(f"and about {study.couplings_cost()}")
    return partial(carry_out, replace(study, shared=shared))


def _opened(config: RunConfig) -> tuple[Material, Steps]:
    """Open what a resolved configuration names, the clock running."""
    steps = Steps()
    chosen_couplings(config)  # like the null flows, refuses a name that nobody has registered
    nulls = chosen_nulls(config)
    with steps.step("drawing the records"):
        material = open_material(config, steps.say)
    if nulls:
        along_too = f"couplings along {' and '.join(nulls)} null flows too, each as long as their own"
        steps.say(f"{along_too} (nulls = off: none)")
    return material, steps


def prepared(config: RunConfig) -> NetworkStudy:
    """Open the network and the data, say what the run will cost, and refuse what cannot work.

    Raises:
        MemoryBudgetError: If the memory of the configuration is not enough.
        DiskSpaceError: If the disk has no room for the states.
    """
    material, steps = _opened(config)
    study, cost = NetworkStudy.prepare(config, material, steps)
    sample, disk = material.sample, disk_needed(study, cost)
    steps.say(f"{len(sample)} of {sample.total} records, {len(study.shapes)} layers; {disk / 1e6:.0f} MB of disk")
    need = memory_needed(study, cost)
    fitted = within(need, size_of(config.memory))
    steps.say(f"memory: about {fitted}")
    once = cost.seconds / max(fitted.workers, 1)
    steps.say(f"time: about {2 * once:.0f} s for the network and its untrained copy")
    if (more := networks_read(study) - 2) > 0:
        steps.say(f"and at most {more * once:.0f} s for other networks of its family, and for losses")
    require_space(config.folder(), disk)
    if fitted.workers < need.workers:
        steps.say(f"{fitted.workers} of {need.workers} workers fit into the memory that was given")
        study = replace(study, workers=fitted.workers)
    return study


@contextmanager
def resumable(folder: Path, command: str) -> Iterator[None]:
    """Word Ctrl-C so that it says how to go on, and a full disk so that it says where.

    Raises:
        DiskSpaceError: If the disk is full.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"What is done is kept. Go on with: {command}") from None
    except OSError as reason:
        if reason.errno not in FULL:
            raise
        raise unwritable(folder, reason) from None


def carry_out(study: NetworkStudy, folder: Path, merged: Sequence[str] = ()) -> None:
    """Measure the flows, ask the questions, write the folder.

    Args:
        study: The run under way.
        folder: Its folder.
        merged: What was found when parts of the passes were put together, where they were.
    """
    _keep_checkpoints(study.material, folder, study.steps)
    data, passes = study.data(), study.passes
    network, parts = study.depth(NETWORK, passes[NETWORK], folder, data)
    untrained, copied = study.depth(UNTRAINED, passes[UNTRAINED], folder, data)
    explicit, exchanged = study.explicit(parts)
    with study.steps.step("asking whether the levels lie on the network's flow"):
        controls = {untrained.name: untrained, **explicit_controls(explicit, generator=study.generator(3))}
        question = member("questions", QUESTION)()
        answer = question.ask(network, explicit, controls=controls, generator=study.generator(4))
    about = _about(study)
    relatives, changes, about["family_notes"] = _relatives(study, folder, network)
    loss = relatives.losses[relatives.last.labels[-1]] if relatives else loss_of(study, NETWORK, folder)
    about["network"] |= {**told(loss), "family": relatives.sizes() if relatives else []}
    about["network"]["along"] = relatives.slug if relatives else ""
    lines = {"network": network, "explicit": explicit} | ({relatives.slug: relatives.last} if relatives else {})
    nulls, missing = null_flows(study, (network, parts), explicit, (untrained, copied))
    layers = {slug: read_layers(study, name, passes[name]) for slug, name in LAYERS.items()}
    rows = {slug: read.rows for slug, read in layers.items()}
    coupled = along(study, folder, lines, nulls, relatives.losses if relatives else {}, rows)
    del nulls  # their samples are not needed any more
    flows = {"network": coupled.flows["network"], "untrained": untrained}
    flows |= {"explicit": coupled.flows["explicit"], "exchanged": exchanged}
    flows |= _with_couplings(relatives, coupled.flows) if relatives else {}
    about["training_curves"] = _curves(study.material)
    about |= {"untrained": passes[UNTRAINED].network.how, "predicted": list(coupled.sentences)}
    gaussian, notes = gaussian_answer(study, network, {untrained.name: untrained})
    own, copied_layers = layers.values()
    of_layers = ask_of_layers(study.generator(11), own, copied_layers)
    about["question_notes"] = [*missing, *notes, *own.notes]
    hashes = {"weights": study.reading.network.weights_hash(), "reading": study.reading.fingerprint}
    provenance = {"hashes": hashes, "parts": merged}
    write_results(study, folder, [answer, *gaussian, *of_layers, *changes], flows, about, provenance)
    if not study.config.keep_states:
        shutil.rmtree(folder / "states", ignore_errors=True)


def _curves(material: Material) -> dict[str, dict[str, list[float]]]:
    """Return what a training on the spot measured on its way, by name, without what is no number."""
    family = material.family
    found: dict[str, dict[str, list[float]]] = {}
    if material.trained is None or family is None or family.kinship != TRAINING:
        return {}
    for name, curve in material.trained.curves.items():
        known = {step: value for step, value in sorted(curve.items()) if math.isfinite(value)}
        found[name] = {"steps": list(map(float, known)), "values": list(known.values())}
    return found


def _relatives(study: NetworkStudy, folder: Path, network: Flow) -> tuple[FamilyRun | None, list[Answer], list[str]]:
    """Return what was measured along the network's family, what was asked of it, and notes; None where it is alone."""
    family = study.material.family
    if family is None:
        return None, [], []
    if family.kinship == TRAINING:
        found, answers, notes = trajectory(study, family, folder, network)
        return found, answers, list(notes)
    return along_family(study, family, folder, network), [], []


def _with_couplings(found: FamilyRun, coupled: Mapping[str, Flow]) -> dict[str, Flow]:
    """Return the flows of a family, the couplings of the last layers among the numbers of the whole networks."""
    rows = {scale.label: scale.measurements for scale in coupled[found.slug]}
    return {**found.flows(), f"{found.slug}-network": found.whole.with_measurements(rows)}


def _keep_checkpoints(material: Material, folder: Path, steps: Steps) -> None:
    """Keep the checkpoints of a network that was trained on the spot, and say how to get the real example."""
    trained = material.trained
    if trained is None:
        return
    scores = ", ".join(f"{name} {value:.3f}" for name, value in trained.scores.items())
    data = f" on {trained.data}" if trained.data else ""
    steps.say(f"A small network was trained on the spot{data} ({scores}). For a real network: {HOW_TO_GET_THE_EXAMPLE}")
    write_checkpoints(trained, folder / "checkpoints")


def _about(study: NetworkStudy) -> dict[str, Any]:
    module, trained = study.reading.network.module, study.material.trained
    named = study.config.data or (trained.data if trained else "")
    return {
        "network": {
            "name": study.config.model,
            "checkpoint": study.config.checkpoint,
            "checkpoints": study.config.checkpoints,
            "class": type(module).__name__,
            "parameters": parameters_of(study),
            "layers": list(study.reading.layers),
            "absent": list(study.reading.network.absent),
            "trained_on_the_spot": trained is not None,
        },
        "data": data_about(study, named or "points drawn on the spot"),
    }


def _free(config: RunConfig) -> Path:
    """Return the folder that the configuration names, or the next free one beside it where it names none."""
    place = config.folder()
    if config.out:
        return place
    number = 1
    while place.exists():
        number += 1
        place = config.folder().with_name(f"{config.folder().name}-{number}")
    return place
