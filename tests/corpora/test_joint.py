import warnings

import pytest
import spacy
from spacy.training import Example

from spacy_xlt.corpora.joint import create_joint_corpus_v1, known_labels, warn_of_label_sets
from spacy_xlt.corpora.layout import Row, row_to_doc
from spacy_xlt.languages import get_doc_language


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("xx")


def reader(nlp, rows):
    """A reader that keeps its examples, as one written by a user may."""
    examples = []
    for row in rows:
        doc = row_to_doc(nlp.vocab, row)
        examples.append(Example(nlp.make_doc(row.text), doc))
    return lambda nlp: iter(examples)


@pytest.fixture
def corpora(nlp):
    news = [Row(f"news {i}", {"sport": float(i % 2), "food": 1.0 - i % 2}, "en") for i in range(4)]
    cats = {"sport": 1.0, "food": 0.0}
    chat = [Row("chat 0", cats, "de"), Row("chat 1", cats, "sw")]
    return {"news": reader(nlp, news), "chat": reader(nlp, chat)}


def weights(examples):
    return {eg.reference.text: eg.reference._.xlt_weight for eg in examples}


def test_data_sets_come_one_after_the_other(nlp, corpora):
    found = list(create_joint_corpus_v1(corpora=corpora)(nlp))
    assert [eg.reference.text for eg in found] == [
        "news 0", "news 1", "news 2", "news 3", "chat 0", "chat 1",
    ]  # fmt: skip
    assert set(weights(found).values()) == {1.0}


def test_weights_of_data_set_language_and_document_are_multiplied(nlp):
    rows = [Row("a", {"x": 1.0}, "swh", weight=0.5), Row("b", {"x": 1.0}, "en")]
    joint = create_joint_corpus_v1(
        corpora={"one": reader(nlp, rows)}, weights={"one": 3.0}, lang_weights={"sw": 2.0}
    )
    assert weights(joint(nlp)) == {"a": 3.0, "b": 3.0}


def test_reading_again_does_not_multiply_again(nlp, corpora):
    joint = create_joint_corpus_v1(corpora=corpora, weights={"chat": 0.25})
    first, second = weights(joint(nlp)), weights(joint(nlp))
    assert first == second
    assert first["chat 0"] == 0.25 and first["news 0"] == 1.0
    assert set(weights(corpora["chat"](nlp)).values()) == {1.0}


def test_a_weight_of_0_leaves_documents_out(nlp, corpora):
    joint = create_joint_corpus_v1(corpora=corpora, weights={"news": 0.0}, lang_weights={"de": 0})
    assert list(weights(joint(nlp))) == ["chat 1"]


def test_copies_keep_language_labels_and_user_data(nlp):
    rows = [Row("a b", {"x": 1.0}, "sw", id="7", pair="c")]
    (eg,) = create_joint_corpus_v1(corpora={"one": reader(nlp, rows)}, weights={"one": 2})(nlp)
    assert eg.reference.cats == {"x": 1.0} and get_doc_language(eg.reference) == "sw"
    assert eg.reference.user_data["xlt_id"] == "7" and eg.reference.user_data["xlt_pair"] == "c"
    assert eg.predicted.text == "a b" and eg.predicted.cats == {}


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("which", ["weights", "lang_weights"])
def test_weights_out_of_range_are_refused(corpora, which, weight):
    name = {"weights": "news", "lang_weights": "en"}[which]
    with pytest.raises(ValueError, match=f"The weight of '{name}' is .*; allowed is any from 0"):
        create_joint_corpus_v1(corpora=corpora, **{which: {name: weight}})


def test_mistakes_are_named(nlp, corpora):
    for wrong in ({}, {"news": "corpus/news"}):
        with pytest.raises(ValueError, match="A joint corpus needs data sets, each with a reader"):
            create_joint_corpus_v1(corpora=wrong)
    with pytest.raises(ValueError, match=r"weights name \['nws'\], but the data sets are"):
        create_joint_corpus_v1(corpora=corpora, weights={"nws": 1.0})
    with pytest.raises(ValueError, match="'klingon!'"):
        create_joint_corpus_v1(corpora=corpora, lang_weights={"klingon!": 1.0})
    joint = create_joint_corpus_v1(corpora=corpora, lang_weights={"fr": 1.0})
    with pytest.raises(ValueError, match=r"name fr \(French\), but no .* sets: de, en, sw"):
        list(joint(nlp))
    joint = create_joint_corpus_v1(corpora=corpora, weights={"news": 0.0, "chat": 0.0})
    with pytest.raises(ValueError, match="No document is left to train on"):
        list(joint(nlp))


def test_equal_label_sets_need_no_word(nlp, corpora):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(create_joint_corpus_v1(corpora=corpora)(nlp))
        warn_of_label_sets({"one": {"x", "y"}, "unlabelled": set()})
        warn_of_label_sets({})


def test_it_says_once_which_labels_a_data_set_lacks(nlp):
    one = reader(nlp, [Row("a", {"x": 1.0, "y": 0.0}, "en")])
    other = reader(nlp, [Row("b", {"y": 1.0, "z": 0.0}, "de")])
    joint = create_joint_corpus_v1(corpora={"one": one, "other": other})
    with pytest.warns(UserWarning) as caught:
        list(joint(nlp))
        list(joint(nlp))
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "'one' lacks 'z'; 'other' lacks 'x'." in message
    assert "never told" not in message


def test_data_sets_without_a_common_label_are_pointed_out():
    known = {"a": {"x"}, "b": {"y", "z"}, "c": {"X"}, "d": {"x", "w"}}
    with pytest.warns(UserWarning, match="No label is known in both 'b' and 'c' and 'a', 'd', so"):
        warn_of_label_sets(known)
    # b and c share nothing, but both do with d
    with pytest.warns(UserWarning) as caught:
        warn_of_label_sets({"b": {"y"}, "c": {"X"}, "d": {"y", "X"}})
    assert "never told" not in str(caught[0].message)


def test_long_lists_are_cut_short():
    with pytest.warns(UserWarning, match="'b' lacks 'l00', .*'l07' and 12 more"):
        warn_of_label_sets({"a": {f"l{i:02}" for i in range(20)} | {"x"}, "b": {"x"}})


def test_known_labels_are_those_with_a_key(nlp):
    rows = [Row("a", {"x": 0.0}), Row("b", {}), Row("c", {"y": 1.0})]
    assert known_labels(reader(nlp, rows)(nlp)) == {"x", "y"}
