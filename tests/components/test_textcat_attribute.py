import numpy
import pytest
import tiny

TEXTS = ["we want pizza today", "", "is there jazz here"]


def test_a_word_that_decides_weighs_most(trained):
    pipe = trained.get_pipe("textcat")
    docs = [trained.make_doc(text) for text in TEXTS]
    first, empty, last = pipe.attribute(docs, ["food", "food", "music"])
    for text, word, found in (("we want pizza today", "pizza", first), (TEXTS[2], "jazz", last)):
        start, end = found.offsets[found.weights.argmax()]
        assert word in text[start:end]
    assert empty.weights.shape == (0,) and empty.total == 0.0


def test_labels_that_exclude_each_other_share_what_there_is(trained):
    pipe = trained.get_pipe("textcat")
    doc = trained.make_doc(TEXTS[0])
    found = pipe.attribute([doc] * 3, tiny.LABELS)
    numpy.testing.assert_allclose(sum(row.weights for row in found), 0.0, atol=1e-4)


def test_labels_that_do_not_exclude_each_other(make_ready):
    pipe = make_ready("xlt_textcat_multilabel").get_pipe("textcat")
    doc = make_ready().make_doc(TEXTS[0])
    for label in tiny.LABELS:
        (found,) = pipe.attribute([doc], [label], n_steps=32)
        assert found.weights.sum() == pytest.approx(found.total, abs=1e-2)


def test_temperatures_change_nothing(trained):
    pipe = trained.get_pipe("textcat")
    docs = [trained.make_doc(text) for text in TEXTS]
    before = pipe.attribute(docs, ["food"] * 3)
    pipe.set_calibration({"temperatures": {"": 5.0}})
    for a, b in zip(before, pipe.attribute(docs, ["food"] * 3), strict=True):
        numpy.testing.assert_array_equal(a.weights, b.weights)


def test_an_unknown_label(trained):
    doc = trained.make_doc(TEXTS[0])
    with pytest.raises(ValueError, match=r"has no labels \['sports'\]. Its labels: food, music"):
        trained.get_pipe("textcat").attribute([doc], ["sports"])


def test_where_pieces_stand(trained):
    pipe = trained.get_pipe("textcat")
    first, empty = pipe.find_pieces([trained.make_doc("we want"), trained.make_doc("")])
    assert first.tolist()[0][0] == 0 and first.tolist()[-1][1] == 7
    assert empty.shape == (0, 2)
