import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from test_shim import TEXTS, stored_and_copied, train

from spacy_xlt.layers import ngrams
from spacy_xlt.layers.losses import LOSSES
from spacy_xlt.layers.ngrams import LENGTHS, STRENGTH, CharacterNgrams, count_ngrams

LEARNED = ["Pizza und Nudeln", "pizza  today", "Jazz heute", "jazz\ttonight", "Taxi!", "ein Taxi"]
LABELS = [0, 0, 1, 1, 2, 2]
ODD = ["", " \n", "x", "\ud800", "İSTANBUL", "e\u0301te\u0301", "ﬁ", "\U0001f600" * 3, "ሰላም ዓለም"]


def fit(texts=LEARNED, labels=LABELS, *, n_labels=3, exclusive=True, known=None, weights=None):
    targets = numpy.eye(n_labels, dtype="f")[labels]
    known = numpy.ones_like(targets) if known is None else known
    weights = numpy.ones(len(texts), dtype="f") if weights is None else weights
    return CharacterNgrams.of_texts(texts, targets, known, weights, loss=LOSSES[exclusive])


def test_as_scikit_learn_has_it():
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(2, 4), sublinear_tf=True)
    padded = [f" {' '.join(text.split())} " for text in LEARNED]
    features = vectorizer.fit_transform(padded)
    other = LogisticRegression(C=STRENGTH, tol=1e-8, max_iter=1000).fit(features, LABELS)
    found = fit()
    assert len(found.hashes) == features.shape[1]
    wanted = other.predict_proba(features)
    numpy.testing.assert_allclose(found(LEARNED).softmax(dim=1).numpy(), wanted, atol=2e-3)
    # of what is new to them all, nothing counts but the length
    new = "pizza wyvern"
    rarity = dict(zip(vectorizer.get_feature_names_out(), vectorizer.idf_, strict=True))
    unseen = 1.0 + numpy.log(1.0 + len(LEARNED))
    runs = padded_runs(new)
    values = {run: rarity.get(run, unseen) * (1 + numpy.log(runs.count(run))) for run in set(runs)}
    length = numpy.sqrt(sum(value**2 for value in values.values()))
    vector = numpy.array([values.get(n, 0.0) / length for n in vectorizer.get_feature_names_out()])
    wanted = other.predict_proba(vector[None])
    numpy.testing.assert_allclose(found([new]).softmax(dim=1).numpy(), wanted, atol=2e-3)


def padded_runs(text):
    text = f" {text} "
    return [text[i : i + n] for n in (2, 3, 4) for i in range(len(text) - n + 1)]


def test_spellings_of_the_same_text_are_one():
    found = fit()
    for one, other in (
        ("PIZZA und nudeln", "Pizza  und\nNudeln "),
        ("e\u0301te\u0301", "\u00e9t\u00e9"),
        ("ＰＩＺＺＡ", "pizza"),
    ):
        assert torch.equal(found([one]), found([other]))


@given(st.lists(st.text(max_size=40), max_size=5))
def test_ngrams_by_an_independent_count(texts):
    rows, hashes, counts = count_ngrams(texts)
    for row, text in enumerate(texts):
        codes, _ = ngrams._read(text)
        runs = [tuple(codes[i : i + n]) for n in LENGTHS for i in range(len(codes) - n + 1)]
        own = rows == row
        assert len(set(hashes[own].tolist())) == own.sum()
        assert counts[own].sum() == len(runs)
        assert own.sum() == len(set(runs))


@given(st.text(max_size=60))
def test_what_characters_add_is_the_logit(text):
    found = fit()
    direction = numpy.array([1.0, -0.5, 0.25])
    added = found.attribute(text, direction)
    wanted = (found([text])[0] - found.bias).detach().numpy() @ direction
    assert added.shape == (len(text),)
    assert added.sum() == pytest.approx(wanted, abs=1e-4)
    assert all(value == 0.0 for value, c in zip(added, text, strict=True) if c.isspace())


def test_the_word_that_decides_gets_the_weight():
    added = fit().attribute("ein jazz", numpy.array([0.0, 1.0, 0.0]))
    assert added[4:].sum() > 0.5 and added[:3].sum() < 0.0  # "ein" is a word of taxis


