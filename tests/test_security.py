"""Hostile folders and configurations: links and names that lead elsewhere, sizes that are too large to be read."""

import json
import os
import shutil

import pytest
import small_run
from hostile import DEEP, little_memory

from blockspin import Axis, Flow, Measurement, Scale
from blockspin import sweep as sweeping
from blockspin.config import MAX_FILE, RunConfig
from blockspin.divided import merge, run_part
from blockspin.engine._files import locked, refuse_outward, write_bytes
from blockspin.engine.parts import Part
from blockspin.errors import BlockspinError, ConfigError, RunFolderError
from blockspin.flow import Direction
from blockspin.report._folder import LARGEST, RunFolder
from blockspin.report.page import write_report
from blockspin.run import run
from blockspin.run_folder import write_flow

# --- configurations ---------------------------------------------------------------------------------------------------


def test_a_configuration_of_ten_gigabytes_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "c.toml").open("wb") as file:
        file.truncate(10 * 2**30)  # sparse: it takes no room on disk
    with little_memory(), pytest.raises(ConfigError, match=f"at most {MAX_FILE} bytes"):
        RunConfig.from_toml(tmp_path / "c.toml")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="there is no endless file here")
def test_an_endless_configuration_is_refused(tmp_path):
    (tmp_path / "c.toml").symlink_to("/dev/zero")
    with little_memory(), pytest.raises(ConfigError, match=f"at most {MAX_FILE} bytes"):
        RunConfig.from_toml(tmp_path / "c.toml")


def test_a_field_of_ten_megabytes_is_refused_as_a_file_and_as_an_argument(tmp_path):
    (tmp_path / "c.toml").write_text(f'model = "{"x" * 10_000_000}"')
    with pytest.raises(ConfigError, match=f"at most {MAX_FILE} bytes"):
        RunConfig.from_toml(tmp_path / "c.toml")
    with pytest.raises(ConfigError, match="at most 4096 characters") as refused:
        RunConfig().with_options({"model": "x" * 10_000_000})
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * DEEP,
        "a = " + "{b = " * DEEP,
        f"[{'.'.join('a' * 2000)}]",
        f"samples = {'9' * 10_000}",
        "\xff\0",
        f'[scheme]\nname = "principal-modes"\n{"b" * 5000} = 1',
    ],
    ids=["deep lists", "deep tables", "a deep key", "a number of 10,000 digits", "no text", "a long key"],
)
def test_a_configuration_that_nests_or_counts_without_end_is_refused(tmp_path, text):
    (tmp_path / "c.toml").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError):
        RunConfig.from_toml(tmp_path / "c.toml")


# --- names that lead elsewhere ----------------------------------------------------------------------------------------

OUTWARD = ["../x", "a/../../x", "/tmp/x", "a/b", "a\\b", "C:\\x", "c:x", "a\0b", "..", ".", ""]


