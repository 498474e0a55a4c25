"""One run on several machines: the same bytes as on one, and a merge that says what held."""

import json
import shutil

import pytest
import small_run

from blockspin import divided
from blockspin.divided import merge, run_part
from blockspin.engine import _statefile
from blockspin.engine.parts import Part
from blockspin.errors import MergeError, OtherVersionsError, RunFolderError
from blockspin.run import run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("divided")


@pytest.fixture(scope="module")
def whole(root):
    return run(small_run.bare(root, out=str(root / "whole")))


@pytest.fixture(scope="module")
def parts(root):
    """Three parts: two on one disk, one elsewhere with other workers."""
    one, two = root / "one", root / "two"
    run_part(small_run.bare(root, out=str(one)), Part(1, 3))
    run_part(small_run.bare(root, out=str(two), executor="process", workers=1), Part(2, 3))
    run_part(small_run.bare(root, out=str(one)), Part(3, 3))
    return one, two


def copied(parts, tmp_path):
    return [shutil.copytree(part, tmp_path / part.name) for part in parts]


def test_parts_put_together_answer_as_one_machine(whole, parts, tmp_path, capsys):
    folder = merge(copied(parts, tmp_path))
    for name in ("answers.json", "levels.json"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    assert "the same bytes" in capsys.readouterr().err
    told = json.loads((folder / "manifest.json").read_text())["parts"]
    assert [line.partition(",")[0] for line in told] == ["network", "untrained network"]
    assert "Parts put together" in (folder / "report.html").read_text()
    assert not (folder / "states").exists()
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_finished_run_may_lie_elsewhere(whole, parts, tmp_path):
    folder = merge(parts, tmp_path / "out")
    assert (folder / "answers.json").read_bytes() == (whole / "answers.json").read_bytes()
    assert (parts[0] / "states").exists()


@pytest.mark.slow
def test_parts_keep_their_activations_in_half_precision_too(root, tmp_path):
    """Rounded values have a fingerprint of their own: merging looks for the same."""
    given = {"activations": "bfloat16"}
    alone = run(small_run.bare(root, out=str(tmp_path / "alone"), **given))
    for index in (1, 2):
        run_part(small_run.bare(root, out=str(tmp_path / "parts"), **given), Part(index, 2))
    folder = merge([tmp_path / "parts"])
    assert (folder / "answers.json").read_bytes() == (alone / "answers.json").read_bytes()


def test_a_missing_part_is_named(parts):
    with pytest.raises(MergeError, match="part 2/3 is missing"):
        merge(parts[:1], parts[0].with_name("never"))


def test_parts_of_another_configuration_are_refused(root, parts, tmp_path):
    other = run_part(small_run.bare(root, out=str(tmp_path / "other"), seed=7), Part(2, 3))
    with pytest.raises(MergeError, match="different configurations"):
        merge([parts[0], other], tmp_path / "out")


def test_parts_that_do_not_agree_are_refused(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(divided, "AGREEMENT", -1.0)  # as if nothing were close enough
    with pytest.raises(MergeError, match="more than -1"):
        merge(parts, tmp_path / "out")


def test_parts_of_other_versions_are_refused(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(_statefile, "versions", lambda: "torch 9")
    with pytest.raises(OtherVersionsError, match=r"part-00001-of-00003.*computed with .*installed are .*torch 9"):
        merge(parts, tmp_path / "out")


def test_what_is_no_run_is_refused(root, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunFolderError, match="holds no run"):
        run_part(small_run.bare(root, out=str(tmp_path)), Part(1, 2))
    with pytest.raises(RunFolderError, match=r"holds no config\.toml"):
        merge([tmp_path])
