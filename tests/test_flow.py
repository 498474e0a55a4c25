"""Flow: scales along an axis, computed by iterating a scheme, labelled data."""

from math import log

import numpy as np
import pytest
import torch

from blockspin import Axis, Chain, Ensemble, Flow, GaussianLaw, Measurement, Scale, iterate
from blockspin.flow import Direction
from blockspin.schemes.block_average import BlockAverage


def ensemble():
    values = torch.randn(200, 12, generator=torch.Generator().manual_seed(0))
    return Ensemble.of(values, Chain(12))


def computed(source=None, **options):
    return iterate(source or ensemble(), BlockAverage(b=2), generator=torch.Generator(), **options)


def test_lengths_grow_by_the_block_size():
    assert [scale.log_length for scale in computed()] == pytest.approx([0, log(2), log(4)])


def test_it_ends_where_no_step_is_possible_and_says_why():
    flow = computed()
    assert [scale.ensemble.geometry.sites for scale in flow] == [12, 6, 3]
    assert "3 sites do not divide" in flow.ended


def test_it_ends_after_the_steps_asked_for():
    flow = computed(steps=1)
    assert (len(flow), flow.ended) == (2, "")


def test_the_fit_half_has_unit_variance_after_each_step():
    for scale in computed().scales[1:]:
        assert float(scale.fit_half.values.var()) == pytest.approx(1, rel=0.02)


def test_both_halves_are_multiplied_by_the_factor_of_the_fit_half():
    first, second = computed().scales[:2]
    expected = second.map(first.ensemble).values * second.factor
    torch.testing.assert_close(second.ensemble.values, expected)


def test_halves_given_exchanged_are_used_as_given():
    first, second = ensemble().halves()
    flow = computed((second, first))
    assert flow[0].ensemble is first
    assert flow[0].fit_half is second


def test_a_law_serves_as_both_halves():
    law = GaussianLaw.of(torch.exp(-Chain(8).distances()), Chain(8))
    assert all(scale.ensemble.geometry.sites == 8 // 2**i for i, scale in enumerate(computed(law)))


def flow_of(rows):
    scales = tuple(Scale(i, f"layer {i}", measurements=row) for i, row in enumerate(rows))
    return Flow("network", Axis("depth", "1", Direction.UNKNOWN), scales)


def test_measurements_are_added_by_label():
    flow = flow_of([{}, {}]).with_measurements({"layer 1": {"a/b": Measurement(1.0, 0.1)}})
    assert "a/b" not in flow[0].measurements
    assert flow[1].measurements["a/b"].value == 1.0


def test_an_implicit_flow_has_no_length():
    assert flow_of([{}, {}])[0].log_length is None


def test_the_dataset_holds_values_errors_and_units():
    flow = flow_of([{"a/b": Measurement(1.0, 0.1, "nats", 50.0)}, {"a/b": Measurement(2.0, 0.2, "nats", 60.0)}])
    data = flow.to_xarray()
    assert data["a.b"].values.tolist() == [1, 2]
    assert data["a.b:error"].values.tolist() == [0.1, 0.2]
    assert data["a.b:n_eff"].values.tolist() == [50, 60]
    assert data["a.b"].attrs["unit"] == "nats"
    assert data["label"].values.tolist() == ["layer 0", "layer 1"]
    assert np.isnan(data["log_length"].values).all()


def test_spectra_of_different_lengths_are_padded():
    flow = flow_of([{"s": Measurement([3.0, 2.0, 1.0], 0.1)}, {"s": Measurement([3.0], 0.1)}])
    found = flow.to_xarray()["s"].values
    np.testing.assert_array_equal(found, [[3, 2, 1], [3, np.nan, np.nan]])


def test_what_was_not_measured_at_a_scale_is_missing_there():
    found = flow_of([{"a": Measurement(1.0, 0.1)}, {}]).to_xarray()["a"].values
    np.testing.assert_array_equal(found, [1, np.nan])
