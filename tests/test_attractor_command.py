"""From several run folders to whether their couplings come together: the command and its refusals."""

import json
from math import log

import pytest
from test_course_run import replicas

from blockspin.cli.attractor import command
from blockspin.couplings_folder import write_couplings
from blockspin.errors import ConfigError, ShapeError, TooFewSamplesError
from blockspin.flow import Axis, Direction, Flow, Scale


def run(place, start, seed, flow="explicit"):
    """Return a run whose mass nears 0.5 by half a step, and whose quartic stays where it started."""
    axis = Axis("block-average", "steps", Direction.COARSENING)
    scales = tuple(Scale(float(k), f"{2 ** (6 - k)} sites", k * log(2)) for k in range(6))
    rows = [{"mass": 0.5 + start * 0.5**k, "quartic": 1 + start} for k in range(6)]
    write_couplings(place, {flow: (Flow("levels", axis, scales), replicas(rows, seed))})
    return place


def test_the_command_tells_which_couplings_come_together(tmp_path, capsys):
    runs = [run(tmp_path / f"{k}", start, k) for k, start in enumerate((-0.1, 0.0, 0.15))]
    assert command(*runs, as_json=True) == 0
    (row,) = json.loads(capsys.readouterr().out)
    mass, quartic = row["couplings"]
    assert (row["flow"], row["theory"], row["verdict"]) == ("explicit", "made", "no")
    assert (mass["verdict"], quartic["verdict"]) == ("yes", "no")
    assert abs(mass["rate"]["value"] - 1.0) < 4 * mass["rate"]["error"]
    assert abs(mass["point"]["value"] - 0.5) < 4 * mass["point"]["error"]
    assert quartic["point"] is None
    assert command(*runs) == 0
    assert "mass: flows come together" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused(tmp_path):
    first, other = run(tmp_path / "a", 0.1, 0), run(tmp_path / "b", 0.1, 1, "network")
    with pytest.raises(TooFewSamplesError):
        command(first)
    with pytest.raises(ShapeError, match="in common"):
        command(first, other)
    with pytest.raises(ConfigError, match="margin"):
        command(first, first, margin=2.0)
