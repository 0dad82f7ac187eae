import numpy
import pytest
import spacy

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
    trained.get_pipe("textcat").set_temperatures({"": 2.0, "swh": 4.0})
    for lang, temperature in (("", 2.0), ("de", 2.0), ("sw", 4.0), ("swh", 4.0), ("no tag!", 2.0)):
        after = cats(trained, lang)
        assert logits(after) == pytest.approx(logits(before) / temperature, abs=1e-4)
        assert sum(after.values()) == pytest.approx(1.0)
        assert max(after, key=after.get) == max(before, key=before.get)
    trained.get_pipe("textcat").set_temperatures({})
    assert cats(trained) == before


def test_without_one_for_others_they_stay_as_they_are(trained):
    before = cats(trained, "de")
    trained.get_pipe("textcat").set_temperatures({"sw": 3.0})
    assert cats(trained, "de") == pytest.approx(before)
    assert cats(trained, "sw") != pytest.approx(before)


def test_one_batch_of_several_languages(trained):
    trained.get_pipe("textcat").set_temperatures({"": 1.5, "de": 3.0})
    langs = ["de", "", "fr", "de"]
    docs = [trained.make_doc(TEXT) for _ in langs]
    for doc, lang in zip(docs, langs, strict=True):
        doc._.xlt_lang = lang
    found = [doc.cats for doc in trained.pipe(docs)]
    for lang, one in zip(langs, found, strict=True):
        assert one == pytest.approx(cats(trained, lang), abs=1e-6)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_temperature(trained, value):
    with pytest.raises(ValueError, match="allowed are numbers above 0"):
        trained.get_pipe("textcat").set_temperatures({"de": value})
    with pytest.raises(ValueError, match="is not a language tag"):
        trained.get_pipe("textcat").set_temperatures({"nonsense!": 1.0})


def test_they_are_stored_and_forgotten_by_training(trained, tmp_path, trained_dir):
    pipe = trained.get_pipe("textcat")
    pipe.set_temperatures({"": 1.5, "de": 3.0})
    expected = cats(trained, "de")
    trained.to_disk(tmp_path / "calibrated")
    loaded = spacy.load(tmp_path / "calibrated")
    assert cats(loaded, "de") == expected
    from tiny import make_examples

    examples = make_examples(loaded)
    loaded.get_pipe("textcat").initialize(
        lambda: examples, nlp=loaded, start_from=tmp_path / "calibrated"
    )
    assert loaded.get_pipe("textcat").cfg["temperatures"] == {}
