"""Files of MNIST's format: read as they were written, and refused by name where they are no such thing."""

import gzip
import struct

import numpy as np
import pytest

from blockspin.errors import ConfigError, UnreadableRecordError
from blockspin.readers.base import items, modality_of

CODES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}


def written(path, values, kind, *, count=None, cut=0):
    """Write an array in MNIST's format, whatever its first size is said to be."""
    shape = (len(values) if count is None else count, *values.shape[1:])
    data = struct.pack(f">HBB{len(shape)}I", 0, CODES[kind], len(shape), *shape) + values.astype(kind).tobytes()
    data = data[: len(data) - cut]
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def contents(path):
    return np.stack([item.content for item in items(str(path))])


@pytest.mark.parametrize("name", ["a-images-idx3-ubyte", "a-images-idx3-ubyte.gz", "a.idx3-ubyte"])
def test_pictures_of_bytes_have_values_from_zero_to_one(tmp_path, name):
    values = np.random.default_rng(0).integers(0, 256, (7, 4, 3))
    path = written(tmp_path / name, values, "u1")
    assert modality_of(str(path), "") == "image"
    assert np.array_equal(contents(path), values.astype(np.float32) / np.float32(255))
    assert next(items(str(path))).where == f"{name}, record 0"


def test_labels_are_what_they_are(tmp_path):
    path = written(tmp_path / "a-labels-idx1-ubyte.gz", np.arange(9), "u1")
    assert modality_of(str(path), "") == "array"
    assert contents(path).tolist() == list(range(9))


@pytest.mark.parametrize("kind", [kind for kind in CODES if kind != "u1"])
def test_other_numbers_are_read_in_their_byte_order(tmp_path, kind):
    values = np.random.default_rng(0).integers(-100, 100, (5, 2, 3))
    assert np.array_equal(contents(written(tmp_path / "a-idx3-ubyte", values, kind)), values)


def test_what_is_cut_short_lies_or_is_another_format_is_refused_by_name(tmp_path):
    values = np.ones((4, 2, 2))
    with pytest.raises(UnreadableRecordError, match="record 3 is cut short: 1 of 4 bytes"):
        contents(written(tmp_path / "a-idx3-ubyte", values, "u1", cut=3))
    with pytest.raises(UnreadableRecordError, match="record 4 is cut short"):
        contents(written(tmp_path / "b-idx3-ubyte.gz", values, "u1", count=2**31))
    huge = written(tmp_path / "c-idx3-ubyte", np.ones((1, 1, 1)), "u1")
    huge.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 1, 2**31, 2**31))
    with pytest.raises(UnreadableRecordError, match="at most"):
        contents(huge)
    huge.write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(UnreadableRecordError, match="does not begin"):
        contents(huge)
    with pytest.raises(ConfigError, match="unit"):
        list(items(str(huge), "", "patient"))
