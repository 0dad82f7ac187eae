import configparser
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from spacy_xlt.evaluation.forecasts import read_forecast
from spacy_xlt.evaluation.rendering import TEMPLATES, escape_markdown, interval, percent, points
from spacy_xlt.evaluation.report import (
    MAX_MATRIX,
    make_axis,
    make_report,
    plotted_forecasts,
    render_html,
    render_markdown,
    script_name,
    split_by_words,
)
from spacy_xlt.evaluation.results import dump_json

VOID = {"meta", "line", "rect", "circle", "path", "br", "link", "img", "input"}


class Page(HTMLParser):
    """Reads a page, minding that elements nest, and keeps what a reader sees and what it loads."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.tags, self.attributes = [], "", [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.text += data


@pytest.fixture
def tuned_rows(many_rows):
    """The same documents, all Thai ones right."""
    return [(lang, gold if lang == "th" else text, gold) for lang, text, gold in many_rows]


@pytest.fixture
def two_runs(evaluate, many_rows, tuned_rows):
    return [
        evaluate(many_rows, name="zero-shot"),
        evaluate(tuned_rows, name="fine-tuned", config={"tuned_langs": ["th"]}),
    ]


def test_one_run_by_hand(evaluate, many_rows):
    report = make_report([evaluate(many_rows, name="zero-shot")])
    (run,) = report["runs"]
    assert run["transfer"]["source_accuracy"] == pytest.approx(0.9)
    assert run["transfer"]["target_accuracy"] == pytest.approx((0.8 + 0.5 + 0) / 3)
    assert run["gain"] is None
    assert report["compared"] == ["de", "sw", "th"]
    assert [row["lang"] for row in report["languages"]] == ["en", "de", "th", "sw"]
    cell = report["languages"][2]["cells"][0]
    assert (cell["gap"], cell["trained"], cell["trusted"]) == (pytest.approx(0.4), False, False)
    assert [row["script"] for row in report["scripts"]] == ["Thai", "Latin"]
    assert report["scripts"][1]["gaps"] == [pytest.approx(0.5)]
    pooled, *worst = report["confusions"]
    assert pooled["title"] == "All 3 target languages"
    assert [block["title"].split(":")[0] for block in worst] == ["Swahili", "Thai", "German"]
    assert sum(map(sum, pooled["matrix"])) == 125
    assert pooled["mistakes"][0]["n"] == max(m["n"] for m in pooled["mistakes"])


def test_calibration_of_all_the_source_and_the_worst(evaluate, many_rows):
    report = make_report([evaluate(many_rows)])
    titles = [block["title"] for block in report["calibrations"]]
    assert titles == ["All documents", "English", "Swahili", "Thai", "German"]
    swahili = report["calibrations"][2]
    assert (swahili["n"], swahili["accuracy"]) == (5, 0.0)
    assert swahili["confidence"] == pytest.approx(0.9)
    assert swahili["curve"][0]["accuracy"] == 0.0
    page = render_html(report)
    assert page.count('class="drawn"') == 5 and "Do probabilities mean what they say" in page
    assert "| Swahili | 5 | 90.0 | 0.0 |" in render_markdown(report)
    alone = make_report([evaluate([("de", "A", "A")])])
    assert [block["title"] for block in alone["calibrations"]] == ["German"]


def test_mistakes_are_shown_with_their_words(evaluate):
    evaluation = evaluate([("en", "A", "A"), ("ar", "A <b>نص", "B")], n_mistakes=5)
    (mistake,) = evaluation["mistakes"]
    page = Page(render_html(make_report([evaluation])))
    assert "Arabic: B → A 90 % A <b>نص" in " ".join(page.text.split())
    assert "mark" not in page.tags
    mistake["words"] = [
        {"text": "A", "start": 0, "end": 1, "weight": 2.0},
        {"text": "<b>نص", "start": 2, "end": 7, "weight": -0.5},
    ]
    report = make_report([evaluation])
    assert report["mistakes"][0]["segments"] == [
        {"text": "A", "weight": 1.0},
        {"text": " ", "weight": 0.0},
        {"text": "<b>نص", "weight": -0.25},
    ]
    html = render_html(report)
    assert Page(html).tags.count("mark") == 2 and "b" not in Page(html).tags
    assert "Arabic: B → A, 90 %: **A** \\<b\\>نص" in render_markdown(report)


def test_answers_of_a_pipeline_that_abstains(evaluate, many_rows):
    evaluation = evaluate(many_rows)
    assert make_report([evaluation])["answers"] == []
    german = next(row for row in evaluation["languages"] if row["lang"] == "de")
    german["selective"] = {
        "n_answered": 30,
        "share_answered": 0.5,
        "accuracy": 0.9,
        "precision": 0.9,
        "set_size": 1.25,
        "set_coverage": 0.95,
        "interval": (0.74, 0.97),
    }
    report = make_report([evaluation])
    assert [row["name"] for row in report["answers"]] == ["German"]
    assert "| German | 50.0 | 90.0 | 74.0–97.0 | 1.25 | 95.0 |" in render_markdown(report)
    text = Page(render_html(report)).text
    assert "What it answers" in text and "Set size" in text and "74.0–97.0" in text
    german["selective"] = {**german["selective"], "set_size": None, "set_coverage": None}
    text = Page(render_html(make_report([evaluation]))).text
    assert "What it answers" in text and "Set size" not in text


SIGNS = {
    "confidence": 0.5,
    "sharpness": 0.4,
    "halves": 0.3,
    "frequent_answer": "A",
    "frequent_share": 0.6,
    "pieces_per_word": None,
    "unknown_share": None,
    "unreadable_share": None,
    "unreadable_script": "",
}


def make_forecast(*rows):
    return {
        "format": "spacy_xlt.forecast.v1",
        "pipeline": "xx_pipeline",
        "component": "textcat",
        "source_langs": ["en"],
        "n_source": 60,
        "source_accuracy": 0.9,
        "source_signs": SIGNS,
        "labelled_langs": [],
        "languages": [
            {
                "lang": lang,
                "n": 100,
                "n_labelled": 0,
                "accuracy": accuracy,
                "interval": [accuracy - 0.1, accuracy + 0.05],
                "gap": 0.9 - accuracy,
                "risk": float(bool(reasons)),
                "alarm": bool(reasons),
                "reasons": reasons,
                "signs": SIGNS,
            }
            for lang, accuracy, reasons in rows
        ],
        "too_few": {},
    }


def test_forecasts_beside_what_was_measured(evaluate, many_rows, tmp_path):
    path = tmp_path / "forecast.json"
    made = make_forecast(("de", 0.85, []), ("fr", 0.8, []), ("th", 0.4, ["It <cannot> read it."]))
    path.write_text(dump_json(made), encoding="utf8")
    report = make_report([evaluate(many_rows)], forecast=read_forecast(path))
    assert [row["lang"] for row in report["forecasts"]] == ["th", "de", "fr"]
    thai, german, french = report["forecasts"]
    assert (thai["measured"], german["measured"], french["measured"]) == (0.5, 0.8, None)
    assert [row.name for row in plotted_forecasts(report)] == ["th", "de"]
    page = Page(render_html(report))
    assert "It <cannot> read it." in page.text and "cannot" not in page.tags
    assert ("class", "drawn wide") in page.attributes
    assert "| German | 100 | 85.0 | 75.0–90.0 | 80.0 |  |" in render_markdown(report)
    assert "| French | 100 | 80.0 | 70.0–85.0 | – |  |" in render_markdown(report)
    unmeasured = make_report(
        [evaluate([("en", "A", "A")])], forecast=make_forecast(("fr", 0.8, []))
    )
    assert "Forecast without labels" in render_html(unmeasured)
    assert plotted_forecasts(unmeasured) == []
    path.write_text('{"format": "spacy_xlt.evaluation.v1"}', encoding="utf8")
    with pytest.raises(ValueError, match="is not a forecast, or is damaged"):
        read_forecast(path)


def test_words_that_overlap_or_lie_outside_are_left_out():
    words = [
        {"text": "bc", "start": 1, "end": 3, "weight": 1.0},
        {"text": "cd", "start": 2, "end": 4, "weight": 1.0},
        {"text": "fgh", "start": 5, "end": 8, "weight": 0.5},
        {"text": "x", "start": 9, "end": 10, "weight": 0.5},
    ]
    assert split_by_words("abcdef", words) == [
        {"text": "a", "weight": 0.0},
        {"text": "bc", "weight": 1.0},
        {"text": "de", "weight": 0.0},
        {"text": "f", "weight": 0.5},
    ]
    assert split_by_words("", words) == []
    assert (
        split_by_words("a", [{"text": "a", "start": 0, "end": 1, "weight": 0.0}])[0]["weight"]
        == 0.0
    )


def test_every_target_has_its_matrix_and_all_but_four_are_folded_away(evaluate):
    langs = ["en", "de", "fr", "it", "es", "pt", "sw"]
    report = make_report([evaluate([(lang, "A", "B") for lang in langs])])
    titles = [block["title"].split(":")[0] for block in report["confusions"]]
    assert titles[0] == "All 6 target languages"
    assert sorted(titles[1:]) == sorted(
        ["German", "French", "Italian", "Spanish", "Portuguese", "Swahili"]
    )
    assert "The other 2 languages" in Page(render_html(report)).text
    few = make_report([evaluate([(lang, "A", "B") for lang in langs[:5]])])
    assert "details" not in Page(render_html(few)).tags


def test_two_runs_compare_on_the_same_roles(two_runs):
    report = make_report(two_runs)
    before, after = report["runs"]
    assert before["transfer"]["target_accuracy"] == pytest.approx(1.3 / 3)
    assert after["transfer"]["target_accuracy"] == pytest.approx(1.8 / 3)
    assert after["gain"] == pytest.approx(0.5 / 3)
    assert after["trained_langs"] == ["en", "th"]
    thai = next(row for row in report["languages"] if row["lang"] == "th")
    assert thai["role"] == "target"
    assert [cell["trained"] for cell in thai["cells"]] == [False, True]
    assert after["transfer"]["source_accuracy"] == pytest.approx(0.9)


def test_runs_are_compared_on_the_languages_they_share(evaluate, many_rows):
    both = evaluate(many_rows, name="all")
    german = evaluate([row for row in many_rows if row[0] == "de"], name="german")
    report = make_report([both, german])
    assert report["compared"] == ["de"]
    assert report["runs"][0]["transfer"]["target_accuracy"] == pytest.approx(0.8)
    assert report["languages"][2]["cells"][1] is None
    assert "not measured" in Page(render_html(report)).text
    english = evaluate([row for row in many_rows if row[0] == "en"], name="english")
    report = make_report([both, english])
    assert report["warnings"][0] == (
        "The runs share no target language: their means do not compare."
    )
    assert render_html(report) and render_markdown(report)


def test_runs_of_one_name_are_told_apart(evaluate):
    one = evaluate([("en", "A", "A")], name="run")
    assert [run["name"] for run in make_report([one, one])["runs"]] == ["run", "run (2)"]


def test_no_or_unlike_evaluations_are_refused(evaluate):
    with pytest.raises(ValueError, match="at least one evaluation"):
        make_report([])
    one = evaluate([("en", "A", "A")])
    other = evaluate([("en", "A", "A")], factory="standin_textcat_multilabel")
    with pytest.raises(ValueError, match="exclusive labels and some are not"):
        make_report([one, other])


def test_the_page_is_whole_and_loads_nothing(two_runs):
    html = render_html(make_report(two_runs, title="Weather & news"))
    page = Page(html)
    assert "Weather & news" in page.text
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not {"src", "href", "onclick"} & {name for name, _ in page.attributes}
    assert "url(" not in html and "@import" not in html and "http" not in html
    for text in ("German", "zero-shot", "fine-tuned", "What would help most", "Not to be trusted"):
        assert text in page.text
    assert "prefers-color-scheme: dark" in html and "@media print" in html
    assert 'name="viewport"' in html


def test_positions_stay_within_the_plot(two_runs):
    html = render_html(make_report(two_runs))
    places = [float(x) for x in re.findall(r'(?:x|x1|x2|width)="(-?[\d.]+)%"', html)]
    assert len(places) > 20
    assert all(-0.01 <= place <= 100.01 for place in places)


HOSTILE = [
    "<script>alert(1)</script>",
    'a"b|c`d*_e',
    "تصنيف",
    "标签",
    "x" * 200,
    "&amp;",
    "{{ 7*7 }}",
]


def test_labels_and_names_are_shown_as_they_are(evaluate):
    cats = {label: float(label == HOSTILE[0]) for label in HOSTILE}
    evaluation = evaluate(
        [("en", "x", cats), ("ar", "x", {**cats, HOSTILE[0]: 0.0, "تصنيف": 1.0})],
        config={"labels": HOSTILE},
        name="<b>run</b>",
        corpora=[{"path": "a|b\n<c>", "sha256": "0" * 64}],
    )
    report = make_report([evaluation], title="<i>title</i>")
    page = Page(render_html(report))
    assert "script" not in page.tags and "i" not in page.tags
    for text in (*HOSTILE, "<b>run</b>", "<i>title</i>"):
        assert text in page.text
    markdown = render_markdown(report)
    assert "<script>" not in markdown and "<b>" not in markdown.replace("\\<b\\>", "")
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    for line in rows:
        assert len(re.findall(r"(?<!\\)\|", line)) >= 3
    assert json.loads(dump_json(report))["labels"][0]["label"] in HOSTILE


def test_many_labels_show_those_with_most_mistakes(evaluate):
    labels = [f"L{i}" for i in range(40)]
    rows = [("en", label, label) for label in labels]
    rows += [("de", "L7", "L3")] * 5 + [("de", "L38", "L39")] * 3 + [("de", "L1", "L1")]
    report = make_report([evaluate(rows, config={"labels": labels})])
    block = report["confusions"][0]
    assert block["n_labels"] == 40 and len(block["labels"]) == MAX_MATRIX
    assert {"L7", "L3", "L38", "L39"} <= set(block["labels"])
    assert block["mistakes"] == [
        {"gold": "L3", "predicted": "L7", "n": 5, "share": 1.0},
        {"gold": "L39", "predicted": "L38", "n": 3, "share": 1.0},
    ]
    assert "Of 40 labels, the 12 with the most mistakes" in Page(render_html(report)).text


def test_independent_labels_have_no_confusion_but_figures_by_label(evaluate):
    rows = [("en", "A B", ["A", "B"]), ("de", "A", ["B"]), ("de", "none", [])]
    report = make_report([evaluate(rows, factory="standin_textcat_multilabel")])
    assert report["confusions"] == []
    assert report["labels"][0] == {"label": "B", "n": 1, "source_f": 1.0, "target_f": 0.0}
    assert "all labels of a document right" in Page(render_html(report)).text


@pytest.mark.parametrize(
    "rows",
    [
        [("en", "A", "A")],
        [("de", "NONE", "A")],
        [("", "A", "B")],
        [("en", "NAN", "A"), ("de", "A", "A")],
        [("en", "A", "A"), ("gn", "B", "A")],
    ],
    ids=["source only", "no answer", "unknown language", "no answer in source", "one each"],
)
@pytest.mark.parametrize("n_runs", [1, 2, 7])
def test_thin_data_makes_a_report_all_the_same(evaluate, rows, n_runs):
    report = make_report([evaluate(rows)] * n_runs)
    page = Page(render_html(report))
    assert report["next_step"] in page.text
    assert "| language | tag | N |" in render_markdown(report)
    assert len(json.loads(dump_json(report))["runs"]) == n_runs


def test_the_templates_are_part_of_the_package():
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[2] / "setup.cfg")
    assert "templates/*" in config["options.package_data"]["spacy_xlt.evaluation"].split(", ")
    assert {path.name for path in TEMPLATES.iterdir()} == {
        "explanations.html.jinja",
        "report.html.jinja",
        "report.md.jinja",
        "model_card.md.jinja",
    }


LANGS = """
    en de fr es it pt ru uk pl cs sk bg hr sr sl mk nl sv da nb is fi et
    lv lt hu ro el tr ar he fa ur hi bn ta te th vi id sw yo ha zu my
