import json
import re

import numpy as np
import pytest
import srsly
import tiny
from running import run_command
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_xlt.cli import pseudo_label as module
from spacy_xlt.cli.pseudo_label import (
    Labeller,
    load_teachers,
    read_pool,
    read_source,
)
from spacy_xlt.corpora.layout import read_corpus
from spacy_xlt.detection import Detected
from spacy_xlt.transfer.pseudo_labels import LabelSettings

WORDS = ["pizza", "jazz", "taxi", "opera", "sushi", "hotel"]


def docs_of(path):
    return list(DocBin().from_disk(path).get_docs(Vocab()))


def test_a_corpus_with_soft_labels(trained_dir, frozen_dir, texts, source, tmp_path):
    out = tmp_path / "out"
    text = run_command(
        *("pseudo-label", *texts, "--teacher", trained_dir, "--teacher", frozen_dir),
        *("--source", source, "--output", out),
    )
    assert "Swahili sw 18" in text and "Confidence: mean probability of pseudo-labels" in text
    assert "Most frequent labels" in text and f"Texts with pseudo-labels: {out}/train" in text
    assert sorted(path.name for path in (out / "train").iterdir()) == [
        *("ar.spacy", "de.spacy", "sw.spacy"),
    ]
    for lang in ("ar", "de", "sw"):
        docs = docs_of(out / "train" / f"{lang}.spacy")
        assert len(docs) == len({doc.text for doc in docs}) == 18
        for doc in docs:
            assert doc._.xlt_lang == lang and set(doc.cats) == set(tiny.LABELS)
            assert sum(doc.cats.values()) == pytest.approx(1.0, abs=1e-4)
            assert doc._.xlt_weight == 1.0
    record = read_corpus(out).record
    assert record["pseudo_labels"]["teachers"] == [str(trained_dir), str(frozen_dir)]
    # Again, in its place; what the labels are does not depend on anything else.
    before = [doc.cats for doc in docs_of(out / "train" / "sw.spacy")]
    run_command(
        *("pseudo-label", *texts, "-T", trained_dir, "-T", frozen_dir),
        *("--source", source, "--output", out),
    )
    assert [doc.cats for doc in docs_of(out / "train" / "sw.spacy")] == before


def test_languages_that_the_teacher_knows(trained_dir, frozen_dir, texts, tmp_path):
    """They get no labels of their own, but count for those of the others."""
    arguments = ("pseudo-label", *texts, "-T", trained_dir, "-T", frozen_dir)
    run_command(*arguments, "--max-likeness", 1, "-o", tmp_path / "all")
    text = run_command(*arguments, "--max-likeness", 0.6, "-o", tmp_path / "few")
    assert "The first teacher is taken to know these languages already" in text
    assert re.search(r"in percent: sw \d\d\.\d\. They get no pseudo-labels; if they should", text)
    written = sorted((tmp_path / "few" / "train").iterdir())
    assert [path.name for path in written] == ["ar.spacy", "de.spacy"]
    for path in written:
        wanted = docs_of(tmp_path / "all" / "train" / path.name)
        assert [doc.cats for doc in docs_of(path)] == [doc.cats for doc in wanted]
    text = run_command(*arguments, "--max-likeness", 0, "-o", tmp_path / "none", code=1)
    assert re.search(r"ar \d\d\.\d, de \d\d\.\d, sw \d\d\.\d\. They get no", text)
    assert not (tmp_path / "none").exists()


def test_labels_of_alike_texts_count(trained_dir, frozen_dir, texts, source):
    teachers = load_teachers([str(trained_dir), str(frozen_dir)])
    assert [teacher.is_untouched for teacher in teachers] == [False, True]
    gold = read_source(teachers[0], source)
    assert gold.langs == ["en"] and gold.mix == pytest.approx(np.full(3, 1 / 3))
    pool = read_pool(teachers[0], texts, gold)
    alone, spread = (
        Labeller(teachers, pool, gold, LabelSettings(neighbours=share, sharpness=1.0)).label()
        for share in (0.0, 0.8)
    )
    views = [teacher.predict(pool) for teacher in teachers]
    assert alone.scores == pytest.approx(np.mean(views, axis=0), abs=1e-6)
    assert np.abs(spread.scores - alone.scores).max() > 0.01
    assert spread.scores.sum(axis=1) == pytest.approx(np.ones(len(pool.texts)))
    assert not pool.notes
    balanced = Labeller(teachers, pool, gold, LabelSettings(balance=1.0)).label()
    assert balanced.scores.mean(axis=0) == pytest.approx(gold.mix, abs=0.05)


