"""States and kept activations that somebody tampered with: found, recomputed to the same bytes, and little memory."""

import pytest
import torch
from hostile import DEEP, HEADERS, Acting, little_memory
from passes import TASKS, plain, small_pass

from blockspin.engine._statefile import decode, sealed
from blockspin.engine.kept import KeptPass, kept_batches
from blockspin.engine.measure import measure
from blockspin.engine.serial import Serial
from blockspin.errors import CorruptStateError, MergeError

ONE = {"0000/x": torch.zeros(2)}


def run(reading, store=None):
    generator = torch.Generator().manual_seed(0)
    return plain(measure(reading, TASKS, executor=Serial(), store=store, generator=generator))


@pytest.fixture(scope="module")
def expected():
    return run(small_pass())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What an undisturbed pass leaves."""
    folder = tmp_path_factory.mktemp("finished")
    run(KeptPass(small_pass(), folder / "kept"), folder / "states")
    return folder


@pytest.mark.parametrize("header", HEADERS)
def test_a_hostile_header_is_refused_before_anything_is_taken(tmp_path, header):
    path = tmp_path / "shard-0.safetensors"
    path.write_bytes(HEADERS[header])
    with little_memory(), pytest.raises(CorruptStateError, match="cannot be read"):
        decode(path, 1)
    with little_memory(), pytest.raises(CorruptStateError, match="cannot be read"):
        next(kept_batches(tmp_path))


@pytest.mark.parametrize("header", ["a length of 2^63", "deep lists in its own entry", "offsets that overlap"])
def test_a_tampered_pass_ends_with_the_same_bytes(finished, tmp_path, expected, header):
    run(KeptPass(small_pass(), tmp_path / "kept"), tmp_path / "states")
    (tmp_path / "states" / "group-0002.safetensors").write_bytes(HEADERS[header])
    for file in (tmp_path / "kept").glob("shard-0002*"):
        file.write_bytes(HEADERS[header])
    assert run(KeptPass(small_pass(), tmp_path / "kept"), tmp_path / "states") == expected
    for file in finished.rglob("*.safetensors"):
        assert (tmp_path / file.relative_to(finished)).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("key", ["x", "one/x", "-1/x", "/x", "²/x"])
def test_a_sound_checksum_over_tensors_of_no_work_is_not_believed(tmp_path, key):
    (tmp_path / "a").write_bytes(sealed("mine", "ledger", [], {key: torch.zeros(2)}))
    with pytest.raises(CorruptStateError, match="of no work"):
        decode(tmp_path / "a", 1)


@pytest.mark.parametrize("about", ["null", "[]", "3", '"text"', "{}", '{"sha256": []}', "[" * DEEP, "NaN"])
def test_what_a_file_says_about_itself_may_be_anything(tmp_path, about):
    from safetensors.torch import save

    (tmp_path / "a").write_bytes(save(ONE, metadata={"blockspin": about}))
    with pytest.raises(CorruptStateError, match="cannot be read"):
        decode(tmp_path / "a", 1)


def test_a_pickle_in_the_place_of_a_state_is_not_opened(tmp_path, expected):
    run(small_pass(), tmp_path / "states")
    torch.save({"0000/x": Acting(tmp_path / "mark")}, tmp_path / "states" / "group-0001.safetensors")
    assert run(small_pass(), tmp_path / "states") == expected
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("told", ["", "[]", "{}", '{"processor": 1, "versions": []}', "[" * DEEP])
def test_what_a_part_says_of_its_machine_may_be_anything(tmp_path, told):
    from blockspin.divided import MACHINE, _kinds

    (tmp_path / "part-00001-of-00001").mkdir()
    (tmp_path / "part-00001-of-00001" / MACHINE).write_text(told)
    with pytest.raises(MergeError, match="what the machine was"):
        _kinds([tmp_path])


def test_the_control_a_true_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(sealed("mine", "ledger", ["one"], ONE))
    found = decode(tmp_path / "a", 1)
    assert found.ledger == ["one"]
    assert found.states[0]["x"].tolist() == [0, 0]
