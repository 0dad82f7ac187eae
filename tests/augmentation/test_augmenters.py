import pytest
import spacy
import tiny
from spacy.training import Example

from spacy_xlt.augmentation.augmenters import create_code_switch_v1, create_word_translate_v1
from spacy_xlt.corpora.reader import create_corpus_v1
from spacy_xlt.languages import set_doc_language
from spacy_xlt.translation.freedict import Pair
from spacy_xlt.translation.lexicon import WordLexicon

TEXT = "we want pizza today"
CREATE = {
    "spacy_xlt.code_switch.v1": create_code_switch_v1,
    "spacy_xlt.word_translate.v1": create_word_translate_v1,
}


def make_lexicon(to_lang="sw", from_lang="en", suffix=None):
    words = ["we", "want", "today", "is", "there", "here", "for", "everybody"]
    suffix = to_lang if suffix is None else suffix
    pairs = [Pair(word, word + suffix) for word in words]
    return WordLexicon(pairs, from_lang=from_lang, to_lang=to_lang, lemmas=False)


LEXICONS = [make_lexicon(lang) for lang in ("de", "sw", "yo")]


@pytest.fixture
def nlp():
    return spacy.blank("xx")


def make_example(nlp, text=TEXT, *, lang="en", weight=1.0, cats=None):
    reference = nlp.make_doc(text)
    reference.cats = {"food": 1.0, "music": 0.0} if cats is None else cats
    reference._.xlt_weight = weight
    reference.user_data["xlt_id"] = "7"
    set_doc_language(reference, lang)
    return Example(nlp.make_doc(text), reference)


def texts(examples):
    return [eg.reference.text for eg in examples]


@pytest.fixture(params=CREATE)
def create(request):
    """The registered function, with lexicons."""
    function = spacy.registry.augmenters.get(request.param)
    assert function is CREATE[request.param]
    return lambda **settings: function(**{"lexicons": LEXICONS, **settings})


def test_the_original_is_kept_and_comes_first(nlp, create):
    example = make_example(nlp)
    augmented = list(create(copies=5)(nlp, example))
    assert augmented[0] is example and len(augmented) > 2
    assert len(set(texts(augmented))) == len(augmented)
    assert all("pizza" in text for text in texts(augmented))


def test_a_copy_has_labels_weight_id_and_language_of_its_original(nlp, create):
    """No target label was seen, so no target language may be recorded."""
    example = make_example(nlp, weight=2.0)
    _, copy = create(weight=0.25)(nlp, example)
    assert copy.reference.cats == example.reference.cats
    assert copy.reference.cats is not example.reference.cats
    assert copy.reference._.xlt_weight == 0.5 and example.reference._.xlt_weight == 2.0
    assert copy.reference._.xlt_lang == copy.predicted._.xlt_lang == "en"
    assert copy.reference.user_data["xlt_id"] == "7"
    assert copy.predicted.text == copy.reference.text and copy.predicted.cats == {}


def test_nothing_is_added_where_nothing_changes(nlp, create):
    example = make_example(nlp)
    assert list(create(rate=0.0, copies=3)(nlp, example)) == [example]
    assert list(create(copies=0)(nlp, example)) == [example]
    unknown = make_example(nlp, "pizza, 水")
    assert list(create(copies=3)(nlp, unknown)) == [unknown]
    empty = make_example(nlp, "")
    assert list(create(copies=3)(nlp, empty)) == [empty]


def test_other_languages_and_texts_without_labels_get_no_copies(nlp, create):
    augment = create()
    assert len(list(augment(nlp, make_example(nlp, lang="de")))) == 1
    assert len(list(augment(nlp, make_example(nlp, cats={})))) == 1
    assert len(list(augment(nlp, make_example(nlp, lang="")))) == 2


def test_a_seed_and_a_text_give_the_same_copies_in_any_order(nlp, create):
    examples = [make_example(nlp, text) for text in (TEXT, "is pizza there for everybody")]
    augment = create(rate=0.5, copies=4)
    both = [texts(augment(nlp, eg)) for eg in examples]
    assert [texts(create(rate=0.5, copies=4)(nlp, eg)) for eg in reversed(examples)] == both[::-1]
    assert texts(augment(nlp, examples[0])) == both[0]
    assert texts(create(rate=0.5, copies=4, seed=1)(nlp, examples[0])) != both[0]
    # Fewer copies are the first of more.
    assert both[0][:2] == texts(create(rate=0.5, copies=4)(nlp, examples[0]))[:2]


def test_word_translation_is_into_one_language_per_copy(nlp):
    augment = create_word_translate_v1(lexicons=LEXICONS, copies=3)
    copies = texts(augment(nlp, make_example(nlp)))[1:]
    expected = {f"we{lang} want{lang} pizza today{lang}" for lang in ("de", "sw", "yo")}
    assert set(copies) == expected
    # More copies than languages begin again; at rate 1 they are the same, and left out.
    more = create_word_translate_v1(lexicons=LEXICONS, copies=7)
    assert set(texts(more(nlp, make_example(nlp)))[1:]) == expected


def test_code_switching_mixes_languages(nlp):
    augment = create_code_switch_v1(lexicons=LEXICONS, rate=1.0, copies=20)
    words = {word for text in texts(augment(nlp, make_example(nlp)))[1:] for word in text.split()}
    langs = ("de", "sw", "yo")
    assert words == {"pizza", *(w + lang for w in ("we", "want", "today") for lang in langs)}


