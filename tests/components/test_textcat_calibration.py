import warnings

import numpy
import pytest
import spacy
import tiny
from thinc.api import Adam

TEXT = "we want pizza today"


def cats(nlp, lang=""):
    doc = nlp.make_doc(TEXT)
    doc._.xlt_lang = lang
    return nlp(doc).cats


def logits(scores):
    values = numpy.log(list(scores.values()))
    return values - values.mean()


def test_logits_are_divided_by_the_temperature_of_the_language(trained):
    before = cats(trained)
    trained.get_pipe("textcat").set_calibration({"temperatures": {"": 2.0, "swh": 4.0}})
    for lang, temperature in (("", 2.0), ("de", 2.0), ("sw", 4.0), ("swh", 4.0), ("no tag!", 2.0)):
        after = cats(trained, lang)
        assert logits(after) == pytest.approx(logits(before) / temperature, abs=1e-4)
        assert sum(after.values()) == pytest.approx(1.0)
        assert max(after, key=after.get) == max(before, key=before.get)
    trained.get_pipe("textcat").set_calibration({})
    assert cats(trained) == before


def test_without_one_for_others_they_stay_as_they_are(trained):
    before = cats(trained, "de")
    trained.get_pipe("textcat").set_calibration({"temperatures": {"sw": 3.0}})
    assert cats(trained, "de") == pytest.approx(before)
    assert cats(trained, "sw") != pytest.approx(before)


def test_one_batch_of_several_languages(trained):
    trained.get_pipe("textcat").set_calibration({"temperatures": {"": 1.5, "de": 3.0}})
    langs = ["de", "", "fr", "de"]
    docs = [trained.make_doc(TEXT) for _ in langs]
    for doc, lang in zip(docs, langs, strict=True):
        doc._.xlt_lang = lang
    found = [doc.cats for doc in trained.pipe(docs)]
    for lang, one in zip(langs, found, strict=True):
        assert one == pytest.approx(cats(trained, lang), abs=1e-6)


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        ({"temperatures": {"de": 0.0}}, "temperatures .* 0.0; allowed are numbers above 0"),
        ({"temperatures": {"de": -1.0}}, "allowed are numbers above 0"),
        ({"temperatures": {"de": float("nan")}}, "allowed are numbers above 0"),
        ({"temperatures": {"de": float("inf")}}, "allowed are numbers above 0"),
        ({"temperatures": {"nonsense!": 1.0}}, "is not a language tag"),
        ({"shifts": {"de": {"food": float("inf")}}}, "shifts .* inf; allowed are numbers"),
        ({"thresholds": {"de": {"food": 1.5}}}, "thresholds .* 1.5; allowed are 0 to 1"),
        ({"set_thresholds": {"": -0.1}}, "set_thresholds .* -0.1; allowed are 0 to 1"),
        ({"precision": 0.0}, "precision .* 0.0; allowed are numbers between 0 and 1"),
        ({"quantiles": {}}, r"no parts \['quantiles'\]; allowed are: temperatures, shifts"),
    ],
)
def test_what_is_no_calibration(trained, calibration, message):
    with pytest.raises(ValueError, match=message):
        trained.get_pipe("textcat").set_calibration(calibration)


def test_a_shift_is_added_to_the_logits_after_the_temperature(trained):
    before = cats(trained)
    trained.get_pipe("textcat").set_calibration(
        {"temperatures": {"": 2.0}, "shifts": {"de": {"music": 3.0}}}
    )
    assert logits(cats(trained)) == pytest.approx(logits(before) / 2.0, abs=1e-4)
    expected = logits(before) / 2.0
    expected[list(before).index("music")] += 3.0
    assert logits(cats(trained, "de")) == pytest.approx(expected - expected.mean(), abs=1e-4)


SURE_OF_FOOD = {"": {"food": 0.0}, "de": {"music": 0.0}}


def annotate(nlp, lang=""):
    doc = nlp.make_doc(TEXT)
    doc._.xlt_lang = lang
    return nlp(doc)


