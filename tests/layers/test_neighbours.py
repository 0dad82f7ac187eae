import numpy
import pytest
import torch
from test_shim import TEXTS, stored_and_copied, train

from spacy_xlt.layers import neighbours
from spacy_xlt.layers.neighbours import DOUBT, TEMPERATURE, Neighbours

# Around their mean, the origin: two texts of the first label on the right, two of the second on
# the left.
VECTORS = numpy.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.1]], dtype="f")
TARGETS = numpy.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], dtype="f")
KNOWN = numpy.ones_like(TARGETS)


def sway(texts, vectors, *, n_nearest=2, share=1.0, logits=None):
    vectors = torch.tensor(vectors)
    logits = torch.zeros(len(vectors), 2) if logits is None else torch.tensor(logits)
    return texts.sway(logits, vectors, n_nearest=n_nearest, share=share)


def odds(vote):
    return numpy.log((vote + DOUBT) / (1.0 - vote + DOUBT))


def test_the_nearest_vote():
    texts = Neighbours.of_texts(VECTORS, TARGETS, KNOWN)
    found = sway(texts, [[2.0, 0.0], [-0.1, 0.0]])
    torch.testing.assert_close(found[0], torch.tensor([odds(1.0), odds(0.0)], dtype=torch.float32))
    torch.testing.assert_close(found[1], torch.tensor([odds(0.0), odds(1.0)], dtype=torch.float32))


def test_votes_by_an_independent_reference():
    rng = numpy.random.default_rng(0)
    vectors = rng.normal(size=(30, 5)).astype("f") + 3.0
    targets = rng.dirichlet(numpy.ones(3), size=30).astype("f")
    counts = rng.integers(0, 2, size=(30, 3)) * rng.uniform(0.5, 2.0, size=(30, 1))
    asked, logits = rng.normal(size=(7, 5)).astype("f") + 3.0, rng.normal(size=(7, 3)).astype("f")
    texts = Neighbours.of_texts(vectors, targets, counts.astype("f"))
    found = sway(texts, asked, n_nearest=4, share=0.3, logits=logits)
    centre = vectors.mean(axis=0)
    for row in range(7):
        a, b = asked[row] - centre, vectors - centre
        cosines = b @ a / numpy.linalg.norm(a) / numpy.linalg.norm(b, axis=1)
        nearest = numpy.argsort(-cosines)[:4]
        weights = numpy.exp(cosines[nearest] / TEMPERATURE)[:, None] * counts[nearest]
        for label in range(3):
            wanted = logits[row, label]
            if weights[:, label].sum() > 0.0:
                vote = numpy.average(targets[nearest, label], weights=weights[:, label])
                wanted = 0.7 * wanted + 0.3 * odds(vote)
            assert float(found[row, label]) == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("n_nearest", [4, 100])
def test_more_than_there_are_is_all(n_nearest):
    texts = Neighbours.of_texts(VECTORS, TARGETS, KNOWN)
    found = sway(texts, [[0.0, 2.0]], n_nearest=n_nearest)
    assert torch.allclose(found[0, 0], found[0, 1], atol=1e-5)


def test_no_share_leaves_the_logits(monkeypatch):
    texts = Neighbours.of_texts(VECTORS, TARGETS, KNOWN)
    logits = [[0.3, -2.0], [5.0, 1.0]]
    assert torch.equal(sway(texts, VECTORS[:2], share=0.0, logits=logits), torch.tensor(logits))


def test_what_is_unknown_counts_nothing():
    texts = Neighbours.of_texts(VECTORS, TARGETS, KNOWN * [1.0, 0.0])
    found = sway(texts, [[2.0, 0.0]], share=0.5, logits=[[1.0, -3.0]])
    assert found[0, 1] == -3.0 and found[0, 0] == pytest.approx(0.5 + 0.5 * odds(1.0), abs=1e-5)
    more = texts.select_labels([0, None])
    assert more.targets[:, 1].sum() == 0.0
    assert sway(more, [[2.0, 0.0]], share=0.5, logits=[[1.0, -3.0]])[0, 1] == -3.0


