"""Complete: whether the files of a network hold all of its weights, and which parts of it they leave out."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import nn

from blockspin.errors import MissingModelError
from blockspin.sources.checkpoint import listed

COUNTER = "num_batches_tracked"
"""Ending of a count of batches in training, which no network reads when it is evaluated."""


def absent_parts(module: nn.Module, found: Mapping[str, Collection[str]], model: str) -> tuple[str, ...]:
    """Return the parts of a network whose weights its files do not hold; these are made NaN, in place.

    That is ordinary for a part right under the network that is missing whole: the pooler of a model that was trained
    with another head. Nothing that is read may depend on it, and what a loader draws at random in its place would be
    another network at every call. Tensors of parts that the network does not have are ordinary too: the head that the
    model was trained with.

    Args:
        module: The network.
        found: What the loader says: "missing_keys" and "unexpected_keys", without tied weights and without what the
            kind of model is known to do without.
        model: Its name, for messages.

    Raises:
        MissingModelError: If a tensor of another part is missing, or a part of the network has a tensor more in the
            files than in the network: which ones.
    """
    state = module.state_dict()
    missing = {name for name in found["missing_keys"] if not name.endswith(COUNTER)}
    held, children = {_part(name) for name in state if name not in missing}, dict(module.named_children())
    absent = {_part(name) for name in missing} & children.keys() - held
    faults = {
        "do not hold": [name for name in missing if _part(name) not in absent] if held else missing,
        "have more in its parts,": [name for name in found["unexpected_keys"] if _part(name) in children],
    }
    if any(faults.values()):
        what = "; ".join(f"{verb} {listed(names)}" for verb, names in faults.items() if names)
        raise MissingModelError(
            f"the weights of {model!r} are not those of its network, {type(module).__name__}: its files {what}",
            "Check that its files of weights are whole, and that its config.json belongs to them.",
        )
    with torch.no_grad():
        for name in missing:
            if state[name].is_floating_point():
                state[name].fill_(torch.nan)
    return tuple(sorted(absent))


def _part(name: str) -> str:
    """Return the part right under the network that a tensor belongs to."""
    return name.partition(".")[0]
