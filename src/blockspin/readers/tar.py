"""Tar: shards whose members are grouped into samples by their names, as 00017.txt beside 00017.json; never unpacked."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from blockspin.errors import UnreadableRecordError
from blockspin.readers._contents import field_of, json_of, limited, picture_of, text_of, unit_of
from blockspin.readers._files import PICTURES
from blockspin.readers._limits import VALUE, refuse_beyond
from blockspin.readers._npy import array_of
from blockspin.readers._streams import Stream
from blockspin.readers.base import Item

HEADERS = 2**20
"""Bytes that may lie between two members: headers, and a part of a block."""
TEXTS = {"txt", "text", "cls", "id"}
SHOWN = 10


@dataclass
class Group:
    """The members of one sample; only those that are asked for are held.

    Args:
        key: Their common name.
        names: Their endings, the first few.
        held: The bytes of those that are asked for.
    """

    key: str
    names: list[str] = field(default_factory=list)
    held: dict[str, bytes] = field(default_factory=dict)


def read(path: Path, column: str, unit: str) -> Iterator[Item]:
    """Yield the content of each sample.

    Args:
        path: A tar file, which may be packed.
        column: Ending of the member that holds the content: "txt", "png", "npy"; "json:caption" for a field.
        unit: The same for the member that names the unit.

    Raises:
        UnreadableRecordError: If a sample lacks a member, a member is too large, no regular file, or no content, or its
            name leads out of the archive.
    """
    wanted = {_split(name)[0] for name in (column, unit) if name}
    try:
        for group in _groups(path, wanted):
            where = f"{path.name}, {group.key}"
            name = unit_of(_content(group, unit, where, plain=True), where, unit) if unit else None
            yield Item(_content(group, column, where), where, name)
    except (tarfile.TarError, OSError, EOFError, ValueError) as reason:
        raise UnreadableRecordError(f"{path.name} cannot be read ({reason})", "Write the archive anew.") from None


def _split(name: str) -> tuple[str, str]:
    """Return the ending and the field of "json:caption"; "text" is short for "txt"."""
    ending, _, inside = name.partition(":")
    return ("txt" if ending == "text" else ending.lower()), inside


def _groups(path: Path, wanted: set[str]) -> Iterator[Group]:
    group: Group | None = None
    for name, size, member in _members(path):
        folder, base = posixpath.split(name)
        stem, _, ending = base.partition(".")
        key, ending = posixpath.join(folder, stem), ending.lower()
        if group is not None and group.key != key:
            yield group
        if group is None or group.key != key:
            group = Group(key)
        if ending in group.held:
            raise UnreadableRecordError(f"{path.name} holds {name} twice", "Give every sample a name of its own.")
        group.names += [ending] if len(group.names) < SHOWN else []
        if ending in wanted:
            group.held[ending] = limited(member, size, f"{path.name}, {name}")
    if group is not None:
        yield group


def _members(path: Path) -> Iterator[tuple[str, int, Any]]:
    """Yield (name, size, stream) of each member in the order of the archive, in one pass and never held."""
    with Stream(path) as stream:
        stream.allow(HEADERS)
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload] # it reads alone
            while (member := archive.next()) is not None:
                archive.members.clear()  # it would remember all of them
                where = f"{path.name}, {member.name[:200]}"
                if member.name.startswith("/") or ".." in member.name.split(
                    "/"
                ):  # nothing is unpacked, but why trust it
                    raise UnreadableRecordError(f"{where} leads out of the archive", "Write it with relative names.")
                if not member.isdir():
                    if not member.isreg() or member.issparse() or member.size < 0:
                        raise UnreadableRecordError(f"{where} is no regular file", "Leave out links and devices.")
                    refuse_beyond(where, "its number of bytes", member.size, VALUE)
                    stream.allow(HEADERS + member.size)
                    yield member.name, member.size, archive.extractfile(member)
                stream.allow(HEADERS + max(0, member.size))


def _content(group: Group, name: str, where: str, *, plain: bool = False) -> Any:
    ending, inside = _split(name)
    if ending not in group.held:
        raise UnreadableRecordError(
            f"{where} has no {ending or 'member'}; it has {', '.join(group.names)}",
            "Name another column; members of one sample stand side by side.",
        )
    data, kind = group.held[ending], ending.rpartition(".")[2]
    if kind == "json" and inside:
        value = json_of(data, where).get(inside)
        return value if plain else field_of(value, where, name)
    if kind in TEXTS:
        return text_of(data, where)
    if kind == "npy" and not plain:
        return array_of(data, where)
    if f".{kind}" in PICTURES and not plain:
        return picture_of(BytesIO(data), where)
    raise UnreadableRecordError(
        f"{where}: {name!r} cannot be read as {'a unit' if plain else 'a content'}",
        "Name one of txt, json:FIELD, npy, png, jpg.",
    )
