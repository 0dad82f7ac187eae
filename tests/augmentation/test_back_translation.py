import pytest
import spacy
import tiny
from fake_translators import FakeTranslator
from spacy.vocab import Vocab

from spacy_xlt.augmentation.back_translation import create_back_translate_v1
from spacy_xlt.corpora.reader import create_corpus_v1


def make_way(**settings):
    """Into German and back: what returns is in capitals."""
    there = FakeTranslator("en", "de", **settings)
    back = FakeTranslator("de", "en", translate_one=lambda text: text.removeprefix("de:").upper())
    return there, back


def augment(augmenter, text="one house", lang="en", cats=None):
    nlp = spacy.blank("xx")
    doc = tiny.make_doc(text, Vocab(), {"A": 1.0} if cats is None else cats)
    doc._.xlt_lang = lang
    doc.user_data["xlt_id"] = "7"
    example = spacy.training.Example(nlp.make_doc(text), doc)
    return list(augmenter(nlp, example))


def test_the_original_stays_and_a_copy_follows():
    there, back = make_way()
    first, copy = augment(create_back_translate_v1(there=there, back=back, weight=0.5))
    assert first.reference.text == "one house" and first.reference._.xlt_weight == 1.0
    assert copy.reference.text == copy.predicted.text == "ONE HOUSE"
    assert copy.reference.cats == {"A": 1.0} and copy.reference.user_data["xlt_id"] == "7"
    assert copy.reference._.xlt_lang == "en" and copy.reference._.xlt_weight == 0.5


@pytest.mark.parametrize(
    "settings",
    [{"lang": "de"}, {"cats": {}}, {"text": "\n"}, {"text": "ONE"}],
    ids=["another language", "no labels", "blank", "comes back as it was"],
)
def test_documents_that_get_no_copy(settings):
    there, back = make_way()
    assert len(augment(create_back_translate_v1(there=there, back=back), **settings)) == 1


def test_what_is_lost_on_the_way_is_no_copy():
    there, back = make_way(translate_one=lambda text: "")
    augmenter = create_back_translate_v1(there=there, back=back)
    assert len(augment(augmenter)) == 1 and back.calls == [[]]
    with pytest.raises(ValueError, match="'fake:en-de' returned 0 texts for 1, so it is unclear"):
        augment(create_back_translate_v1(there=make_way(n_lost=1)[0], back=back))


def test_the_choice_is_seeded_and_at_a_rate():
    there, back = make_way()

    def choose(rate, seed):
        augmenter = create_back_translate_v1(there=there, back=back, rate=rate, seed=seed)
        return [len(augment(augmenter, text=f"text {i}")) == 2 for i in range(100)]

    half = choose(0.5, 0)
    assert 30 < sum(half) < 70 and choose(0.5, 0) == half != choose(0.5, 1)
    assert not any(choose(0.0, 0)) and all(choose(1.0, 0))


def test_a_corpus_is_translated_in_batches(corpus_dir):
    there, back = make_way()
    augmenter = create_back_translate_v1(there=there, back=back)
    reader = create_corpus_v1(path=str(corpus_dir / "train.spacy"), augmenter=augmenter)
    nlp = spacy.blank("xx")
    texts = [example.reference.text for example in reader(nlp)]
    assert len(texts) == 54 and texts[1] == texts[0].upper()
    assert [len(call) for call in there.calls] == [27]
    assert [example.reference.text for example in reader(nlp)] == texts and len(there.calls) == 1


def test_it_stands_in_configs(tmp_path):
    (tmp_path / "en-de.tsv").write_text("today\theute\n", encoding="utf8")
    (tmp_path / "de-en.tsv").write_text("heute\tnow\n", encoding="utf8")
    translators = {
        name: {
            "@misc": "spacy_xlt.LexiconTranslator.v1",
            "lexicon": {"@misc": "spacy_xlt.Lexicon.v1", "path": str(tmp_path / f"{langs}.tsv")},
        }
        for name, langs in (("there", "en-de"), ("back", "de-en"))
    }
    config = {"augmenter": {"@augmenters": "spacy_xlt.back_translate.v1", **translators}}
    augmenter = spacy.registry.resolve(config)["augmenter"]
    assert augment(augmenter, "pizza today")[1].reference.text == "pizza now"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"back": FakeTranslator("fr", "en")},
            "from 'fr' into 'en', which is no way there and back",
        ),
        ({"rate": 1.5}, "rate is 1.5; allowed is 0 to 1"),
        ({"weight": -1.0}, "weight is -1.0; allowed is any number from 0"),
    ],
)
def test_settings_out_of_range(settings, message):
    there, back = make_way()
    with pytest.raises(ValueError, match=message):
        create_back_translate_v1(**{"there": there, "back": back, **settings})
