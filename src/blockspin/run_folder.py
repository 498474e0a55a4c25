"""The folder that a run leaves: created once, written atomically, described by a manifest."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from blockspin.engine._files import refuse_link, refuse_links, refuse_outward, write_bytes
from blockspin.errors import DiskSpaceError, RunFolderError
from blockspin.flow import Flow

REPORTED_VERSIONS = ("blockspin", "torch", "numpy", "scipy", "transformers", "xarray", "zarr", "safetensors", "plotly")


def open_folder(folder: Path, config_toml: str, *, resume: bool) -> Path:
    """Create the folder of a new run, or reopen that of one to be finished.

    Raises:
        RunFolderError: If the folder exists and this is no resumption, it belongs to another configuration, or it holds
            links, through which a folder from elsewhere would have other files written over.
    """
    path = folder / "config.toml"
    if resume:
        if not path.is_file():
            raise RunFolderError(f"{folder} holds no config.toml", "Give the folder of a run that was begun.")
        refuse_links(folder)
        if path.read_text(encoding="utf-8") != config_toml:
            raise RunFolderError(f"{folder} was begun with another configuration", "Resume it without other options.")
        return folder
    folder.mkdir(parents=True, exist_ok=True)  # first: of "new/../old" nothing can be told before new is there
    require_empty(folder)
    write_text(path, config_toml)
    return folder


def require_empty(folder: Path) -> None:
    """Refuse a folder that holds anything; one that does not exist is free.

    Raises:
        RunFolderError: If it does.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise RunFolderError(f"{folder} exists already", f"Finish it with --resume {folder}, or choose another --out.")


def require_finished(folder: Path) -> None:
    """Refuse a folder that is not that of a finished run.

    Raises:
        RunFolderError: If it is not.
    """
    for name in ("config.toml", "answers.json"):
        if not (folder / name).is_file():
            raise RunFolderError(f"{folder} holds no {name}", f"Finish the run: blockspin run --resume {folder}")


def require_space(folder: Path, needed: int) -> None:
    """Refuse to start where the disk has less than ``needed`` bytes left.

    Raises:
        DiskSpaceError: With both numbers.
    """
    existing = next(place for place in (folder, *folder.resolve().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise DiskSpaceError(
            f"the run needs about {needed / 1e6:.0f} MB and {existing} has {free / 1e6:.0f} MB left",
            "Free some space, choose another --out, or take fewer samples or layers.",
        )


def join_folder(folder: Path, config_toml: str) -> Path:
    """Create the folder of a run, or open it where a run of the same configuration has begun, on this machine or not.

    Raises:
        RunFolderError: If it belongs to another configuration, or holds something else.
    """
    if not (folder / "config.toml").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        if any(path.suffix != ".tmp" for path in folder.iterdir()):
            raise RunFolderError(f"{folder} holds no run", "Choose another --out.")
        write_text(folder / "config.toml", config_toml)  # several machines may do so at once: they write the same
    return open_folder(folder, config_toml, resume=True)


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is either the old one or the whole new one.

    Raises:
        DiskSpaceError: If the disk is full.
    """
    write_bytes(path, text.encode())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, the same bytes for the same content; not-a-number is refused."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_flow(folder: Path, slug: str, flow: Flow) -> str:
    """Write a flow as zarr under ``flows/`` and return the name of its folder.

    Raises:
        RunFolderError: If the name of the flow or of a quantity leads elsewhere, or a link stands in the way.
    """
    data = flow.to_xarray()
    for name in (slug, *map(str, data.variables)):
        refuse_outward(name)
    place = folder / "flows" / f"{slug}.zarr"
    temporary = place.with_name(f".{slug}.tmp")
    for path in (place.parent, place, temporary):
        refuse_link(path)
    shutil.rmtree(temporary, ignore_errors=True)
    place.parent.mkdir(exist_ok=True)
    # labels go into the attributes: zarr has no settled type for texts of fixed length
    data = data.drop_vars("label").assign_attrs(labels=list(flow.labels))
    data.to_zarr(temporary, mode="w", consolidated=False, zarr_format=3)
    shutil.rmtree(place, ignore_errors=True)
    temporary.rename(place)
    return place.name


def machine() -> dict[str, Any]:
    """Return what carries out a run: versions, processor, platform."""
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "processor": _processor(),
        "platform": platform.platform(),
    }


def manifest(
    *, seed: int, seconds: Mapping[str, float], hashes: Mapping[str, str], parts: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what is needed to repeat a run or to explain why a repetition differs."""
    return {
        **machine(),
        "git_revision": _revision(),
        "seed": seed,
        "parts": list(parts),
        "seconds": {step: round(time, 2) for step, time in seconds.items()},
        "hashes": dict(hashes),
        "command": " ".join(sys.argv[1:]),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in REPORTED_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _revision() -> str | None:
    """The git revision of an editable checkout of blockspin itself, None elsewhere."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