def test_one_teacher_without_an_untouched_encoder(trained_dir, texts, tmp_path):
    text = run_command("pseudo-label", *texts, "-T", trained_dir, "-o", tmp_path / "out")
    assert "No teacher has an encoder that was not tuned, so alike texts are found by" in text
    assert "Add a pipeline of frozen.cfg as a teacher" in text


def test_multilabel_teachers(make_ready, texts, tmp_path):
    nlp = make_ready("xlt_textcat_multilabel", probe_strength=1000.0)
    nlp.to_disk(tmp_path / "multi")
    run_command("pseudo-label", *texts, "-T", tmp_path / "multi", "-o", tmp_path / "out")
    docs = docs_of(tmp_path / "out" / "train" / "de.spacy")
    assert all(0.0 <= p <= 1.0 for doc in docs for p in doc.cats.values())
    text = run_command(
        *("pseudo-label", *texts, "-T", tmp_path / "multi", "-o", tmp_path / "out2"),
        *("--balance", 1),
        code=1,
    )
    assert "labels that do not exclude each other have no mix. Leave it out." in text


def test_a_teacher_without_vectors_still_labels(make_pipeline, standin, tmp_path):
    """A component of another package: its answers stand in the texts."""
    pipeline = make_pipeline()
    path = tmp_path / "sw.txt"
    path.write_text("".join(f"{label} {i}\n" for label in "AB" for i in range(5)))
    text = run_command("pseudo-label", path, "-T", pipeline, "-o", tmp_path / "out", "-c", standin)
    assert "No teacher has vectors of its own, so alike texts do not count" in text
    assert len(docs_of(tmp_path / "out" / "train" / "sw.spacy")) == 10


def test_texts_of_the_source_are_no_target_texts(trained_dir, texts, source, tmp_path):
    english = tmp_path / "en.txt"
    english.write_text("\n".join(f"we want {word} here" for word in WORDS))
    # Source texts that say they are Swahili.
    hidden = tmp_path / "hidden.jsonl"
    known = [doc.text for doc in docs_of(source)][:5]
    srsly.write_jsonl(hidden, [{"text": text, "lang": "sw"} for text in known])
    arguments = ("pseudo-label", english, "-T", trained_dir, "-s", source, "-o", tmp_path / "out")
    text = run_command(*arguments, hidden, *texts)
    assert "English is left out: it is a source language, in which there are labels (6" in text
    assert "Swahili: 5 of 23 texts are source texts" in text
    assert not (tmp_path / "out" / "train" / "en.spacy").exists()
    text = run_command(*arguments, code=1)
    assert "There is no text to label. Languages of the texts: en (6)." in text


def test_texts_detected_to_be_in_the_source_language(trained_dir, texts, tmp_path, monkeypatch):
    class Detector:
        def detect(self, text):
            return Detected("en" if "tunataka" in text or "kuna" in text else "de", 0.9)

    monkeypatch.setattr("spacy_xlt.detection.load_detector", lambda: Detector())
    text = run_command("pseudo-label", *texts, "-T", trained_dir, "-o", tmp_path / "out")
    assert (
        "Swahili is left out: 12 of 18 texts that were looked at are in the source language (en)"
    ) in text

    def load_nothing():
        raise ImportError

    monkeypatch.setattr("spacy_xlt.detection.load_detector", load_nothing)
    assert not module.count_detected(["a"], ["en"])


