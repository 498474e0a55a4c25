"""The section on couplings: its key, what is drawn first, how numbers and sentences are shown, old run folders."""

import html
import json
import re

import pytest
from make_run import make_run

from blockspin.report._coupling_figures import _drawn
from blockspin.report._folder import RunFolder
from blockspin.report._html import chance, nice, prose
from blockspin.report._key import key
from blockspin.report._nulls import comparison, miss, thin
from blockspin.report._pair_figures import pair_plots
from blockspin.report.couplings import section
from blockspin.run_folder import write_json

HOSTILE = "<script>alert(1)</script>"


def number(value):
    return {"value": value, "error": 0.1, "unit": "field^-2", "n_eff": 20.0, "how": "made", "dof": 19.0}


def table(flow, null_of="", shift=0.0):
    rows = [
        {"position": float(k), "label": f"layer.{k}", "values": {"mass": number(1.0 + k + shift)}, "goodness": None}
        | {"notes": {}, "reason": ""}
        for k in range(3)
    ]
    about = {"flow": flow, "name": flow, "theory": "made", "observable": False, "axis": "depth", "left_out": []}
    return {**about, "null_of": null_of, "rows": rows}


def contents(null=HOSTILE):
    scale = {"label": "layer.1", "couplings": 1, "largest": "mass", "deviation": 9.0, "p_value": 1e-9}
    beside = {"flow": "network", "theory": "made", "null": null, "slug": "network-made", "verdict": "yes"}
    scales = [{**scale, "adjusted": 2e-9, "differs": True}, {**scale, "label": "layer.0", "p_value": 0.5}]
    scales[1] |= {"adjusted": 1.0, "differs": False}
    return {
        "format": 1,
        "tables": [table("network"), table("network-made", "network", 5.0)],
        "predictions": [],
        "validity": [],
        "nulls": [{**beside, "scales": scales, "reason": ""}],
    }


def shown(tmp_path, found):
    folder = make_run(tmp_path / "run")
    write_json(folder / "couplings.json", found)
    return str(section(RunFolder(folder)).body)


def test_null_flows_are_drawn_on_the_same_axes_and_named_as_text(tmp_path):
    body = shown(tmp_path, contents())
    assert "● differs" in body
    assert "at 1 of 2 scales; most at 1 in mass, p\u00a0=\u00a02e−09" in body
    assert HOSTILE not in body
    assert "&lt;script&gt;alert(1)" in body
    assert "6.00 ± 0.10" in body  # the null's own number in the table


def test_a_folder_of_a_run_without_null_flows_is_shown(tmp_path):
    found = contents()
    del found["nulls"]
    found["tables"] = [{k: v for k, v in found["tables"][0].items() if k != "null_of"}]
    assert "No null flows were measured in this run" in shown(tmp_path, found)


def test_what_cannot_be_compared_is_no_difference():
    found = contents("made")
    found["nulls"][0] |= {"scales": [], "reason": "no coupling exists in both", "verdict": "cannot tell"}
    body = str(comparison(found, [], {}))
    assert "○ cannot tell" in body
    assert "no coupling exists in both" in body


def test_every_kind_of_coupling_is_drawn_before_the_second_of_any():
    names = [f"{kind}[{k}]" for kind in ("mass", "quartic", "product") for k in (1, 2, 3)]
    assert _drawn(names) == ["mass[1]", "quartic[1]", "product[1]", "mass[2]"]
    assert _drawn(["exponent"]) == ["exponent"]


def test_the_key_names_each_line_once_and_as_it_is_drawn():
    lines = [thin("one", [0.0], ["a"], [1.0], [0.1]), thin("one", [0.0], ["a"], [2.0], [0.1])]
    lines.append(thin("two", [0.0], ["a"], [1.0], [0.1], ("dot", "square")))
    body = str(key(lines))
    assert body.count("<li>") == 2
    assert body.count('stroke-dasharray="2 3"') == 1
    assert json.dumps("var(--open)")[1:-1] in body


@pytest.mark.parametrize(
    ("given", "said"), [(0.04, "p\u00a0=\u00a00.04"), (3e-15, "p\u00a0=\u00a03e−15"), (0.0, "p\u00a0below\u00a01e−100")]
)
def test_chances_have_one_digit(given, said):
    assert chance(given) == said


def test_misses_beyond_measure_are_said_to_be():
    assert [miss(x) for x in (None, 0.123, 250.4, 3e13)] == ["no number", "0.12", "250", "over 10,000"]


def test_marks_of_the_documentation_are_not_shown():
    assert prose(r"An action :math:`p \propto e^{-S}`. Lower ``last``.") == "An action p propto e^{-S}. Lower last."


def test_powers_in_units_are_raised():
    assert [nice(unit) for unit in ("field^-4", "field^2", "nats")] == ["field⁻⁴", "field²", "nats"]


def paired(flow, null_of, size):
    names = [f"{HOSTILE.replace(',', '')}{k}" for k in range(5)]
    values = {f"cross[{a}, {b}]": number(size) for k, a in enumerate(names) for b in names[k + 1 :]}
    about = table(flow, null_of)
    return {**about, "rows": [{**about["rows"][0], "values": {"mean_cross": number(1.0), **values}}]}


def test_couplings_of_many_pairs_are_squares_and_no_columns(tmp_path):
    found = contents() | {"nulls": []}
    found["tables"] = [paired("network", "", 1.0), paired("network-made", "network", 0.1)]
    body = shown(tmp_path, found)
    assert "10 couplings of pairs are drawn above" in body
    assert "<th>mean_cross (field⁻²)</th>" in body
    assert "<th>cross" not in body
    assert HOSTILE not in body
    (figure,) = pair_plots(
        {**found["tables"][0], "beside": [("made", found["tables"][1])]}, list(found["tables"][0]["rows"][0]["values"])
    )
    above, below = json.loads(html.unescape(re.search('data-plot="(.*?)" role', str(figure))[1]))["data"]
    assert set(above["marker"]["symbol"]) == {"square"}  # ten errors
    assert set(below["marker"]["symbol"]) == {"square-open"}  # one
    assert above["marker"]["size"][0] == pytest.approx(10**0.5 * below["marker"]["size"][0], rel=1e-3)
    assert (above["x"], above["y"]) == (below["y"], below["x"])


def test_a_finding_is_not_called_a_failure(tmp_path):
    said = {"flow": "network", "theory": "sectors", "statement": "Said.", "checks": [], "untested": []}
    found = contents() | {"validity": [{**said, "verdict": "no", "sign": "coupled across"}]}
    assert "▲ coupled across" in shown(tmp_path, found)
    found["validity"] = [{**said, "verdict": "yes", "sign": "coupled across"}, {**said, "verdict": "no"}]
    body = shown(tmp_path / "other", found)
    assert "● coupled across: not seen" in body
    assert "▲ fails" in body  # one of an older run folder
