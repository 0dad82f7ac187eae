import json

import pytest

from spacy_xlt.corpora.checks import CorpusReport, Leak, check_corpus, find_leaks
from spacy_xlt.corpora.layout import Corpus, Row, write_corpus
from spacy_xlt.detection import Detected

LABELS = ["a", "b"]


def row(text, label="a", lang="de", split="train", id="", labels=LABELS):
    return Row(text, {x: float(x == label) for x in labels}, lang, split, id)


def sound(langs=("de", "sw"), n=40):
    """Nothing to worry about."""
    return [
        row(f"{lang} {split} {i}", LABELS[i % 2], lang, split)
        for lang in langs
        for split in ("train", "dev", "test")
        for i in range(n)
    ]


def check(tmp_path, rows, encoder=None):
    write_corpus(tmp_path / "c", Corpus(rows))
    return check_corpus(tmp_path / "c", encoder)


def test_a_sound_corpus(tmp_path):
    report = check(tmp_path, sound())
    assert report.worries == [] and report.leaks == [] and report.missing_labels == {}
    assert [(p.split, p.lang) for p in report.parts] == [
        (split, lang) for split in ("train", "dev", "test") for lang in ("de", "sw")
    ]
    part = report.parts[0]
    assert (part.documents, part.labels, part.duplicates) == (40, {"a": 20, "b": 20}, 0)
    assert (part.median_pieces, part.max_pieces, part.unknown_share) == (None, None, None)


def test_lengths_and_unknown_pieces(tmp_path, letter_encoder):
    rows = [row("ab"), row("abab"), row("abzz"), row("b" * 2000)]
    part = check(tmp_path, rows, letter_encoder).parts[0]
    assert (part.median_chars, part.max_chars) == (4.0, 2000)
    assert (part.median_pieces, part.max_pieces) == (4.0, 2000)
    assert part.unknown_share == pytest.approx(2 / 2010)


def test_unreadable_language(tmp_path, letter_encoder):
    rows = sound(["de"]) + [row(f"zz{'ab' * 9}{i % 10}", lang="sat") for i in range(40)]
    rows = [r if r.lang == "sat" else row("ab" * 20, "a") for r in rows]
    worries = check(tmp_path, rows, letter_encoder).worries
    assert any(w.startswith("14.3 % of the word pieces in Santali are unknown to") for w in worries)
    assert not any("in German are unknown" in w for w in worries)


class Fake:
    """A detector to which the first word of a text tells the language and the confidence."""

    def detect(self, text):
        tag, _, confidence = text.split()[0].partition(":")
        return Detected(tag.strip("?"), float(confidence or 1.0))


def detect_all(tmp_path, texts, lang):
    rows = [row(f"{text} {i}", LABELS[i % 2], lang) for i, text in enumerate(texts)]
    write_corpus(tmp_path / "c", Corpus(rows))
    return check_corpus(tmp_path / "c", detector=Fake())


def test_texts_in_another_language(tmp_path):
    report = detect_all(tmp_path, ["sw"] * 30 + ["en"] * 6 + ["de"] * 4, "sw")
    assert report.parts[0].other_languages == {"en": 6, "de": 4}
    assert report.worries[0] == (
        "10 of 40 documents in train that are recorded as Swahili (25.0 %) seem to be in another "
        "language: English 6, German 4. Was something not translated, or is the tag wrong?"
    )


@pytest.mark.parametrize(
    ("texts", "lang"),
    [
        (["sw"] * 38 + ["en"] * 2, "sw"),  # as many as there are mistakes
        (["en:0.89"] * 40, "sw"),  # not sure
        (["?"] * 40, "sw"),  # the detector does not know
        (["qu"] * 40, "quy"),  # one macro-language
        (["zh"] * 40, "zh-Hant"),
        (["en"] * 40, ""),  # nothing recorded that could be wrong
    ],
)
def test_texts_that_may_be_in_their_language(tmp_path, texts, lang):
    worries = detect_all(tmp_path, texts, lang).worries
    assert not any("another language" in worry for worry in worries)


def test_languages_are_not_checked_without_a_detector(tmp_path):
    assert {part.other_languages for part in check(tmp_path, sound()).parts} == {None}


def test_texts_that_stand_in_two_splits(tmp_path):
    rows = sound() + [row("DE  Train 0", "a", "de", "test"), row("sw test 0", "a", "sw", "dev")]
    report = check(tmp_path, rows)
    assert report.leaks == [
        Leak("text", "train", "test", "de", 1, ["de train 0"]),
        Leak("text", "dev", "test", "sw", 1, ["sw test 0"]),
    ]
    assert report.worries[0].startswith(
        "1 of 41 documents in test (2.4 %) also stand in train (de 1). What is trained on"
    )


def test_texts_of_other_languages_are_no_leak():
    assert find_leaks([row("taxi", lang="de"), row("taxi", lang="sw", split="test")]) == []


