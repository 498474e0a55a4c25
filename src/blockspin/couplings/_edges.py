"""Edges: atoms and hard edges of a field, seen in one pass: there a density has no derivative to match."""

from __future__ import annotations

import torch
from torch import Tensor

from blockspin.errors import HardEdgesError
from blockspin.observables.base import State

KEPT = 32
"""How many of the lowest and of the highest values of each site are kept."""

ATOM = 0.02
"""Share of values that are exactly 0 from which a site has an atom there."""

REMEDY = (
    "Score matching needs a density that is smooth and vanishes at its ends. Use binary-action (pseudo-likelihood) on "
    "the signs, or truncated score matching; or measure before the nonlinearity or the normalisation that does this."
)


def edges_of(field: Tensor) -> State:
    """Return what one batch shows of atoms and edges.

    State: "count" [], "ends" [2, D, 32] (the lowest values of the field and of its mirror image, ascending, padded with
    infinity), "zeros" [D], "norm" [2] (sums of the squared norm and of its square), float64; weights play no part.

    Args:
        field: [D, n].
    """
    kept = min(KEPT, field.shape[1])
    ends = torch.stack([field.topk(kept, 1, largest=False).values, -field.topk(kept, 1).values]).to(torch.float64)
    padding = torch.full((*ends.shape[:2], KEPT - kept), torch.inf, dtype=torch.float64)
    norm = field.square().sum(0).to(torch.float64)
    return {
        "count": torch.tensor(float(field.shape[1]), dtype=torch.float64),
        "ends": torch.cat([ends, padding], 2),
        "zeros": (field == 0).sum(1).to(torch.float64),
        "norm": torch.stack([norm.sum(), norm.square().sum()]),
    }


def merged_edges(first: State, second: State) -> State:
    """Merge what two parts show."""
    merged = {key: first[key] + second[key] for key in ("count", "zeros", "norm")}
    return {**merged, "ends": torch.cat([first["ends"], second["ends"]], 2).sort(2).values[:, :, :KEPT]}


def refuse_edges(state: State, *, law: bool = False) -> None:
    """Raise where score matching does not hold; sites that never vary are passed over.

    Four signs: a share of exact zeros (ReLU); few distinct values among the extreme ones of a site, or ties there
    (spins, clipped ends, levels); extreme values that lie evenly, as at a jump of the density, where those of a tail
    thin out (seen in the mean over sites: uniform noise, |x|, folds of GELU); a norm that is the same for all samples.

    Args:
        state: Of ``edges_of``, with "weight" and "squares". Spacings are looked at where all weights are equal.
        law: Whether these are the configurations of a law, of which only the norm means anything.

    Raises:
        HardEdgesError: Naming what was seen.
    """
    lowest, highest = state["ends"][0, :, 0], -state["ends"][1, :, 0]
    varies = lowest < highest
    if not bool(varies.any()):
        return
    even = abs(float(state["weight"] ** 2 / state["squares"] / state["count"]) - 1) < 1e-9
    signs = (_sphere,) if law else (_zeros, _ties, *((_jump,) if even else ()), _sphere)
    for seen in signs:
        what = seen(state, varies)
        if what:
            raise HardEdgesError(what, REMEDY)


def _zeros(state: State, varies: Tensor) -> str:
    share = torch.where(varies, state["zeros"] / state["count"], 0.0)
    site = int(share.argmax())
    return f"{float(share[site]):.0%} of the values of site {site} are exactly 0" if share[site] > ATOM else ""


def _ends(state: State, varies: Tensor) -> Tensor:
    """Return the extreme values [2, sites that vary, k], where k is at most an eighth of the samples."""
    return state["ends"][:, varies, : min(KEPT, int(state["count"]) // 8)]


def _ties(state: State, varies: Tensor) -> str:
    ends = _ends(state, varies)
    k = ends.shape[2]
    if k < 4:
        return ""
    distinct = 1 + (ends.diff(dim=2) > 0).sum(2)
    fewest = int(distinct.min())
    if fewest <= max(1, k // 10):
        site = int(varies.nonzero().flatten()[int(distinct.min(0).values.argmin())])
        return f"the {k} most extreme values of site {site} are {fewest} number(s)"
    share, tied = (distinct / k).mean(1), (ends == ends[:, :, :1]).sum(2).to(torch.float64).mean(1)
    if float(share.min()) < 0.4:
        return f"only {float(share.min()):.0%} of the {k} most extreme values of a site are distinct"
    return f"{float(tied.max()):.0f} samples share the extreme value of a site" if k >= 16 and tied.max() >= 3 else ""


def _jump(state: State, varies: Tensor) -> str:
    """Compare the spacings of extreme values: even at a jump (ratio 1), growing outwards in a tail (about 1/2)."""
    gaps = _ends(state, varies).diff(dim=2)
    k = gaps.shape[2]
    if k < 15:
        return ""
    place = torch.arange(1, k + 1, dtype=torch.float64)
    ratio = (2 * (gaps @ place) / ((k + 1) * gaps.sum(2))).mean(1)
    if float(ratio.max()) <= 0.85:
        return ""
    end = "highest" if ratio[1] > ratio[0] else "lowest"
    return f"the density does not fall to zero at the {end} values (evenness of the extremes {float(ratio.max()):.2f})"


def _sphere(state: State, varies: Tensor) -> str:
    """Compare the variance of the squared norm with that of independent sites of these ranges."""
    if int(varies.sum()) < 2:
        return ""
    total, square = state["norm"] / state["count"]
    low, high = state["ends"][0, :, 0], -state["ends"][1, :, 0]
    middle, spread = ((high + low) / 2)[varies], ((high - low) / 6)[varies]
    expected = (4 * middle**2 * spread**2 + 2 * spread**4).sum()
    constant = square - total**2 < max(1e-4 * float(expected), 1e-13 * float(square))
    return f"all samples have the norm {float(total) ** 0.5:.4g}" if constant else ""
