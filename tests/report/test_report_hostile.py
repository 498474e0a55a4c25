"""Strings from data in the report: shown as they are, in the text and in a browser, and never run."""

import pytest
from browser import CHROMIUM, ERROR, browser
from make_run import make_run

from blockspin.report.page import write_report

RUN = "document.documentElement.dataset.ran='yes'"
HOSTILE = (
    f"<script>{RUN}</script></script></style></title>-->]]><!--\"'`${{1}}{{{{7*7}}}}\u2028\u2029"
    f'<img src=x onerror="{RUN}"><a href="javascript:{RUN}">a</a>javascript:{RUN}'
)


@pytest.fixture(scope="module", params=["text", *(pytest.param(m, marks=pytest.mark.slow) for m in ("image", "array"))])
def page(request, tmp_path_factory):
    return write_report(make_run(tmp_path_factory.mktemp("hostile") / "run", modality=request.param, word=HOSTILE))


def test_nothing_of_it_is_markup(page):
    text = page.read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert "&lt;script&gt;document" in text
    for markup in (f"<script>{RUN}", "<img src=x", '<a href="javascript', "]]><!--"):
        assert markup not in text


@pytest.fixture(scope="module")
def chromium():
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: no script is shown not to run")
    with browser() as open_page:
        yield open_page


def test_nothing_of_it_runs_and_it_is_shown(chromium, page):
    chromium.show(page, 1280, "light")
    chromium.value("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert chromium.value(ERROR) == ""
    assert chromium.value("document.documentElement.dataset.ran || ''") == ""
    assert chromium.value("document.body.textContent.includes('<script>document.documentElement')")
    assert chromium.value("document.querySelectorAll('a[href^=javascript], img[src=x]').length") == 0