def test_odd_vectors():
    """The mean itself, which has no direction, one text, and the same text many times."""
    texts = Neighbours.of_texts(VECTORS, TARGETS, KNOWN)
    assert sway(texts, [[0.0, 0.0]]).isfinite().all()
    one = Neighbours.of_texts(VECTORS[:1], TARGETS[:1], KNOWN[:1])
    assert sway(one, VECTORS).isfinite().all()
    same = Neighbours.of_texts(VECTORS[[0] * 5], TARGETS[[0] * 5], KNOWN[[0] * 5])
    assert sway(same, VECTORS).isfinite().all()
    assert sway(texts, numpy.zeros((0, 2), dtype="f")).shape == (0, 2)


def test_the_memory_limit_changes_nothing(monkeypatch):
    texts = Neighbours.of_texts(VECTORS, TARGETS, KNOWN)
    asked = numpy.random.default_rng(0).normal(size=(9, 2)).astype("f")
    whole = sway(texts, asked)
    for limit in (1, 8, 11):
        monkeypatch.setattr(neighbours, "MAX_COSINES", limit)
        torch.testing.assert_close(sway(texts, asked), whole)


# -- in a shim ------------------------------------------------------------------------------


@pytest.fixture
def make_knowing(make_shim):
    def make(**settings):
        shim = make_shim(freeze="encoder", neighbours=2, **settings)
        texts = ["pizza today", "jazz today", "taxi today"]
        known = numpy.ones((3, 3), dtype="f")
        shim.set_neighbours(
            Neighbours.of_texts(shim.features(texts), numpy.eye(3, dtype="f"), known)
        )
        return shim

    return make


def test_texts_count_in_prediction_but_not_in_training(make_shim, make_knowing):
    shim, plain = make_knowing(), make_shim(freeze="encoder")
    assert not torch.equal(shim.predict(TEXTS), plain.predict(TEXTS))
    assert torch.equal(shim.begin_update(TEXTS)[0], plain.begin_update(TEXTS)[0])
    assert set(shim.training_state().weights) == {"head.weight", "head.bias"}
    assert (make_knowing(neighbour_share=1.0).predict(["jazz today"])[0].argmax() == 1).all()


def test_without_the_setting_they_are_passed_over(make_shim, make_knowing, tmp_path):
    shim, plain = make_knowing(), make_shim(freeze="encoder")
    shim.to_disk(tmp_path)
    other = make_shim(ready=False, freeze="encoder").from_disk(tmp_path)
    assert torch.equal(other.predict(TEXTS), plain.predict(TEXTS))
    shim.set_neighbours(None)
    assert torch.equal(shim.predict(TEXTS), plain.predict(TEXTS))


def test_they_are_stored_and_copied(make_shim, make_knowing, tmp_path):
    shim = make_knowing()
    train(shim, 2)
    wanted = shim.predict(TEXTS)
    empty = {"ready": False, "freeze": "encoder", "neighbours": 2}
    for other in stored_and_copied(shim, lambda: make_shim(**empty), tmp_path):
        assert torch.equal(other.predict(TEXTS), wanted)
    # a later memory replaces the stored one
    shim.set_neighbours(shim.neighbours.select_labels([2, 0, 1]))
    shim.to_disk(tmp_path)
    assert torch.equal(make_shim(**empty).from_disk(tmp_path).predict(TEXTS), shim.predict(TEXTS))


def test_they_stay_whole_where_trained_weights_are_halved(make_shim, make_knowing, tmp_path):
    shim = make_knowing(half_precision="all")
    shim.to_disk(tmp_path)
    empty = {"ready": False, "freeze": "encoder", "neighbours": 2, "half_precision": "all"}
    other = make_shim(**empty).from_disk(tmp_path)
    assert torch.equal(other.neighbours.vectors, shim.neighbours.vectors)
    torch.testing.assert_close(other.predict(TEXTS), shim.predict(TEXTS), atol=1e-2, rtol=1e-2)


def test_a_batch_gives_each_text_what_it_gets_alone(make_knowing):
    shim = make_knowing()
    alone = torch.cat([shim.predict([text]) for text in TEXTS])
    torch.testing.assert_close(shim.predict(TEXTS), alone, atol=1e-4, rtol=1e-3)


def test_votes_have_no_gradients(make_knowing):
    with pytest.raises(ValueError, match=r"votes of training texts \(neighbours\) have no gradie"):
        make_knowing().attribute(["jazz"], numpy.ones((1, 3), dtype="f"), n_steps=2)
