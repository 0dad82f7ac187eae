import json
import math

import pytest
import spacy
from running import run_command


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "in.jsonl"
    texts = ["we want pizza today", "is there jazz here", "", "taxi for Mary at https://a.com/x"]
    lines = [json.dumps({"text": text, "lang": "swh", "id": i}) for i, text in enumerate(texts)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("method", ["gradients", "occlusion"])
def test_a_file(trained_dir, rows, tmp_path, method):
    out = tmp_path / "out" / "found.jsonl"
    text = run_command("explain", trained_dir, rows, "--output", out, "--method", method)
    assert "we want pizza today food" in text and "pizza +" in text
    assert f"✔ Explanations: {out}" in text
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [one["label"] for one in found[:2]] == ["food", "music"]
    assert {one["lang"] for one in found} == {"sw"} and {one["method"] for one in found} == {method}
    assert found[2]["words"] == []


def test_a_page(trained_dir, rows, tmp_path):
    out = tmp_path / "page.html"
    run_command("explain", trained_dir, rows, "--output", out, "--limit", "2", "--n-words", "1")
    page = out.read_text()
    assert page.startswith("<!DOCTYPE html>") and page.count("<section>") == 2
    assert "Swahili" in page and "src=" not in page


def test_a_text_in_place_of_a_file(trained_dir):
    assert "jazz +" in run_command("explain", trained_dir, "is there jazz here")
    assert "jazz +" in run_command("explain", trained_dir, "is there jazz here " * 30)
    text = run_command("explain", trained_dir, "jazz at https://jazz.com/x", "--n-words", "9")
    if "(url)" in text:
        assert "In 1 of 1 texts the evidence holds a URL" in text


def test_another_label_and_the_check(trained_dir, rows):
    text = run_command("explain", trained_dir, rows, "--label", "travel")
    assert "we want pizza today travel" in text
    text = run_command("explain", trained_dir, rows, "--check")
    assert "Deleting the 3 words of highest weight takes the decision away in" in text
    text = run_command("explain", trained_dir, "pizza now", "--check")
    assert "No text has more than 3 words, so nothing could be checked" in text


def test_more_texts_than_the_table_shows(trained_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("spacy_xlt.cli.explain.MAX_SHOWN", 2)
    (tmp_path / "in.txt").write_text("jazz\n" * 5)
    text = run_command("explain", trained_dir, tmp_path / "in.txt")
    assert "3 more texts are not shown; use --output" in text


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ('{"text": 3}\n', [], "in.jsonl:1: field 'text' is int, expected a string. Mend the row"),
        ('{"text": "a"}\n{"text": \n', [], "in.jsonl:2:"),
        ('{"text": "a"}\n', ["--text-field", "x"], "no field 'x'"),
        ("", [], "has no rows, so there is nothing to explain"),
        ('{"text": "a"}\n', ["--output", "x.pdf"], "names end in .html or .jsonl"),
        ('{"text": "a"}\n', ["--limit", "-1"], "The limit is -1; allowed is 0 (all) or more"),
        ('{"text": "a"}\n', ["--method", "lime"], "The method is 'lime'; allowed are"),
        ('{"text": "a"}\n', ["--label", "x"], "has no label 'x'. Its labels: food, music, travel"),
        ('{"text": "a"}\n', ["--n-words", "0"], "number of words is 0"),
        ('{"text": "a"}\n', ["--component", "x"], "'x' is not one"),
    ],
)
def test_what_is_wrong(trained_dir, tmp_path, content, arguments, message):
    (tmp_path / "in.jsonl").write_text(content)
    text = run_command("explain", trained_dir, tmp_path / "in.jsonl", *arguments, code=1)
    assert message in text


def test_a_file_that_is_not_there(trained_dir, tmp_path):
    text = run_command("explain", trained_dir, tmp_path / "none.jsonl", code=1)
    assert "There is no file" in text
    text = run_command("explain", trained_dir, "none", code=1)
    assert "none" in text


def test_an_earlier_page_stays_where_a_row_is_wrong(trained_dir, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n{"text": 3}\n')
    (tmp_path / "page.html").write_text("earlier")
    run_command("explain", trained_dir, tmp_path / "in.jsonl", "-o", tmp_path / "page.html", code=1)
    assert (tmp_path / "page.html").read_text() == "earlier"


def test_damaged_weights(trained_dir, tmp_path):
    nlp = spacy.load(trained_dir)
    shim = nlp.get_pipe("textcat")._shim
    shim.classifier.head.bias.data.fill_(math.nan)
    nlp.to_disk(tmp_path / "damaged")
    text = run_command("explain", tmp_path / "damaged", "jazz now", code=1)
    assert "predicted scores that are not numbers" in text
