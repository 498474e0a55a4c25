"""Couplings of spins, mixtures, sectors, layers and regressions: kept on disk by the engine, read back the same."""

import pytest
import torch

from blockspin.couplings.binary_action import BinaryAction
from blockspin.couplings.binary_pairs import BinaryPairs
from blockspin.couplings.effective_ridge import EffectiveRidge
from blockspin.couplings.field_mixture import FieldMixture
from blockspin.couplings.layer_kernel import LayerKernel
from blockspin.couplings.sectors import Sectors
from blockspin.engine.base import Task
from blockspin.engine.in_memory import EnsemblePass
from blockspin.engine.measure import measure
from blockspin.ensemble import Ensemble
from blockspin.geometry import Chain, Grid
from blockspin.observables.base import evaluate
from blockspin.registry import member


def spins() -> Ensemble:
    return member("sources", "ising-ring")(sites=6, coupling=0.4).sample(
        400, generator=torch.Generator().manual_seed(0)
    )


def field() -> Ensemble:
    return member("sources", "field-mixture")((32,)).sample(1000, generator=torch.Generator().manual_seed(0))


def positive() -> Ensemble:
    return Ensemble.of(torch.rand(400, 3, generator=torch.Generator().manual_seed(0)) + 0.1, units=torch.arange(400))


CASES = [
    (BinaryAction(Chain(6)), spins),
    (BinaryPairs(6, ((0, 1), (1, 2))), spins),
    (Sectors((0, 0, 0, 1, 1, 1)), spins),
    pytest.param(FieldMixture.on(Grid((32,)), modes=12, shells=4, limit=400), field, marks=pytest.mark.slow),
    (LayerKernel(torch.tensor([[1.0, 0.3, 0.1], [0.3, 0.5, 0.2], [0.1, 0.2, 1.5]])), positive),
    (EffectiveRidge(), positive),
]


@pytest.mark.parametrize(
    ("coupling", "ensemble"), CASES, ids=["action", "pairs", "sectors", "mixture", "layer", "ridge"]
)
def test_a_pass_on_disk_gives_what_memory_gives(coupling, ensemble, tmp_path):
    task = Task(coupling, ("x",))
    reading = EnsemblePass.of({"x": ensemble()}, batch=64)
    executor, generator = member("engine", "serial")(), torch.Generator().manual_seed(1)
    found = measure(reading, [task], executor=executor, store=tmp_path, generator=generator).measurement(task)
    whole = evaluate(coupling, ensemble())
    assert set(found) == set(whole)
    for key, number in found.items():
        assert torch.allclose(torch.as_tensor(number.value, dtype=torch.float64), whole[key], rtol=1e-6, atol=1e-9)
        assert (torch.as_tensor(number.error) > 0).all() or key == "evidence"
        assert number.unit == coupling.units[key]
