"""Files: replaced in one step and never through a link, leftovers cleared away, one writer a folder."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from blockspin.errors import BlockspinError, DiskSpaceError, RunFolderError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"
"""Name of the empty file whose lock a writer of a folder holds; it stays, since removing it safely is a race."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NOT_OFFERED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
"""What file systems say that lock no files, or sync no folders."""
OUTWARD = re.compile(r"[/\\\0]|^[A-Za-z]:|^\.{0,2}\Z")
"""What the name of one file cannot hold: what leads to another folder or drive, here or elsewhere."""


def write_bytes(path: Path, payload: bytes) -> None:
    """Replace a file in one step; the old one stays where that fails, and no other is left.

    Raises:
        DiskSpaceError: If the disk is full.
        RunFolderError: If the folder is gone or must not be written to, or the file is a link.
    """
    refuse_link(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb", opener=_no_link) as file:
            _hold(file)  # until it has its name: others may clear away what nobody holds
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        _sync_names(path.parent)
    except OSError as reason:
        raise unwritable(path, reason) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def clear_leftovers(folder: Path, name: str = "*") -> None:
    """Remove the temporary files of processes that were killed; those that a live process is writing stay.

    Args:
        folder: The folder.
        name: The file that was to be replaced, or a glob.
    """
    for leftover in folder.glob(f"{name}.tmp" if name == "*" else f"{name}.*.tmp"):
        with suppress(FileNotFoundError), leftover.open("r+b") as file:
            if _hold(file):
                leftover.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder where there is none and hold it for one writer; the system lets go of it however that one ends.

    Raises:
        RunFolderError: If another process holds it, it must not be written to, or it is a link.
        DiskSpaceError: If the disk is full.
    """
    refuse_link(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(_no_link(str(folder / LOCK), os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")
    except OSError as reason:
        raise unwritable(folder, reason) from None
    with file:
        if not _hold(file):
            raise RunFolderError(
                f"{folder} is being written by another process", "Wait until it has ended, or give another folder."
            )
        try:
            yield
        finally:
            _release(file)


def refuse_link(path: Path) -> None:
    """Refuse to write where a link would lead the writing elsewhere.

    Raises:
        RunFolderError: If the path is a link; links above it are the user's own.
    """
    if path.is_symlink():
        raise RunFolderError(
            f"{path} is a link to {os.readlink(path)}, and nothing is written through links",
            "Remove the link, or put there what it points at.",
        )


def refuse_links(folder: Path) -> None:
    """Refuse to write into a folder that holds a link, at whatever depth; the folder itself may be reached by one.

    Raises:
        RunFolderError: Naming the first link.
    """
    for place, folders, files in os.walk(folder):
        for name in sorted((*folders, *files)):
            refuse_link(Path(place, name))


def refuse_outward(name: str) -> None:
    """Refuse a name that would be a path when a file is called by it.

    Raises:
        RunFolderError: If it holds a slash, a backslash or a null byte, begins with a drive, or is blank or dots alone.
    """
    if OUTWARD.search(name):
        raise RunFolderError(f"{name[:200]!r} cannot be the name of a file", "Rename it without slashes and drives.")


def unwritable(path: Path, reason: OSError) -> BlockspinError:
    """Return the named error for a file or folder that cannot be written."""
    if reason.errno in FULL:
        return DiskSpaceError(f"the disk is full at {path}", "Free some space and resume: what is done stays.")
    return RunFolderError(
        f"{path} cannot be written ({reason.strerror or reason})",
        "Give a folder that stays there and may be written to, and resume.",
    )


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _hold(file: IO[bytes]) -> bool:
    """Try to lock an open file; False if another process holds it, True where the file system has no locks."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as reason:
            if reason.errno not in NOT_OFFERED:
                raise
    return True


def _release(file: IO[bytes]) -> None:
    """Let go at once: a process that was forked meanwhile would keep the lock with its copy of the file."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


def _sync_names(folder: Path) -> None:
    """Make a new name durable.

    A rename is whole or not there, so that a power cut costs no more than the last shards even without this; with it,
    what was reported as done is done. It takes a fraction of the time of syncing the file itself.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as reason:
        if reason.errno not in NOT_OFFERED:
            raise
    finally:
        os.close(descriptor)
