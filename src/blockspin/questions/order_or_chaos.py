"""Order or chaos: do two nearly equal inputs part as they go through the layers of a network, or merge?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from blockspin.answer import Answer, Assumption, Light, Verdict
from blockspin.errors import NothingFoundError, check_between
from blockspin.flow import Flow
from blockspin.measurement import Measurement
from blockspin.questions.base import Question
from blockspin.registry import register

CHI, GROWTH, DEPTH = "propagation/chi", "propagation/growth", "propagation/depth"


@register
@dataclass(frozen=True)
class OrderOrChaos(Question):
    r"""Is the network chaotic: do the differences of nearly equal inputs grow from layer to layer?

    .. math:: \chi_l = \sigma_w^2 \langle \phi'^2 \rangle, \qquad \lambda = \frac1L \sum_{l \le L} \ln \chi_l

    is by what the mean square difference of two nearly equal inputs grows at a layer, and its logarithm a layer over
    all of them. Where layers are equal, what counts is chi at the fixed point of the variance, to which a deep network
    of such layers goes; where they are not, lambda. Yes (chaotic): chi is above 1, or lambda above 0, by more than
    errors allow. No (ordered): below. Cannot tell: the network is critical within errors.

    Args:
        level: Chance of calling a critical network ordered or chaotic.

    Do not trust when:
        Layers are narrow: chi of finite width differs by about 1 / width from layer to layer. Layers are no random ones
        (see the coupling random-layer): features then grow otherwise than random differences do.

    Source:
        poole2016 for chi, schoenholz2017 for the depth scale.
    """

    name = "order-or-chaos"
    source = "schoenholz2017"
    level: float = 0.05

    def __post_init__(self):
        check_between("level", self.level, 0, 0.5)

    def ask(
        self, implicit: Flow, explicit: Flow | None = None, *, controls: Mapping[str, Flow], generator: torch.Generator
    ) -> Answer:
        """Answer for all layers together and for each.

        Args:
            implicit: The layers, with "propagation/chi" at each and "propagation/growth" over all up to it.
            explicit: The fixed point of equal layers, one scale; None where there is none.
            controls: Networks measured alike, by name: the untrained copy.
            generator: Not needed: nothing is drawn.

        Raises:
            NothingFoundError: If chi is known at no layer.
        """
        del generator
        chi = {scale.label: scale.measurements[CHI] for scale in implicit if CHI in scale.measurements}
        growth = _last(implicit)
        if growth is None:
            raise NothingFoundError(f"chi is known at no layer of {implicit.name}", "Read a chain of linear layers.")
        fixed = dict(explicit[0].measurements) if explicit is not None and len(explicit) else {}
        verdict = self._verdict(fixed[CHI], 1.0) if CHI in fixed else self._verdict(growth, 0.0)
        numbers = {"ln chi a layer": growth, **{f"chi at {label}": m for label, m in chi.items()}}
        rows = {name: m for name, flow in controls.items() if (m := _last(flow)) is not None}
        return Answer(
            self.name,
            verdict,
            _statement(verdict, growth, len(chi), fixed),
            numbers | {f"fixed point: {key.partition('/')[2]}": m for key, m in fixed.items()},
            {f"{name}: ln chi a layer": m for name, m in rows.items()},
            (_common(fixed),),
            {
                "axis": implicit.axis.name,
                "rows": [
                    {"label": scale.label, "position": scale.position, "chi": scale.measurements[CHI].to_dict()}
                    for scale in implicit
                    if CHI in scale.measurements
                ],
            },
            {label: self._verdict(m, 1.0) for label, m in chi.items()},
        )

    def _verdict(self, m: Measurement, critical: float) -> Verdict:
        low, high = m.interval(1 - self.level)
        return Verdict.YES if low > critical else Verdict.NO if high < critical else Verdict.CANNOT_TELL


def _last(flow: Flow) -> Measurement | None:
    return next((s.measurements[GROWTH] for s in reversed(flow.scales) if GROWTH in s.measurements), None)


def _statement(verdict: Verdict, growth: Measurement, layers: int, fixed: Mapping[str, Measurement]) -> str:
    words = {
        Verdict.YES: "The network is chaotic: differences of nearly equal inputs grow",
        Verdict.NO: "The network is ordered: differences of nearly equal inputs shrink",
        Verdict.CANNOT_TELL: "The network is critical within errors: whether small differences grow cannot be told",
    }
    text = f"{words[verdict]} (ln chi = {growth} a layer, over {layers} layers"
    if CHI in fixed:
        text += f"; deeper ones alike come to chi = {fixed[CHI]}"
        text += f" and forget within {fixed[DEPTH]} layers" if DEPTH in fixed else ""
    return f"{text})."


def _common(fixed: Mapping[str, Measurement]) -> Assumption:
    if fixed:
        return Assumption("equal layers", Light.GREEN, "variances of weights and biases of all layers agree in errors")
    return Assumption("equal layers", Light.AMBER, "layers differ, or have no fixed point: chi is that of each layer")
