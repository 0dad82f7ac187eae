"""Several pipelines as one: the mean of what they say, saved and loaded whole."""

import numpy as np
import pytest
import spacy
import tiny
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam, fix_random_seed

from spacy_xlt.languages import set_doc_language

TEXTS = ["pizza for everybody", "", "这里有taxi吗", "jazz " * 300, "🍕"]


@pytest.fixture(scope="module")
def member_dirs(tmp_path_factory, encoders):
    """Two pipelines with encoders of different kinds and labels in different order."""
    root = tmp_path_factory.mktemp("members")
    for model_type, labels in (("bert", tiny.LABELS), ("distilbert", tiny.LABELS[::-1])):
        nlp = spacy.blank("xx")
        model = {"precision": "fp32", "encoder": {"path": str(encoders(model_type))}}
        nlp.add_pipe("xlt_textcat", name="topic", config={"model": model})
        nlp.config["initialize"]["components"]["topic"] = {"labels": labels}
        fix_random_seed(0)
        examples = tiny.make_examples(nlp)
        nlp.initialize(lambda examples=examples: examples)
        nlp.update(examples, sgd=Adam(5e-4))
        nlp.to_disk(root / model_type)
    return [str(root / "bert"), str(root / "distilbert")]


@pytest.fixture
def make_ensemble():
    def make(pipelines, **settings):
        nlp = spacy.blank("xx")
        nlp.add_pipe("xlt_ensemble", name="textcat")
        nlp.config["initialize"]["components"]["textcat"] = {"pipelines": pipelines, **settings}
        nlp.initialize()
        return nlp

    return make


def predict(nlp, texts=TEXTS):
    return [doc.cats for doc in nlp.pipe(texts)]


@pytest.mark.parametrize(("weights", "shares"), [(None, (0.5, 0.5)), ([3.0, 1.0], (0.75, 0.25))])
def test_it_gives_the_mean_whatever_the_order_of_labels(
    make_ensemble, member_dirs, weights, shares
):
    nlp = make_ensemble(member_dirs, weights=weights)
    first, second = (predict(spacy.load(path)) for path in member_dirs)
    assert nlp.get_pipe("textcat").labels == tuple(tiny.LABELS)
    for cats, a, b in zip(predict(nlp), first, second, strict=True):
        assert list(cats) == tiny.LABELS
        for label in tiny.LABELS:
            mean = shares[0] * a[label] + shares[1] * b[label]
            assert cats[label] == pytest.approx(mean, abs=1e-6)
        assert sum(cats.values()) == pytest.approx(1.0, abs=1e-5)


def test_what_it_says_about_itself(make_ensemble, member_dirs):
    pipe = make_ensemble(member_dirs).get_pipe("textcat")
    assert pipe.cfg["train_langs"] == ["en"] and pipe.cfg["exclusive"] is True
    assert pipe.cfg["components"] == ["topic", "topic"] and pipe.cfg["weights"] == [0.5, 0.5]
    assert pipe.label_data == tiny.LABELS
    assert set(pipe.encoder_record) <= {"name", "variant", "licence"}


def test_from_disk_and_from_bytes_without_the_members(make_ensemble, member_dirs, tmp_path):
    nlp = make_ensemble(member_dirs)
    wanted = predict(nlp)
    nlp.to_disk(tmp_path / "ensemble")
    for other in (
        spacy.load(tmp_path / "ensemble"),
        spacy.blank("xx").from_config(nlp.config).from_bytes(nlp.to_bytes()),
    ):
        assert predict(other) == wanted
        assert other.get_pipe("textcat").cfg == nlp.get_pipe("textcat").cfg


def test_one_by_one_and_in_processes(make_ensemble, member_dirs):
    nlp = make_ensemble(member_dirs)
    wanted = predict(nlp)
    for text, cats in zip(TEXTS, wanted, strict=True):
        assert nlp(text).cats == pytest.approx(cats, abs=1e-5)
    parallel = [doc.cats for doc in nlp.pipe(TEXTS, n_process=2, batch_size=2)]
    for cats, expected in zip(parallel, wanted, strict=True):
        assert cats == pytest.approx(expected, abs=1e-5)