def test_nothing_is_decided_by_default(trained):
    trained.get_pipe("textcat").set_calibration({"thresholds": SURE_OF_FOOD})
    assert annotate(trained)._.xlt_decisions == {}


def test_abstaining_by_precision(trained):
    pipe = trained.get_pipe("textcat")
    pipe.set_calibration({"thresholds": SURE_OF_FOOD})
    before = cats(trained)
    pipe.set_abstaining("precision")
    assert annotate(trained, "fr")._.xlt_decisions["textcat"] == {"label": "food", "set": None}
    doc = annotate(trained, "de")
    assert doc._.xlt_decisions["textcat"] == {"label": None, "set": None}
    assert doc.cats == before
    pipe.set_abstaining("precision", zero_scores=True)
    assert annotate(trained, "de").cats == dict.fromkeys(pipe.labels, 0.0)
    assert annotate(trained, "fr").cats == before


def test_abstaining_by_coverage(trained):
    pipe = trained.get_pipe("textcat")
    pipe.set_calibration({"set_thresholds": {"": 1.0, "de": 0.0}})
    pipe.set_abstaining("coverage")
    assert annotate(trained)._.xlt_decisions["textcat"] == {"label": "food", "set": ["food"]}
    everything = {"label": None, "set": ["food", "music", "travel"]}
    assert annotate(trained, "de")._.xlt_decisions["textcat"] == everything


def test_abstaining_without_what_it_needs(trained):
    pipe = trained.get_pipe("textcat")
    with pytest.raises(ValueError, match="no thresholds were fitted. .* --precision 0.9"):
        pipe.set_abstaining("precision")
    with pytest.raises(ValueError, match="no set_thresholds were fitted. .* --coverage 0.9"):
        pipe.set_abstaining("coverage")
    with pytest.raises(ValueError, match="abstain is 'often'; allowed are: none, precision"):
        pipe.set_abstaining("often")
    with pytest.raises(ValueError, match="there are no such texts. Choose precision or coverage"):
        pipe.set_abstaining("none", zero_scores=True)


def test_a_new_label_is_not_given_by_precision(trained):
    pipe = trained.get_pipe("textcat")
    pipe.set_calibration({"thresholds": SURE_OF_FOOD, "shifts": {"": {"food": 0.1}}})
    pipe.set_abstaining("precision")
    pipe.add_label("weather")
    doc = annotate(trained)
    assert set(doc.cats) == {"food", "music", "travel", "weather"}
    assert doc._.xlt_decisions["textcat"]["label"] in ("food", None)


def test_no_and_empty_documents(trained):
    pipe = trained.get_pipe("textcat")
    pipe.set_calibration({"temperatures": {"": 2.0}, "set_thresholds": {"": 0.3}})
    pipe.set_abstaining("coverage")
    assert list(trained.pipe([])) == []
    assert trained("")._.xlt_decisions["textcat"]["set"]


def test_several_processes_and_docbins_keep_decisions(trained):
    from spacy.tokens import DocBin

    pipe = trained.get_pipe("textcat")
    pipe.set_calibration({"set_thresholds": {"": 0.0}})
    pipe.set_abstaining("coverage")
    docs = list(trained.pipe([TEXT] * 4, n_process=2, batch_size=2))
    assert [doc._.xlt_decisions["textcat"]["label"] for doc in docs] == [None] * 4
    stored = DocBin(docs=docs, store_user_data=True).to_bytes()
    (first, *_) = DocBin().from_bytes(stored).get_docs(trained.vocab)
    assert list(first._.xlt_decisions["textcat"]["set"]) == list(pipe.labels)


