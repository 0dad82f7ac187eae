"""Mean vectors of languages, from texts without labels, that a frozen pipeline takes off."""

import numpy
import pytest
import spacy
import tiny
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam

from spacy_xlt.components.centring import MAX_TEXTS, MIN_TEXTS, read_languages
from spacy_xlt.corpora.layout import Row, rows_to_docbin
from spacy_xlt.languages import set_doc_language

FROZEN = {"freeze": "encoder"}
TEXTS = ["we want pizza today", "", "这里有taxi吗", "jazz " * 100]


def texts_of(lang):
    words = [word for label in tiny.LABELS for word in tiny.WORDS[label]]
    return [sentence.format(word) for sentence in tiny.SENTENCES[lang] for word in words]


@pytest.fixture
def write(tmp_path):
    """Writes a corpus without labels, of pairs of a language and texts."""

    def write(*parts):
        path = tmp_path / "texts"
        path.mkdir(exist_ok=True)
        for i, (lang, texts) in enumerate(parts):
            rows = [Row(text, {}, lang) for text in texts]
            rows_to_docbin(rows).to_disk(path / f"{i}.spacy")
        return path

    return write


def initialize(nlp, **settings):
    nlp.config["initialize"]["components"] = {"textcat": settings}
    nlp.initialize(lambda: tiny.make_examples(nlp, ["en"]))
    return nlp


@pytest.fixture
def path(write):
    return write(*((lang, texts_of(lang)) for lang in ("de", "sw", "zh")))


def embed(nlp, texts):
    return nlp.get_pipe("textcat").embed([nlp.make_doc(text) for text in texts])


def scores(nlp):
    return numpy.array([list(doc.cats.values()) for doc in nlp.pipe(TEXTS)])


def test_languages_have_one_centre(make_nlp, path):
    """What is left of a language's vectors has no common direction, or hardly any."""
    apart, together = (
        [embed(nlp, texts_of(lang)).mean(axis=0) for lang in ("en", "de", "sw", "zh")]
        for nlp in (
            initialize(make_nlp(model=FROZEN)),
            initialize(make_nlp(model=FROZEN), centre_texts=str(path)),
        )
    )
    spread = [numpy.ptp(numpy.stack(means), axis=0).max() for means in (apart, together)]
    assert max(abs(mean).max() for mean in together) < 0.1 < max(abs(mean).max() for mean in apart)
    assert spread[1] < spread[0]


def test_it_works_as_before(make_nlp, path, tmp_path):
    nlp = initialize(make_nlp(model={**FROZEN, "neighbours": 3}), centre_texts=str(path))
    examples = tiny.make_examples(nlp, ["en"])
    for _ in range(3):
        nlp.update(examples, sgd=Adam(1e-3))
    assert tiny.accuracy(nlp, ["en"]) == 1.0
    nlp.to_disk(tmp_path / "nlp")
    numpy.testing.assert_allclose(scores(spacy.load(tmp_path / "nlp")), scores(nlp), atol=1e-6)
    assert numpy.isfinite(scores(nlp)).all()
    assert not embed(nlp, [""]).any()  # nothing is not made something


def test_a_stage_that_leaves_the_encoder_keeps_them(make_nlp, path, tmp_path):
    first = initialize(make_nlp(model=FROZEN), centre_texts=str(path))
    first.to_disk(tmp_path / "first")
    wanted = first.get_pipe("textcat")._shim.centres.means
    for freeze, kept in (("encoder", True), ("half", False)):
        nlp = make_nlp(model={"freeze": freeze})
        initialize(nlp, start_from=str(tmp_path / "first"))
        centres = nlp.get_pipe("textcat")._shim.centres
        assert (centres is not None and bool((centres.means == wanted).all())) == kept
    again = initialize(make_nlp(model=FROZEN), start_from=str(tmp_path / "first"))
    numpy.testing.assert_allclose(scores(again), scores(first), atol=1e-6)
    # anew, from vectors that nothing was taken off
    more = {"start_from": str(tmp_path / "first"), "centre_texts": str(path)}
    anew = initialize(make_nlp(model=FROZEN), **more).get_pipe("textcat")._shim.centres
    numpy.testing.assert_allclose(anew.means, wanted, atol=1e-6)