@pytest.mark.parametrize("text", ODD)
def test_odd_texts(text):
    assert fit([*LEARNED, text], [*LABELS, 0])([text]).isfinite().all()
    found = fit()
    assert found([text]).isfinite().all()
    torch.testing.assert_close(found([*LEARNED, text])[-1:], found([text]))


def test_no_texts_and_texts_without_a_letter():
    assert fit()([]).shape == (0, 3)
    empty = fit(["", " "], [0, 1], n_labels=2)
    assert empty(["pizza", ""]).isfinite().all() and len(empty.hashes) == 0
    assert empty.attribute("pizza", numpy.ones(2)).tolist() == [0.0] * 5


def test_what_is_unknown_counts_nothing():
    known = numpy.ones((6, 3), dtype="f")
    known[:, 2] = 0.0
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    for exclusive in (True, False):
        found = fit(known=known, exclusive=exclusive)
        assert found.sway(logits, ["Taxi"], share=0.5)[0, 2] == 3.0
    more = fit().select_labels([1, None, 0])
    swayed = more.sway(logits, ["pizza"], share=1.0)[0]
    assert swayed[1] == 2.0 and swayed[2] == fit()(["pizza"])[0, 0]
    assert torch.equal(fit().sway(logits, ["pizza"], share=0.0), logits)


def test_what_they_count_is_learned_from_texts_like_it():
    shares = numpy.array([0.9, 0.9, 0.2, 0.2, 0.5, 0.5])
    found = fit().fit_shares(LEARNED, shares, share=0.5)
    numpy.testing.assert_allclose(found.shares(LEARNED, share=0.5), shares, atol=0.06)
    pizza, jazz, new = found.shares(["Pizza!", "jazz?", "\u1200\u1201"], share=0.5)
    assert pizza > 0.6 and jazz < 0.4 and new == pytest.approx(0.5)
    # a setting that is changed afterwards is what counts where nothing is known
    assert found.shares(["\u1200"], share=0.3)[0] == pytest.approx(0.3)
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    swayed = found.sway(logits, ["Pizza!"], share=0.5)
    torch.testing.assert_close(
        swayed, torch.lerp(logits, found(["Pizza!"]), torch.tensor(pizza).float())
    )
    for share in (0.0, 1.0):
        wanted = logits if share == 0.0 else found(["Pizza!"])
        torch.testing.assert_close(found.sway(logits, ["Pizza!"], share=share), wanted)
    more = found.select_labels([1, None, 0])
    assert torch.equal(more.lean, found.lean)
    assert numpy.array_equal(fit().shares(LEARNED, share=0.5), numpy.full(6, 0.5))


@pytest.mark.parametrize("text", ODD)
def test_shares_of_odd_texts(text):
    found = fit([*LEARNED, text], [*LABELS, 0])
    found = found.fit_shares([*LEARNED, text], numpy.full(7, 0.999), share=0.001)
    shares = found.shares([text, "pizza"], share=0.001)
    assert ((shares > 0.0) & (shares < 1.0)).all()


def test_weights_of_texts_count():
    weights = numpy.array([1, 1, 1, 1, 0, 0], dtype="f")
    found, fewer = fit(weights=weights), fit(LEARNED[:4], LABELS[:4])
    probs = found(["Jazz heute"]).softmax(dim=1)[0]
    assert probs[1] == pytest.approx(float(fewer(["Jazz heute"]).softmax(dim=1)[0, 1]), abs=0.05)
    assert probs[2] < 0.05


def test_limits_of_memory(monkeypatch):
    monkeypatch.setattr(ngrams, "MAX_WEIGHTS", 30)
    found = fit()
    assert len(found.hashes) == 10 and found(LEARNED).isfinite().all()
    # the most frequent are kept, each still at its place
    assert (numpy.diff(found.hashes.numpy()) > 0).all()
    monkeypatch.setattr(ngrams, "MAX_CHARACTERS", 20)
    assert torch.equal(fit().weight, fit().weight)
    monkeypatch.setattr(ngrams, "MAX_CHARACTERS", 0)
    assert fit()(LEARNED).isfinite().all()


