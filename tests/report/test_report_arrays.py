"""Stores of flows made to fill the memory: weighed by what they say of themselves and refused, unread."""

import json
import os
import shutil
import struct

import pytest
from hostile import DEEP, little_memory
from make_run import change, make_run

from blockspin.errors import RunFolderError
from blockspin.report._arrays import CHUNKS, DESCRIPTION, LARGEST
from blockspin.report._folder import RunFolder

LAYERS = 6
"""Numbers of the array that is tampered with, of 8 bytes each."""
RLE = 2**17
"""Most bytes of one block of a zstd frame."""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("template") / "made")


@pytest.fixture
def made(template, tmp_path):
    """Return a copy that a test may spoil."""
    return shutil.copytree(template, tmp_path / "made")


@pytest.fixture
def array(made):
    return made / "flows" / "network.zarr" / "covariance.variance"


def described(array, edit):
    about = json.loads((array / "zarr.json").read_text())
    edit(about)
    (array / "zarr.json").write_text(json.dumps(about))


def refused(made, words):
    with little_memory(), pytest.raises(RunFolderError, match=words) as error:
        RunFolder(made).quantities  # noqa: B018
    assert len(str(error.value)) < 2000


def frame(holds, states):
    """Return a zstd frame of zero bytes, four bytes of file for each 2^17, that states some size, or None."""
    head = b"\x00\x88" if states is None else b"\xe0" + struct.pack("<Q", states)
    full, rest = divmod(holds, RLE)
    sizes = [RLE] * full + [rest]
    blocks = [((size << 3) | 2 | (k == full)).to_bytes(3, "little") + b"\0" for k, size in enumerate(sizes)]
    return bytes.fromhex("28b52ffd") + head + b"".join(blocks)


def test_the_control_flows_as_they_are_written_and_a_frame_of_our_own_are_read(made, array):
    before = RunFolder(made).quantities["covariance.variance"]
    (array / "c" / "0").write_bytes(frame(8 * LAYERS, 8 * LAYERS))
    after = RunFolder(made).quantities["covariance.variance"]
    assert [len(series.value) for series in after] == [len(series.value) for series in before]
    assert float(abs(after[0].value).sum()) == 0 < float(abs(before[0].value[1:]).sum())


SHAPES = {
    "more numbers than memory": ([10**12], [10**12]),
    "more numbers than the bound": ([LARGEST // 8 + 1], [LARGEST // 8 + 1]),
    "a product beyond 64 bits": ([2**40, 2**40], [1, 1]),
    "a chunk larger than its array": ([LAYERS], [2**40]),
    "very many chunks": ([CHUNKS + 1], [1]),
    "very many axes": ([1] * 100, [1] * 100),
    "axes that differ": ([LAYERS, 1], [LAYERS]),
    "no numbers": ([0], [LAYERS]),
    "a negative number": ([-(10**9)], [LAYERS]),
    "a fraction": ([6.0], [LAYERS]),
    "a truth": ([True], [LAYERS]),
    "no shape": (None, None),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_an_array_of_a_hostile_shape_is_refused(made, array, shape):
    def edit(about):
        about["shape"], about["chunk_grid"]["configuration"]["chunk_shape"] = shape

    described(array, edit)
    refused(made, r"covariance\.variance")


CODECS = [
    ["blosc"],
    ["bytes", "blosc"],
    ["bytes", "gzip"],
    ["sharding_indexed"],
    ["vlen-utf8"],
    ["bytes", "zstd", "zstd"],
]


@pytest.mark.parametrize("codecs", [*CODECS, ["numcodecs.pickle"], [["bytes"]], []], ids=str)
def test_a_codec_that_flows_are_not_written_with_is_refused(made, array, codecs):
    described(array, lambda about: about.update(codecs=[{"name": name} for name in codecs]))
    refused(made, r"covariance\.variance")


@pytest.mark.parametrize("kind", ["string", "variable_length_bytes", "object", {"name": "fixed_length_utf32"}, None])
def test_numbers_of_no_known_size_are_refused(made, array, kind):
    described(array, lambda about: about.update(data_type=kind))
    refused(made, r"covariance\.variance")


FRAMES = {
    "a bomb that says so": frame(2**33, 2**33),
    "a bomb that says nothing": frame(2**33, None),
    "a bomb that says it is small": frame(2**33, 8 * LAYERS),
    "a bomb after a small one": frame(8 * LAYERS, 8 * LAYERS) + frame(2**33, 2**33),
    "no zstd": b"PK\x03\x04 broken",
    "nothing": b"",
    "a head cut short": frame(8 * LAYERS, 8 * LAYERS)[:9],
}


@pytest.mark.parametrize("content", FRAMES.values(), ids=FRAMES)
def test_a_chunk_that_unpacks_to_more_than_its_place_is_refused(made, array, content):
    assert len(content) < 2**19
    (array / "c" / "0").write_bytes(content)
    refused(made, r"network\.zarr")


def test_arrays_that_are_too_large_together_are_refused(made, array):
    """Missing chunks are filled: an array without a byte on disk has all of its numbers in memory."""
    large = LARGEST // 8 // 3

    def edit(about):
        about["shape"], about["chunk_grid"]["configuration"]["chunk_shape"] = [large], [large]

    described(array, edit)
    (array / "c" / "0").unlink()
    change(made, "answers.json", lambda answers: answers.update(flows=4 * [answers["flows"][0]]))
    refused(made, "the flows of .* claim")


@pytest.mark.parametrize("content", [b"[" * DEEP, b'{"a":' * DEEP, b"\xff", b"[]", b"9" * 10_000, b""])
@pytest.mark.parametrize("name", ["zarr.json", "covariance.variance/zarr.json"])
def test_a_description_that_is_none_is_refused(made, name, content):
    (made / "flows" / "network.zarr" / name).write_bytes(content)
    refused(made, r"network\.zarr")


def test_files_that_are_large_or_lead_elsewhere_are_refused(made, array, tmp_path):
    chunk, kept = array / "c" / "0", (array / "c" / "0").read_bytes()
    with chunk.open("wb") as file:
        file.truncate(LARGEST + 1)  # sparse
    refused(made, "bytes, more than")
    chunk.unlink()
    (tmp_path / "elsewhere").write_bytes(kept)
    chunk.symlink_to(tmp_path / "elsewhere")
    refused(made, "is a link or a device")
    chunk.unlink()
    os.mkfifo(chunk)  # reading it would wait for ever
    refused(made, "is a link or a device")
    chunk.unlink()
    with (array / "zarr.json").open("wb") as file:
        file.truncate(DESCRIPTION + 1)
    refused(made, "bytes, more than")
