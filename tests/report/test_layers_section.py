"""The section on layers beside theory: drawn from the answers alone, whatever their strings; left out if not asked."""

from make_run import change, make_run

from blockspin.report.page import write_report

NUMBER = {"value": 0.4, "error": 0.02, "unit": "1", "n_eff": 300.0, "how": "made", "dof": 19.0}


def answers(word):
    theory = {**NUMBER, "value": 0.1, "error": 0.0}
    row = {"label": word, "position": 1.0, "key": "kernel/variance", "number": NUMBER, "theory": theory}
    rows = [{**row, "chance": 1e-4, "departs": True}, {**row, "position": 2.0, "chance": None, "departs": False}]
    chi = [{"label": word, "position": 1.0, "chi": NUMBER}]
    given = {"verdict": "no", "verdicts": {}, "numbers": {}, "controls": {}, "assumptions": []}
    for question, of in (("theory-holds", rows), ("order-or-chaos", chi)):
        figure = {"axis": "depth", "rows": of}
        yield {**given, "question": question, "statement": f"{question} at {word}.", "figure": figure}


def test_the_section_holds_both_answers_and_escapes_names(tmp_path):
    folder = make_run(tmp_path / "run")
    assert "Layers beside theory" not in write_report(folder).read_text(encoding="utf-8")
    change(folder, "answers.json", lambda content: content["answers"].extend(answers("<script>alert(1)</script>")))
    page = write_report(folder).read_text(encoding="utf-8")
    assert "Layers beside theory" in page
    assert "<script>alert(1)" not in page
    for text in (
        "0.400 ± 0.020",
        "Kernel: mean variance over inputs: less theory",
        "order-or-chaos at",
        "Dotted: critical",
    ):
        assert text in page
