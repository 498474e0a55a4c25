"""Places: where an activation is read: a module's output or input, or one attention head's share of it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from blockspin.capture._stream import ATTENTION, after_attention, stacks
from blockspin.errors import ShapeError, UnknownLayerError

INPUT = ":input"
"""Ending of a layer's name that means the input of the module rather than its output."""
HEAD = re.compile(r":head\.(\d+|\*)$")
"""Ending of a layer's name that means one head's share of the last axis; a star means each head."""
BESIDE = "+"
"""Between names of layers that are read side by side, as one field; no module path holds it."""
MLP = re.compile(r"mlp|ffn|feed_forward|ff|moe|block_sparse_moe")
EXPERTS = re.compile(r"experts|router|moe")
"""Names of mixtures of experts, whose neurons are not of one token alone."""
COUNTS = ("num_attention_heads", "num_heads", "n_heads", "n_head", "nhead")
"""Names that networks give to their number of heads."""


@dataclass(frozen=True)
class Place:
    """Where an activation is read.

    Args:
        path: Path of the module.
        input: Whether what goes in is read, rather than what comes out.
        head: (number of the head, number of heads), or None for all of the last axis.
    """

    path: str
    input: bool = False
    head: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """The name that is parsed to this place."""
        return self.path + INPUT * self.input + (f":head.{self.head[0]}" if self.head else "")

    @property
    def whole(self) -> Place:
        """The place of all of the last axis."""
        return replace(self, head=None)

    def part(self, activation: Tensor) -> Tensor:
        """Return what is read of an activation [..., d]: all of it, or the head's share [..., d / heads].

        Raises:
            ShapeError: If the last axis is not a multiple of the number of heads.
        """
        return activation if self.head is None else activation[..., self._columns(activation)]

    def replaced(self, activation: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        """Return an activation with the part that is read here changed; gradients flow through the change."""
        if self.head is None:
            return change(activation)
        columns, whole = self._columns(activation), activation.clone()
        whole[..., columns] = change(activation[..., columns])
        return whole

    def _columns(self, activation: Tensor) -> slice:
        number, count = self.head or (0, 1)
        width, rest = divmod(activation.shape[-1], count)
        if rest:
            raise ShapeError(
                f"{self.path!r} has {activation.shape[-1]} entries, which {count} heads do not share evenly",
                "Read the whole layer.",
            )
        return slice(number * width, (number + 1) * width)


class Places:
    """The places of a network: module paths, and uniform short names where the architecture is known.

    Short names, for block i of the only stack ("encoder.blocks.i..." and "decoder.blocks.i..." where there are two):
    ``blocks.i.resid_pre``, ``resid_mid`` (after attention), ``resid_post``: the stream; ``attn_out``, ``mlp_out``: what
    is added to it; ``z``: what the heads give, side by side, and ``head.k`` one head's share; ``mlp_mid``: the neurons.

    Args:
        module: The network.
    """

    def __init__(self, module: nn.Module):
        self.paths = tuple(name for name, _ in module.named_modules() if name)
        self.short: Mapping[str, Place] = _short_names(module)
        self._module, self._known = module, frozenset(self.paths)

    def place(self, name: str) -> Place:
        """Return the place of a name.

        Raises:
            UnknownLayerError: If there is none; the nearest names are offered.
            ShapeError: If it is the name of several, side by side.
        """
        if BESIDE in name:
            raise ShapeError(f"{name!r} is several layers side by side", "Name one of them.")
        if name in self.short and name not in self._known:
            return self.short[name]
        head = HEAD.search(name)
        path = name[: head.start()] if head else name
        ends = path.endswith(INPUT)
        path = path.removesuffix(INPUT)
        if path not in self._known or (head and head[1] == "*"):
            raise UnknownLayerError(name, (*self.short, *self.paths))
        if head is None:
            return Place(path, ends)
        count = self.heads(path)
        if not count or int(head[1]) >= count:
            raise UnknownLayerError(name, [f"{path}{INPUT * ends}:head.{k}" for k in range(count)] or self.short)
        return Place(path, ends, (int(head[1]), count))

    def select(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Return the names that match paths, short names or globs of either, in the network's order.

        Patterns joined by a plus name layers that are read side by side: the first matches of all, the second, and on.

        Raises:
            UnknownLayerError: If a pattern matches nothing; the nearest names are offered.
            ShapeError: If patterns joined by a plus match different numbers of layers.
        """
        chosen: list[str] = []
        for pattern in patterns:
            columns = [self._matching(part) for part in pattern.split(BESIDE)]
            for part, found in zip(pattern.split(BESIDE), columns, strict=True):
                if not found:
                    raise UnknownLayerError(part, (*self.short, *self.paths))
            if len(set(map(len, columns))) > 1:
                counts = ", ".join(map(str, map(len, columns)))
                raise ShapeError(f"{pattern!r} joins {counts} layers", "Join patterns that match as many each.")
            chosen += [BESIDE.join(dict.fromkeys(row)) for row in zip(*columns, strict=True)]
        return tuple(dict.fromkeys(chosen))

    def parts(self, name: str) -> dict[str, str]:
        """Return what stands side by side in a layer, if anything does, by a name that is the same at every depth.

        Heads where a block's stand side by side; the layers that are joined by a plus. Values are names of layers.
        """
        if BESIDE in name:
            names = name.split(BESIDE)
            split = [part.split(".") for part in names]
            shared = next((k for k, row in enumerate(zip(*split, strict=False)) if len(set(row)) > 1), 0)
            return {".".join(parts[shared:]) or whole: whole for parts, whole in zip(split, names, strict=True)}
        here = self.place(name)
        heads = {key: place.head for key, place in self.short.items() if place.head and place.whole == here}
        return {f"head {head[0]}": key for key, head in heads.items()}

    def _matching(self, pattern: str) -> list[str]:
        head = HEAD.search(pattern)
        path = pattern[: head.start()] if head else pattern
        ending = INPUT if path.endswith(INPUT) else ""
        names = [name + ending for name in self.paths if fnmatch.fnmatchcase(name, path.removesuffix(INPUT))]
        if head is None:
            return names or [name for name in self.short if fnmatch.fnmatchcase(name, pattern)]
        asked = [[head[1]] if head[1] != "*" else map(str, range(self.heads(name))) for name in names]
        heads = [f"{name}:head.{k}" for name, numbers in zip(names, asked, strict=True) for k in numbers]
        return [self.place(name).name for name in heads]

    def heads(self, path: str) -> int:
        """Return the number of heads at a path: what the nearest module around it, or the network's config, says.

        0 where nothing says it.
        """
        parts = path.removesuffix(INPUT).split(".")
        around = [self._module.get_submodule(".".join(parts[:n])) for n in range(len(parts), -1, -1)]
        return next((count for owner in (*around, *map(_config, around)) if (count := _count(owner))), 0)


def _config(module: nn.Module) -> Any:
    return getattr(module, "config", None)


def _count(owner: Any) -> int:
    counts = (getattr(owner, name, None) for name in COUNTS)
    return next((count for count in counts if isinstance(count, int)), 0)


def _short_names(module: nn.Module) -> dict[str, Place]:
    found = stacks(module)
    names: dict[str, Place] = {}
    for stack in found:
        prefix = "" if len(found) == 1 else f"{stack[0][0].partition('.')[0]}."
        for index, (path, block) in enumerate(stack):
            start = f"{prefix}blocks.{index}."
            names.update({start + key: place for key, place in _inside(module, path, block).items()})
    return names


def _inside(module: nn.Module, path: str, block: nn.Module) -> dict[str, Place]:
    """Return the places of one block by their short endings, in the order of execution."""
    rows = {"resid_pre": Place(path, True)}
    maps = [name for name, child in block.named_modules() if _is_map(child)]
    attention = _attention(block, maps)
    if attention:
        inside = f"{path}.{[name for name in maps if name.startswith(f'{attention}.')][-1]}"
        count = _count(block.get_submodule(attention)) or _count(_config(module))
        rows["z"] = Place(inside, True)
        rows.update({f"head.{k}": Place(inside, True, (k, count)) for k in range(count)})
        rows["attn_out"] = Place(inside)
    middle = after_attention(module, block)
    if middle:
        rows["resid_mid"] = Place(f"{path}.{middle[0].removesuffix(INPUT)}", middle[0].endswith(INPUT))
    experts = any(EXPERTS.search(name) for name, _ in block.named_modules())
    outside = [name for name in maps if not any(ATTENTION.search(part) for part in name.split("."))]
    mlp = next((name for name, _ in block.named_children() if MLP.fullmatch(name)), "")
    if outside and attention and not experts:
        rows["mlp_mid"] = Place(f"{path}.{outside[-1]}", True)
    if attention and (mlp or (outside and not experts)):
        rows["mlp_out"] = Place(f"{path}.{mlp or outside[-1]}")
    return {**rows, "resid_post": Place(path)}


def _attention(block: nn.Module, maps: Sequence[str]) -> str:
    """Return the path of a block's first attention; "" for none, or for torch's own, inside which nothing is called."""
    for name, child in block.named_modules():
        if ATTENTION.search(name.rpartition(".")[2]) and any(inner.startswith(f"{name}.") for inner in maps):
            return "" if isinstance(child, nn.MultiheadAttention) else name
    return ""


def _is_map(module: nn.Module) -> bool:
    """Whether a module is a linear map, in whatever form: torch's own, transformers' Conv1D, quantised ones."""
    kind = type(module).__name__
    return ("linear" in kind.lower() or kind == "Conv1D") and not any(True for _ in module.children())