def test_independent_labels_have_a_threshold_each(make_ready):
    nlp = make_ready("xlt_textcat_multilabel", threshold=0.5)
    pipe = nlp.get_pipe("textcat")
    score = cats(nlp)
    bounds = {label: score[label] - 0.01 for label in ("food", "music")}
    pipe.set_calibration({"thresholds": {"": {**bounds, "travel": 1.0}}})
    pipe.set_abstaining("precision")
    assert annotate(nlp)._.xlt_decisions["textcat"] == {"label": ["food", "music"], "set": None}
    pipe.set_calibration({"set_thresholds": {"": 0.0}})
    pipe.set_abstaining("coverage")
    decision = annotate(nlp)._.xlt_decisions["textcat"]
    assert decision == {"label": None, "set": ["food", "music", "travel"]}


def test_scores_count_a_document_whose_scores_are_withheld_as_wrong(trained):
    from tiny import make_examples

    pipe = trained.get_pipe("textcat")
    scores = trained.evaluate(make_examples(trained, ["en"]))
    assert scores["cats_acc"] > 0.9 and "cats_selective" not in scores
    pipe.set_calibration({"thresholds": {"": {"food": 0.0}}})
    pipe.set_abstaining("precision", zero_scores=True)
    scores = trained.evaluate(make_examples(trained, ["en"]))
    assert scores["cats_acc"] == pytest.approx(1 / 3, abs=0.05)
    assert scores["cats_selective"]["share_answered"] == pytest.approx(1 / 3, abs=0.05)
    assert scores["cats_selective_by_lang"]["en"]["accuracy"] > 0.9


def test_they_are_stored_and_forgotten_by_training(trained, tmp_path, trained_dir):
    pipe = trained.get_pipe("textcat")
    pipe.set_calibration({"temperatures": {"": 1.5, "de": 3.0}, "set_thresholds": {"": 0.2}})
    pipe.set_abstaining("coverage", zero_scores=True)
    expected = cats(trained, "de")
    trained.to_disk(tmp_path / "calibrated")
    loaded = spacy.load(tmp_path / "calibrated")
    assert cats(loaded, "de") == expected
    assert loaded.get_pipe("textcat").cfg["abstain"] == "coverage"
    from tiny import make_examples

    examples = make_examples(loaded)
    loaded.get_pipe("textcat").initialize(
        lambda: examples, nlp=loaded, start_from=tmp_path / "calibrated"
    )
    assert loaded.get_pipe("textcat").cfg["calibration"] == {}


@pytest.mark.parametrize("how", ["calibration", "forecasts"])
def test_training_on_drops_what_was_fitted_to_the_weights_before(trained, how):
    nlp = spacy.blank("xx")
    nlp.add_pipe("textcat", source=trained)
    pipe = nlp.get_pipe("textcat")
    if how == "calibration":
        pipe.set_calibration({"temperatures": {"": 3.0}, "thresholds": {"": {}}})
        pipe.set_abstaining("precision")
    else:
        pipe.set_forecasts({"sw": {"accuracy": 0.5, "alarm": True, "reasons": []}})
    nlp.resume_training()
    optimizer = Adam(1e-4, use_averages=False)
    examples = tiny.make_examples(nlp, ["en", "sw"])
    with pytest.warns(UserWarning, match="'textcat' goes on training, so its calibration and fore"):
        nlp.update(examples, sgd=optimizer)
    assert pipe.cfg["calibration"] == {} and pipe.cfg["forecasts"] == {}
    assert pipe.cfg["abstain"] == "none"
    assert pipe.cfg["tuned_langs"] == ["sw"] and pipe.cfg["train_langs"] == ["en"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nlp.update(examples, sgd=optimizer)


def test_documents_that_teach_nothing_drop_nothing(trained):
    pipe = trained.get_pipe("textcat")
    pipe.set_calibration({"temperatures": {"": 3.0}})
    examples = tiny.make_examples(trained, ["sw"])[:2]
    for eg in examples:
        eg.reference.cats = {}
    trained.update(examples, sgd=trained.resume_training())
    assert pipe.cfg["calibration"] == {"temperatures": {"": 3.0}}
    assert pipe.cfg["tuned_langs"] == []
