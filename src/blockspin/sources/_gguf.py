"""GGUF: a quantised model file written once as float32 safetensors with its tokenizer, and kept in the cache folder."""

from __future__ import annotations

import copy
import errno
import hashlib
import os
import shutil
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from blockspin.errors import DiskSpaceError, MissingDependencyError, MissingModelError
from blockspin.sources._complete import absent_parts

UNFINISHED = ".unfinished-"
STALE = 3600.0
"""Seconds after which an unfinished folder belongs to nobody."""


def dequantised(file: Path, cache: Path | None = None) -> Path:
    """Return the folder that holds a GGUF model in float32, as ``save_pretrained`` writes it; made at the first call.

    Its name has a hash of the file, so that another version of the file gets a folder of its own. It is written beside
    its place and moved there in one step: workers that make it at once do not disturb each other.

    Args:
        file: The file.
        cache: Where to keep it; by default ``blockspin`` in the user's cache folder (``XDG_CACHE_HOME``).

    Raises:
        MissingDependencyError: If a package that reads it is not installed.
        MissingModelError: If it is no GGUF file of an architecture that transformers knows.
        DiskSpaceError: If the cache folder is full.
    """
    cache = cache or cache_folder()
    with file.open("rb") as opened:
        key = hashlib.file_digest(opened, "sha256").hexdigest()[:16]
    folder = cache / f"{file.stem}-{key}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        _remove_stale(cache)
        unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=cache))
        try:
            _write(file, unfinished)
            _move(unfinished, folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def cache_folder() -> Path:
    """Return the folder where what takes long to make is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "blockspin"


def _write(file: Path, folder: Path) -> None:
    for package in ("transformers", "gguf", "accelerate"):
        if find_spec(package) is None:
            raise MissingDependencyError(f"{package} is not installed", "pip install 'blockspin[gguf]'")
    import transformers

    transformers.utils.logging.disable_progress_bar()
    where: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    loader: Any = transformers.AutoModelForCausalLM
    try:
        read, found = loader.from_pretrained(str(file.parent), **where, dtype=torch.float32, output_loading_info=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(file.parent), **where)
    except Exception as reason:  # a damaged file fails inside the reader in ways of its own
        first = str(reason).strip().partition("\n")[0]
        raise MissingModelError(f"no network can be read from {file} ({first})", "Give a GGUF file, whole.") from None
    if absent := absent_parts(read, found, file.name):
        raise MissingModelError(f"{file} holds no weights of {', '.join(absent)}", "Give a GGUF file, whole.")
    try:
        _plain(read).save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))
    except OSError as reason:
        if reason.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise DiskSpaceError(f"the disk is full at {folder.parent}", "Set XDG_CACHE_HOME to another disk.") from None


def _plain(read: Any) -> Any:
    """Return a network with the same weights that does not take itself for a quantised one, which cannot be saved."""
    config = copy.deepcopy(read.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        fresh = type(read)(config)
    fresh.load_state_dict(read.state_dict(), assign=True)
    fresh.tie_weights()
    return fresh


def _move(made: Path, folder: Path) -> None:
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another worker was quicker
            raise


def _remove_stale(cache: Path) -> None:
    for left in cache.glob(f"{UNFINISHED}*"):
        if time.time() - left.stat().st_mtime > STALE:
            shutil.rmtree(left, ignore_errors=True)