"""


def test_forty_five_languages(evaluate):
    langs = LANGS.split()
    assert len(langs) == 45
    rows = [(lang, "AB"[(i + k) % 7 < 2], "A") for k, lang in enumerate(langs) for i in range(7)]
    page = Page(render_html(make_report([evaluate(rows)] * 2)))
    for name in ("Norwegian Bokmål", "Burmese", "Devanagari", "Cyrillic"):
        assert name in page.text


def test_the_axis_holds_every_interval(evaluate, many_rows):
    axis = make_axis(make_report([evaluate(many_rows)]))
    assert axis == {"low": 0.0, "ticks": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]}
    rows = [("en", "A", "A")] * 200 + [("de", "A", "A")] * 40
    assert make_axis(make_report([evaluate(rows)])) == {"low": 0.8, "ticks": [0.8, 0.9, 1.0]}


def test_scripts_by_language():
    names = [script_name(lang) for lang in ("de", "sr", "zh", "ja", "sat", "")]
    assert names[:3] == ["Latin", "Cyrillic", "Han"]
    assert names[-1] == "unknown"
    assert all(names)


def test_figures_as_written():
    assert (percent(0.8149), percent(None), percent(1, 0)) == ("81.5", "–", "100")
    assert (points(0.05), points(-0.051), points(None)) == ("+5.0", "−5.1", "–")
    assert interval((0.1, 0.25)) == "10.0–25.0" and interval(None) == "–"


def test_markdown_is_escaped():
    assert escape_markdown("a|b\n<c> *d*") == "a\\|b \\<c\\> \\*d\\*"
