import numpy as np
import pytest
import torch

from blockspin import Axis, Chain, Ensemble, Flow, Measurement, Scale, iterate, member
from blockspin.couplings.base import Fit, Goodness
from blockspin.engine.errorbars import jackknife
from blockspin.ensemble import group_of
from blockspin.errors import AlignmentError, NonFiniteError, ShapeError, TooFewSamplesError
from blockspin.observables.base import accumulate
from blockspin.running.assembled import averaged, joined, running_of_fits, running_of_flow, running_of_measurements
from blockspin.running.base import Running, running_of


def a_running(**changes):
    parts = {
        "axis": Axis("steps"),
        "labels": ("a", "b"),
        "positions": torch.tensor([0.0, 1.0]),
        "log_lengths": torch.tensor([0.0, np.nan]),
        "names": ("g", "h"),
        "units": ("1", "1"),
        "values": torch.tensor([[1.0, 2.0], [3.0, np.nan]]),
        "covariance": torch.diag(torch.tensor([1.0, 1.0, 4.0, np.nan])),
        "dof": 19,
        "goodness": (None, None),
        "left_out": (),
        "how": "by hand",
    }
    parts.update(changes)
    if "covariance" not in changes:
        parts["covariance"] = parts["covariance"].clone()
        parts["covariance"][3] = parts["covariance"][:, 3] = torch.nan
    return Running(**parts)


def field_flow(samples=400, seed=0):
    field = Ensemble.of(torch.randn(samples, 16, generator=torch.Generator().manual_seed(seed)), Chain(16))
    return iterate(field, member("schemes", "block-average")(b=2), generator=torch.Generator(), steps=2)


def pair():
    return [member("couplings", "gaussian-precision")(geometry=Chain(n), reach=2) for n in (16, 8, 4)]


def test_errors_and_parts():
    running = a_running()
    assert len(running) == 2
    assert running.errors[1, 0] == 2
    assert running.known().tolist() == [[True, True], [True, False]]
    part = running.select(names=("g",), scales=(1,))
    assert part.values.tolist() == [[3.0]]
    assert part.covariance.tolist() == [[4.0]]
    assert running.measurement(1, "g").error == 2
    with pytest.raises(ShapeError, match="no coupling 'x'"):
        running.select(names=("x",))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"positions": torch.tensor([1.0, 1.0])}, ShapeError),
        ({"positions": torch.tensor([1.0, np.nan])}, NonFiniteError),
        ({"values": torch.zeros(2, 3)}, ShapeError),
        ({"values": torch.tensor([[1.0, np.inf], [3.0, np.nan]])}, NonFiniteError),
        ({"names": ("g", "g")}, ShapeError),
        ({"units": ("1",)}, ShapeError),
        ({"dof": np.nan}, NonFiniteError),
        ({"covariance": torch.eye(4)}, NonFiniteError),
        ({"values": torch.ones(2, 2), "covariance": torch.ones(4, 4) - 2 * torch.eye(4)}, ShapeError),
        ({"values": torch.ones(2, 2), "covariance": torch.eye(4) + torch.eye(4).roll(1, 0).triu(1) / 3}, ShapeError),
    ],
)
def test_what_does_not_agree_is_refused(changes, error):
    with pytest.raises(error):
        a_running(**changes)


def test_a_group_is_left_out_at_all_scales_at_once():
    flow, couplings = field_flow(), pair()
    running = running_of_flow(flow, couplings)
    assert running.names == ("diagonal", "coupling[1]", "coupling[2]")  # the rank is a note
    group = group_of(flow[0].ensemble.units, 20, chain=False)
    states = [
        [accumulate(c.monoid, s.ensemble.select((group == g).nonzero().flatten())) for g in range(20)]
        for s, c in zip(flow, couplings, strict=True)
    ]
    for s, coupling in enumerate(couplings):
        alone = jackknife(coupling, states[s])["coupling"]
        torch.testing.assert_close(running.errors[s, 1:], torch.from_numpy(alone.error))
    replicas = []
    for g in range(20):  # the slow twin of the covariance between scales
        rest = (group != g).nonzero().flatten()
        kept = [accumulate(c.monoid, s.ensemble.select(rest)) for s, c in zip(flow, couplings, strict=True)]
        replicas.append([float(c.value(k)["diagonal"]) for c, k in zip(couplings, kept, strict=True)])
    slow = np.cov(np.array(replicas).T) * 19**2 / 20
    torch.testing.assert_close(running.covariance[::3, ::3], torch.from_numpy(slow), rtol=1e-6, atol=0)
    assert running.goodness[0].p_value > 1e-3
    assert running.dof == 19


def test_states_must_go_with_scales():
    flow, coupling = field_flow(), pair()[0]
    with pytest.raises(ShapeError, match="states of"):
        running_of(flow, coupling, [[{}] * 3, [{}] * 2, [{}] * 3])
    with pytest.raises(TooFewSamplesError, match="1 group"):
        running_of(flow, coupling, [[{}]] * 3)
    with pytest.raises(ShapeError, match="2 couplings for 3"):
        running_of_flow(flow, pair()[:2])
    other = Flow("f", flow.axis, (flow[0], field_flow(401)[1]))
    with pytest.raises(AlignmentError):
        running_of_flow(other, pair()[:2])


def test_fits_and_measurements_alone_count_as_independent():
    goodness = Goodness("score", Measurement(1.0, 0.1))
    fits = [
        Fit(
            "t",
            {"m": Measurement(1.0 + s, 0.1, dof=9), "p": Measurement([1.0, 2.0][: 2 - s], 0.2)},
            goodness,
            ("x",),
            {},
        )
        for s in range(2)
    ]
    flow = Flow("f", Axis("depth"), (Scale(0, "a"), Scale(1, "b")))
    running = running_of_fits(flow, fits)
    assert running.names == ("m", "p[1]", "p[2]")
    assert running.dof == 9
    assert running.values[1, 2].isnan()
    assert running.left_out == ("x",)
    assert "independent" in running.how
    assert running.covariance[0, 1] == 0
    measured = flow.with_measurements({"a": {"o/q": Measurement(1.0, 0.5)}, "b": {"o/q": Measurement(2.0, 0.5)}})
    assert running_of_measurements(measured).values.flatten().tolist() == [1.0, 2.0]
    with pytest.raises(ShapeError, match="no coupling was measured"):
        running_of_measurements(flow)


def test_independent_runs():
    first, second = a_running(), a_running(labels=("c", "d"), positions=torch.tensor([2.0, 3.0]))
    both = joined([first, second])
    assert both.covariance[0, 4] == 0
    assert len(both) == 4
    with pytest.raises(ShapeError, match="ascend"):
        joined([second, first])
    g = torch.Generator().manual_seed(0)
    full = torch.eye(4)
    seeds = [a_running(values=torch.randn(2, 2, generator=g), covariance=full) for _ in range(400)]
    mean = averaged(seeds)
    assert mean.dof == 399
    torch.testing.assert_close(mean.covariance, torch.eye(4, dtype=torch.float64) / 400, rtol=0, atol=4 * 0.08 / 400)
    with pytest.raises(TooFewSamplesError):
        averaged(seeds[:1])
