"""Labels: names of scales made short enough for an axis, and keys of quantities made into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

ROOM, FEW, LETTERS, LEGEND = 16, 4, 9, 36


def ticks(positions: Sequence[float], labels: Sequence[str]) -> Mapping[str, Any]:
    """Return the ticks of an axis: short labels where they fit, none for the long ones between them.

    Full labels are shown by hovering; an axis of module paths would be nothing but text.
    """
    names = short(labels)
    fitting = [k for k, name in enumerate(names) if len(name) <= LETTERS]
    kept = fitting if len(fitting) > 1 and len(names) > FEW else list(range(len(names)))
    step = -(-len(kept) // ROOM) or 1
    kept = kept[::step]
    texts = [cut(names[k]) for k in kept]
    return {"tickmode": "array", "tickvals": [float(positions[k]) for k in kept], "ticktext": texts}


def categories(labels: Sequence[str]) -> Mapping[str, Any]:
    """Return an axis on which the labels stand side by side, in their order."""
    order = {"type": "category", "categoryorder": "array", "categoryarray": list(labels), "tickangle": -40}
    return {**order, "tickmode": "array", "tickvals": list(labels), "ticktext": [cut(label) for label in labels]}


def cut(text: str, letters: int = 2 * LETTERS) -> str:
    """Return a text that has at most so many letters."""
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def short(labels: Sequence[str]) -> list[str]:
    """Leave out what all module paths share."""
    paths = [label.split(".") for label in labels if "." in label]
    shared = 0
    while paths and all(len(p) > shared + 1 for p in paths) and len({p[shared] for p in paths}) == 1:
        shared += 1
    return [".".join(label.split(".")[shared:]) if "." in label else label for label in labels]


def words(key: str) -> str:
    """Return "observable.quantity" as words."""
    observable, _, quantity = key.partition(".")
    return f"{observable.replace('-', ' ')}: {quantity.replace('_', ' ')}"


def near(position: float | None, names: Sequence[str]) -> str:
    """Return the name of the point nearest to a position, which stand at 0, 1, 2 and so on."""
    return "no point" if position is None or not names else names[int(np.clip(round(position), 0, len(names) - 1))]