def test_an_encoder_that_is_trained_has_none(make_nlp, path):
    for freeze in ("none", "half", "embeddings"):
        with pytest.raises(ValueError, match=r"centre_texts of 'textcat' is .*Set freeze to 'enco"):
            initialize(make_nlp(model={"freeze": freeze}), centre_texts=str(path))


def test_pipelines_with_other_centres_do_not_share_an_encoder(make_nlp, path):
    one, two, three = (
        initialize(make_nlp(model=FROZEN), **settings).get_pipe("textcat")
        for settings in ({}, {"centre_texts": str(path)}, {"centre_texts": str(path)})
    )
    assert not one.share_encoder(two) and not two.share_encoder(one)
    assert two.share_encoder(three)


def test_gradients_do_not_explain_it(make_nlp, path):
    nlp = initialize(make_nlp(model=FROZEN), centre_texts=str(path))
    with pytest.raises(ValueError, match=r"mean is taken off \(centre_texts\), by leaps"):
        nlp.get_pipe("textcat").attribute([nlp.make_doc("pizza")], ["food"])


def test_a_head_on_the_encoder_of_another(make_nlp, path):
    """It sees vectors as their owner gives them, and has no centres of its own."""
    nlp = make_nlp(name="topic", model=FROZEN)
    shared = {"@architectures": "spacy_xlt.SharedEncoder.v1", "upstream": "topic"}
    nlp.add_pipe("xlt_textcat", name="kind", config={"model": shared})
    settings = {"topic": {"centre_texts": str(path)}, "kind": {"centre_texts": str(path)}}
    nlp.config["initialize"]["components"] = settings
    with pytest.raises(ValueError, match="centre_texts of 'kind' is .* or belongs to another comp"):
        nlp.initialize(lambda: tiny.make_examples(nlp, ["en"]))
    nlp.config["initialize"]["components"] = {"topic": settings["topic"]}
    nlp.initialize(lambda: tiny.make_examples(nlp, ["en"]))
    assert tiny.accuracy(nlp, ["en"]) == 1.0 and numpy.isfinite(scores(nlp)).all()


# -- texts ----------------------------------------------------------------------------------


def example(text, lang):
    doc = Doc(spacy.blank("xx").vocab, words=[text], spaces=[False])
    set_doc_language(doc, lang)
    return Example(doc.copy(), doc)


def test_texts_are_those_of_both(write):
    sw = [f"sw {i}" for i in range(20)]
    path = write(("sw", [*sw, *sw, " "]), ("en", ["other"]), ("de", ["zwei", "drei"]))
    with pytest.warns(UserWarning, match=r"fewer than 10 texts in .*: de 2\. Give more"):
        found = read_languages(path, [example("a b", "en"), example("c", "")], name="textcat")
    assert found == {"sw": sw, "en": ["other", "a b"], "": ["c"]}


def test_very_many_texts_are_thinned_out_evenly(write):
    path = write(("sw", [str(i) for i in range(5 * MAX_TEXTS)]))
    found = read_languages(path, [], name="textcat")["sw"]
    assert found == [str(5 * i) for i in range(MAX_TEXTS)]


def test_texts_that_tell_nothing(write):
    few = write(("sw", ["a"] * MIN_TEXTS), ("de", ["b", ""]))
    with pytest.raises(ValueError, match=r"has 10 texts or more\. Texts in others: de 1, sw 1\."):
        read_languages(few, [], name="textcat")
    with pytest.raises(ValueError, match=r"Texts in others: none\."):
        read_languages(few, [example("c", "sw"), example("c", "de")], name="textcat")
    unknown = write(("", [str(i) for i in range(30)]), ("sw", []))
    with pytest.raises(ValueError, match=r"30 texts of .* have no language, so they belong to no"):
        read_languages(unknown, [], name="textcat")
    with pytest.raises(ValueError, match="There is no corpus at"):
        read_languages(unknown / "missing", [], name="textcat")
