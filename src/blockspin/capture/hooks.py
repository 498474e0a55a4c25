"""Hooks: read activations during an ordinary forward pass, or replace one of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from blockspin.capture.base import Layout, Network, rows_of
from blockspin.capture.places import BESIDE, Place
from blockspin.errors import MissingModelError, ShapeError

Edit = Callable[[Tensor, Layout], Tensor]
"""From an activation [passages, positions, d] and its layout to what replaces it."""
Action = tuple[Place, Callable[[Any], Any]]
"""A place, and what is done with what goes through it: returned is what replaces it, or None."""
Kept = TypeVar("Kept")


class _Deepest(Exception):  # noqa: N818 - not an error: the pass has seen all that it was asked for
    """Raised inside a forward pass to stop it."""


def capture(network: Network, inputs: dict[str, Tensor], layers: Sequence[str]) -> dict[str, Tensor]:
    """Return the activations of some layers, each [passages, positions, d]: see ``capture_as``."""
    return capture_as(lambda layer, activation: activation.clone(), network, inputs, layers)


def capture_as(
    read: Callable[[str, Tensor], Kept],
    network: Network,
    inputs: dict[str, Tensor],
    layers: Sequence[str],
    edits: Sequence[Action] = (),
) -> dict[str, Kept]:
    """Return what ``read`` makes of the activations of some layers, stopping at the deepest.

    The forward pass is the network's own, bit for bit; nothing is left behind, not even after an exception. A module
    that runs several times is read at its first run.

    Args:
        read: From a layer and its activation [passages, positions, d] to what is kept of it. It is called while the
            network runs: what it returns shares no memory with the activation, since a later module may work in place.
        network: The network, in eval mode.
        inputs: Encoded inputs of one batch.
        layers: Module paths, with the ending ":input" for what goes in rather than what comes out and ":head.K" for one
            head's share; or short names (see ``places``).
        edits: What is changed on the way (``edit_at``); a layer that is edited is read after it.

    Raises:
        UnknownLayerError: If a layer does not exist.
        TrainModeError: If the network is in train mode and holds dropout or batch norm.
        MissingModelError: If the forward pass never reaches one of the layers, or not before a part of the network
            whose weights are in no file.
        ShapeError: If a layer returns no tensor, or layers side by side have different positions.
    """
    network.require_eval()
    found: dict[str, Kept] = {}
    passages, positions = network.encoder.mask(inputs).shape
    places = {layer: [network.places.place(part) for part in layer.split(BESIDE)] for layer in layers}
    pieces: dict[str, dict[Place, Tensor]] = {layer: {} for layer in layers}

    def keep(layer: str, place: Place, value: Any) -> None:
        if layer in found or place in pieces[layer]:
            return
        rows = place.part(rows_of(first_tensor(value), passages, positions)).detach()
        if len(places[layer]) > 1:
            pieces[layer][place] = rows.clone()  # a later module may work in place
            if len(pieces[layer]) < len(places[layer]):
                return
            rows = _side_by_side(layer, [pieces[layer].pop(part) for part in places[layer]])
        found[layer] = read(layer, rows)
        if len(found) == len(layers):
            raise _Deepest

    reads = ((place, partial(keep, layer, place)) for layer in layers for place in places[layer])
    actions: list[Action] = [*edits, *reads]
    with torch.no_grad(), suppress(_Deepest), _hooked(network.module, actions), _refused(network, found, layers):
        network.encoder.call(network.module, inputs)
    missing = [layer for layer in layers if layer not in found]
    if missing:
        raise MissingModelError(f"the forward pass never reaches {missing[0]!r}", "Name a layer that is used.")
    return {layer: found[layer] for layer in layers}


def _side_by_side(layer: str, rows: Sequence[Tensor]) -> Tensor:
    if len({part.shape[:2] for part in rows}) > 1:
        shapes = " and ".join(str(list(part.shape)) for part in rows)
        raise ShapeError(f"the layers of {layer!r} have shapes {shapes}", "Join layers that have the same positions.")
    return torch.cat(list(rows), -1)


def reached(network: Network, inputs: dict[str, Tensor], layers: Sequence[str]) -> tuple[str, ...]:
    """Return those of some layers that the forward pass reaches, in the order in which it does.

    Left out is also what has no row for each passage (embeddings of positions, buffers).
    """
    network.require_eval()
    passages = len(next(iter(inputs.values())))
    order: list[str] = []

    def note(layer: str, value: Any) -> None:
        tensor = next(_tensors(value), None)
        if layer not in order and tensor is not None and tensor.ndim > 1 and len(tensor) == passages:
            order.append(layer)

    actions = [(network.places.place(layer), partial(note, layer)) for layer in layers]
    with torch.no_grad(), _hooked(network.module, actions):
        network.encoder.call(network.module, inputs)
    return tuple(order)


def run_edited(network: Network, inputs: dict[str, Tensor], layer: str, edit: Edit, layout: Layout) -> Any:
    """Return the network's outputs with one activation replaced by ``edit(values, layout)``.

    Gradients flow through the edit; the identity changes nothing, bit for bit.

    Args:
        network: The network, in eval mode.
        inputs: Encoded inputs of one batch.
        layer: As in ``capture``.
        edit: What replaces the activation; it gets [passages, positions, d] and returns the same shape.
        layout: Where the entries come from.
    """
    network.require_eval()
    with _hooked(network.module, [edit_at(network, layer, edit, layout)]):
        return network.encoder.call(network.module, inputs)


def edit_at(network: Network, layer: str, edit: Edit, layout: Layout) -> Action:
    """Return the action that replaces the activation of a layer by ``edit(values, layout)``."""
    place = network.places.place(layer)

    def replace(value: Any) -> Any:
        tensor = first_tensor(value)
        rows = rows_of(tensor, *layout.mask.shape)
        edited = place.replaced(rows, lambda part: edit(part, layout))
        back = edited.transpose(1, 2).reshape(tensor.shape) if tensor.ndim == 4 else edited.reshape(tensor.shape)
        return (back, *value[1:]) if isinstance(value, tuple) else back

    return place, replace


@contextmanager
def _hooked(module: nn.Module, actions: Sequence[Action]) -> Iterator[None]:
    """Attach one action a place, and take all of them off again whatever happens."""
    handles = []
    try:
        for place, action in actions:
            target = module.get_submodule(place.path)
            if place.input:
                handles.append(target.register_forward_pre_hook(_before(action), with_kwargs=True))
            else:
                handles.append(target.register_forward_hook(lambda m, i, output, action=action: action(output)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _refused(network: Network, found: Collection[str], layers: Sequence[str]) -> Iterator[None]:
    """Refuse to run a part of a network whose weights are in no file."""

    def refuse(part: str, *given: Any) -> None:
        left = [layer for layer in layers if layer not in found]
        raise MissingModelError(
            f"{left[0]!r} comes after {part!r}, whose weights are not in the network's files",
            "Name layers before it, or load the model that the weights were saved from.",
        )

    handles = []
    try:
        for part in network.absent:
            for module in network.module.get_submodule(part).modules():
                handles.append(module.register_forward_pre_hook(partial(refuse, part)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _before(action: Callable[[Any], Any]) -> Callable[..., Any]:
    def hook(module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        if args:
            replaced = action(args[0])
            return None if replaced is None else ((replaced, *args[1:]), kwargs)
        real = (key for key, value in kwargs.items() if isinstance(value, Tensor) and value.is_floating_point())
        key = next(real, None)
        if key is None:
            raise ShapeError(f"{type(module).__name__} is given no activation", "Read its output, or another layer.")
        replaced = action(kwargs[key])
        return None if replaced is None else (args, {**kwargs, key: replaced})

    return hook


def _tensors(value: Any) -> Iterator[Tensor]:
    values = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else (value,)
    return (item for item in values if isinstance(item, Tensor))


def first_tensor(value: Any) -> Tensor:
    """Return the first tensor of what a module returns.

    Raises:
        ShapeError: If it returns none.
    """
    tensor = next(_tensors(value), None)
    if tensor is None:
        raise ShapeError(f"a layer returns {type(value).__name__} without a tensor", "Name another layer.")
    return tensor