def test_members_see_the_language_of_a_document(make_ensemble, member_dirs):
    nlp = make_ensemble(member_dirs)
    pipe = nlp.get_pipe("textcat")
    pipe._pipes[0].set_calibration({"temperatures": {"": 1.0, "de": 100.0}})
    german = set_language(nlp.make_doc("pizza für alle"), "de")
    plain = nlp.make_doc("pizza für alle")
    even, sharp = pipe.predict([german, plain])
    assert even.max() < sharp.max()


def set_language(doc: Doc, tag: str) -> Doc:
    set_doc_language(doc, tag)
    return doc


def test_members_of_other_kinds_take_their_own_way(make_ensemble, member_dirs, tmp_path):
    stock = spacy.blank("en")
    textcat = stock.add_pipe("textcat")
    for label in tiny.LABELS:
        textcat.add_label(label)
    stock.initialize(lambda: tiny.make_examples(stock))
    stock.to_disk(tmp_path / "stock")
    nlp = make_ensemble([member_dirs[0], str(tmp_path / "stock")])
    first, second = predict(spacy.load(member_dirs[0])), predict(stock)
    for cats, a, b in zip(predict(nlp), first, second, strict=True):
        for label in tiny.LABELS:
            assert cats[label] == pytest.approx((a[label] + b[label]) / 2, abs=1e-5)


def test_scores_by_language(make_ensemble, member_dirs):
    nlp = make_ensemble(member_dirs)
    scores = nlp.evaluate(tiny.make_examples(nlp, ["en", "de"]))
    assert {"cats_acc_en", "cats_acc_de", "cats_transfer_gap"} <= set(scores)
    assert scores["cats_acc_en"] > 0.5


def test_no_documents_and_documents_without_tokens(make_ensemble, member_dirs):
    pipe = make_ensemble(member_dirs).get_pipe("textcat")
    assert pipe.predict([]).shape == (0, 3)
    assert np.isfinite(pipe.predict([spacy.blank("xx").make_doc("")])).all()


def test_pipelines_that_do_not_fit_are_refused(make_ensemble, make_ready, member_dirs, tmp_path):
    with pytest.raises(ValueError, match="made of 1 pipelines, but needs at least 2"):
        make_ensemble(member_dirs[:1])
    with pytest.raises(ValueError, match=r"\[1.0\]; allowed are 2 numbers above 0"):
        make_ensemble(member_dirs, weights=[1.0])
    with pytest.raises(ValueError, match="numbers above 0"):
        make_ensemble(member_dirs, weights=[1.0, 0.0])
    several = make_ready("xlt_textcat_multilabel")
    several.to_disk(tmp_path / "several")
    with pytest.raises(ValueError, match="exclude each other, those of .* do not"):
        make_ensemble([member_dirs[0], str(tmp_path / "several")])
    other = make_ready()
    other.get_pipe("textcat").add_label("sport")
    other.to_disk(tmp_path / "other")
    with pytest.raises(ValueError, match=r"it lacks \[\] and has \['sport'\] besides"):
        make_ensemble([member_dirs[0], str(tmp_path / "other")])


def test_without_members_it_says_so():
    nlp = spacy.blank("xx")
    nlp.add_pipe("xlt_ensemble")
    with pytest.raises(ValueError, match="has no members yet"):
        nlp("pizza")
    example = Example.from_dict(nlp.make_doc("a"), {})
    with pytest.raises(ValueError, match="needs at least 2"):
        nlp.initialize(lambda: [example])


@Language.component("tell_swahili")
def tell_swahili(doc):
    set_doc_language(doc, "sw")
    return doc


def test_members_get_the_language_that_their_own_pipelines_tell(make_ensemble, member_dirs):
    """Also with what they would withhold, which is no probability."""
    members = [spacy.load(path) for path in member_dirs]
    members[0].add_pipe("tell_swahili", first=True)
    pipe = members[0].get_pipe("topic")
    pipe.set_calibration(
        {"temperatures": {"sw": 0.1}, "set_thresholds": {"": 0.0}, "coverage": 0.9}
    )
    nlp = make_ensemble(member_dirs)
    nlp.get_pipe("textcat").set_members(members, names=member_dirs)
    first, second = (member(TEXTS[0]).cats for member in members)
    wanted = {label: pytest.approx((first[label] + second[label]) / 2) for label in tiny.LABELS}
    assert nlp(TEXTS[0]).cats == wanted
    pipe.set_abstaining("coverage", zero_scores=True)
    assert set(members[0](TEXTS[0]).cats.values()) == {0.0}
    assert nlp(TEXTS[0]).cats == wanted
