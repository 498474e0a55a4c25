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
    "pre_ff_layernorm",
)
"""Names that pre-norm transformers give to the norm before the MLP; its input is the stream after attention."""
AFTER_ATTENTION = ("sa_layer_norm", "attention.output", "attention.LayerNorm")
"""Names that post-norm transformers give to the module whose output is the stream after attention."""
ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
MIXING = re.compile(r"attn|attention|mamba|mixer|ssm", re.IGNORECASE)
"""Names of what mixes positions in a block: attentions and state spaces."""
SILENT = (nn.Dropout, nn.Identity, nn.Flatten, nn.modules.dropout._DropoutNd)


def depth_stream(module: nn.Module) -> tuple[str, ...]:
    """Return the paths of the default depth flow.

    Transformers: the stream that enters the first block, then after every attention and after every MLP (after every
    block where attention and MLP run side by side, or where their border is not known), of the encoder and then of the
    decoder where there are both. Networks of other equal blocks (state spaces): the stream between the blocks. Other
    networks: every leaf module that changes the activation, in the order of registration, which need not be that of
    execution.
    """
    found = stacks(module)
    if not found:
        return tuple(_leaves(module))
    points = []
    for blocks in found:
        points.append(f"{blocks[0][0]}:input")
        for path, block in blocks:
            points += [f"{path}.{middle}" for middle in after_attention(module, block)] + [path]
    return tuple(points)


Stack = list[tuple[str, nn.Module]]


def stacks(module: nn.Module) -> list[Stack]:
    """Return the stacks of blocks of a network, each block with its path: none, one, or one of every tower.

    A stack is an outermost list of modules that mix positions each (attentions, state spaces); where these are stages
    that hold lists of such blocks themselves, their blocks. Without any it is a list of equal blocks with most of the
    parameters.
    """
    found: list[Stack] = []
    for path, child in module.named_modules():
        least = 1 if isinstance(child, nn.ModuleList) else 2  # a chain of one may just be wrapped around a network
        if not isinstance(child, (nn.ModuleList, nn.Sequential)) or len(child) < least:
            continue
        if any(path.startswith(f"{block}.") for stack in found for block, _ in stack):
            continue
        if all(_mixes(block) for block in child):
            found.append(_expanded([(f"{path}.{i}" if path else str(i), block) for i, block in enumerate(child)]))
    return found or _equal_blocks(module)


def _expanded(stack: Stack) -> Stack:
    """Return the blocks of all stages where a stack is one of stages."""
    inner = [(path, stacks(block)) for path, block in stack]
    if not all(len(found) == 1 and _mixes(found[0][0][1]) for _, found in inner):
        return stack
    return [(f"{path}.{name}", block) for path, found in inner for name, block in found[0]]


def _equal_blocks(module: nn.Module) -> list[Stack]:
    whole = _size(module)
    for path, child in module.named_modules():
        equal = isinstance(child, nn.ModuleList) and len(child) > 1 and len({type(block) for block in child}) == 1
        if equal and any(True for _ in child[0].children()) and 2 * _size(child) > whole:
            return [[(f"{path}.{i}", block) for i, block in enumerate(child)]]
    return []


def _size(module: nn.Module) -> int:
    embeddings = sum(p.numel() for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters())
    return sum(parameter.numel() for parameter in module.parameters()) - embeddings


def _mixes(block: nn.Module) -> bool:
    return any(MIXING.search(name.rpartition(".")[2]) for name, _ in block.named_modules() if name)


def after_attention(module: nn.Module, block: nn.Module) -> list[str]:
    """Return where the stream is read inside a block: after its attention, and after a second one.

    None where that is not known, or attention and MLP run side by side.
    """
    if getattr(getattr(module, "config", None), "use_parallel_residual", False):
        return []
    names = dict(block.named_modules())
    if isinstance(block, nn.TransformerEncoderLayer):
        return ["norm2:input" if block.norm_first else "norm1"]
    if isinstance(block, nn.TransformerDecoderLayer):
        return ["norm2:input", "norm3:input"] if block.norm_first else ["norm1", "norm2"]
    if "layer.0.SelfAttention" in names:  # T5: each sublayer adds its own branch, the last one is the MLP
        return [name for name in names if re.fullmatch(r"layer\.\d+", name)][:-1]
    if "post_feedforward_layernorm" in names and "pre_feedforward_layernorm" not in names:
        return ["mlp:input"]  # the norms stand on the branches, the stream enters the MLP as it is
    norm = next((name for name in SECOND_NORMS if name in names), None)
    found = f"{norm}:input" if norm else next((name for name in AFTER_ATTENTION if name in names), None)
    return [found] if found else []


def _leaves(module: nn.Module) -> list[str]:
    modules = [(path, child) for path, child in module.named_modules() if path and not isinstance(child, SILENT)]
    inside = tuple(f"{path}." for path, child in modules if isinstance(child, nn.MultiheadAttention))  # one operation
    return [
        path
        for path, child in modules
        if not path.startswith(inside) and (f"{path}." in inside or not any(True for _ in child.children()))
    ]
