"""Options: build a member of a family from its name and its options, read as the types of its fields."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, fields
from typing import Any

from blockspin.errors import ConfigError, nearest
from blockspin.registry import member

WORDS = {int: "an integer", str: "text", bool: "true or false", tuple: "a list of texts", float: "a number"}
"""What the types of options are called in messages."""


def options_of(instance: Any) -> dict[str, Any]:
    """Return the options of a member by name."""
    return {item.name: getattr(instance, item.name) for item in fields(instance)}


def build(field: str, family: str, given: Mapping[str, Any], current: Any) -> Any:
    """Return a member of a family.

    Args:
        field: What the configuration calls it, for messages.
        family: Where its name is looked up.
        given: Its "name", if another than the current one, and its options; text is read as the option's type.
        current: The member whose other options are kept, unless it becomes another one.

    Raises:
        UnknownNameError: If there is no such member.
        ConfigError: If an option is not known or cannot be read.
    """
    cls = member(family, str(given.get("name", current.name)))
    known = {item.name: item for item in fields(cls)}
    options = options_of(current) if type(current) is cls else {}
    for key, value in given.items():
        if key == "name":
            continue
        if key not in known:
            offer = nearest(key, known) if known else f"It has none; another one is named by {field}."
            raise ConfigError(f"{field}.{key}", value, f"the name of an option of {cls.name}. {offer}")
        options[key] = _read(f"{field}.{key}", value, known[key])
    return cls(**options)


def _read(name: str, value: Any, item: Field) -> Any:
    if item.default is MISSING or item.default is None or isinstance(item.default, tuple):
        return _read_freely(name, value, item)
    kind = type(item.default)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    try:
        if isinstance(value, str) and kind in (int, float, str):
            return kind(value)
        if isinstance(value, str) and kind is bool:
            return {"true": True, "false": False}[value.lower()]
        if kind is float and type(value) is int:
            return float(value)
    except (ValueError, KeyError):
        pass
    raise ConfigError(name, value, f"{WORDS[kind]}.")


def _read_freely(name: str, value: Any, item: Field) -> Any:
    """Read an option whose default does not tell the type of what it holds: text is read as a value of TOML."""
    if isinstance(value, str):
        with suppress(tomllib.TOMLDecodeError):  # text without its quotation marks
            value = tomllib.loads(f"value = {value}")["value"]
    value = _frozen(value)
    if isinstance(item.default, tuple) and not isinstance(value, tuple):
        raise ConfigError(name, value, "a list, as [1, 2].")
    return value


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
