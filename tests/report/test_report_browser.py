"""The report as a browser shows it: both widths, both colour schemes, and the knob by keys."""

import re
from pathlib import Path

import pytest
from browser import CHROMIUM, ERROR, browser
from make_run import make_run

from blockspin.report import page as report
from blockspin.report.page import write_report

if not CHROMIUM.exists():
    pytest.skip(f"{CHROMIUM} is missing: the report is not looked at in a browser", allow_module_level=True)

WIDTHS, SCHEMES = (390, 1280), ("light", "dark")
PAINTED = "getComputedStyle(document.querySelector('#flows .scatterlayer .js-line')).stroke"
ACCENT = """(() => {
    const probe = document.body.appendChild(document.createElement('i'));
    probe.style.color = 'var(--accent)';
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
})()"""
WIDER = """[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1
&& !e.closest('.scroll, pre, svg, nav, [hidden]')).map(e => e.tagName + '.' + e.className).slice(0, 5)"""
SHOWN = "[...document.querySelectorAll('[data-level]')].filter(e => e.offsetParent).map(e => e.dataset.level).join()"
UNDRAWN = """[...document.querySelectorAll('[data-plot]')].filter(
    e => e.offsetParent && !e.querySelector('svg.main-svg')).length"""


@pytest.fixture(scope="module")
def chromium():
    with browser() as page:
        yield page


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    place = tmp_path_factory.mktemp("reports")
    names = {
        "text": "passage",
        "image": "x" * 200,
        "array": "<script>document.documentElement.dataset.error = 'run'</script>",
    }
    return {key: write_report(make_run(place / key, modality=key, word=word)) for key, word in names.items()}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_fits_and_is_drawn(chromium, reports, width, scheme):
    chromium.show(reports["text"], width, scheme)
    assert chromium.value(ERROR) == ""
    assert chromium.value("innerWidth") == width
    assert chromium.value("document.documentElement.scrollWidth") <= width
    assert chromium.value(WIDER) == []
    assert chromium.value(UNDRAWN) == 0
    assert chromium.value(PAINTED) == chromium.value(ACCENT)


@pytest.mark.parametrize("modality", ["image", pytest.param("array", marks=pytest.mark.slow)])
def test_long_and_hostile_names_neither_widen_nor_run(chromium, reports, modality):
    chromium.show(reports[modality], 390, "light")
    assert chromium.value(ERROR) == ""
    assert chromium.value("document.documentElement.scrollWidth") <= 390
    assert chromium.value(WIDER) == []


def test_figures_follow_a_change_of_the_colour_scheme(chromium, reports):
    chromium.show(reports["text"], 1280, "light")
    before = chromium.value(PAINTED)
    chromium.colours("dark")
    chromium.until("document.documentElement.dataset.drawn === 'dark'")
    assert chromium.value(PAINTED) == chromium.value(ACCENT) != before


def test_the_knob_turns_by_keys_and_says_where_it_is(chromium, reports):
    chromium.show(reports["text"], 1280, "light")
    assert chromium.value(SHOWN) == "0"
    chromium.value("document.getElementById('scale').focus()")
    for _ in range(2):
        chromium.key("ArrowRight", 39)
    assert chromium.value(SHOWN) == "2"
    assert chromium.value("document.getElementById('scale-shown').textContent") == "16 sites of passage"
    assert chromium.value("document.getElementById('scale').getAttribute('aria-valuetext')") == "16 sites of passage"
    chromium.key("End", 35)
    assert chromium.value(SHOWN) == "4"


def test_what_was_hidden_is_drawn_when_it_is_shown(chromium, reports):
    chromium.show(reports["array"], 1280, "light")
    chromium.value("document.getElementById('scale').focus()")
    chromium.key("ArrowRight", 39)
    chromium.value("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    chromium.until(f"{UNDRAWN} === 0")
    assert chromium.value(ERROR) == ""
    assert chromium.value("document.documentElement.scrollWidth") <= 1280


def test_everything_that_is_worked_has_a_name(chromium, reports):
    chromium.show(reports["image"], 390, "light")
    assert (
        chromium.value("document.querySelectorAll('input:not([id]), img:not([alt]), nav:not([aria-label])').length")
        == 0
    )
    assert chromium.value("[...document.querySelectorAll('input')].every(e => e.labels.length === 1)")
    assert chromium.value("document.querySelectorAll('h1').length") == 1


# --- the style sheet, by itself ---------------------------------------------------------------------------------------


def palettes():
    style = (Path(report.__file__).parent / "page.css").read_text(encoding="utf-8")
    found = re.findall(r":root\{([^}]*)\}", style)
    return [dict(pair.split(":") for pair in block.replace("--", "").split(";")) for block in found]


def luminance(colour):
    channels = [int(part, 16) / 255 for part in re.findall("..", colour.lstrip("#"))]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("palette", palettes(), ids=SCHEMES)
@pytest.mark.parametrize("ground", ["paper", "panel"])
@pytest.mark.parametrize("ink", ["ink", "soft", "accent", "in", "out", "open", "warn"])
def test_text_stands_out(palette, ground, ink):
    full = {
        name: "#" + "".join(2 * c for c in value[1:]) if len(value) == 4 else value for name, value in palette.items()
    }
    low, high = sorted(luminance(full[name]) for name in (ground, ink))
    assert (high + 0.05) / (low + 0.05) >= 4.5
