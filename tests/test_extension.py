"""Dropping one file into ``schemes/``, or declaring an entry point, is enough."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "blockspin"
LOOK = """
import json
from blockspin.registry import members, summaries
from blockspin.testing.conformance import run_checks
cls = members("schemes")["{name}"]
failed = [row for example in cls.examples() for row in run_checks(example) if not row["passed"]]
print(json.dumps([failed, "{name}" in summaries("schemes")]))
"""


def new_scheme() -> str:
    """The gold standard under another name."""
    text = (PACKAGE / "schemes" / "block_average.py").read_text(encoding="utf-8")
    return text.replace("BlockAverage", "BlockMean").replace("block-average", "block-mean")


def look(name: str, *paths: Path) -> str:
    path = os.pathsep.join(map(str, paths))
    done = subprocess.run(
        [sys.executable, "-c", LOOK.format(name=name)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    return done.stdout.strip() or done.stderr


def test_one_file_more_is_found_and_held_against_every_check(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "src" / "blockspin", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PACKAGE.parents[1] / "references.bib", tmp_path)
    (tmp_path / "src" / "blockspin" / "schemes" / "block_mean.py").write_text(new_scheme(), encoding="utf-8")
    assert look("block-mean", tmp_path / "src") == "[[], true]"


@pytest.mark.slow
def test_an_entry_point_is_found(tmp_path):
    (tmp_path / "block_mean.py").write_text(new_scheme(), encoding="utf-8")
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[blockspin.schemes]\nmean = block_mean\n", encoding="utf-8")
    assert look("block-mean", tmp_path) == "[[], false]"


def test_a_file_of_ones_own_is_checked(tmp_path):
    from blockspin.testing.conformance import check_path

    (tmp_path / "block_mean.py").write_text(new_scheme().replace("@register\n", ""), encoding="utf-8")
    rows = check_path(tmp_path / "block_mean.py")
    assert len(rows) > 20
    assert not [row for row in rows if not row["passed"]]
