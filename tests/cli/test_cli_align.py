import json

import pytest
from running import run_command

from spacy_xlt.corpora.layout import Row, read_corpus, rows_to_docbin

ROWS = [
    ("en", "we want pizza today", "A"),
    ("en", "is there jazz here", "B"),
    ("en", "taxi for everybody", "A"),
]
GERMAN = ["taxi für alle", "wir wollen heute pizza", "gibt es hier jazz", "hotel metro banana"]


@pytest.fixture
def run():
    return lambda *arguments, code=0: run_command("align", *arguments, code=code)


@pytest.fixture
def source(make_split):
    return make_split(ROWS, name="source") / "en.spacy"


@pytest.fixture
def target(tmp_path):
    """German texts without labels, with the ids of the English ones, and one that is new."""
    ids = ("en-2", "en-0", "en-1", "other")
    return write_texts(tmp_path / "german.spacy", zip(GERMAN, ids, strict=True))


def write_texts(path, texts):
    rows_to_docbin(Row(text, {}, "de", id=id) for text, id in texts).to_disk(path)
    return path


def labels_of(out):
    return {row.text: row.labels for row in read_corpus(out).rows}


def test_parallel_texts_get_labels_by_id(run, source, target, tmp_path):
    output = run(source, target, tmp_path / "out")
    assert labels_of(tmp_path / "out") == {GERMAN[0]: ["A"], GERMAN[1]: ["A"], GERMAN[2]: ["B"]}
    assert "1 of 4 texts in 'de' have no partner" in output
    assert "German (de), by parallel texts, by id" in output
    (row,) = [row for row in read_corpus(tmp_path / "out").rows if row.id == "en-2"]
    assert row.lang == "de" and row.origin["text"] == "taxi for everybody"


def test_parallel_texts_get_labels_by_meaning(run, source, target, tmp_path, encoder_dir):
    run(
        *(source, target, tmp_path / "out", "--by", "neighbours", "--encoder", encoder_dir),
        *("--min-margin", "0.5", "--weigh"),
    )
    rows = read_corpus(tmp_path / "out").rows
    assert 1 <= len(rows) <= 3 and all(row.origin["margin"] >= 0.5 for row in rows)
    assert all(row.weight == pytest.approx(row.origin["quality"], abs=1e-4) for row in rows)


def test_texts_in_a_table_without_labels(run, source, tmp_path):
    rows = [{"text": text, "lang": "de", "id": f"en-{i}"} for i, text in enumerate(GERMAN[:3])]
    table = tmp_path / "deutsch ü.jsonl"
    table.write_text("\n".join(map(json.dumps, [*rows, {"text": " ", "lang": "de"}])))
    run(source, table, tmp_path / "out")
    assert labels_of(tmp_path / "out") == {GERMAN[0]: ["A"], GERMAN[1]: ["B"], GERMAN[2]: ["A"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SOURCE", "TARGET", "OUT", "--by", "luck"], "--by is 'luck'. Allowed are id, neighbours"),
        (["SOURCE", "TARGET", "OUT", "--by", "neighbours"], "Give an encoder with --encoder"),
        (["SOURCE", "SOURCE", "OUT"], "has no text in another language than 'en'"),
        (["TARGET", "SOURCE", "OUT"], "none of the 4 documents is labelled"),
        (["SOURCE", "none", "OUT"], "There is no file or directory 'none' with texts."),
        (["SOURCE", "STRANGE", "OUT"], "has too. Pair them by neighbours instead: --by neighbours"),
        (
            [
                "SOURCE",
                "TARGET",
                "OUT",
                "--by",
                "neighbours",
                "-e",
                "ENCODER",
                "--min-margin",
                "99",
            ],
            "None of the 3 texts in 'en' is close enough to one of the 4 in 'de'. Lower",
        ),
        (["SOURCE", "TARGET", "OUT", "--min-quality", "1.1"], "min_quality is 1.1; allowed is 0"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    run, source, target, tmp_path, encoder_dir, arguments, message
):
    strange = write_texts(tmp_path / "strange.spacy", [("x", "z")])
    places = {
        "SOURCE": source,
        "TARGET": target,
        "STRANGE": strange,
        "OUT": tmp_path / "out",
        "ENCODER": encoder_dir,
    }
    assert message in run(*(places.get(x, x) for x in arguments), code=1)
    assert not (tmp_path / "out").exists()