@pytest.mark.parametrize("name", OUTWARD)
def test_a_flow_is_not_written_by_a_name_that_is_a_path(tmp_path, name):
    with pytest.raises(RunFolderError, match="cannot be the name of a file"):
        write_flow(tmp_path / "run", name, flow_of("a/b"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["C:\\x/q", "a\\..\\b/q", "a/\0"])
def test_a_quantity_is_not_written_by_a_name_that_is_a_path(tmp_path, name):
    (tmp_path / "run").mkdir()
    with pytest.raises(RunFolderError, match="cannot be the name of a file"):
        write_flow(tmp_path / "run", "network", flow_of(name))
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize("label", ["../../x", "/tmp/x", "a\\b", "C:\\x", "a\0b", ".."])
def test_labels_of_layers_and_quantities_with_slashes_stay_inside(tmp_path, label):
    (tmp_path / "run").mkdir()
    write_flow(tmp_path / "run", "network", flow_of("../../../x", label))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert {path.name for path in (tmp_path / "run" / "flows").iterdir()} == {"network.zarr"}


@pytest.mark.parametrize("name", ["network.zarr", "covariance.spectrum:error", "a b", "..a", "x.", "c", "c.d:error"])
def test_plain_names_are_let_through(name):
    refuse_outward(name)


def flow_of(quantity, label="layer"):
    rows = {quantity: Measurement(1.0, 0.1)}
    return Flow("one", Axis("depth", "layers", Direction.UNKNOWN), (Scale(0.0, label, measurements=rows),))


@pytest.mark.parametrize("out", ["a\0b", "x" * 5000])
def test_a_folder_of_no_possible_name_is_refused(out):
    with pytest.raises(ConfigError, match="out"):
        RunConfig(out=out)


@pytest.mark.parametrize("model", ["../../x", "/etc/x", "..", "a\\..\\b", "C:"])
def test_a_model_cannot_name_the_folder_of_a_run_elsewhere(model):
    folder = RunConfig(model=model).folder()
    assert folder.parent.name == "runs"
    assert not folder.is_absolute()
    assert len(folder.parts) == 2


def test_the_folder_that_a_configuration_names_is_never_written_over(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    for out in (tmp_path / "mine", tmp_path / "new" / ".." / "mine"):
        with pytest.raises(RunFolderError, match="exists already"):
            run(small_run.bare(tmp_path, out=str(out)))
        with pytest.raises(RunFolderError, match="holds no run"):
            run_part(small_run.bare(tmp_path, out=str(out)), Part(1, 2))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]


# --- links ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of which one of two parts is done, its configuration naming another folder than the one it lies in."""
    root = tmp_path_factory.mktemp("begun")
    one, config = root / "one", small_run.bare(root, out=str(root / "one"), keep_states=True)
    for index in (1, 2):
        run_part(config, Part(index, 2))
    return one, config


@pytest.fixture
def mine(tmp_path):
    """A folder of the victim's and what it holds."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "letter").write_text("dear")
    return folder


LINKED = [
    *("answers.json", "levels.json", "manifest.json", "report.html"),
    *("states", "flows", "activations", "checkpoints", "flows/network.zarr", "flows/.network.tmp"),
    *("states/network", "states/network/group-0000.safetensors", "states/network/part-00001-of-00002", "states/lock"),
]


@pytest.mark.parametrize("name", LINKED)
@pytest.mark.parametrize("way", ["resume", "part", "merge"])
def test_nothing_is_written_through_a_link(begun, mine, tmp_path, name, way):
    folder, config = shutil.copytree(begun[0], tmp_path / "one"), begun[1]
    link(folder / name, mine)
    ways = {
        "resume": lambda: run(config, folder=folder, resume=True),
        "part": lambda: run_part(config.with_options({"out": str(folder)}), Part(1, 2)),
        "merge": lambda: merge([folder]),
    }
    if way == "part":
        text = RunConfig.from_toml(folder / "config.toml").with_options({"out": str(folder)}).to_toml()
        (folder / "config.toml").write_text(text, encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"is a link to .* Remove the link"):
        ways[way]()
    assert untouched(mine)


def link(path, mine):
    """Put a link in the place of a file or folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(mine / "letter" if path.suffix in (".json", ".html", ".safetensors") else mine)


def untouched(mine):
    return [path.name for path in mine.iterdir()] == ["letter"] and (mine / "letter").read_text() == "dear"


def test_a_sweep_and_a_report_do_not_follow_links_either(mine, tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "states").symlink_to(mine)
    with pytest.raises(RunFolderError, match="is a link"):
        sweeping.sweep(small_run.bare(tmp_path), [sweeping.Axis.parse("seed=0,1")], tmp_path / "sweep")
    with pytest.raises(RunFolderError, match="is a link"), locked(tmp_path / "sweep" / "states"):
        pass
    assert untouched(mine)


def test_one_file_is_not_written_through_a_link_of_its_own_or_of_its_temporary_name(mine, tmp_path):
    for name in ("a", f"b.{os.getpid()}.tmp"):
        (tmp_path / name).symlink_to(mine / "letter")
        with pytest.raises(RunFolderError, match="link"):
            write_bytes(tmp_path / name.partition(".")[0], b"gone")
        assert untouched(mine)


def test_a_run_folder_that_is_reached_by_a_link_is_the_user_s_own_choice(begun, tmp_path):
    (tmp_path / "here").symlink_to(shutil.copytree(begun[0], tmp_path / "disk"))
    assert (merge([tmp_path / "here"]) / "report.html").is_file()


def test_a_resumed_run_stays_in_its_folder_whatever_its_configuration_names(begun, mine, tmp_path):
    folder = shutil.copytree(begun[0], tmp_path / "given")
    config = begun[1].with_options({"out": str(mine)})
    (folder / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    assert run(config, folder=folder, resume=True) == folder
    assert untouched(mine)


# --- what a report reads ----------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path):
    from report.make_run import make_run

    return make_run(tmp_path / "made")


@pytest.mark.parametrize("name", ["../../elsewhere.zarr", "/elsewhere.zarr", ".."])
def test_a_report_reads_no_flow_of_elsewhere(made, name):
    answers = json.loads((made / "answers.json").read_text())
    answers["flows"][0]["file"] = name
    (made / "answers.json").write_text(json.dumps(answers))
    with pytest.raises(RunFolderError, match="cannot be the name of a file"):
        write_report(made)


@pytest.mark.parametrize("content", [b"[" * DEEP, b'{"a":' * DEEP, b"\xff", b"9" * 10_000, b""])
def test_a_report_refuses_answers_that_cannot_be_read(made, content):
    (made / "answers.json").write_bytes(content)
    with pytest.raises(RunFolderError, match=r"answers\.json"):
        write_report(made)


def test_a_report_refuses_files_and_arrays_that_are_too_large(made):
    array = made / "flows" / "network.zarr" / "covariance.variance"
    about = json.loads((array / "zarr.json").read_text())
    about["shape"], about["chunk_grid"]["configuration"]["chunk_shape"] = [10**12], [10**12]
    (array / "zarr.json").write_text(json.dumps(about))
    with little_memory(), pytest.raises(BlockspinError):
        write_report(made)
    with (made / "answers.json").open("r+b") as file:
        file.truncate(LARGEST + 10)
    with pytest.raises(RunFolderError, match="more than"):
        RunFolder(made).answers  # noqa: B018


def test_a_report_reads_the_one_format_that_was_written(made):
    """Older ones may name codecs that unpickle."""
    place = made / "flows" / "network.zarr"
    shutil.rmtree(place)
    place.mkdir()
    (place / ".zgroup").write_text('{"zarr_format": 2}')
    with pytest.raises(RunFolderError, match=r"network\.zarr"):
        write_report(made)
