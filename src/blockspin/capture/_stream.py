"""Find the points of a network's depth flow from the structure of its modules."""

from __future__ import annotations

import re

from torch import nn

SECOND_NORMS = (
    "pre_feedforward_layernorm",
    "post_attention_layernorm",
    "ln_2",
    "norm2",
    "layernorm_after",
    "layer_norm2",
    "final_layer_norm",
)
"""Names that pre-norm transformers give to the norm before the MLP; its input is the stream after attention."""
ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
SILENT = (nn.Dropout, nn.Identity, nn.Flatten, nn.modules.dropout._DropoutNd)


def depth_stream(module: nn.Module) -> tuple[str, ...]:
    """Return the paths of the default depth flow.

    Transformers: the stream that enters the first block, then after every attention and after every MLP (after every
    block where attention and MLP run side by side, or where their border is not known). Other networks: every leaf
    module that changes the activation, in the order of registration.
    """
    blocks = _blocks(module)
    if not blocks:
        return tuple(_leaves(module))
    parallel = bool(getattr(getattr(module, "config", None), "use_parallel_residual", False))
    points = [f"{blocks[0][0]}:input"]
    for path, block in blocks:
        middle = None if parallel else _after_attention(block)
        points += [f"{path}.{middle}"] if middle else []
        points.append(path)
    return tuple(points)


def _blocks(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the elements of the outermost list of modules that hold an attention each."""
    for path, child in module.named_modules():
        if isinstance(child, nn.ModuleList) and len(child) and all(_has_attention(block) for block in child):
            return [(f"{path}.{index}" if path else str(index), block) for index, block in enumerate(child)]
    return []


def _has_attention(block: nn.Module) -> bool:
    return any(ATTENTION.search(name.rpartition(".")[2]) for name, _ in block.named_modules() if name)


def _after_attention(block: nn.Module) -> str | None:
    names = dict(block.named_children())
    norm = next((name for name in SECOND_NORMS if name in names), None)
    if norm is not None:
        return f"{norm}:input"
    attention = names.get("attention")
    if attention is not None and "output" in dict(attention.named_children()):
        return "attention.output"  # post-norm blocks of the BERT family: the norm is inside
    return None


def _leaves(module: nn.Module) -> list[str]:
    return [
        path
        for path, child in module.named_modules()
        if path and not any(True for _ in child.children()) and not isinstance(child, SILENT)
    ]
