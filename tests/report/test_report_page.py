import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO

import pytest
from make_run import change, make_run

from blockspin.errors import RunFolderError
from blockspin.report._folder import RunFolder
from blockspin.report._html import number, with_error
from blockspin.report.levels import picture
from blockspin.report.page import sections, write_report

HOSTILE = """<script>alert(1)</script></script><!--"'&\u2028 var:accent <b onmouseover=x>"""
TITLES = [
    "Summary",
    "On the network's own flow?",
    "What each level looks like",
    "Flows",
    "Controls",
    "Assumptions",
    "Methods",
    "Repeat this run",
]


class Reader(HTMLParser):
    """Collects tags with their attributes, the text outside scripts and styles, and the data of the figures."""

    def __init__(self):
        HTMLParser.__init__(self)
        self.tags, self.texts, self.inside = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data):
        if not self.inside:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    @property
    def plots(self):
        return [json.loads(attrs["data-plot"]) for _, attrs in self.tags if "data-plot" in attrs]


def read(html):
    reader = Reader()
    reader.feed(str(html))
    return reader


def section(folder, title):
    return read(next(part.body for part in sections(RunFolder(folder)) if part.title == title))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("made") / "run")


@pytest.fixture
def own(folder, tmp_path):
    """Return a copy of the folder that a test may spoil."""
    return shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns("report.html"))


@pytest.fixture(scope="module")
def page(folder):
    return write_report(folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("hostile") / "run", word=HOSTILE)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_same_folder_gives_the_same_bytes(folder, own, page):
    assert write_report(own).read_bytes() == page.encode()
    assert write_report(folder).read_bytes() == page.encode()


def test_no_other_file_is_left_behind(own):
    before = set(own.iterdir())
    assert set(write_report(own).parent.iterdir()) == before | {own / "report.html"}


def test_sections_are_discovered_in_their_order(folder):
    assert [part.title for part in sections(RunFolder(folder))] == TITLES


def test_nothing_is_fetched(page):
    for tag, attrs in read(page).tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert tag != "script" or not attrs
        assert attrs.get("src", "data:").startswith("data:")
        assert attrs.get("href", "#").startswith("#")


def test_the_plotting_script_is_inlined_once(page):
    assert len(re.findall(r"\* plotly\.js v\d", page)) == 1


def test_the_page_is_made_without_the_network(own):
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'sklearn', 'safetensors'): sys.modules[name] = None\n"
        "from pathlib import Path\nfrom blockspin.report.page import write_report\nwrite_report(Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(own)], check=True)
    assert (own / "report.html").is_file()


@pytest.mark.parametrize("name", ["answers.json", "levels.json", "manifest.json", "config.toml", "flows"])
def test_an_unfinished_run_is_refused_by_name(own, name):
    target = own / name
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    with pytest.raises(RunFolderError, match=name):
        write_report(own)
    assert not (own / "report.html").exists()


# --- what others wrote ------------------------------------------------------------------------------------------------


def test_data_make_no_tags(page, hostile):
    tags = [[tag for tag, _ in read(html).tags] for html in (page, write_report(hostile).read_text(encoding="utf-8"))]
    assert tags[0] == tags[1]


@pytest.mark.parametrize("title", TITLES)
def test_hostile_names_are_shown_as_they_are(hostile, title):
    reader = section(hostile, title)
    assert "alert(1)" in reader.text + json.dumps(reader.plots)
    assert not [tag for tag, attrs in reader.tags if tag == "script" or "onmouseover" in attrs]


def test_plots_hold_no_markup_of_others(hostile):
    for title in ("On the network's own flow?", "Flows", "Controls"):
        for plot in section(hostile, title).plots:
            without_templates = re.sub(r'"hovertemplate": "[^"]*"', "", json.dumps(plot, ensure_ascii=False))
            assert not set("<>") & set(without_templates)
            assert "alert" not in "".join(re.findall(r'"hovertemplate": "[^"]*"', json.dumps(plot)))


# --- its sections -----------------------------------------------------------------------------------------------------


def test_the_summary_says_each_sentence_once(folder):
    text = section(folder, "Summary").text
    assert text.count("Of 4 levels of passage, 2 lie inside.") == 1
    assert "▲ no" in text
    assert "Another sentence about passage." in text
    for term in ("Implicit flow", "Explicit flow", "On the flow"):
        assert term in text


def test_every_quantity_is_drawn_with_its_error(folder):
    reader = section(folder, "Flows")
    assert "something new: never seen" in reader.text
    assert "4 more" not in reader.text
    lines = [trace for plot in reader.plots for trace in plot["data"] if trace["mode"] == "lines+markers"]
    assert len(lines) == 2 * (6 + 6)  # two flows a figure; the spectra are curves
    for trace in lines:
        assert [bar is None for bar in trace["error_y"]["array"]] == [y is None for y in trace["y"]]


def test_quantities_have_an_order_of_their_own(folder, monkeypatch):
    whole = RunFolder._flow
    monkeypatch.setattr(RunFolder, "_flow", lambda run, about: dict(reversed(whole(run, about).items())))
    backwards = list(RunFolder(folder).quantities)
    monkeypatch.undo()
    assert backwards == list(RunFolder(folder).quantities) == sorted(backwards)


def test_bars_are_two_errors(folder):
    plot = next(p for p in section(folder, "Flows").plots if p["data"][0]["y"][1:2] == [50.0])
    assert plot["data"][0]["error_y"]["array"] == [None, 3.0, 3.0, 3.0, 3.0, 3.0]


def test_spectra_are_drawn_at_chosen_scales_on_logarithmic_axes(folder):
    spectra = [p for p in section(folder, "Flows").plots if p["layout"]["xaxis"].get("type") == "log"]
    assert [len(plot["data"]) for plot in spectra] == [4, 4]
    assert {plot["layout"]["yaxis"]["type"] for plot in spectra} == {"log"}


