import numpy
import pytest

from spacy_xlt.components import ngram_fit
from spacy_xlt.components.gold import Gold, Labelled
from spacy_xlt.components.ngram_fit import fit_ngrams, measure_shares

WORDS = {"food": "pizza sushi", "music": "jazz opera", "travel": "taxi hotel"}
N_LABELS = len(WORDS)


def make_labelled(n_texts, langs=("sw", "yo"), *, seed=0):
    """Texts with a word that tells their label, in each language another one."""
    rng = numpy.random.default_rng(seed)
    labels = rng.integers(N_LABELS, size=n_texts)
    own = [langs[i % len(langs)] for i in range(n_texts)]
    words = [text.split() for text in WORDS.values()]
    texts = [
        f"{lang}{rng.integers(9)} {words[label][langs.index(lang) % 2]} {rng.integers(99)}"
        for lang, label in zip(own, labels, strict=True)
    ]
    targets = numpy.eye(N_LABELS, dtype="f")[labels]
    ones = numpy.ones(n_texts, dtype="f")
    return Labelled(texts, Gold(targets, numpy.ones_like(targets), ones), own)


def right_in(*langs):
    """A head that is right in some languages and in the others as sure of the next label."""

    def answer(learned, judged):
        shift = [0 if lang in langs else 1 for lang in judged.langs]
        rows = zip(judged.gold.targets, shift, strict=True)
        return numpy.stack([8.0 * numpy.roll(row, by) - 4.0 for row, by in rows])

    return answer


@pytest.mark.parametrize("exclusive", [True, False])
def test_each_language_gets_its_own(exclusive):
    labelled = make_labelled(120)
    shares = measure_shares(labelled, {"sw", "yo"}, right_in("sw"), exclusive=exclusive, share=0.4)
    assert shares["sw"] < 0.4 < shares["yo"]
    again = measure_shares(labelled, {"sw", "yo"}, right_in("sw"), exclusive=exclusive, share=0.4)
    assert again == shares


def test_only_languages_that_are_asked_for_are_judged():
    seen = []

    def answer(learned, judged):
        seen.append((learned, judged))
        return right_in()(learned, judged)

    labelled = make_labelled(53, ("sw", "yo", "en"))
    shares = measure_shares(labelled, {"sw", "yo"}, answer, exclusive=True, share=0.4)
    assert set(shares) == {"sw", "yo"}
    asked = [i for i, lang in enumerate(labelled.langs) if lang != "en"]
    wanted = labelled.select(asked).texts
    assert sorted(text for _, judged in seen for text in judged.texts) == sorted(wanted)
    for learned, judged in seen:
        assert sorted([*learned.texts, *judged.texts]) == sorted(labelled.texts)


def test_translations_of_judged_texts_are_not_learned_from():
    """The same texts in two languages tell n-grams nothing new, if labels do not depend on them."""
    labelled = make_labelled(60, ("sw",))
    noise = numpy.random.default_rng(1).permutation(60)
    gold = labelled.gold.select(noise.tolist())
    twice = Labelled(
        labelled.texts * 2,
        Gold(*(numpy.concatenate([v] * 2) for v in (gold.targets, gold.known, gold.weights))),
        ["sw"] * 60 + ["yo"] * 60,
    )
    once = Labelled(labelled.texts, gold, ["sw"] * 60)
    alone, both = (
        measure_shares(data, {"sw"}, right_in("sw"), exclusive=True, share=0.4)["sw"]
        for data in (once, twice)
    )
    assert both == pytest.approx(alone, abs=1e-6)


def test_of_many_texts_some_are_judged(monkeypatch):
    judged = []

    def answer(learned, held):
        judged.append(len(held.texts))
        return right_in()(learned, held)

    labelled = make_labelled(100)
    for enough, wanted in ((1, [20]), (20, [20]), (21, [20] * 2), (1000, [20] * 5)):
        judged.clear()
        monkeypatch.setattr(ngram_fit, "N_JUDGED", enough)
        measure_shares(labelled, {"sw", "yo"}, answer, exclusive=True, share=0.4)
        assert judged == wanted


@pytest.mark.parametrize("n_texts", [1, 2, 3, 7])
def test_few_texts(n_texts):
    labelled = make_labelled(n_texts, ("sw",))
    shares = measure_shares(labelled, {"sw"}, right_in("sw"), exclusive=True, share=0.4)
    assert 0.1 < shares["sw"] < 0.5


def test_ngrams_of_labelled_texts():
    labelled = make_labelled(30)
    found = fit_ngrams(labelled, exclusive=True)(labelled.texts).numpy()
    assert (found.argmax(axis=1) == labelled.gold.targets.argmax(axis=1)).all()
