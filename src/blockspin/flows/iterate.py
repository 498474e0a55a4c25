"""Iterate: compute a flow by applying a coarse-graining again and again."""

from __future__ import annotations

import torch

from blockspin.ensemble import Ensemble
from blockspin.errors import StepNotPossibleError
from blockspin.flow import Axis, Direction, Flow, Scale, sites_label
from blockspin.flows.rescaling import Rescaling, unit_variance
from blockspin.law import Source
from blockspin.schemes.base import Scheme


def step(scale: Scale, scheme: Scheme, *, rescaling: Rescaling, generator: torch.Generator) -> Scale:
    """Take one step of the renormalization group: integrate out, rescale length, renormalise the field."""
    coarse = scheme.fit(scale.fit_half, generator=generator)  # what to forget
    fit_half, ensemble = coarse(scale.fit_half), coarse(scale.ensemble)  # integrate out; spacing a -> b a
    factor = rescaling(fit_half)  # field renormalisation
    return scale.next(coarse, fit_half.times(factor), ensemble.times(factor), factor)


def iterate(
    source: Source | tuple[Ensemble, Ensemble],
    scheme: Scheme,
    *,
    generator: torch.Generator,
    steps: int | None = None,
    rescaling: Rescaling = unit_variance,
    name: str = "",
) -> Flow:
    """Compute the explicit flow of an ensemble or a law under a scheme.

    What is fitted is fitted on one half of the units and measured on the other; give the halves exchanged to see what
    the fit itself contributes. A law is exact, so that it serves as both.

    Args:
        source: An ensemble (split by ``Ensemble.halves``), a law, or the pair (fit half, measured half).
        scheme: What is forgotten in each step.
        generator: Randomness for schemes that draw (nothing else is random).
        steps: How many steps; by default as many as are possible.
        rescaling: From the coarse fit half to the factor that renormalises the field.
        name: Name of the flow; by default that of the scheme.

    Returns:
        A coarsening flow whose first scale is the source itself. It ends where a step is not possible any more and
        says why in ``ended``.

    Example:
        >>> from blockspin.schemes.block_average import BlockAverage
        >>> from blockspin import Chain
        >>> field = Ensemble.of(torch.randn(50, 12, generator=torch.Generator().manual_seed(0)), Chain(12))
        >>> flow = iterate(field, BlockAverage(b=2), generator=torch.Generator())
        >>> [scale.ensemble.geometry.sites for scale in flow], flow.ended
        ([12, 6, 3], '3 sites do not divide into blocks of 2. Block sizes that do: 3.')
    """
    fit_half: Source
    ensemble: Source
    if isinstance(source, tuple):
        fit_half, ensemble = source
    else:
        fit_half, ensemble = source.halves() if isinstance(source, Ensemble) else (source, source)
    scale = Scale(0, sites_label(ensemble.geometry.sites), 0.0, ensemble, fit_half)
    scales, ended = [scale], ""
    while steps is None or len(scales) <= steps:
        try:
            scale = step(scale, scheme, rescaling=rescaling, generator=generator)
        except StepNotPossibleError as reason:
            ended = str(reason)
            break
        scales.append(scale)
    return Flow(name or scheme.name, Axis(scheme.name, "steps", Direction.COARSENING), tuple(scales), ended)
