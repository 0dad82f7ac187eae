import json

import numpy as np
import pytest
import spacy
import tiny

from spacy_xlt.trust import explanation as module
from spacy_xlt.trust.explanation import (
    METHODS,
    check_deletion,
    explain_texts,
    render_explanation,
    render_page,
    top_words,
)

TEXTS = ["we want pizza today", "is there jazz here", "", "我们今天想要pizza", "?!"]
both_methods = pytest.mark.parametrize("method", METHODS)


def weights(explanation):
    return {word["text"]: word["weight"] for word in explanation["words"]}


@both_methods
def test_the_word_that_decides(trained, method):
    found = explain_texts(trained, TEXTS, method=method)
    assert [one["text"] for one in found] == TEXTS
    for one, word, label in zip(found, ("pizza", "jazz"), ("food", "music"), strict=False):
        assert one["label"] == label and one["method"] == method
        assert one["probability"] == trained(one["text"]).cats[label]
        (best, *_) = top_words(one)
        assert best["text"] == word == one["text"][best["start"] : best["end"]]
    assert found[3]["words"][-1]["text"] == "pizza" and len(found[3]["words"]) > 2
    for empty in (found[2], found[4]):
        assert empty["words"] == [] and top_words(empty) == [] and empty["doubts"] == []
    assert json.loads(json.dumps(found)) == found


@both_methods
def test_a_label_that_was_asked_for(trained, method):
    (own,) = explain_texts(trained, TEXTS[:1], method=method)
    (other,) = explain_texts(trained, TEXTS[:1], method=method, label="music")
    assert other["label"] == "music" and other["probability"] < own["probability"]
    assert weights(own)["pizza"] > 0 > weights(other)["pizza"]


@both_methods
def test_scores_that_are_withheld_are_explained_too(trained, method):
    pipe = trained.get_pipe("textcat")
    wanted = explain_texts(trained, TEXTS[:2], method=method)
    checked = check_deletion(trained, wanted)
    pipe.set_calibration({"set_thresholds": {"": 0.0}, "coverage": 0.9})
    pipe.set_abstaining("coverage", zero_scores=True)
    assert set(trained(TEXTS[0]).cats.values()) == {0.0}
    assert explain_texts(trained, TEXTS[:2], method=method) == wanted
    assert check_deletion(trained, wanted) == checked and checked.n_texts > 0
    assert set(trained(TEXTS[0]).cats.values()) == {0.0}


@both_methods
def test_temperatures_do_not_change_which_words_count(trained, method):
    def order():
        found = explain_texts(trained, TEXTS[:2], langs=["de", ""], method=method)
        return [[word["text"] for word in top_words(one, 10)] for one in found], found

    words, before = order()
    trained.get_pipe("textcat").set_calibration({"temperatures": {"": 2.0, "de": 0.7}})
    tempered, after = order()
    assert tempered == words
    assert [one["lang"] for one in after] == ["de", ""]
    assert after[0]["probability"] > before[0]["probability"]
    assert after[1]["probability"] < before[1]["probability"]


def test_occlusion_against_deleting_by_hand(trained):
    text = TEXTS[0]
    (found,) = explain_texts(trained, [text], method="occlusion")

    def lead(text):
        cats = trained(text).cats
        rest = max(value for label, value in cats.items() if label != "food")
        return np.log(cats["food"]) - np.log(rest)

    for word, changed in zip(
        ["we", "want", "pizza", "today"],
        ["want pizza today", "we pizza today", "we want today", "we want pizza"],
        strict=True,
    ):
        assert weights(found)[word] == pytest.approx(lead(text) - lead(changed), abs=1e-3)


def test_gradients_of_words_are_those_of_their_pieces(trained):
    pipe, text = trained.get_pipe("textcat"), "we want sushi today"
    (found,) = explain_texts(trained, [text])
    (pieces,) = pipe.attribute([trained.make_doc(text)], [found["label"]])
    assert sum(weights(found).values()) == pytest.approx(pieces.weights.sum(), abs=1e-4)
    assert sum(weights(found).values()) == pytest.approx(pieces.total, rel=0.05)


@both_methods
def test_labels_that_do_not_exclude_each_other(make_ready, method):
    nlp = make_ready("xlt_textcat_multilabel")
    found = explain_texts(nlp, TEXTS, method=method)
    for one in found:
        cats = nlp(one["text"]).cats
        assert one["label"] == max(cats, key=cats.get)
    # The head starts from a probe of these words.
    for one, word in zip(found, ("pizza", "jazz"), strict=False):
        assert top_words(one)[0]["text"] == word


def test_a_long_text(trained, monkeypatch):
    text = " ".join(["we want", *["everybody today"] * 60, "sushi", *["is there"] * 60])
    pipe = trained.get_pipe("textcat")
    (found,) = explain_texts(trained, [text], label="food")
    (pieces,) = pipe.attribute([trained.make_doc(text)], ["food"])
    assert len(found["words"]) == 243
    total = sum(word["weight"] for word in found["words"])
    assert total == pytest.approx(pieces.weights.sum(), abs=1e-3)

    def occlude(limit):
        monkeypatch.setattr(module, "MAX_DELETIONS", limit)
        (found,) = explain_texts(trained, [text], label="food", method="occlusion")
        return np.array([word["weight"] for word in found["words"]])

    whole, parts = occlude(1000), occlude(40)
    assert whole.size == parts.size == 243
    # Of the runs of words that count most, each word was deleted by itself.
    single = np.abs(whole - parts) < 1e-3
    assert single.sum() >= 40 and parts.argmax() in np.flatnonzero(single)
    assert parts[~single].max() < parts.max()


