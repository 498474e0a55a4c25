"""From measured couplings to the windows over which theories hold: the command, its file, its section of the report."""

import json
import shutil
from math import log
from pathlib import Path

import numpy as np
import pytest
from report.make_run import make_run
from test_course_run import replicas

from blockspin.cli.windows import command
from blockspin.couplings_folder import write_couplings
from blockspin.flow import Axis, Direction, Flow, Scale
from blockspin.report._folder import RunFolder
from blockspin.report.windows import section

SCALES, CHANGE = 10, 4


def folder(tmp_path):
    """Return a run whose mass falls and then grows, beside one that stays, and one that exists at a single scale."""
    axis = Axis("block-average", "steps", Direction.COARSENING)
    scales = tuple(Scale(float(k), f"{2 ** (SCALES - k)} sites", k * log(2)) for k in range(SCALES))
    x = log(2) * (np.arange(SCALES) - CHANGE)
    mass = np.where(x < 0, np.exp(-x), np.exp(0.5 * x))
    rows = [{"mass": float(m), "quartic": 0.7} | ({"end": 1.0} if not k else {}) for k, m in enumerate(mass)]
    write_couplings(tmp_path, {"explicit": (Flow("levels", axis, scales), replicas(rows, 0))})
    made = make_run(tmp_path / "run")
    shutil.copytree(tmp_path / "couplings", made / "couplings")
    return Path(made)


def test_the_command_writes_windows_and_their_section(tmp_path, capsys):
    place = folder(tmp_path)
    assert command(place) == 0
    assert "one effective theory is refused and 2 are not" in capsys.readouterr().out
    (row,) = json.loads((place / "windows.json").read_text(encoding="utf-8"))["hierarchies"]
    assert row["left_out"] == ["end"]
    assert len(row["windows"]) == 2
    first, second = row["windows"]
    assert abs(len(first["labels"]) - 1 - CHANGE) <= 1
    orders = [[next(iter(p["first"])) for p in w["effective"] if p["order"]] for w in (first, second)]
    assert orders == [["mass"], ["mass"]]
    page = (place / "report.html").read_text(encoding="utf-8")
    assert "Effective theories by window of scales" in page
    assert "2 windows" in page


@pytest.mark.slow
def test_a_damaged_file_is_a_note_in_the_report_and_names_in_it_are_text(tmp_path):
    place, hostile = folder(tmp_path), "<script>alert(1)</script>"
    command(place, theory="made")
    path = place / "windows.json"
    path.write_text(path.read_text(encoding="utf-8").replace("quartic", hostile), encoding="utf-8")
    body = str(section(RunFolder(place)).body)
    assert hostile not in body
    assert "&lt;script&gt;" in body
    path.write_text('{"hierarchies": []}', encoding="utf-8")
    assert "left out" in str(section(RunFolder(place)).body)
