"""Closure: whether groups of states predict themselves as well as the states do, and what flows between processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log

import numpy as np
import torch
from torch import Tensor

from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import Ensemble
from blockspin.geometry import Chain
from blockspin.measurement import Measurement
from blockspin.observables.base import accumulate, evaluate
from blockspin.registry import member, register
from blockspin.schemes._tables import information
from blockspin.tethers.base import Row, Tether, exact, sampled
from blockspin.theory import markov
from blockspin.theory import transfer_entropy as theory

ROUNDING = 1e-12
A, B, C = 0.5, 0.7, 0.4
"""X' = A X + C Y + noise, Y' = B Y + noise."""
CHAINS, STEPS, GROUPS = 4000, 251, 20


@register
@dataclass(frozen=True)
class ClosureTether(Tether):
    """Compare information in tables of windows with the transition matrix, and samples with linear processes."""

    name = "closure"
    system = "groups of states of a Markov chain, and linear processes that drive each other"
    source = "rosas2024"

    def rows(self) -> Iterator[Row]:
        """Yield closure gaps of a good and a bad map (exact), transfer entropies and gaps of linear processes."""
        law = member("sources", "markov-chain")(window=2).law()
        for name, group, printed in (
            ("{0,1} {2,3}", (0, 0, 1, 1), (0.0661582554, 0.0661582554)),
            ("{0,2} {1,3}", (0, 1, 0, 1), (0.0895661239, 0.0002234232)),
        ):
            expected = markov.closure(markov.LUMPABLE, np.array(group))
            found = _tables(law.values[:, :, 0].long(), law.weights, torch.tensor(group))
            for k, what in enumerate(("I(X ; Z')", "I(Z ; Z')")):
                yield exact(
                    f"{what}, Z = {name}, as tabulated elsewhere", printed[k], expected[k] / log(2), 1e-9, "bits"
                )
                yield exact(f"{what}, Z = {name}, from the law of windows", expected[k], found[k], ROUNDING, "nats")
            printed_gap, gap = printed[0] - printed[1], (found[0] - found[1]) / log(2)
            yield exact(f"closure gap, Z = {name}", printed_gap, gap, 1e-9, "bits")
        yield from _notions()
        yield from _flow()
        yield from _linear()


def _notions() -> Iterator[Row]:
    """Read three notions of closure off laws of windows: of a good map, a bad one, and one with an unseen driver."""
    chain, closure = member("sources", "markov-chain"), member("couplings", "closure")
    T, seen = markov.unseen_driver()
    driven = chain(matrix=tuple(map(tuple, T.tolist())), window=3).law()
    four, bad = chain(window=3).law(), np.array([0, 1, 0, 1])
    fine, coarse = markov.closure(markov.LUMPABLE, bad)
    for about, law, group, past, expected in (
        ("{0,1} {2,3}", four, (0, 0, 1, 1), 2, {"gap": 0.0, "causal_gap": 0.0, "computational_gap": 0.0}),
        ("{0,2} {1,3}", four, bad, 1, {"gap": fine - coarse}),
        ("{0,2} {1,3}", four, bad, 2, {"computational_gap": markov.group_past_given_state(markov.LUMPABLE, bad)}),
        ("driven unseen", driven, seen, 2, {"gap": log(2), "causal_gap": log(2), "computational_gap": 0.0}),
    ):
        found = evaluate(closure(groups=tuple(int(g) for g in group), past=past), law)
        for key, known in expected.items():
            quantity = f"{key} from the law of windows, pasts of {past}, Z = {about}"
            yield exact(quantity, known, float(found[key]), ROUNDING, "nat")
    samples = chain(window=6).sample(20_000, generator=torch.Generator().manual_seed(0))
    for about, group, known in (("{0,1} {2,3}", (0, 0, 1, 1), 0.0), ("{0,2} {1,3}", (0, 1, 0, 1), fine - coarse)):
        coupling = closure(groups=group)
        measured = jackknife(coupling, [accumulate(coupling.monoid, samples.select(p)) for p in _parts(len(samples))])
        yield sampled(f"closure gap of 20 000 windows of 6, Z = {about}", known, measured["gap"])


def _parts(samples: int) -> list[Tensor]:
    return list(torch.arange(samples).chunk(GROUPS))


def _tables(path: Tensor, weights: Tensor, group: Tensor) -> tuple[float, float]:
    """Return I(X ; Z') and I(Z ; Z') in nats from windows of two steps [windows, 2]."""
    found = []
    for now in (path[:, 0], group[path[:, 0]]):
        joint = torch.zeros(int(now.max()) + 1, int(group.max()) + 1, dtype=torch.float64)
        found.append(information(joint.index_put_((now, group[path[:, 1]]), weights, accumulate=True)))
    return found[0], found[1]


def _flow() -> Iterator[Row]:
    expected = theory.driven(A, B, C)
    yield exact("transfer entropy Y -> X as tabulated elsewhere", 0.1163052, expected, 1e-7, "nats")
    process = _simulated(np.array([[A, C], [0.0, B]]), CHAINS, STEPS)
    x, y = process[:, :, :1], process[:, :, 1:]
    forward, backward, memory = _measured(x, y)
    quantity = f"transfer entropy of {CHAINS} windows of {STEPS - 1} steps"
    yield sampled(f"{quantity}, Y -> X", expected, backward)
    yield Row(f"{quantity}, Y -> X, to 2 %", expected, backward, 0.02 * expected, "nats")
    yield sampled(f"{quantity}, X -> Y", 0.0, forward)
    own = -0.5 * log(1 - B * B)
    yield sampled(f"I(Y' ; Y) of {CHAINS} windows of {STEPS - 1} steps", own, memory)


def _linear() -> Iterator[Row]:
    """Four units in two groups: sums that are closed, because every unit of a group drives each group alike."""
    drive = np.array([[0.4, 0.1, 0.2, 0.0], [0.1, 0.4, 0.0, 0.2], [0.1, 0.2, 0.5, -0.1], [0.1, 0.0, 0.0, 0.6]])
    micro = _simulated(drive, 1000, 101)
    for name, group in (("{0,1} {2,3}", (0, 0, 1, 1)), ("{0,2} {1,3}", (0, 1, 0, 1))):
        expected = theory.linear_closure_gap(drive, np.array(group))
        macro = micro @ torch.nn.functional.one_hot(torch.tensor(group)).double()
        found = _measured(micro, macro)[0]
        yield sampled(f"closure gap of sums over groups of a linear process, {name}", expected, found)


def _simulated(drive: np.ndarray, chains: int, steps: int) -> Tensor:
    """Return a stationary process X' = A X + unit noise, float64 [chains, steps, units]."""
    rng = np.random.default_rng(0)
    state, rows = np.zeros((chains, len(drive))), []
    for t in range(60 + steps):
        state = state @ drive.T + rng.standard_normal(state.shape)
        rows += [state] if t >= 60 else []
    return torch.from_numpy(np.stack(rows, axis=1))


def _measured(first: Tensor, second: Tensor) -> tuple[Measurement, ...]:
    """Return the transfer from first to second, the transfer back, and the memory of the second."""
    estimator, states = member("observables", "transfer-entropy")(), []
    for x, y in zip(first.chunk(GROUPS), second.chunk(GROUPS), strict=True):
        windows = Ensemble.of(x, Chain(x.shape[1], periodic=False))
        states.append(accumulate(estimator.monoid, windows, windows.with_values(y)))
    found = jackknife(estimator, states)
    picked = ((found["transfer"], 0), (found["transfer"], 1), (found["memory"], 1))
    return tuple(replace(m, value=m.value[k], error=m.error[k]) for m, k in picked)
