import json
import random

import numpy as np
import pytest
import torch

from blockspin.errors import ConfigError, MissingModelError, UnreadableRecordError
from blockspin.registry import member
from blockspin.sources.base import draw_records

TEXT, ARRAYS, IMAGES = (member("sources", name) for name in ("text", "arrays", "images"))


def contents(source) -> list:
    return [record.content for record in source.records()]


def test_a_text_of_lines_has_a_passage_a_line(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\nthree\n".replace("\n\n", "\n"), encoding="utf-8")
    assert contents(TEXT(str(tmp_path / "a.txt"))) == ["one", "two", "three"]


def test_a_text_of_paragraphs_has_a_passage_a_paragraph(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n\nthree\nfour\n", encoding="utf-8")
    assert contents(TEXT(str(tmp_path / "a.txt"))) == ["one two", "three four"]


def test_an_unreadable_line_is_named(tmp_path):
    lines = [b"fine"] * 50
    lines[36] = b"\xff\xfe broken"
    (tmp_path / "a.txt").write_bytes(b"\n".join(lines))
    with pytest.raises(UnreadableRecordError, match="line 37"):
        contents(TEXT(str(tmp_path / "a.txt")))


@pytest.mark.parametrize(
    ("line", "message"), [("{broken", "line 37 is not JSON"), ('{"other": 1}', "line 37 has no text")]
)
def test_an_unreadable_row_of_json_is_named(tmp_path, line, message):
    lines = [json.dumps({"text": f"passage {i}"}) for i in range(50)]
    lines[36] = line
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UnreadableRecordError, match=message):
        contents(TEXT(str(tmp_path / "a.jsonl")))


def test_parquet_is_read_and_a_missing_column_offers_the_others(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"body": ["one", "two"], "n": [1, 2]}), tmp_path / "a.parquet")
    assert contents(TEXT(str(tmp_path / "a.parquet"), "body")) == ["one", "two"]
    with pytest.raises(UnreadableRecordError, match="body, n"):
        contents(TEXT(str(tmp_path / "a.parquet")))


def test_arrays_come_from_npy_and_npz(tmp_path):
    x = np.arange(12.0).reshape(4, 3)
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "a.npz", x=x, y=2 * x)
    assert np.array_equal(contents(ARRAYS(str(tmp_path / "a.npy"))), x)
    assert np.array_equal(contents(ARRAYS(str(tmp_path / "a.npz"), "y")), 2 * x)
    with pytest.raises(UnreadableRecordError, match="x, y"):
        contents(ARRAYS(str(tmp_path / "a.npz"), "z"))


def test_pickled_objects_and_numbers_that_are_not_finite_are_refused(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{"a": 1}, {}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "n.npy", np.array([[1.0], [np.nan]]))
    with pytest.raises(UnreadableRecordError):
        contents(ARRAYS(str(tmp_path / "o.npy")))
    with pytest.raises(UnreadableRecordError, match="record 1"):
        contents(ARRAYS(str(tmp_path / "n.npy")))


