"""The contract of a reader: a module with ``read(path, column)`` that yields (content, where) of each record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from blockspin.errors import ConfigError, MissingDependencyError

Item = tuple[Any, str]
"""A content (a string or an array) and where it came from."""
Read = Callable[[Path, str], Iterator[Item]]

ENDINGS = {".npz": "npy", ".jpg": "folder", ".text": "txt", ".md": "txt", ".ndjson": "jsonl"}
"""Endings read by the reader of another name; every other ending is that of its reader."""


def reader_of(path: Path) -> Read:
    """Return the reader of a path: by its ending, ``folder`` for a folder of images.

    Raises:
        ConfigError: If there is nothing there, or no reader knows the ending.
    """
    if not path.exists():
        raise ConfigError("data", str(path), "an existing file or folder.")
    ending = path.suffix.lower()
    name = "folder" if path.is_dir() else ENDINGS.get(ending, ending.removeprefix("."))
    known = sorted(file.stem for file in Path(__file__).parent.glob("*.py") if file.stem not in ("__init__", "base"))
    if name not in known:
        raise ConfigError("data", str(path), f"a folder of images, or a file of one of: {', '.join(known)}, npz.")
    return import_module(f"blockspin.readers.{name}").read


def require(module: str, extra: str) -> Any:
    """Import an optional package.

    Raises:
        MissingDependencyError: Saying what to install.
    """
    try:
        return import_module(module)
    except ImportError:
        name = module.partition(".")[0]
        raise MissingDependencyError(f"{name} is not installed", f"pip install 'blockspin[{extra}]'") from None
