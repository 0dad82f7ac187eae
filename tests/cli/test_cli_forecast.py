import json

import pytest
import spacy
from running import run_command

from spacy_xlt.cli._texts import draw


@pytest.fixture
def source(corpus_dir):
    return corpus_dir / "train.spacy"


@pytest.fixture
def texts(tmp_path):
    """Unlabelled texts in German and Swahili, some in a file named by its language."""
    words = ["pizza", "sushi", "jazz", "opera", "taxi", "hotel"]
    rows = [{"text": f"wir wollen heute {w} {x}", "lang": "deu"} for w in words for x in words]
    path = tmp_path / "in" / "rows.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    named = path.with_name("sw.txt")
    named.write_text("\n".join(f"tunataka {w} leo {x}" for w in words for x in words) + "\n\n")
    return [path, named]


def test_a_table_and_a_pipeline_that_warns(trained_dir, source, texts, tmp_path):
    out, saved = tmp_path / "forecast.json", tmp_path / "saved"
    strange = tmp_path / "sat.txt"
    strange.write_text("\n".join(f"ᱚᱞ ᱪᱤᱠᱤ {'ᱚ' * i}" for i in range(1, 30)))
    text = run_command(
        "forecast", trained_dir, *texts, strange, "--source", source, "-o", out, "--save", saved
    )
    assert "Language Tag N Forecast 95 % Gap Alarm" in text
    assert "Source: English," in text and "Other languages whose labels were used: none;" in text
    assert "Do not trust Santali:" in text and "Do not trust German:" not in text
    assert "The encoder cannot read 100 % of the letters (Ol Chiki)." in text
    found = json.loads(out.read_text())
    assert found["format"] == "spacy_xlt.forecast.v1" and found["source_langs"] == ["en"]
    by_lang = {row["lang"]: row for row in found["languages"]}
    assert set(by_lang) == {"de", "sw", "sat"} and by_lang["de"]["n"] == 36
    for row in found["languages"]:
        assert row["interval"][0] <= row["accuracy"] <= row["interval"][1]
        assert bool(row["reasons"]) == row["alarm"]
    assert by_lang["sat"]["alarm"] and not by_lang["de"]["alarm"]
    nlp = spacy.load(saved)
    doc = nlp.make_doc("pizza")
    doc._.xlt_lang = "sat"
    assert nlp(doc)._.xlt_warning.startswith("Labels in Santali should not be trusted. The encoder")


def test_labels_of_other_languages(trained_dir, source, texts, corpus_dir, tmp_path):
    out = tmp_path / "forecast.json"
    arguments = ("forecast", trained_dir, *texts, "--source", source, "--output", out)
    run_command(*arguments, "--labelled", corpus_dir / "train.spacy")
    assert json.loads(out.read_text())["labelled_langs"] == []  # those of the source
    labels = tmp_path / "labels.jsonl"
    rows = [
        {"text": f"nous voulons {word} {i}", "label": label, "lang": "fr"}
        for i in range(8)
        for word, label in (("pizza", "food"), ("jazz", "music"), ("taxi", "travel"))
    ]
    labels.write_text("\n".join(map(json.dumps, rows)))
    text = run_command(*arguments, "--labelled", labels)
    assert "Other languages whose labels were used: French;" in text
    assert json.loads(out.read_text())["labelled_langs"] == ["fr"]


def test_few_texts_and_unknown_languages(trained_dir, source, tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": "wir wollen pizza", "lang": "de"}] * 50
    rows += [{"text": f"pizza {i}"} for i in range(12)]
    path.write_text("\n".join(map(json.dumps, rows)))
    text = run_command("forecast", trained_dir, path, "--source", source)
    assert "Too few different texts for a forecast: German (1)" in text
    assert "The language of some texts is not known" in text


def test_a_limit_draws_the_same_texts():
    texts = [str(i) for i in range(100)]
    assert draw(texts, 0) == draw(texts, 100) == texts
    assert draw(texts, 10) == draw(texts, 10) != texts[:10] and len(set(draw(texts, 10))) == 10


def test_what_cannot_be_forecast(
    trained_dir, source, texts, corpus_dir, make_pipeline, standin, make_split, tmp_path
):
    run = ("forecast", trained_dir, *texts)
    text = run_command(*run, "--source", tmp_path / "none", code=1)
    assert "There is no corpus at" in text
    text = run_command(*run, "--source", make_split([("en", "x", "A")]), code=1)
    assert "has a label of 'textcat'. Its labels: food, music, travel." in text
    text = run_command(*run, "--source", source, "--limit", -1, code=1)
    assert "--limit is -1; allowed is 0, for no limit, or more." in text
    text = run_command(*run, "--source", source, "--limit", 5, code=1)
    assert "There are 5 labelled source texts, at least 10 are needed" in text
    text = run_command("forecast", trained_dir, source, "--source", source, code=1)
    assert "There is no text in a language other than the source (en)" in text
    arguments = (make_pipeline(), *texts, "--source", make_split([("en", "A", "A")], "gold"))
    text = run_command("forecast", *arguments, "--code", standin, code=1)
    assert "for which there are no forecasts. Allowed are xlt_textcat" in text


def test_predictions_with_warnings(trained_dir, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "pizza today"}\n{"text": ""}\n')
    out = tmp_path / "out.jsonl"
    run_command("predict", trained_dir, tmp_path / "in.jsonl", out, "--warnings")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["warning"] for row in rows] == ["", "There is no text."]
    run_command("predict", trained_dir, tmp_path / "in.jsonl", out)
    assert "warning" not in json.loads(out.read_text().splitlines()[0])
    for extra in ((), ("--all-scores",)):
        table = tmp_path / "out.csv"
        run_command("predict", trained_dir, tmp_path / "in.jsonl", table, "--warnings", *extra)
        header, first, second = table.read_text().splitlines()
        assert header.split(",")[-1] == "warning" and first.endswith(",")
        assert second.endswith(",There is no text.")


def test_a_source_that_it_was_not_trained_on_is_refused(trained_dir, texts, corpus_dir):
    german = corpus_dir / "dev" / "de.spacy"
    text = run_command("forecast", trained_dir, *texts, "--source", german, code=1)
    assert "The texts of --source are in German, but the pipeline was trained on English." in text


def test_a_pipeline_whose_answers_are_corrected_is_refused(trained, source, texts, tmp_path):
    pipe = trained.get_pipe("textcat")
    pipe.set_forecasts(
        {"de": {"accuracy": 0.5, "interval": [0.4, 0.6], "alarm": False, "reason": ""}}
    )
    pipe.set_calibration({"temperatures": {"": 2.0}})
    assert pipe.cfg["forecasts"]
    pipe.set_calibration({"shifts": {"": {"food": 1.0}}})
    assert pipe.cfg["forecasts"] == {}
    trained.to_disk(tmp_path / "shifted")
    text = run_command("forecast", tmp_path / "shifted", *texts, "--source", source, code=1)
    assert "corrects its answers for another mix of labels" in text