def test_a_folder_of_pictures_is_read_and_a_broken_one_is_named(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for k in range(3):
        image.fromarray(np.full((4, 5, 3), 50 * k, np.uint8)).save(tmp_path / f"{k}.png")
    found = contents(IMAGES(str(tmp_path)))
    assert [f.shape for f in found] == [(4, 5, 3)] * 3
    assert found[2].max() == pytest.approx(100 / 255)
    (tmp_path / "3.png").write_bytes(b"no picture")
    with pytest.raises(UnreadableRecordError, match=r"3\.png"):
        contents(IMAGES(str(tmp_path)))


def test_an_unknown_ending_and_an_empty_file_are_refused(tmp_path):
    (tmp_path / "a.doc").write_text("x", encoding="utf-8")
    (tmp_path / "a.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="jsonl"):
        contents(TEXT(str(tmp_path / "a.doc")))
    with pytest.raises(UnreadableRecordError, match="no passage"):
        contents(TEXT(str(tmp_path / "a.txt")))


def given(texts):
    return member("sources", "given-records")(tuple(texts), "text")


def test_the_same_records_are_drawn_whatever_their_order():
    texts = [f"passage {i}" for i in range(200)] + ["twice"] * 3
    shuffled = random.Random(0).sample(texts, len(texts))
    one, two = (draw_records(given(order), 50) for order in (texts, shuffled))
    assert torch.equal(one.ids, two.ids)
    assert [r.content for r in one.records] == [r.content for r in two.records]
    assert one.total == 203


def test_repeated_contents_have_their_own_ids_and_share_a_unit():
    drawn = draw_records(given(["same", "same", "other"]), 10)
    assert len(set(drawn.ids.tolist())) == 3
    assert len(set(drawn.units.tolist())) == 2


def test_a_smaller_draw_is_the_beginning_of_a_larger_one():
    texts = [f"passage {i}" for i in range(100)]
    assert draw_records(given(texts), 20).ids.tolist() == draw_records(given(texts), 60).ids.tolist()[:20]


def test_the_example_s_text_has_no_verse_numbers():
    drawn = draw_records(member("sources", "kjv")(), 300)
    assert drawn.total == 24408
    assert not [r.content for r in drawn.records if any(c.isdigit() for c in r.content)]


def test_ngrams_are_of_unit_length_and_blind_to_case_and_order_of_passages():
    texts = ["In the beginning", "in THE beginning!", "another passage here"]
    drawn = draw_records(given(texts), 3)
    ensemble = member("representations", "ngrams")().ensemble(drawn)
    rows = {r.content: v for r, v in zip(drawn.records, ensemble.values[:, :, 0], strict=True)}
    assert torch.allclose(ensemble.values.norm(dim=1), torch.ones(3, 1))
    assert torch.equal(rows[texts[0]], rows[texts[1]])
    assert abs(float(rows[texts[0]] @ rows[texts[2]])) < 1e-6


def test_raw_pictures_stand_on_a_grid():
    pictures = tuple(np.full((4, 5, 3), k, np.float32) for k in range(5))
    drawn = draw_records(member("sources", "given-records")(pictures, "image"), 5)
    ensemble = member("representations", "raw")().ensemble(drawn)
    assert ensemble.values.shape == (5, 20, 3)
    assert ensemble.geometry.shape == (4, 5)


@pytest.mark.parametrize("model", ["no/such-model", "os:nothing", "nowhere.at.all:make", "builtin:no"])
def test_a_network_that_is_not_there_is_refused(model, tmp_path):
    with pytest.raises(MissingModelError):
        member("sources", "network")(model).load()


def test_a_factory_must_make_a_module():
    with pytest.raises(MissingModelError, match="torch module"):
        member("sources", "network")("os:getcwd").load()


@pytest.mark.slow
def test_the_organism_learns_its_clusters_and_is_the_same_twice():
    one, two = (
        member("organisms", "cluster-tree")(samples=400, steps=120).train(generator=torch.Generator().manual_seed(0))
        for _ in range(2)
    )
    assert one.scores["accuracy"] > 0.9
    assert (min(one.checkpoints), max(one.checkpoints)) == (0, 120)
    assert all(torch.equal(one.checkpoints[120][key], two.checkpoints[120][key]) for key in one.checkpoints[120])


def test_what_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.txt"):
        contents(TEXT(str(tmp_path / "none.txt")))


def test_a_mark_of_byte_order_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone\ntwo\n".encode())
    assert contents(TEXT(str(tmp_path / "a.txt"))) == ["one", "two"]


def test_an_archive_that_is_cut_short_is_refused_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((4, 3)))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[:60])
    with pytest.raises(UnreadableRecordError, match=r"a\.npz"):
        contents(ARRAYS(str(tmp_path / "a.npz")))


def test_pictures_of_different_size_are_refused_by_name(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for k in range(3):
        image.fromarray(np.zeros((4, 5 + k // 2), np.uint8)).save(tmp_path / f"{k}.png")
    with pytest.raises(UnreadableRecordError, match=r"2\.png has shape \(4, 6, 1\)"):
        contents(IMAGES(str(tmp_path)))


def test_arrays_with_a_short_last_axis_are_no_pictures():
    drawn = draw_records(member("sources", "given-records")(tuple(np.full((7, 3), k) for k in range(5)), "array"), 5)
    ensemble = member("representations", "raw")().ensemble(drawn)
    assert ensemble.values.shape == (5, 21, 1)
    assert ensemble.geometry.sites == 21


def test_many_repetitions_are_drawn_in_time():
    drawn = draw_records(given(["same"] * 20_000), 50)
    assert len(set(drawn.ids.tolist())) == 50


def test_a_network_of_pictures_is_opened_without_a_tokenizer_and_refuses_text(tmp_path):
    from transformers import ViTConfig, ViTModel

    from blockspin.capture.recipe import NetworkRecipe

    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    ViTModel(ViTConfig(**size, image_size=8, patch_size=4)).save_pretrained(tmp_path)
    source = member("sources", "network")(str(tmp_path))
    network = NetworkRecipe(source, "image").open()
    inputs, _ = network.run([np.zeros((8, 8, 3), np.float32)] * 2)
    assert network.encoder.call(network.module, inputs).last_hidden_state.shape == (2, 5, 16)
    with pytest.raises(MissingModelError, match="tokenizer"):
        NetworkRecipe(source, "text").open()
