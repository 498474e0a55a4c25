"""Discover a family's folder, look members up by name, refuse duplicates.

A family is a folder of this package with a ``base.py``; a member is one file in it, named after its concept. Nothing
is imported before the first look-up, and names and one-line summaries are read from the files without importing them.
Third parties join through entry points of the group ``blockspin.<family>``.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from blockspin.errors import DeclarationError, DuplicateNameError, UnknownNameError

T = TypeVar("T", bound=type)

_members: dict[str, dict[str, type]] = {}
_discovered: set[str] = set()


def register(cls: T) -> T:
    """Class decorator: enter a member into its family under its declared ``name``.

    Raises:
        DeclarationError: If the class declares no family or no name.
        DuplicateNameError: If another class has taken the name.
    """
    family, name = getattr(cls, "family", None), cls.__dict__.get("name")
    if not family or not name:
        raise DeclarationError(
            f"{cls.__qualname__} declares no {'name' if family else 'family'}", "Add a class attribute."
        )
    table = _members.setdefault(family, {})
    known = table.get(name)
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise DuplicateNameError(
            f"{cls.__module__} and {known.__module__} both declare the name {name!r} in {family}", "Rename one of them."
        )
    table[name] = cls
    return cls


def member(family: str, name: str) -> Any:
    """Return the class that is registered as ``name`` in ``family``.

    Raises:
        UnknownNameError: If there is none; the nearest names are offered.
    """
    table = members(family)
    if name not in table:
        raise UnknownNameError(family.removesuffix("s"), name, table)
    return table[name]


def members(family: str) -> dict[str, Any]:
    """Return all members of ``family`` by name, in alphabetical order; imports the family's files on first use."""
    if family not in _discovered:
        for module in _modules(family):
            importlib.import_module(module)
        for point in entry_points(group=f"blockspin.{family}"):
            point.load()
        _discovered.add(family)
    return dict(sorted(_members.get(family, {}).items()))


def summaries(family: str) -> dict[str, str]:
    """Return the first docstring line of each of the family's own members by name, importing none of them."""
    folder = Path(__file__).parent / family
    rows = {}
    for module in _modules(family):
        stem = module.rpartition(".")[2]
        text = (folder / f"{stem}.py").read_text(encoding="utf-8")
        if "\n@register\n" in text:  # other files of the folder are no members
            rows[stem.replace("_", "-")] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return rows


def families() -> list[str]:
    """Return the names of the folders that are families: those whose ``base.py`` declares one."""
    bases = sorted(Path(__file__).parent.glob("*/base.py"))
    return [path.parent.name for path in bases if "family: ClassVar[str] = " in path.read_text(encoding="utf-8")]


def _modules(family: str) -> list[str]:
    folder = Path(__file__).parent / family
    stems = sorted(info.name for info in pkgutil.iter_modules([str(folder)]))
    return [f"blockspin.{family}.{stem}" for stem in stems if stem != "base" and not stem.startswith("_")]
