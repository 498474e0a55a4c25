"""Spectra: list the spectra of weights and their power-law exponents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from blockspin.cli._said import say

if TYPE_CHECKING:
    from blockspin.progress import Steps
    from blockspin.spectra.network import NetworkSpectra


def command(
    model: str = "",
    /,
    *,
    checkpoint: Path | None = None,
    p_values: Annotated[bool, Parameter(negative="")] = False,
    surrogates: int = 99,
    seed: int = 0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """List the spectra of weights and their power-law exponents.

    Says of each whether it is a power law, none, or cannot be told.

    Args:
        model: A Hugging Face id or folder, builtin:minilm, or package.module:factory, as for run; builtin:minilm where
            no checkpoint is named either.
        checkpoint: State dict (safetensors, pt, bin) that is put into the model; by itself where no model is named.
        p_values: Test every tail against random matrices that have one; without it no tail is called a power law.
        surrogates: Most random matrices a weight.
        seed: Randomness of the random matrices.
        as_json: Print JSON instead of a table.
    """
    import torch

    from blockspin.errors import check_whole
    from blockspin.progress import Steps
    from blockspin.spectra.network import with_p_values

    check_whole("surrogates", surrogates, 20)
    steps = Steps()
    found = _found(model, checkpoint, steps)
    if p_values:
        with steps.step("p-values", total=1.0) as advance:
            generator = torch.Generator().manual_seed(seed)
            found = with_p_values(found, generator=generator, most=surrogates, advance=advance)
    say(found.to_dict(), _text(found), as_json=as_json)
    return 0


def _found(model: str, checkpoint: Path | None, steps: Steps) -> NetworkSpectra:
    """Return the spectra of a network, of one with the weights of a checkpoint, or of a checkpoint by itself."""
    from blockspin.registry import member
    from blockspin.sources.checkpoint import state_of
    from blockspin.spectra.network import network_spectra, state_spectra

    if checkpoint is not None and not model:
        with steps.step("read the checkpoint"):
            state = state_of(checkpoint.expanduser())
        with steps.step("spectra"):
            return state_spectra(state)
    with steps.step("load the network"):
        network = member("sources", "network")
        loaded = network(model or "builtin:minilm", checkpoint=str(checkpoint or "")).load()
    with steps.step("spectra"):
        return network_spectra(loaded.module, absent=loaded.absent)


def _text(found) -> str:
    """The table, why verdicts are what they are, and what was skipped, equal reasons together."""
    from blockspin.cli._table import table

    hidden = ("spectral_norm", "noise_edge", "zeros", "surrogates", "how", "reasons")
    rows = [
        {key: _short(value) for key, value in layer.to_dict().items() if key not in hidden} for layer in found.layers
    ]
    lines = [table(rows), ""]
    lines += [f"{layer.name}: {layer.verdict.value}: {'; '.join(layer.reasons)}" for layer in found.layers]
    reasons: dict[str, list[str]] = {}
    for item in found.skipped:
        reasons.setdefault(item.reason, []).append(item.name)
    lines += [f"skipped ({reason}): {', '.join(names)}" for reason, names in reasons.items()]
    error = "spread over surrogates" if any(layer.surrogates for layer in found.layers) else "textbook, too large"
    return "\n".join([*lines, f"x_min in units of W^T W; error of alpha: {error}"])


def _short(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return "x".join(map(str, value)) if isinstance(value, list) else value
