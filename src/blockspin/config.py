"""Config: the typed description of a run; the same object is the Python argument, the TOML file and the options."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from blockspin.errors import ConfigError, UnknownNameError, nearest
from blockspin.registry import member, members, summaries

MAX_TEXT = 4096
"""Longest string that a field may hold."""
DEFAULT_SCHEME = "principal-modes"


def option(default: Any, help: str, *, low: int = 0, high: int = 2**31 - 1, family: str = "") -> Any:
    """Declare a field: its default, a sentence of help, the range of a number, the family where a name is looked up."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "family": family})


def _default_scheme() -> Any:
    return member("schemes", DEFAULT_SCHEME)()


@dataclass(frozen=True)
class RunConfig:
    """What to read, how to read it, what to forget, and how to carry it out.

    Raises:
        ConfigError: If a field has a value that cannot be used: the field, the value and what would be accepted.
        UnknownNameError: If a name is not registered.
    """

    model: str = option("", "Hugging Face id or folder, or package.module:factory; blank for the built-in example.")
    data: str = option(
        "", "Text (txt, jsonl, parquet), a folder of images, or arrays (npy, npz); blank for the example's."
    )
    column: str = option("text", "Field, column or array of the data file, where it has several.")
    modality: str = option("", "text, image or array; blank to read it off the data's ending.")
    out: str = option("", "Folder of the run; blank for runs/<model>-<scheme>-<hash of this configuration>.")
    scheme: Any = field(
        default_factory=_default_scheme,
        metadata={"help": "Coarse-graining scheme; its own options are scheme.FIELD.", "family": "schemes"},
    )
    representation: str = option("pooled", "How activations are read as samples.", family="representations")
    layers: tuple[str, ...] = option((), "Module paths or globs; blank for the stream after attentions and MLPs.")
    samples: int = option(2000, "Most records to read, drawn by hash of their content.", low=8, high=10_000_000)
    kernel_samples: int = option(
        1500, "Most samples for kernels; the scheme is fitted on the others.", low=8, high=20_000
    )
    steps: int = option(0, "Coarse-graining steps; 0 for as many as are possible.", high=1000)
    max_tokens: int = option(128, "Longer passages are cut.", low=2, high=1_000_000)
    batch_size: int = option(16, "Records a batch; small ones pad little, large ones suit a GPU.", low=1, high=100_000)
    shard_size: int = option(
        128, "Records a shard: the unit of work that an interruption costs.", low=1, high=1_000_000
    )
    groups: int = option(20, "Groups of units for error bars.", low=2, high=1000)
    executor: str = option("process", "Who carries out the passes: process or serial.", family="engine")
    workers: int = option(2, "Worker processes.", low=1, high=1024)
    threads: int = option(1, "Threads a worker; part of what fixes the bytes of a result.", low=1, high=1024)
    seed: int = option(0, "Seed of everything random.")
    keep_states: bool = option(False, "Keep the states of groups after the run is finished.")

    def __post_init__(self):
        for item in fields(self):
            _check(item, getattr(self, item.name))

    def with_options(self, given: Mapping[str, Any]) -> RunConfig:
        """Return the configuration with some fields replaced, values being checked and names looked up.

        Args:
            given: Values by field; ``scheme`` may be a name, or a mapping of its name and options: those that are not
                given keep their values, unless it becomes another scheme.

        Raises:
            ConfigError: If a field is not known; the nearest names are offered.
        """
        known = {item.name: item for item in fields(self)}
        values = {}
        for key, value in given.items():
            if key not in known:
                raise ConfigError(key, value, f"the name of a field. {nearest(key, known)}")
            if key == "scheme" and isinstance(value, str | Mapping):
                values[key] = _scheme({"name": value} if isinstance(value, str) else value, self.scheme)
            else:
                values[key] = tuple(value) if isinstance(value, list) else value
        return replace(self, **values)

    @classmethod
    def from_toml(cls, path: Path) -> RunConfig:
        """Read a file.

        Raises:
            ConfigError: If it is missing or no TOML, or a field of it cannot be used.
        """
        try:
            with path.open("rb") as file:
                return cls().with_options(tomllib.load(file))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
            raise ConfigError("config", str(path), f"a readable TOML file ({reason}).") from None

    def to_toml(self) -> str:
        """Return the complete configuration, defaults filled in."""
        lines = []
        for item in fields(self):
            if item.name != "scheme":
                lines += [f"# {item.metadata['help']}", f"{item.name} = {_toml(getattr(self, item.name))}"]
        lines += ["", "[scheme]", f"name = {_toml(self.scheme.name)}"]
        options = self.scheme.options()
        lines += [f"{key} = {_toml(value)}" for key, value in options.items() if value is not None]  # TOML has no null
        return "\n".join(lines) + "\n"

    def folder(self) -> Path:
        """Return the folder of the run."""
        if self.out:
            return Path(self.out)
        digest = hashlib.blake2b(self.to_toml().encode(), digest_size=4).hexdigest()
        model = "".join(c if c.isalnum() else "-" for c in self.model.split("/")[-1]).strip("-")
        return Path("runs") / f"{model or 'example'}-{self.scheme.name}-{digest}"


def _check(item: Field, value: Any) -> None:
    about = item.metadata
    if item.name == "scheme":
        if getattr(type(value), "family", None) != "schemes":
            raise ConfigError("scheme", value, "the name of a scheme, a table of its name and options, or an instance.")
        return
    kind = type(item.default)
    if type(value) is not kind:
        raise ConfigError(item.name, value, f"{_word(kind)}. {about['help']}")
    if kind is int and not about["low"] <= value <= about["high"]:
        raise ConfigError(item.name, value, f"an integer from {about['low']} to {about['high']}. {about['help']}")
    texts: Any = value if kind is tuple else (value,) if kind is str else ()
    for text in texts:
        if not isinstance(text, str) or len(text) > MAX_TEXT or "\0" in text or not _is_utf8(text):
            shown = f"{str(text)[:40]}..." if len(str(text)) > 40 else text
            raise ConfigError(item.name, shown, f"UTF-8 text of at most {MAX_TEXT} characters. {about['help']}")
    if about["family"] and value not in summaries(about["family"]):  # our own, without importing them
        known = members(about["family"])  # third parties' too
        if value not in known:
            raise UnknownNameError(item.name, str(value), known)


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)  # what the shell makes of other bytes


def _scheme(given: Mapping[str, Any], current: Any) -> Any:
    """Build a scheme from its name and options; values that are strings are read as the option's type."""
    cls = member("schemes", str(given.get("name", current.name)))
    known = {item.name: item for item in fields(cls)}
    options = current.options() if type(current) is cls else {}
    for key, value in given.items():
        if key == "name":
            continue
        if key not in known:
            raise ConfigError(f"scheme.{key}", value, f"the name of an option of {cls.name}. {nearest(key, known)}")
        options[key] = _read(f"scheme.{key}", value, known[key])
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
    raise ConfigError(name, value, f"{_word(kind)}.")


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


def _word(kind: type) -> str:
    return {int: "an integer", str: "text", bool: "true or false", tuple: "a list of texts", float: "a number"}[kind]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else repr(value)