def test_ids_that_stand_in_two_splits_across_languages(tmp_path):
    rows = sound() + [row("eins", id="7"), row("moja", lang="sw", split="test", id="7")]
    report = check(tmp_path, rows)
    assert report.leaks == [Leak("id", "train", "test", "sw", 1, ["7"])]
    assert report.worries[0].startswith(
        "1 of 41 documents in test (2.4 %) have an id that also stands in train (sw 1)."
    )


def test_ids_shared_within_a_split_are_fine():
    assert find_leaks([row("eins", id="7"), row("moja", lang="sw", id="7")]) == []


def test_leaks_come_first_and_those_into_test_before_others():
    rows = [row("x"), row("x", split="dev"), row("x", split="test")]
    assert [(leak.first, leak.second) for leak in find_leaks(rows)] == [
        ("train", "test"),
        ("dev", "test"),
        ("train", "dev"),
    ]


def test_pairs_are_compared_whole(tmp_path):
    rows = [Row("x", {"a": 1.0}, "de", pair="1"), Row("x", {"a": 1.0}, "de", "test", pair="2")]
    assert find_leaks(rows) == []


def test_labels_that_a_split_lacks(tmp_path):
    rows = [r for r in sound() if not (r.lang == "de" and r.split == "dev" and r.labels == ["b"])]
    report = check(tmp_path, rows)
    assert report.missing_labels == {"dev": {"de": ["b"]}}
    assert report.worries == ["1 of 2 labels in de train have no document in dev: b."]


def test_declared_label_without_training_document(tmp_path):
    labels = ["a", "b", "c"]
    rows = [row(f"{s} {i}", labels[i % 2], split=s, labels=labels) for s in
            ("train", "test") for i in range(40)]  # fmt: skip
    assert any(
        w.startswith("1 of 3 labels have no training document: c. Training stops")
        for w in check(tmp_path, rows).worries
    )


def test_labels_in_one_language_only(tmp_path):
    labels = ["a", "b", "c"]
    rows = [row(r.text, r.labels[0], r.lang, r.split, labels=labels) for r in sound()]
    rows += [row(f"{s} c {i}", "c", "sw", s, labels=labels) for s in ("train", "dev", "test")
             for i in range(20)]  # fmt: skip
    report = check(tmp_path, rows)
    assert report.one_language_labels == {"c": "sw"}
    assert any(w.startswith("1 label in one language only: c (sw).") for w in report.worries)


def test_small_test_sets(tmp_path):
    rows = [r for r in sound() if r.split != "test" or int(r.text.split()[-1]) < 12]
    assert check(tmp_path, rows).worries == [
        "2 languages with fewer than 30 test documents (de 12, sw 12): differences of ten points "
        "there are chance."
    ]


def test_imbalance(tmp_path):
    rows = sound(n=40) + [row(f"more {i}") for i in range(500)]
    assert any(
        w.startswith("a has 540 training documents, b only 40 (14 times fewer)")
        for w in check(tmp_path, rows).worries
    )


def test_duplicates(tmp_path):
    rows = sound(["de"]) + [row("de train 0")] * 10
    report = check(tmp_path, rows)
    assert report.parts[0].duplicates == 10
    assert "10 of 50 training documents in de (20.0 %) repeat a text that stood before." in (
        report.worries
    )


def test_contradictions(tmp_path):
    report = check(tmp_path, [*sound(), row("de train 0", "b")])
    assert report.contradictions == 1
    assert report.worries[0].startswith("1 text with different labels in one language")


def test_unlabelled(tmp_path):
    report = check(tmp_path, [*sound(), Row("x", {}, "de")])
    assert report.parts[0].unlabelled == 1
    assert report.worries[0].startswith("1 document without labels: nothing is learnt")


def test_no_train(tmp_path):
    report = check(tmp_path, [r for r in sound() if r.split == "test"])
    assert report.worries[0].startswith("There is no split named train (found: test).")


def test_targets_that_lack_trained_labels(tmp_path):
    rows = sound(["de"]) + [row(f"ee {i}", "a", "ee", "test") for i in range(40)]
    assert any(
        w.startswith("1 target language without test documents for some of the 2 trained labels")
        and "(ee 1)" in w
        for w in check(tmp_path, rows).worries
    )


def test_long_lists_are_cut(tmp_path):
    langs = ["af", "am", "ar", "bn", "cs", "cy", "da", "de", "el", "es"]
    rows = [row(f"{lang} {i}", lang=lang, split="test") for lang in langs for i in range(3)]
    assert any("el 3 and 1 more)" in w for w in check(tmp_path, rows + sound()).worries)


def test_report_is_json(tmp_path, letter_encoder):
    report = check(tmp_path, sound() + [row("de train 0", split="test")], letter_encoder)
    found = json.loads(json.dumps(report.to_dict()))
    assert found["parts"][0]["documents"] == 40 and found["leaks"][0]["second"] == "test"
    assert isinstance(report, CorpusReport)


def test_no_corpus_and_no_encoder(tmp_path):
    with pytest.raises(ValueError, match="is not a corpus"):
        check_corpus(tmp_path)
    with pytest.raises(ValueError, match=r"No tokenizer\.json in"):
        check(tmp_path, sound(), tmp_path)