def test_equal_texts_are_explained_once(trained, monkeypatch):
    pipe, calls = trained.get_pipe("textcat"), []
    original = type(pipe).attribute
    monkeypatch.setattr(
        type(pipe), "attribute", lambda self, *args: calls.append(1) or original(self, *args)
    )
    found = explain_texts(trained, [TEXTS[0]] * 3)
    assert found[0] == found[1] == found[2] and calls == [1]


def test_doubts_are_about_the_evidence_only(trained):
    text = "jazz today https://jazz.com/jazz and Opera 42"
    (found,) = explain_texts(trained, [text], n_words=20)
    positive = {word["text"] for word in top_words(found, 20)}
    kinds = {doubt["text"]: doubt["kind"] for doubt in found["doubts"]}
    expected = {"https://jazz.com/jazz": "url", "Opera": "name", "42": "number"}
    assert kinds == {word: kind for word, kind in expected.items() if word in positive}
    (one,) = explain_texts(trained, [text], n_words=1)
    assert {d["text"] for d in one["doubts"]} <= {top_words(one, 1)[0]["text"]}


def test_a_classifier_of_another_package():
    nlp = spacy.blank("en")
    nlp.add_pipe("textcat")
    nlp.initialize(lambda: tiny.make_examples(nlp))
    (found,) = explain_texts(nlp, TEXTS[:1], method="occlusion")
    assert list(weights(found)) == ["we", "want", "pizza", "today"]
    assert found["label"] == max(nlp(TEXTS[0]).cats, key=nlp(TEXTS[0]).cats.get)
    # Without word pieces, scripts without spaces are taken character by character.
    (chinese,) = explain_texts(nlp, ["今天pizza"], method="occlusion")
    assert [word["text"] for word in chinese["words"]] == ["今", "天", "pizza"]
    with pytest.raises(ValueError, match="'textcat', which has no gradients.*Explain by occlusion"):
        explain_texts(nlp, TEXTS[:1])


def test_what_cannot_be(trained):
    with pytest.raises(ValueError, match="has no label 'sports'. Its labels: food, music, travel"):
        explain_texts(trained, TEXTS, label="sports")
    with pytest.raises(ValueError, match="method is 'lime'; allowed are: gradients, occlusion"):
        explain_texts(trained, TEXTS, method="lime")
    with pytest.raises(ValueError, match="number of words is 0; allowed is 1 or more"):
        explain_texts(trained, TEXTS, n_words=0)
    with pytest.raises(ValueError, match="'none of that' is not a language tag"):
        explain_texts(trained, TEXTS[:1], langs=["none of that"])
    with pytest.raises(ValueError, match="has no text classifier"):
        explain_texts(spacy.blank("xx"), TEXTS)
    assert explain_texts(trained, []) == []


def test_scores_that_are_missing():
    nlp = spacy.blank("xx")
    pipe = nlp.add_pipe("textcat")
    pipe.add_label("A")
    pipe.add_label("B")
    nlp.initialize()
    nlp.get_pipe("textcat").set_annotations = None
    task = module.find_task(nlp)
    with pytest.raises(ValueError, match="'textcat' gave no usable scores"):
        module._read_scores(task, [nlp.make_doc("a")])


def test_what_deleting_does(trained):
    texts = [doc.text for doc in tiny.make_docs(["en"], trained.vocab)]
    found = explain_texts(trained, texts, n_words=1)
    check = check_deletion(trained, found, n_words=1, n_draws=3)
    assert check.n_texts == sum(len(one["words"]) > 1 for one in found)
    assert check.evidence > 2 * check.random > 0.0
    assert check == check_deletion(trained, found, n_words=1, n_draws=3)
    # Texts of too few words, and labels that were not decided on, do not count.
    assert check_deletion(trained, found, n_words=10).n_texts == 0
    other = explain_texts(trained, ["we want pizza today"], label="music")
    assert check_deletion(trained, other) == module.DeletionCheck(0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "direction"), [('we <b>want</b> {} & "x"\nnow', "ltr"), ("1. نريد اليوم", "rtl")]
)
def test_rendering(text, direction):
    words = [
        {"text": text[:2], "start": 0, "end": 2, "weight": 2.0},
        {"text": text[4:6], "start": 4, "end": 6, "weight": -1.0},
    ]
    html = render_explanation(
        {
            "text": text,
            "lang": "",
            "label": "<A>",
            "probability": 0.5,
            "method": "gradients",
            "words": words,
            "doubts": [],
        }
    )
    assert f"direction: {direction}" in html
    assert 'title="+2.00"' in html and 'title="-1.00"' in html
    assert f"rgba({module.FOR}, 0.75)" in html and f"rgba({module.AGAINST}, 0.38)" in html
    assert "<b>" not in html


def test_a_page(trained):
    found = explain_texts(trained, [*TEXTS, "<script>alert('jazz')</script> https://jazz.com"])
    found[0]["lang"] = "sw"
    found[0]["doubts"] = [{"text": "<i>", "kind": "url"}]
    page = render_page(found, "Title <1>")
    assert "Title &lt;1&gt;" in page and "<script" not in page and "<i>" not in page
    assert "Among what counted most is a url: <bdi>&lt;i&gt;</bdi>" in page
    assert "Swahili" in page and page.count("<section>") == len(found)
    assert page.count("No words to explain") == 2
    assert "http" not in page.replace("https://jazz.com", "")
    assert render_page([], "Nothing").count("<section>") == 0
