import tomllib
from dataclasses import dataclass, fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspin.config import RunConfig
from blockspin.errors import ConfigError, UnknownNameError
from blockspin.schemes.block_average import BlockAverage


def test_every_field_has_a_default_and_a_sentence_of_help():
    for item in fields(RunConfig):
        assert item.metadata["help"].endswith((".", ";"))
    assert RunConfig().scheme.name == "principal-modes"


@settings(max_examples=30, deadline=None)
@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
    st.integers(8, 10_000),
    st.lists(st.text("abc.*", max_size=9), max_size=3),
)
def test_a_configuration_survives_its_file(tmp_path_factory, model, samples, layers):
    config = RunConfig().with_options({"model": model, "samples": samples, "layers": layers, "scheme": {"b": 3}})
    path = tmp_path_factory.mktemp("config") / "config.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    assert RunConfig.from_toml(path) == config


def test_the_file_is_complete():
    table = tomllib.loads(RunConfig().to_toml())
    assert set(table) == {item.name for item in fields(RunConfig)}


@pytest.mark.parametrize(
    ("given_options", "words"),
    [
        ({"samples": 3}, "samples = 3 cannot be used. Accepted: an integer from 8"),
        ({"samples": "many"}, "samples = 'many'"),
        ({"workers": True}, "workers = True"),
        ({"modl": "x"}, "Nearest names: model"),
        ({"model": "x" * 10_000}, "text of at most 4096"),
        ({"model": "\udcff"}, "UTF-8"),
        ({"layers": ["\0"]}, "text of at most 4096"),
        ({"scheme": 3}, "scheme = 3.*the name of a scheme"),
        ({"scheme": {"name": "block-average", "c": 2}}, r"scheme\.c = 2.*Nearest names: b"),
        ({"scheme": {"b": "two"}}, r"scheme\.b = 'two'.*an integer"),
        ({"scheme": {"b": 1}}, "b = 1"),
        ({"layers": [3]}, "layers = 3"),
    ],
)
def test_a_wrong_value_names_field_value_and_what_is_accepted(given_options, words):
    with pytest.raises(ConfigError, match=words):
        RunConfig().with_options(given_options)


@pytest.mark.parametrize(("field", "value"), [("representation", "poold"), ("executor", "procss")])
def test_a_wrong_name_offers_the_nearest(field, value):
    with pytest.raises(UnknownNameError, match=r"Nearest names: (pooled|process)"):
        RunConfig().with_options({field: value})


@pytest.mark.parametrize("way", ["block-average", {"name": "block-average"}, {"name": "block-average", "b": "2"}])
def test_a_scheme_is_a_name_or_a_table(way):
    scheme = RunConfig().with_options({"scheme": way}).scheme
    assert (scheme.name, scheme.b) == ("block-average", 2)


def test_a_name_that_a_third_party_registered_is_accepted(monkeypatch):
    from blockspin import config

    known = {**config.members("engine"), "mine": object}
    monkeypatch.setattr(config, "members", lambda family: known)
    assert RunConfig(executor="mine").executor == "mine"


@dataclass(frozen=True)
class Weighing(BlockAverage):
    """A third party's scheme, whose options do not tell their types by their defaults."""

    name = "weighing"
    weights: tuple[float, ...] = (1.0, 2.0)
    rank: int | None = None
    label: str | None = None


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weights": [0.5, 1.5], "rank": 3, "label": "near"},
        {"weights": "[0.5, 1.5]", "rank": "3", "label": "near"},
    ],
    ids=["defaults", "file", "command line"],
)
def test_options_that_are_lists_or_blank_survive_the_file(options, tmp_path, monkeypatch):
    from blockspin import options as reading

    found = reading.member
    monkeypatch.setattr(reading, "member", lambda family, name: Weighing if name == "weighing" else found(family, name))
    made = RunConfig().with_options({"scheme": {"name": "weighing", **options}})
    assert made.scheme == (Weighing(weights=(0.5, 1.5), rank=3, label="near") if options else Weighing())
    (tmp_path / "c.toml").write_text(made.to_toml(), encoding="utf-8")
    assert RunConfig.from_toml(tmp_path / "c.toml") == made


def test_an_option_that_is_a_list_refuses_a_number(monkeypatch):
    from blockspin import options as reading

    monkeypatch.setattr(reading, "member", lambda family, name: Weighing)
    with pytest.raises(ConfigError, match=r"scheme\.weights = 3 .*a list"):
        RunConfig().with_options({"scheme": {"name": "weighing", "weights": 3}})


def test_an_unknown_scheme_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="block-average"):
        RunConfig().with_options({"scheme": {"name": "block-avrage"}})


def test_a_file_that_is_no_toml_is_refused(tmp_path):
    (tmp_path / "c.toml").write_text("samples = = 3", encoding="utf-8")
    with pytest.raises(ConfigError, match="TOML"):
        RunConfig.from_toml(tmp_path / "c.toml")
    with pytest.raises(ConfigError):
        RunConfig.from_toml(tmp_path / "missing.toml")