def test_implicit_and_explicit_flows_have_axes_of_their_own(folder):
    names = {frozenset(t["name"] for t in p["data"]) for p in section(folder, "Flows").plots if len(p["data"]) == 2}
    assert names == {
        frozenset({"network passage", "untrained network"}),
        frozenset({"modes passage", "modes, parts exchanged"}),
    }


def test_levels_are_told_apart_by_name_sign_and_colour(folder):
    excess = section(folder, "On the network's own flow?").plots[0]["data"]
    assert [(t["name"], t["marker"]["symbol"], t["marker"]["color"], len(t["x"])) for t in excess] == [
        ("inside", "circle", "var:in", 2),
        ("outside", "triangle-up", "var:out", 1),
        ("cannot tell", "circle-open", "var:open", 1),
    ]


def test_the_tube_on_a_segment_is_the_larger_of_its_ends(folder):
    tube = section(folder, "On the network's own flow?").plots[1]["data"][0]
    assert tube["y"] == [0.05, 0.05, 0.05, 0.06, 0.06, 0.06]


@pytest.mark.parametrize("key", ["points", "embedding"])
def test_a_picture_without_its_data_is_left_out_with_a_note(own, key):
    change(own, "answers.json", lambda content: content["answers"][0]["figure"].pop(key))
    reader = section(own, "On the network's own flow?")
    assert len(reader.plots) == 3
    assert "This picture is left out" in reader.text


def test_a_run_without_an_answer_has_no_picture_of_it(own):
    change(own, "answers.json", lambda content: content.update(answers=[]))
    assert [p.title for p in sections(RunFolder(own))] == [
        title for title in TITLES if title not in ("On the network's own flow?", "Controls", "Assumptions")
    ]


@pytest.mark.parametrize(
    ("modality", "tag", "count"), [("text", "article", 10), ("image", "img", 5), ("array", "h4", 5)]
)
def test_each_level_shows_what_fits_its_modality(tmp_path, modality, tag, count):
    run = make_run(tmp_path / "run", modality=modality)
    reader = section(run, "What each level looks like")
    assert sum(name == tag for name, _ in reader.tags) == count
    assert sum("data-level" in attrs for _, attrs in reader.tags) == 5


def test_levels_say_what_they_keep_and_where_they_lie(folder):
    text = section(folder, "What each level looks like").text
    assert "32 sites of passage gives back 0.900 ± 0.010 of the variance on held-out inputs ● inside the tube" in text
    assert "▲ outside the tube" in text


def test_controls_stand_beside_the_verdict(folder):
    text = section(folder, "Controls").text
    assert "▲ no is what retrace says" in text
    assert "the scheme to be judged −0.0500 ± 0.0040 to 0.1200 ± 0.0040" in text
    assert "white noise noise of equal shape: outside, near 1 0.920 ± 0.010" in text


def test_lights_are_told_by_word_and_sign(folder):
    text = section(folder, "Assumptions").text
    for sign in ("✓ green passage green : because of passage", "! amber passage amber", "✕ red passage red"):
        assert sign in text


def test_methods_name_sources_and_mark_the_untethered(folder):
    text = section(folder, "Methods").text
    assert "modes scheme Keep the leading modes. someone2001 ✓ tethered" in text
    assert "picks scheme Pick a site. someone2001 ! untethered" in text


def test_the_run_can_be_repeated_from_the_page(folder):
    text = section(folder, "Repeat this run").text
    assert '# passage model = "made" seed = 0' in text
    assert "Times, 4 seconds in all" in text


# --- its numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (0.123456, 0.0123, "0.123 ± 0.012"),
        (-76.4812, 1.23, "−76.5 ± 1.2"),
        (12345.6, 321.0, "12346 ± 321"),
        (2.5e-7, 3e-9, "2.500e−07 ± 3.0e−09"),
        (1.5, 0.0, "1.5"),
        (1.5, None, "1.5 (error unknown)"),
    ],
)
def test_values_are_shown_to_the_digits_of_their_error(value, error, shown):
    assert with_error(value, error) == shown


def test_units_are_shown_and_missing_numbers_are_said_to_be():
    assert number({"value": 1.5, "error": 0.25, "unit": "field^2"}) == "1.50 ± 0.25 field²"
    assert number({"value": None, "error": None, "unit": "1"}) == number(None) == "no number"


@pytest.mark.parametrize(
    ("rows", "ends", "shown"),
    [
        ([[0.0, 0.5, 1.0], [2.0, -1.0, 0.25]], (0.0, 1.0), [0, 128, 255, 255, 0, 64]),
        ([[0.0, 51.0, 255.0]], (0.0, 255.0), [0, 51, 255]),
    ],
)
def test_a_picture_is_a_png_of_its_numbers(rows, ends, shown):
    image = pytest.importorskip("PIL.Image")
    found = image.open(BytesIO(b64decode(picture(rows, *ends).removeprefix("data:image/png;base64,"))))
    assert (found.mode, found.size) == ("L", (len(rows[0]), len(rows)))
    assert found.tobytes() == bytes(shown)


def test_pictures_share_one_grey_scale(tmp_path):
    run = make_run(tmp_path / "run", modality="image")
    rows = [[0.0, 51.0, 255.0]]
    change(
        run, "levels.json", lambda content: content["levels"][0]["images"].__setitem__(0, {"label": "a", "rows": rows})
    )
    sources = [attrs["src"] for tag, attrs in section(run, "What each level looks like").tags if tag == "img"]
    assert sources[0] == picture(rows, 0.0, 255.0)


def test_incomplete_answers_are_refused_by_name(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "answers.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RunFolderError, match="title"):
        write_report(folder)