def test_texts_that_cannot_be_taught(trained_dir, texts, tmp_path):
    (tmp_path / "ka.txt").write_text("\n".join("გამარჯობა " * i for i in range(1, 9)))
    (tmp_path / "yo.txt").write_text("pizza\ntaxi")
    (tmp_path / "ha.txt").write_text("\n  \n\n")
    extra = [tmp_path / name for name in ("ka.txt", "yo.txt", "ha.txt")]
    arguments = ("-T", trained_dir, "-o", tmp_path / "out", "--max-likeness", 1)
    text = run_command("pseudo-label", *extra, *texts, *arguments)
    assert "Georgian is left out: the encoder cannot read" in text
    assert "% of the word pieces in its 8 texts (at most 20.0 %)" in text
    assert "Yoruba is left out: it has 2 texts for 3 labels; at least as many are needed" in text
    text = run_command("pseudo-label", *extra, *arguments, code=1)
    assert "There is no text to label. Languages of the texts: ka (8), yo (2)." in text
    text = run_command("pseudo-label", *texts, *arguments, "--langs", "sw,ha,zu", code=1)
    assert "No unlabelled text in ha, zu. Languages of the texts: ar (18), de (18), sw (18)" in text
    run_command("pseudo-label", *texts, *arguments, "--langs", "swh", "--limit", 7)
    assert [path.name for path in (tmp_path / "out" / "train").iterdir()] == ["sw.spacy"]
    assert len(docs_of(tmp_path / "out" / "train" / "sw.spacy")) == 7


def test_a_single_pseudo_label(trained_dir, tmp_path):
    path = tmp_path / "sw.txt"
    path.write_text("\n".join(line.format("pizza") for line in tiny.SENTENCES["sw"]))
    text = run_command("pseudo-label", path, "-T", trained_dir, "-o", tmp_path / "out", code=1)
    assert "All 3 texts get the same pseudo-label: food (mean probability" in text
    assert not (tmp_path / "out").exists()


def test_teachers_that_do_not_fit(trained_dir, make_pipeline, make_ready, standin, texts, tmp_path):
    text = run_command(
        *("pseudo-label", *texts, "-T", trained_dir, "-T", make_pipeline()),
        *("-o", tmp_path / "out", "-c", standin),
        code=1,
    )
    assert "do not fit together: their labels are food, music, travel against A, B." in text
    nlp = make_ready("xlt_textcat_multilabel")
    nlp.to_disk(tmp_path / "multi")
    text = run_command(
        *("pseudo-label", *texts, "-T", trained_dir, "-T", tmp_path / "multi"),
        *("-o", tmp_path / "out"),
        code=1,
    )
    assert "do not fit together: labels exclude each other in only one of them." in text
    text = run_command("pseudo-label", *texts, "-T", "nowhere", "-o", tmp_path / "out", code=1)
    assert "The pipeline 'nowhere' cannot be loaded." in text


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("--neighbours", 1.0, "neighbours is 1.0; allowed is 0 up to, not with, 1."),
        ("--sharpness", 0.5, "sharpness is 0.5; allowed is 1, for none, or more."),
        ("--max-likeness", -1, "max_likeness is -1.0; allowed is 0 to 1, for all languages."),
        ("--balance", 2.0, "balance is 2.0; allowed is 0, for none, to 1."),
        ("--balance", 0.5, "but the mix of labels is not known. Give the labelled texts of the"),
        ("--limit", -1, "--limit is -1; allowed is 0, for no limit, or more."),
        ("--batch-size", 0, "The batch size is 0; allowed is 1 or more."),
    ],
)
def test_settings_out_of_range(option, value, message, trained_dir, texts, tmp_path):
    text = run_command(
        *("pseudo-label", *texts, "-T", trained_dir, "-o", tmp_path / "out", option, value), code=1
    )
    assert message in text


def test_a_source_without_the_labels(trained_dir, texts, tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text(json.dumps({"text": "hm", "label": "weather"}) + "\n")
    text = run_command(
        *("pseudo-label", *texts, "-T", trained_dir, "-o", tmp_path / "out", "-s", path), code=1
    )
    assert "has a label of the teacher" in text and "Its labels: food, music, travel" in text


def test_something_else_in_the_place_of_the_corpus(trained_dir, texts, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    text = run_command("pseudo-label", *texts, "-T", trained_dir, "-o", out, code=1)
    assert "mine.txt" in text or "not a corpus" in text
    assert (out / "mine.txt").read_text() == "keep"
