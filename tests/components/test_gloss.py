import pytest
import spacy
import tiny
from test_translate import make_doc

from spacy_xlt.components.gloss import XltGloss
from spacy_xlt.detection import REQUIREMENT as DETECTOR
from spacy_xlt.translation.freedict import Pair
from spacy_xlt.translation.glosses import REQUIREMENT, make_gloss_lexicon

PAIRS = {
    "ku": [("derya", "sea"), ("derya", "ocean"), ("stran", "opera")],
    "sw": [("chakula", "pizza")],
}


@pytest.fixture
def lexicons():
    return [
        make_gloss_lexicon([Pair(*pair) for pair in pairs], lang, "en")
        for lang, pairs in PAIRS.items()
    ]


@pytest.fixture
def pipe(lexicons):
    pipe = XltGloss("gloss")
    pipe.set_lexicons(lexicons)
    return pipe


@pytest.fixture
def glossed(trained, lexicons):
    """The trained pipeline with the lexicons before its classifier."""
    trained.add_pipe("xlt_gloss", name="gloss", before="textcat").set_lexicons(lexicons)
    return trained


ROWS = [
    *(("Li deryayê", "ku"), ("chakula", "sw"), ("sea", "en"), ("derya", ""), ("derya", "de")),
    *((" \n", "ku"), ("xyz", "ku"), ("", "sw")),
]
GLOSSES = ["Li sea", "pizza", "", "", "", "", "xyz", ""]


def test_known_words_are_translated_and_both_texts_count(pipe):
    nlp = spacy.blank("xx")
    for size in (1, 3, 100):
        docs = [make_doc(nlp, *row) for row in ROWS]
        assert [doc._.xlt_translation for doc in pipe.pipe(docs, batch_size=size)] == GLOSSES
        shares = [doc._.xlt_translation_share for doc in docs]
        assert shares == [0.5 if gloss else 1.0 for gloss in GLOSSES]
    assert [pipe(make_doc(nlp, *row))._.xlt_translation for row in ROWS] == GLOSSES


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5])
def test_shares_that_are_none(share):
    for factory, config in (("xlt_gloss", {}), ("xlt_translate", {"translators": {}})):
        with pytest.raises(ValueError, match=r"share is .*; allowed is above 0, up to 1"):
            spacy.blank("xx").add_pipe(factory, config={**config, "share": share})


def test_without_lexicons_it_says_so(lexicons):
    nlp = spacy.blank("xx")
    pipe = nlp.add_pipe("xlt_gloss")
    with pytest.raises(ValueError, match="'xlt_gloss' has no lexicons. Add them with: python -m"):
        nlp("derya")
    with pytest.raises(ValueError, match="go into no language"):
        pipe.set_lexicons([])
    with pytest.raises(ValueError, match="allowed is one for each language"):
        pipe.set_lexicons([*lexicons, lexicons[0]])
    assert pipe.lexicons == []


def geometric_mean(first, second, share):
    """Of two documents' probabilities, written out."""
    products = {label: first[label] ** (1 - share) * second[label] ** share for label in first}
    return {label: value / sum(products.values()) for label, value in products.items()}


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_the_answer_is_the_geometric_mean_of_both_texts(glossed, share):
    glossed.get_pipe("gloss").share = share
    foreign, gloss, plain = (glossed(text).cats for text in ("deryayê stran", "sea opera", "taxi"))
    docs = [make_doc(glossed, "deryayê stran", "ku"), make_doc(glossed, "taxi", "ku")]
    expected = geometric_mean(foreign, gloss, share)
    assert glossed(docs[0]).cats == pytest.approx(expected, abs=1e-5)
    # A text of which nothing is known keeps its answer.
    assert glossed(docs[1]).cats == pytest.approx(plain, abs=1e-5)
    rows = [("taxi", "en"), ("deryayê stran", "ku"), ("", "ku"), ("taxi", "ku")] * 3
    piped = [doc.cats for doc in glossed.pipe([make_doc(glossed, *row) for row in rows])]
    alone = [glossed(make_doc(glossed, *row)).cats for row in rows]
    for cats, own in zip(piped, alone, strict=True):
        assert cats == pytest.approx(own, abs=1e-4)
    assert piped[1] == pytest.approx(expected, abs=1e-4)


def test_with_labels_that_do_not_exclude_each_other_odds_are_averaged(make_nlp):
    nlp = make_nlp("xlt_textcat_multilabel")
    examples = tiny.make_examples(nlp)
    nlp.initialize(lambda: examples)
    foreign, gloss = (nlp(text).cats for text in ("taxi", "pizza"))
    doc = nlp.make_doc("taxi")
    doc._.xlt_translation, doc._.xlt_translation_share = "pizza", 0.5
    for label, p in nlp(doc).cats.items():
        odds = [q / (1 - q) for q in (foreign[label], gloss[label])]
        assert p / (1 - p) == pytest.approx((odds[0] * odds[1]) ** 0.5, rel=1e-3)


def test_it_carries_its_lexicons(glossed, tmp_path):
    row = ("Deryayê stran", "ku")
    cats = glossed(make_doc(glossed, *row)).cats
    glossed.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved")
    assert loaded(make_doc(loaded, *row)).cats == pytest.approx(cats, abs=1e-6)
    pipe = loaded.get_pipe("gloss")
    assert [lexicon.pairs() for lexicon in pipe.lexicons] == [
        lexicon.pairs() for lexicon in glossed.get_pipe("gloss").lexicons
    ]
    copy = XltGloss("gloss").from_bytes(pipe.to_bytes())
    assert copy(make_doc(loaded, *row))._.xlt_translation == "Sea opera"
    assert XltGloss("gloss").from_bytes(XltGloss("gloss").to_bytes()).lexicons == []
    assert (
        REQUIREMENT in loaded.meta["requirements"] and DETECTOR not in loaded.meta["requirements"]
    )


def test_an_ensemble_behind_it_reads_both_texts(glossed, trained_dir):
    """Also a member that gets copies of the Docs, since a component comes before its classifier."""
    row = ("deryayê stran", "ku")
    cats = glossed(make_doc(glossed, *row)).cats
    members = [spacy.load(trained_dir), spacy.load(trained_dir)]
    members[1].add_pipe("xlt_language", first=True)
    nlp = spacy.blank("xx")
    ensemble = nlp.add_pipe("xlt_ensemble")
    ensemble.set_members(members, names=["a", "b"])
    nlp.add_pipe("xlt_gloss", first=True).set_lexicons(glossed.get_pipe("gloss").lexicons)
    assert nlp(make_doc(nlp, *row)).cats == pytest.approx(cats, abs=1e-4)


def test_a_text_of_a_hundred_thousand_characters(glossed):
    doc = glossed(make_doc(glossed, "deryayê stran " * 8_000, "ku"))
    assert doc._.xlt_translation.startswith("sea opera sea") and sum(doc.cats.values()) > 0.99
