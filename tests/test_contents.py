"""What a sample was read from: whole records, or places of them."""

import pytest
import small_run
import torch

from blockspin.contents import PlaceContents
from blockspin.representations.base import place_ids
from blockspin.run import run
from blockspin.sources.base import draw_records
from blockspin.sources.given_records import GivenRecords


def test_a_place_is_found_by_its_id():
    sample = draw_records(GivenRecords(("one two", "three four"), "text"), 2)
    known = PlaceContents(sample, 3)
    for row, record in enumerate(sample.records):
        for position in range(3):
            key = int(place_ids(sample.ids[[row]], torch.tensor([position]))[0])
            assert known[key] == f"[position {position}] {record.content}"
    assert len(known) == len(list(known)) == 6
    with pytest.raises(KeyError):
        known[0]


@pytest.mark.slow
@pytest.mark.parametrize("representation", ["tokens", "position"])
def test_a_run_over_places_of_records_ends_with_a_report(tmp_path, representation):
    place = run(small_run.bare(tmp_path, representation=representation, out=str(tmp_path / "out")))
    assert (place / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("representation", "scheme"),
    [("tokens", "principal-modes"), ("position", "principal-modes"), ("windows", "block-average")],
)
def test_a_run_over_places_of_real_passages_ends_with_a_report(tmp_path, representation, scheme):
    pytest.importorskip("transformers")
    given = {"model": "builtin:minilm", "data": "builtin:kjv", "samples": 400, "kernel_samples": 60, "steps": 1}
    chosen = {"name": representation, "length": "2"} if representation == "windows" else representation
    config = small_run.RunConfig().with_options(
        {
            **given,
            "representation": chosen,
            "scheme": scheme,
            "layers": ["blocks.[45].resid_post"],
            "executor": "serial",
            "groups": 4,
        }
    )
    place = run(config, folder=tmp_path / "out")
    shown = (place / "levels.json").read_text(encoding="utf-8")
    assert "[position" in shown
