"""Config: the typed description of a run; the same object is the Python argument, the TOML file and the options."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from blockspin.errors import ConfigError, UnknownNameError, nearest
from blockspin.memory import size_of
from blockspin.options import WORDS, build, options_of
from blockspin.registry import member, members, summaries

MAX_TEXT = 4096
"""Longest string that a field may hold."""
MAX_FILE = 2**17
"""Bytes that a file may have; none is needed that comes near it."""


def option(
    default: Any, help: str, *, low: int = 0, high: int = 2**31 - 1, family: str = "", local: bool = False
) -> Any:
    """Declare a field: its default, a sentence of help, the range of a number, the family where a name is looked up.

    A local field says how or where, not what: machines that share a run may differ in it.
    """
    return field(default=default, metadata={"help": help, "low": low, "high": high, "family": family, "local": local})


def chosen(name: str, help: str, family: str) -> Any:
    """Declare a field that holds a member of a family with its own options: its default's name, a sentence of help."""
    return field(
        default_factory=lambda: member(family, name)(), metadata={"help": help, "family": family, "member": name}
    )


@dataclass(frozen=True)
class RunConfig:
    """What to read, how to read it, what to forget, and how to carry it out.

    Raises:
        ConfigError: If a field has a value that cannot be used: the field, the value and what would be accepted.
        UnknownNameError: If a name is not registered.
    """

    model: str = option(
        "",
        "Hugging Face id or folder, or package.module:factory; off to read the data alone; blank for the built-in "
        "example.",
    )
    checkpoint: str = option(
        "", "State dict (safetensors, pt, bin) that is put into the model; blank for the weights it comes with."
    )
    checkpoints: str = option(
        "",
        "Folder or pattern of state dicts, or of folders checkpoint-STEP, along the model's training; builtin where it "
        "is trained on the spot; blank for none.",
    )
    family: tuple[str, ...] = option(
        (),
        "Networks of several widths, or patterns of their folders, named by width as nets/width-64 or WIDTH=MODEL; "
        "builtin, or widths, where they are trained on the spot; blank for none.",
    )
    along: str = option("width", "What the networks of the family differ in, one word: width, depth, records, ...")
    contexts: tuple[str, ...] = option(
        (), "Lengths in tokens at which the same passages are read, as a family, the longest last; blank for one."
    )
    targets: str = option(
        "",
        "Field, column or array of the data file that holds what is to be predicted, if any, or a file of its own; "
        "next-token where outputs are logits of the token that follows.",
    )
    data: str = option(
        "",
        "File (txt, jsonl, parquet, npy, npz, idx, tar), folder, pattern, or datasets:NAME; blank for the example's.",
    )
    column: str = option("text", "Field, column or array of the data file, where it has several.")
    unit: str = option("", "Field that names what is independent (a document, a patient); blank for each record.")
    modality: str = option("", "text, image or array; blank to read it off the data's ending.")
    out: str = option(
        "", "Folder of the run; blank for runs/<model>-<scheme>-<hash of this configuration>.", local=True
    )
    scheme: Any = chosen("principal-modes", "Coarse-graining scheme; its own options are scheme.FIELD.", "schemes")
    representation: Any = chosen(
        "pooled", "How activations are read as samples; its own options are representation.FIELD.", "representations"
    )
    layers: tuple[str, ...] = option((), "Module paths or globs; blank for the stream after attentions and MLPs.")
    couplings: tuple[str, ...] = option(
        (),
        "Couplings that are measured along the flows and predicted, options as sectors:blocks=4; blank for "
        "those that suit, off for none.",
    )
    nulls: tuple[str, ...] = option(
        (),
        "Null flows beside the couplings, each about as long to measure as they are: untrained, shuffled, gaussian; "
        "blank for the first two, of data alone for the last two, off for none.",
    )
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
    executor: str = option("process", "Who carries out the passes.", family="engine", local=True)
    workers: int = option(2, "Worker processes.", low=1, high=1024, local=True)
    threads: int = option(1, "Threads a worker; part of what fixes the bytes of a result.", low=1, high=1024)
    seed: int = option(0, "Seed of everything random.")
    keep_states: bool = option(False, "Keep the states of groups after the run is finished.", local=True)
    activations: str = option("", "Keep the activations that were read: float32 or bfloat16; blank to keep none.")
    memory: str = option(
        "", "Most memory that the run may take, as 4GB; it is refused where that cannot be kept.", local=True
    )
    gpus: float = option(0.0, "GPUs a worker of the executor ray; a fraction shares one.", local=True)
    address: str = option("", "Address of a Ray cluster for the executor ray; blank to start one here.", local=True)
    dtype: str = option("", "Precision of the network: float32, bfloat16 or float16; blank as it was saved.")
    device: str = option("", "Where the network runs: cpu, cuda, cuda:1, mps; blank for the CPU.", local=True)
    device_map: str = option(
        "", "How a Hugging Face model is spread over devices: auto, balanced, sequential.", local=True
    )
    trust_remote_code: str = option("", "Name of the one model whose own code may be run; blank for none.")

    def __post_init__(self):
        for item in fields(self):
            value = getattr(self, item.name)
            if "member" in item.metadata and isinstance(value, str):  # a name alone
                object.__setattr__(self, item.name, member(item.metadata["family"], value)())
            _check(item, getattr(self, item.name))
        size_of(self.memory)
        if self.activations not in ("", "float32", "bfloat16"):
            raise ConfigError("activations", self.activations, "float32 or bfloat16; blank to keep none.")

    def with_options(self, given: Mapping[str, Any]) -> RunConfig:
        """Return the configuration with some fields replaced, values being checked and names looked up.

        Args:
            given: Values by field; ``scheme`` and ``representation`` may be a name, or a mapping of name and options:
                those that are not given keep their values, unless it becomes another one.

        Raises:
            ConfigError: If a field is not known; the nearest names are offered.
        """
        known = {item.name: item for item in fields(self)}
        values = {}
        for key, value in given.items():
            if key not in known:
                raise ConfigError(key, value, f"the name of a field. {nearest(key, known)}")
            if "member" in known[key].metadata and isinstance(value, str | Mapping):
                options = {"name": value} if isinstance(value, str) else value
                values[key] = build(key, known[key].metadata["family"], options, getattr(self, key))
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
                text = file.read(MAX_FILE + 1)  # not by its size: a pipe or a device tells none
            if len(text) > MAX_FILE:
                raise ConfigError("config", str(path), f"a TOML file of at most {MAX_FILE} bytes; it has more.")
            given = tomllib.loads(text.decode())
        except (OSError, ValueError, RecursionError) as reason:
            raise ConfigError("config", str(path), f"a readable TOML file ({str(reason)[:200]}).") from None
        return cls().with_options(given)

    def to_toml(self) -> str:
        """Return the complete configuration, defaults filled in."""
        lines, tables = [], []
        for item in fields(self):
            value = getattr(self, item.name)
            if "member" not in item.metadata:
                lines += [f"# {item.metadata['help']}", f"{item.name} = {_toml(value)}"]
                continue
            tables += ["", f"# {item.metadata['help']}", f"[{item.name}]", f"name = {_toml(value.name)}"]
            options = options_of(value).items()
            tables += [f"{key} = {_toml(option)}" for key, option in options if option is not None]  # TOML has no null
        lines += tables
        return "\n".join(lines) + "\n"

    def common(self) -> str:
        """Return what machines that share a run have in common: the configuration without its local fields."""
        defaults: dict[str, Any] = {item.name: item.default for item in fields(self) if item.metadata.get("local")}
        return replace(self, **defaults).to_toml()

    def folder(self) -> Path:
        """Return the folder of the run."""
        if self.out:
            return Path(self.out)
        digest = hashlib.blake2b(self.to_toml().encode(), digest_size=4).hexdigest()
        model = "".join(c if c.isalnum() else "-" for c in self.model.split("/")[-1]).strip("-")
        return Path("runs") / f"{model or 'example'}-{self.scheme.name}-{digest}"


def _check(item: Field, value: Any) -> None:
    about = item.metadata
    if "member" in about:
        if getattr(type(value), "family", None) != about["family"]:
            word = about["family"].removesuffix("s")
            raise ConfigError(item.name, value, f"the name of a {word}, a table of name and options, or an instance.")
        return
    kind: Any = type(item.default)
    if type(value) is not kind:
        raise ConfigError(item.name, value, f"{WORDS[kind]}. {about['help']}")
    if kind is float and not value >= 0:
        raise ConfigError(item.name, value, f"a number that is not negative. {about['help']}")
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


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else repr(value)
