"""The section on Gaussian layers: drawn from the answer alone, whatever its strings; left out where nobody asked."""

import json

from make_run import change, make_run

from blockspin.report.page import write_report

NUMBER = {"value": 0.4, "error": 0.02, "unit": "1", "n_eff": 300.0, "how": "made", "dof": 19.0}


def answer(word):
    row = {"position": 1.0, "view": "site by site", "key": "cumulants/kurtosis", "number": NUMBER, "limit": 0.3}
    more = {"chance": 1e-4, "verdict": "no", "part": "no", "theory": {**NUMBER, "value": 0.0}, "departs": True}
    rows = [
        {**row, **more, "label": word},
        {**row, **more, "label": "b", "position": 2.0, "theory": None, "departs": None},
    ]
    figure = {"axis": "depth", "tolerance": 0.1, "rows": rows}
    given = {"question": "gaussian-enough", "verdict": "no", "statement": f"At {word}.", "figure": figure}
    return {**given, "verdicts": {}, "numbers": {}, "controls": {}, "assumptions": []}


def test_the_section_holds_the_table_and_escapes_names(tmp_path):
    folder = make_run(tmp_path / "run")
    assert "Gaussian enough?" not in write_report(folder).read_text(encoding="utf-8")
    change(folder, "answers.json", lambda content: content["answers"].append(answer("<script>alert(1)</script>")))
    page = write_report(folder).read_text(encoding="utf-8")
    assert "Gaussian enough?" in page
    assert "<script>alert(1)" not in page
    assert "0.400 ± 0.020" in page
    assert json.dumps("site by site")[1:-1] in page
