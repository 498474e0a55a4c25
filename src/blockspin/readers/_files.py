"""Files: which files a name of data stands for, and which reader reads each."""

from __future__ import annotations

import glob
import re
from itertools import islice
from pathlib import Path

from blockspin.errors import ConfigError
from blockspin.readers._streams import PACKED

HUB = "datasets:"
"""What the name of a data set of the package ``datasets`` begins with."""
ENDINGS = {".npz": "npy", ".text": "txt", ".md": "txt", ".ndjson": "jsonl", ".tgz": "tar"}
"""Endings read by the reader of another name; every other ending is that of its reader."""
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
IDX = re.compile(r"[.-]idx(\d)-ubyte$")
"""How names of files of MNIST's format end, packed ones without what says so."""
UNPACKED = {"txt", "jsonl", "tar", "idx"}
"""Readers of files that may be packed."""
FOLDERS = {"folder", "hub"}
"""Readers of what is no single file."""
SHARDS = {"tar", "parquet", "jsonl"}
"""Readers whose files, side by side in a folder, are one data set."""
SAVED = ("state.json", "dataset_dict.json")
"""Files that the package ``datasets`` leaves in a folder."""
MOST = 100_000
RANGE, CHOICE = re.compile(r"\{(\d+)\.\.(\d+)\}"), re.compile(r"\{([^{}]*,[^{}]*)\}")


def files_of(data: str) -> list[Path]:
    """Return the files that a name of data stands for, sorted; a folder of shards stands for its shards.

    Args:
        data: A file, a folder, or a pattern: ``data-{000..015}.tar``, ``{a,b}.jsonl``, ``part-*.parquet``,
            ``**/*.txt``; or ``datasets:NAME``, which stands for itself.

    Raises:
        ConfigError: If there is nothing, a file of a brace is missing, or it is no regular file.
    """
    if data.startswith(HUB):
        return [Path(data)]
    try:
        path = Path(data).expanduser()
        if path.is_dir():
            return _shards(path) or [path]
        names = [str(path)] if path.exists() else _expanded(str(path), data)
        found = {file for name in names for file in _matching(name, data)}
    except (OSError, RuntimeError, ValueError) as reason:  # too long a name, a loop of links, no such home
        raise ConfigError("data", data, f"an existing file or folder ({reason}).") from None
    for file in found:
        if not file.is_file():
            raise ConfigError("data", str(file), "regular files; no folder in a pattern, no pipe, no device.")
    return sorted(found)


def format_of(path: Path) -> str:
    """Return the name of the reader of a file or folder.

    Raises:
        ConfigError: If no reader knows its ending.
    """
    if str(path).startswith(HUB) or (path.is_dir() and any((path / name).is_file() for name in SAVED)):
        return "hub"
    if path.is_dir():
        return "folder"
    name = _reader(path)
    known = readers() - FOLDERS
    if name not in known:
        raise ConfigError("data", str(path), f"a folder of images, or a file of one of: {', '.join(sorted(known))}.")
    if _is_packed(path) and name not in UNPACKED:
        raise ConfigError("data", str(path), f"the file unpacked; only {', '.join(sorted(UNPACKED))} may be packed.")
    return name


def readers() -> set[str]:
    """Return the names of all readers: the files of this folder."""
    return {file.stem for file in Path(__file__).parent.glob("*.py") if file.stem[0] != "_"} - {"base"}


def pictures_in(folder: Path) -> list[Path]:
    """Return every picture below a folder, in the order of their names."""
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in PICTURES and file.is_file())


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() in PACKED and path.suffix.lower() not in ENDINGS


def axes_of(path: Path) -> int:
    """Return how many axes the array of a file of MNIST's format has, as its name says; 0 for other files."""
    found = IDX.search(_unpacked(path))
    return int(found[1]) if found else 0


def _unpacked(path: Path) -> str:
    return (path.stem if _is_packed(path) else path.name).lower()


def _reader(path: Path) -> str:
    if axes_of(path):
        return "idx"
    ending = Path(_unpacked(path)).suffix
    return ENDINGS.get(ending, ending.removeprefix("."))


def _shards(folder: Path) -> list[Path]:
    """Return the shards side by side in a folder; none in a folder of pictures or of the package ``datasets``."""
    if any((folder / name).is_file() for name in SAVED):
        return []
    found = sorted(file for file in folder.iterdir() if _reader(file) in SHARDS and file.is_file())
    return found if found and not pictures_in(folder) else []


def _expanded(name: str, data: str) -> list[str]:
    """Return the names that a name with braces stands for."""
    done, left = [], [name]
    while left:
        name = left.pop()
        found = RANGE.search(name) or CHOICE.search(name)
        if found is None:
            done.append(name)
            continue
        if found.re is RANGE:
            first, last = found.groups()
            width = len(first) if first.startswith("0") else 0
            choices = [f"{n:0{width}d}" for n in islice(range(int(first), int(last) + 1), MOST + 1)]
        else:
            choices = found[1].split(",")
        if len(done) + len(left) + len(choices) > MOST:
            raise ConfigError("data", data, f"a pattern of at most {MOST} files.")
        left += [name[: found.start()] + choice + name[found.end() :] for choice in choices]
    return done


def _matching(name: str, data: str) -> list[Path]:
    found = [Path(name)] if Path(name).exists() else sorted(map(Path, glob.glob(name, recursive=True)))
    if not found:
        of = "" if name == data else f", a part of {data!r}"
        raise ConfigError("data", name, f"an existing file or folder, or a pattern that some file has{of}.")
    return found
