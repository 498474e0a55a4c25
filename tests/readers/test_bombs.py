"""Data made to do harm: bombs, headers that lie, endless nesting, members that lead elsewhere; each refused by name."""

import bz2
import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from hostile import DEEP, Acting, little_memory

from blockspin.errors import UnreadableRecordError
from blockspin.readers.base import items
from blockspin.readers.folder import read as pictures

MEGABYTE = 2**20


def refused(path, words, column="text"):
    """Read a file that must be refused with these words and a remedy, within little memory."""
    with little_memory(), pytest.raises(UnreadableRecordError, match=words) as error:
        for _ in items(str(path), column):
            pass
    assert error.value.remedy
    assert len(str(error.value)) < 1000


def written(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# --- arrays -----------------------------------------------------------------------------------------------------------


def npy(shape, descr="<f8"):
    """Return the header of an array."""
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text


ARRAYS = {
    "10^12 records": (npy((10**12, 3)) + bytes(64), "cut short"),
    "records of 10^12 entries": (npy((2, 10**12)) + bytes(64), "number of bytes"),
    "a shape that overflows": (npy((2**62, 2**62)) + bytes(64), "number of bytes|cut short"),
    "a negative shape": (npy((-1, 3)), "shape"),
    "no records": (npy((10**12, 0)), "shape"),
    "objects": (npy((2, 2), "|O") + b"\x80\x04.", "object"),
    "huge entries": (npy((2, 2), "<V2147483647"), "holds"),
    "a header of 2 GB": (b"\x93NUMPY\x02\0" + struct.pack("<I", 2**31) + b"{", "header"),
    "a header that calls": (b"\x93NUMPY\x01\0" + struct.pack("<H", 22) + b"__import__('os').abort", "cannot be read"),
    "a header that nests": (b"\x93NUMPY\x01\0" + struct.pack("<H", 9000) + b"(" * 9000, "cannot be read"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_that_lies_about_itself(tmp_path, name):
    content, words = ARRAYS[name]
    refused(written(tmp_path / "a.npy", content), words)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
    refused(tmp_path / "a.npz", words, "x")


def test_pickled_objects_are_not_opened(tmp_path):
    objects = np.array([Acting(tmp_path / "mark"), None], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=objects)
    refused(tmp_path / "a.npy", "object")
    refused(tmp_path / "a.npz", "object", "x")
    assert not (tmp_path / "mark").exists()


def test_an_archive_that_unpacks_to_far_more_than_it_takes(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as file:
        file.write(npy((48 * MEGABYTE // 64, 8)))
        for _ in range(48):
            file.write(bytes(MEGABYTE))
    refused(tmp_path / "a.npz", "unpacked from", "x")


# --- texts ------------------------------------------------------------------------------------------------------------

LINES = {
    "a line of 17 MB": ('{"text": "' + "x" * 17 * MEGABYTE + '"}', "number of bytes"),
    "deep lists": ("[" * DEEP, "is not JSON"),
    "deep tables": ('{"text": ' * DEEP, "is not JSON"),
    "a number of 10,000 digits": ('{"text": ' + "9" * 10_000 + "}", "is not JSON"),
    "an array of 300 axes": ('{"text": ' + "[" * 300 + "1" + "]" * 300 + "}", "no array"),
    "rows of unequal length": ('{"text": [[1], [1, 2]]}', "no array"),
    "half a character": ('{"text": "\\ud800"}', "no text"),
    "no number": ('{"text": NaN}', "float"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_of_json_without_end(tmp_path, name):
    content, words = LINES[name]
    refused(written(tmp_path / "a.jsonl", content + "\n"), f"line 1.*{words}")


@pytest.mark.parametrize("ending", ["txt", "jsonl"])
def test_a_file_of_ten_gigabytes_in_one_line(tmp_path, ending):
    with (tmp_path / f"a.{ending}").open("wb") as file:
        file.truncate(10 * 2**30)  # sparse
    refused(tmp_path / f"a.{ending}", "line 1: its number of bytes")


@pytest.mark.parametrize("ending", ["txt", "jsonl"])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("line", [0, 2**16])
def test_a_packed_text_that_grows_without_end(tmp_path, ending, pack, line):
    """Whether in one line or in many: blank ones hold no record that could be counted."""
    content = (b" " * (line - 1) + b"\n") * (20 * MEGABYTE // line) if line else bytes(20 * MEGABYTE)
    packed = written(tmp_path / f"a.{ending}.{'gz' if pack is gzip.compress else 'bz2'}", pack(content, 9))
    refused(packed, "unpacks to more than .* over 500 times" if pack is bz2.compress or line else "unpacks|bytes")


# --- pictures ---------------------------------------------------------------------------------------------------------


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, *more):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + body + chunk(b"IEND", b"")


SQUEEZED = zlib.compress(bytes(80 * MEGABYTE), 9)
PICTURES = {
    "10^10 pixels": (png(10**5, 10**5), "pixels"),
    "the most that a header can say": (png(2**31 - 1, 2**31 - 1), "pixels"),
    "just too many for us": (png(2**13 + 1, 2**13), "number of pixels"),
    "a packed comment of 80 MB": (png(4, 4, chunk(b"zTXt", b"a\0\0" + SQUEEZED)), "cannot be read"),
    "a packed profile of 80 MB": (png(4, 4, chunk(b"iCCP", b"a\0\0" + SQUEEZED)), "cannot be read"),
    "a program that draws": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "cannot be read"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_unpacks_to_far_too_much(tmp_path, name):
    pytest.importorskip("PIL")
    content, words = PICTURES[name]
    written(tmp_path / "a.png", content)
    with little_memory(2**27), pytest.raises(UnreadableRecordError, match=words):
        list(pictures(tmp_path, "", ""))


# --- archives of shards -----------------------------------------------------------------------------------------------


def tar(path, *members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return path


def member(name, size=0, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, target
    return info


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_link_or_a_device_in_an_archive(tmp_path, kind):
    refused(tar(tmp_path / "a.tar", (member("1.txt", 0, kind, "/etc/passwd"), b"")), "no regular file")


@pytest.mark.parametrize("name", ["/tmp/1.txt", "../1.txt", "a/../../1.txt", ".."])
def test_a_member_that_leads_out_of_its_archive(tmp_path, name):
    refused(tar(tmp_path / "a.tar", (member(name, 5), b"hello")), "leads out of the archive")


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (member("1.txt", 2**60), "number of bytes"),
        (member("1.txt", 2**24), "cannot be read|cut short"),
        (member("x", 2**40, b"L"), "header|cannot be read"),
        (member("x", 2**40, b"x"), "header|cannot be read"),
        (member("x", 2**20, b"S"), "no regular file|cannot be read"),
    ],
    ids=["2^60 bytes", "more than there is", "a name of a terabyte", "a header of a terabyte", "sparse"],
)
def test_a_member_that_lies_about_its_size(tmp_path, info, words):
    refused(written(tmp_path / "a.tar", info.tobuf(tarfile.GNU_FORMAT) + b"x" * 1024), words)


@pytest.mark.parametrize("count", [1, 300])
def test_a_packed_archive_that_grows_without_end(tmp_path, count):
    size = 20 * MEGABYTE // count
    many = [(member(f"{number}.txt", size), bytes(size)) for number in range(count)]
    refused(tar(tmp_path / "a.tar.gz", *many, mode="w:gz"), "unpacks to more than", "txt")


# --- parquet ----------------------------------------------------------------------------------------------------------


def table(path, column, **options):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": column(pyarrow)}), path, compression="zstd", **options)
    return path


COLUMNS = {
    "40 MB of one letter": (lambda arrow: arrow.array(["x" * MEGABYTE] * 40), {"use_dictionary": False}, "unpacked"),
    "one passage a million times": (
        lambda arrow: arrow.DictionaryArray.from_arrays(np.zeros(10**6, "i4"), ["x" * 10**5]),
        {},
        "unpacks to more than",
    ),
    "prefixes that add up": (
        lambda arrow: arrow.array(["x" * 10**5 + str(number) for number in range(400)]),
        {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}},
        "unpacks to more than",
    ),
    "ten million rows of nothing": (lambda arrow: arrow.nulls(10**7, arrow.string()), {}, "row 1 has no text"),
    "a passage of 17 MB": (lambda arrow: arrow.array(["x" * 17 * MEGABYTE]), {"use_dictionary": False}, "bytes"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_small_parquet_that_claims_far_too_much(tmp_path, name):
    column, options, words = COLUMNS[name]
    refused(table(tmp_path / "a.parquet", column, **options), words)
    assert (tmp_path / "a.parquet").stat().st_size < MEGABYTE


def test_a_parquet_whose_footer_lies_about_its_length(tmp_path):
    path = table(tmp_path / "a.parquet", lambda arrow: arrow.array(["one"]))
    whole = path.read_bytes()
    for length in (2**31 - 1, len(whole), 0):
        written(path, whole[:-8] + struct.pack("<I", length) + b"PAR1")
        refused(path, "cannot be read")


# --- the controls: what is not hostile is read ------------------------------------------------------------------------


def test_large_but_honest_data_are_read(tmp_path):
    row = json.dumps({"text": "x" * 10 * MEGABYTE})
    assert [len(item.content) for item in items(str(written(tmp_path / "a.jsonl", row)), "text")] == [10 * MEGABYTE]
    packed = written(tmp_path / "a.txt.gz", gzip.compress(("one passage of many\n" * 1000).encode()))
    assert sum(1 for _ in items(str(packed))) == 1000
    shard = tar(tmp_path / "a.tar", (member("deep/1.txt", 5), b"hello"), (member("..a..b/2.txt", 5), b"again"))
    assert [item.content for item in items(str(shard), "txt")] == ["hello", "again"]


def test_an_honest_parquet_of_shared_prefixes_is_read(tmp_path):
    texts = [f"a beginning that is the same, and {number}" for number in range(3000)]
    coded = {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}}
    path = table(tmp_path / "a.parquet", lambda arrow: arrow.array(texts), **coded)
    assert [item.content for item in items(str(path), "text")] == texts
