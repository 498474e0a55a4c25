"""From measured couplings to what they do: the command, its file, its section of the report, its refusals."""

import json
import shutil
from math import log
from pathlib import Path

import numpy as np
import pytest
from report.make_run import make_run

from blockspin.cli.running import command
from blockspin.couplings_folder import write_couplings
from blockspin.course_run import write_courses
from blockspin.errors import UnknownNameError
from blockspin.flow import Axis, Direction, Flow, Scale
from blockspin.report._folder import RunFolder
from blockspin.report.running import section
from blockspin.running.replicas import Replicas

GROUPS, SIGMA = 20, 0.003


def replicas(rows, seed):
    """Return couplings [scales, couplings] with the leave-one-out values that their errors call for."""
    rng = np.random.default_rng(seed)
    found = []
    for row in rows:
        values, rest = {}, {}
        for name, truth in row.items():
            shift = rng.standard_normal(GROUPS) * SIGMA / GROUPS**0.5
            values[name] = truth + shift.sum() / GROUPS**0.5
            rest[name] = list(values[name] - (shift - shift.mean()) * GROUPS**0.5 / (GROUPS - 1) ** 0.5 / GROUPS**0.5)
        found.append({("made", "all"): Replicas(values, rest, dict.fromkeys(row, "1"))})
    return found


@pytest.fixture
def folder(tmp_path):
    length = [k * log(2) for k in range(12)]
    levels = Flow(
        "levels",
        Axis("block-average", "steps", Direction.COARSENING),
        tuple(Scale(float(k), f"{2 ** (11 - k)} sites", length[k]) for k in range(12)),
    )
    widths = Flow("last", Axis("width", "units"), tuple(Scale(float(w), f"width {w}") for w in (8, 16, 32, 64, 128)))
    near = [{"mass": 0.5 + 0.4 * 0.5**k, "quartic": 0.7} for k in range(12)]
    sized = [{"mass": 1.0 + 2.0 / w} for w in (8, 16, 32, 64, 128)]
    write_couplings(
        tmp_path,
        {
            "explicit": (levels, replicas(near, 0)),
            "explicit-shuffled": (levels, replicas([{"mass": 0.2, "quartic": 0.0}] * 12, 1)),
            "width": (widths, replicas(sized, 2)),
        },
        {"explicit-shuffled": "explicit"},
    )
    return tmp_path


def test_the_command_tells_fixed_points_relevance_and_limits(folder, capsys):
    folder = Path(shutil.copytree(folder / "couplings", make_run(folder / "run") / "couplings").parent)
    assert command(folder) == 0
    shown = capsys.readouterr().out
    found = json.loads((folder / "running.json").read_text(encoding="utf-8"))
    kinds = {(row["flow"], *row["couplings"]): row["kind"] for row in found["courses"]}
    assert kinds["explicit", "mass"] == "runs"
    assert kinds["explicit", "quartic"] == "stays"
    assert kinds["explicit-shuffled", "mass"] == "stays"
    (point,) = found["courses"][0]["fixed"]["points"]
    assert point["values"]["mass"]["value"] == pytest.approx(0.5, abs=5 * point["values"]["mass"]["error"])
    assert [d["relevance"] for d in point["directions"]] == ["irrelevant"]
    assert "irrelevant: rate -" in shown
    (limit,) = found["limits"]
    low, high = limit["limit"]["interval"]
    assert low < 1.0 < high
    assert limit["needed"]
    assert "mass at infinite width: " in shown
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "How couplings run" in page
    assert "stays (shuffled)" in page
    assert "At infinite size" in page


def test_a_damaged_file_is_a_note_in_the_report_and_names_in_it_are_text(folder):
    hostile = "<script>alert(1)</script>"
    content = write_courses(folder, flow="explicit")
    path, run = folder / "running.json", RunFolder(folder)
    path.write_text(json.dumps(content).replace("quartic", hostile), encoding="utf-8")
    body = str(section(run).body)
    assert hostile not in body
    assert "&lt;script&gt;" in body
    path.write_text('{"courses": []}', encoding="utf-8")
    assert "left out" in str(section(run).body)


@pytest.mark.slow
def test_couplings_that_are_named_together_run_together(folder):
    found = write_courses(folder, flow="explicit", together=["mass", "quartic"])
    assert [row["couplings"] for row in found["courses"]] == [["mass", "quartic"]] * 2


def test_null_flows_can_be_left_off(folder):
    assert {row["flow"] for row in write_courses(folder, nulls=False)["courses"]} == {"explicit"} | {"width"}


@pytest.mark.slow
def test_the_same_folder_gives_the_same_bytes(folder):
    write_courses(folder)
    first = (folder / "running.json").read_bytes()
    write_courses(folder)
    assert (folder / "running.json").read_bytes() == first


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"flow": "depth"}, "flow named 'depth'"),
        ({"theory": "nope"}, "theory named 'nope'"),
        ({"together": ["mass", "cubic"]}, "coupling named 'cubic'"),
    ],
)
def test_what_is_not_there_is_named(folder, options, word):
    with pytest.raises(UnknownNameError, match=word):
        write_courses(folder, **options)
    assert not (folder / "running.json").exists()
