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
    "mlp_norm",
)
"""Names that pre-norm transformers give to the norm before the MLP; its input is the stream after attention."""
AFTER_ATTENTION = ("sa_layer_norm", "attention.output", "attention.LayerNorm")
"""Names that post-norm transformers give to the module whose output is the stream after attention."""
ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
SILENT = (nn.Dropout, nn.Identity, nn.Flatten, nn.modules.dropout._DropoutNd)


def depth_stream(module: nn.Module) -> tuple[str, ...]:
    """Return the paths of the default depth flow.

    Transformers: the stream that enters the first block, then after every attention and after every MLP (after every
    block where attention and MLP run side by side, or where their border is not known). Other networks: every leaf
    module that changes the activation, in the order of registration, which need not be that of execution.
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
        least = 1 if isinstance(child, nn.ModuleList) else 2  # a chain of one may just be wrapped around a network
        if not isinstance(child, (nn.ModuleList, nn.Sequential)) or len(child) < least:
            continue
        if all(_has_attention(block) for block in child):
            return [(f"{path}.{index}" if path else str(index), block) for index, block in enumerate(child)]
    return []


def _has_attention(block: nn.Module) -> bool:
    return any(ATTENTION.search(name.rpartition(".")[2]) for name, _ in block.named_modules() if name)


def _after_attention(block: nn.Module) -> str | None:
    names = dict(block.named_modules())
    if isinstance(block, nn.TransformerEncoderLayer):
        return "norm2:input" if block.norm_first else "norm1"
    if "post_feedforward_layernorm" in names and "pre_feedforward_layernorm" not in names:
        return "mlp:input"  # the norms stand on the branches, the stream enters the MLP as it is
    norm = next((name for name in SECOND_NORMS if name in names), None)
    return f"{norm}:input" if norm else next((name for name in AFTER_ATTENTION if name in names), None)


def _leaves(module: nn.Module) -> list[str]:
    modules = [(path, child) for path, child in module.named_modules() if path and not isinstance(child, SILENT)]
    inside = tuple(f"{path}." for path, child in modules if isinstance(child, nn.MultiheadAttention))  # one operation
    return [
        path
        for path, child in modules
        if not path.startswith(inside) and (f"{path}." in inside or not any(True for _ in child.children()))
    ]