# -- in a shim ------------------------------------------------------------------------------


@pytest.fixture
def make_spelling(make_shim):
    def make(share=0.5, shares=None, **settings):
        shim = make_shim(ngram_share=share, **settings)
        shim.set_ngrams(fit() if shares is None else fit().fit_shares(LEARNED, shares, share=share))
        return shim

    return make


def test_they_count_in_prediction_but_not_in_training(make_shim, make_spelling):
    shim, plain = make_spelling(), make_shim()
    torch.testing.assert_close(
        shim.predict(TEXTS), 0.5 * plain.predict(TEXTS) + 0.5 * shim.ngrams(TEXTS)
    )
    assert torch.equal(
        make_spelling(freeze="encoder").begin_update(TEXTS)[0],
        make_shim(freeze="encoder").begin_update(TEXTS)[0],
    )
    assert not any("ngrams" in name for name in shim.training_state().weights)


def test_without_the_setting_they_are_passed_over(make_shim, make_spelling, tmp_path):
    shim, plain = make_spelling(), make_shim()
    shim.to_disk(tmp_path)
    other = make_shim(ready=False).from_disk(tmp_path)
    assert torch.equal(other.predict(TEXTS), plain.predict(TEXTS))
    shim.set_ngrams(None)
    assert torch.equal(shim.predict(TEXTS), plain.predict(TEXTS))


@pytest.mark.parametrize("half_precision", ["frozen", "none"])
def test_they_are_stored_and_copied(make_shim, make_spelling, tmp_path, half_precision):
    shares = numpy.linspace(0.2, 0.8, 6)
    shim = make_spelling(half_precision=half_precision, shares=shares)
    train(shim, 2)
    wanted = shim.predict(TEXTS)
    empty = {"ready": False, "ngram_share": 0.5, "half_precision": half_precision}
    for other in stored_and_copied(shim, lambda: make_shim(**empty), tmp_path):
        assert torch.equal(other.predict(TEXTS), wanted)
    shim.set_ngrams(shim.ngrams.select_labels([2, 0, 1]))
    shim.to_disk(tmp_path)
    assert torch.equal(make_shim(**empty).from_disk(tmp_path).predict(TEXTS), shim.predict(TEXTS))


def test_they_stay_whole_where_trained_weights_are_halved(make_shim, make_spelling, tmp_path):
    shim = make_spelling(half_precision="all")
    shim.to_disk(tmp_path)
    other = make_shim(ready=False, ngram_share=0.5, half_precision="all").from_disk(tmp_path)
    assert torch.equal(other.ngrams.weight, shim.ngrams.weight)
    torch.testing.assert_close(other.predict(TEXTS), shim.predict(TEXTS), atol=1e-2, rtol=1e-2)


def test_explanations_count_them(make_shim, make_spelling):
    """With the encoder's part at nothing, words get what their n-grams add."""
    direction = numpy.array([[0.0, 1.0, 0.0]], dtype="f")
    (found,) = make_spelling(share=1.0).attribute(["jazz today"], direction, n_steps=2)
    whole = fit().attribute("jazz today", direction[0])
    assert found.total == pytest.approx(whole.sum(), abs=1e-4)
    assert found.weights.sum() == pytest.approx(found.total, abs=1e-4)
    (half,) = make_spelling(share=0.5).attribute(["jazz today"], direction, n_steps=50)
    measured = make_spelling(share=0.4, shares=numpy.full(6, 0.8))
    (own,) = measured.attribute(["jazz today"], direction, n_steps=50)
    share = float(measured.ngrams.shares(["jazz today"], share=0.4)[0])
    (none,) = make_shim().attribute(["jazz today"], direction, n_steps=50)
    assert half.total == pytest.approx(0.5 * found.total + 0.5 * none.total, abs=1e-3)
    assert share > 0.5
    assert own.total == pytest.approx(share * found.total + (1 - share) * none.total, abs=1e-3)
    numpy.testing.assert_allclose(half.weights, 0.5 * found.weights + 0.5 * none.weights, atol=1e-3)