def test_synonyms_are_a_lexicon_into_the_same_language(nlp):
    synonyms = make_lexicon("en", suffix="ish")
    augment = create_word_translate_v1(lexicons=synonyms)
    assert texts(augment(nlp, make_example(nlp)))[1:] == ["weish wantish pizza todayish"]


def test_a_corpus_is_read_with_it(nlp, corpus_dir):
    augment = create_word_translate_v1(lexicons=LEXICONS, copies=2, weight=0.5)
    read = create_corpus_v1(path=str(corpus_dir / "train.spacy"), augmenter=augment)
    examples = list(read(nlp))
    assert len(examples) == 3 * 27
    assert {eg.reference._.xlt_lang for eg in examples} == {"en"}
    assert texts(read(nlp)) == texts(examples)
    # Documents are counted before they are augmented.
    limited = create_corpus_v1(
        path=str(corpus_dir / "train.spacy"), augmenter=augment, limit=2, langs=["en"]
    )
    assert texts(limited(nlp)) == texts(examples)[:6]


def test_languages_recorded_after_training_are_the_source(make_nlp):
    nlp = make_nlp()
    augment = create_word_translate_v1(lexicons=LEXICONS)
    examples = [copy for eg in tiny.make_examples(nlp) for copy in augment(nlp, eg)]
    assert len(examples) == 2 * 27
    nlp.initialize(lambda: examples)
    cfg = nlp.get_pipe("textcat").cfg
    assert cfg["train_langs"] == ["en"] and cfg["tuned_langs"] == []


def test_what_belongs_to_a_place_in_the_text_is_not_copied(nlp, create):
    example = make_example(nlp)
    example.reference.user_data["._.", "note", 3, 7] = "want"
    _, copy = create()(nlp, example)
    assert ("._.", "note", 3, 7) not in copy.reference.user_data
    assert copy.reference.user_data["._.", "xlt_lang", None, None] == "en"


def test_lexicons_of_another_language_than_all_texts_are_a_warning(create):
    foreign = [("wir wollen pizza", "de"), ("nous voulons", "fr"), ("wir wollen", "de")]
    with pytest.warns(UserWarning, match="None of the 3 documents is in English, .*German, French"):
        create().prepare(foreign)
    create().prepare([*foreign, ("we want pizza today", "")])


def test_a_lexicon_that_knows_hardly_a_word_is_a_warning(create):
    useless = WordLexicon([Pair("x", "y")], from_lang="en", to_lang="fr", lemmas=False)
    augment = create(lexicons=[make_lexicon(), useless])
    texts = [("wir wollen", "de"), *[("we want pizza", "en")] * 1000]
    with pytest.warns(UserWarning, match=r"English into French knows 0 of the 1,002 words .*\(0.0"):
        augment.prepare(texts)
    # It is said once.
    augment.prepare(texts)


def test_few_texts_are_judged_too(create):
    useless = WordLexicon([Pair("x", "y")], from_lang="en", to_lang="fr", lemmas=False)
    with pytest.warns(UserWarning, match="knows 0 of the 3 words looked at"):
        create(lexicons=useless).prepare([("we want pizza", "en")])
    create(lexicons=useless).prepare([(" ", "en"), ("", "")])
    create(lexicons=useless).prepare([])


def test_a_lexicon_in_the_wrong_direction_is_an_error(nlp, create, corpus_dir):
    pairs = [Pair(pair.translation, pair.headword) for pair in make_lexicon().pairs()]
    reversed_lexicon = WordLexicon(pairs, from_lang="en", to_lang="sw", lemmas=False)
    message = "wrong direction. Turn it round with: .* convert OLD/NAME.tsv NEW/NAME.tsv --invert"
    with pytest.raises(ValueError, match=message):
        create(lexicons=reversed_lexicon).prepare([("we want pizza " * 5, "en")])
    read = create_corpus_v1(
        path=str(corpus_dir / "train.spacy"), augmenter=create(lexicons=reversed_lexicon)
    )
    with pytest.raises(ValueError, match=message):
        next(read(nlp))


def test_names_of_both_languages_are_no_wrong_direction(create):
    lexicon = WordLexicon(
        [Pair("bird", "pizza"), Pair("sea", "radio")], from_lang="en", to_lang="sw", lemmas=False
    )
    with pytest.warns(UserWarning, match="less than 1 %"):
        create(lexicons=lexicon).prepare([("we want pizza and a radio here", "en")])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 1.1}, "rate is 1.1; allowed is 0 to 1"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"copies": -1}, "copies is -1; allowed is 0 or more"),
        ({"weight": -0.5}, "weight is -0.5; allowed is any number from 0"),
        ({"weight": float("inf")}, "weight is inf"),
        ({"lexicons": []}, "lexicons is an empty list"),
        (
            {"lexicons": [make_lexicon(), make_lexicon(from_lang="de")]},
            "lexicons are of words in de, en; allowed is one language. Set from_lang",
        ),
    ],
)
def test_settings_out_of_range_are_named(create, settings, message):
    with pytest.raises(ValueError, match=message):
        create(**settings)
