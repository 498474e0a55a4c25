"""Sweep: one run for every combination of some values of a configuration; equal passes are carried out once."""

from __future__ import annotations

import glob
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

from blockspin.config import RunConfig
from blockspin.engine._files import refuse_links
from blockspin.errors import BlockspinError, ConfigError
from blockspin.material import resolved
from blockspin.run import run
from blockspin.run_folder import open_folder, write_json

PATHS = ("model", "checkpoint", "data")
"""Fields whose values may be patterns of paths, as checkpoints/step-*.safetensors."""
MOST = 10_000
TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Axis:
    """A field that a sweep varies.

    Args:
        field: Its name; "scheme.b" for an option of the scheme.
        values: Its values.
    """

    field: str
    values: tuple[Any, ...]

    @classmethod
    def parse(cls, text: str) -> Axis:
        """Read "FIELD=VALUE,VALUE,...": paths may be patterns, values of a list are joined by "+".

        Raises:
            ConfigError: If it names no field or no value.
        """
        name, sign, listed = text.partition("=")
        known = {item.name: item for item in fields(RunConfig)}
        head, _, inner = name.partition(".")
        values = [value for value in listed.split(",") if value]
        if not sign or not values or head not in known or (inner and "member" not in known[head].metadata):
            raise ConfigError("vary", text, "FIELD=VALUE,VALUE with a field of the configuration, as scheme.b=2,4.")
        if name in PATHS:
            values = [path for value in values for path in _paths(name, value)]
        kind = str if inner or "member" in known[head].metadata else type(known[head].default)
        return cls(name, tuple(_read(name, value, kind) for value in values))


def sweep(
    config: RunConfig, axes: Sequence[Axis], out: Path, *, say: Callable[[str], None] = lambda line: None
) -> list[dict[str, Any]]:
    """Carry out one run for every combination, each in a folder of its own, and return one row a run.

    Runs that read the same layers of the same network over the same records share that reading. A sweep that was cut
    short goes on: finished runs are kept, the one that was under way is resumed. A run that cannot be done leaves its
    reason in its row.

    Args:
        config: What the runs have in common.
        axes: What is varied; the last one varies fastest.
        out: Folder of the sweep: one folder a run, and ``sweep.json``, rewritten after each.
        say: Called with a line before each run.

    Raises:
        ConfigError: If there are no axes, a field twice, or more than 10,000 runs.
        RunFolderError: If the folder holds links.
    """
    combinations = list(_combinations(axes))
    out.mkdir(parents=True, exist_ok=True)
    refuse_links(out)
    rows = []
    for number, values in enumerate(combinations, 1):
        label = ",".join(f"{key}={_label(value)}" for key, value in values.items())
        say(f"run {number} of {len(combinations)}: {label}")
        rows.append({**{key: _plain(value) for key, value in values.items()}, **_row(config, values, out, label)})
        write_json(out / "sweep.json", {"format": 1, "axes": [axis.field for axis in axes], "runs": rows})
    if not config.keep_states:
        shutil.rmtree(out / "states", ignore_errors=True)
    return rows


def _combinations(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    names = [axis.field for axis in axes]
    size = 1
    for axis in axes:
        size *= len(axis.values)
    if not axes or len(set(names)) < len(names) or size > MOST:
        raise ConfigError("vary", names, f"at least one field, each once, and at most {MOST} runs.")
    return (dict(zip(names, values, strict=True)) for values in product(*(axis.values for axis in axes)))


def _row(config: RunConfig, values: Mapping[str, Any], out: Path, label: str) -> dict[str, Any]:
    place = out / _folder_name(label)
    row: dict[str, Any] = {"folder": place.name, "verdict": None, "statement": None, "error": None}
    try:
        wanted = resolved(config.with_options({**_options(values), "out": str(place)}))
        begun = (place / "config.toml").is_file()
        if begun:
            open_folder(place, wanted.to_toml(), resume=True)  # refuses the run of another configuration
        if not (place / "report.html").is_file():
            run(wanted, folder=place, resume=begun, shared=out / "states")
    except BlockspinError as reason:
        return {**row, "error": str(reason)}
    answers = json.loads((place / "answers.json").read_text(encoding="utf-8"))["answers"]
    first = answers[0] if answers else {}  # of data alone, whose question may have had too few samples
    return {**row, "verdict": first.get("verdict"), "statement": first.get("statement")}


def _options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as options of the configuration; those of one member come together."""
    given: dict[str, Any] = {}
    for key, value in values.items():
        head, _, inner = key.partition(".")
        if inner:
            given.setdefault(head, {})[inner] = value
        elif isinstance(given.get(head), dict):
            given[head]["name"] = value
        else:
            given[head] = {"name": value} if any(other.startswith(f"{key}.") for other in values) else value
    return given


def _paths(field: str, pattern: str) -> list[str]:
    if not glob.has_magic(pattern):
        return [pattern]
    found = sorted(glob.glob(str(Path(pattern).expanduser())))
    if not found:
        raise ConfigError(f"vary {field}", pattern, "a pattern that matches at least one path.")
    return found


def _read(field: str, text: str, kind: type) -> Any:
    try:
        if kind is bool:
            return TRUTH[text.lower()]
        return tuple(text.split("+")) if kind is tuple else kind(text)
    except (ValueError, KeyError):
        raise ConfigError(f"vary {field}", text, "a value of the type of that field.") from None


def _label(value: Any) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _folder_name(label: str) -> str:
    """Return a label as the name of one folder that leads nowhere else; told apart by a hash where it was changed."""
    name = "".join(c if c.isalnum() or c in "=,+._-" else "-" for c in label).lstrip(".")[-200:]
    return name if name == label else f"{name}-{hashlib.blake2b(label.encode(), digest_size=4).hexdigest()}"
