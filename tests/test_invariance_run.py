"""From a field's couplings to whether its flow prefers a scale, and the length of its correlations."""

from math import log, tanh

import torch
from test_course_run import folder  # noqa: F401  the made couplings of a run

from blockspin.course_run import write_courses
from blockspin.ensemble import Ensemble
from blockspin.flow import Axis, Direction, Flow, Scale
from blockspin.geometry import Chain
from blockspin.invariance_run import invariance_sentences, reaches
from blockspin.registry import member


def flow_of(field):
    axis = Axis("decimation", "steps", Direction.COARSENING)
    return Flow("levels", axis, (Scale(0.0, "sites", 0.0, field),))


def test_couplings_that_run_prefer_a_scale(folder):  # noqa: F811
    rows = write_courses(folder)["invariance"]
    assert [(row["flow"], row["verdict"]) for row in rows] == [("explicit", "no")]
    ring = member("sources", "ising-ring")(sites=32, coupling=1.0)
    field = ring.sample(2000, generator=torch.Generator().manual_seed(0))
    lengths = reaches({"explicit": flow_of(field)}, 20, 0)
    xi = lengths["explicit"]
    assert xi.error < 0.3
    assert abs(xi.value + 1 / log(tanh(1.0))) < 4 * xi.error
    (text,) = invariance_sentences(rows, lengths)
    assert text.startswith(
        "Explicit flow, fields brought to unit variance. Not scale invariant: 1 of 2 couplings moves"
    )
    assert f"over {xi}." in text


def test_where_no_exponential_is_seen_no_length_is_named():
    white = torch.randn(500, 32, 1, generator=torch.Generator().manual_seed(0))
    assert not reaches({"explicit": flow_of(Ensemble.of(white, Chain(32)))}, 20, 0)
    assert not reaches({"explicit": flow_of(Ensemble.of(white))}, 20, 0)
