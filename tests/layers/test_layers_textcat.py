import copy

import numpy
import pytest
import tiny
import torch
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Adam, Model

from spacy_xlt.layers.classifier import TextClassifier
from spacy_xlt.layers.shim import ClassifierSettings, TextCatShim
from spacy_xlt.layers.textcat import forward_mean_pool, make_shared_textcat, make_textcat


def make_docs(*texts):
    vocab = Vocab()
    words = [text.split() for text in texts]
    return [Doc(vocab, words=w, spaces=[True] * (len(w) - 1) + [False] * bool(w)) for w in words]


def random_vectors(lengths, width=4):
    random = numpy.random.default_rng(0)
    return [random.normal(size=(n, width)).astype("f") for n in lengths]


def test_from_documents_to_logits(make_shim):
    shim = make_shim()
    model = make_textcat(shim, 3)
    assert model.get_dim("nO") == 3 and model.get_ref("output_layer") is model
    docs = make_docs("pizza today", "", "taxi")
    wanted = shim.predict([doc.text for doc in docs]).numpy()
    numpy.testing.assert_allclose(model.predict(docs), wanted)
    logits, backprop = model.begin_update(docs)
    assert isinstance(logits, numpy.ndarray) and logits.shape == (3, 3)
    assert backprop(numpy.ones_like(logits)) == []
    torch.testing.assert_close(shim.classifier.head.bias.grad, torch.full((3,), 3.0))
    assert model.predict([]).shape == (0, 3)


def test_a_prediction_has_no_gradient(make_shim):
    logits, backprop = make_textcat(make_shim(), 3)(make_docs("pizza"), is_train=False)
    with pytest.raises(ValueError, match="Cannot backpropagate through a prediction; call begin"):
        backprop(logits)


def make_head(width=4, n_labels=2):
    model = make_textcat(TextCatShim(ClassifierSettings()), n_labels)
    model.initialize(X=numpy.zeros((1, width), dtype="f"))
    return model


def test_a_head_on_vectors_gives_their_gradient():
    model = make_head()
    (X,) = random_vectors([3])
    logits, backprop = model.begin_update(X)
    head = model.shims[0].classifier.head
    weight = head.weight.detach().numpy()
    numpy.testing.assert_allclose(logits, X @ weight.T + head.bias.detach().numpy(), atol=1e-6)
    dY = numpy.arange(6, dtype="f").reshape(3, 2)
    numpy.testing.assert_allclose(backprop(dY), dY @ weight, atol=1e-6)
    numpy.testing.assert_allclose(head.weight.grad.numpy(), dY.T @ X, atol=1e-5)


def test_a_head_is_only_made_once_and_only_from_vectors(make_shim):
    model = make_head()
    classifier = model.shims[0].classifier
    model.initialize(X=numpy.zeros((1, 9), dtype="f"))
    assert model.shims[0].classifier is classifier
    for shim in (TextCatShim(ClassifierSettings()), make_shim(ready=False)):
        make_textcat(shim, 2).initialize()
        assert not shim.is_ready


def test_vectors_of_documents_are_their_means():
    X = random_vectors([2, 0, 3])
    Y, backprop = forward_mean_pool(Model("pool", forward_mean_pool), X, True)
    numpy.testing.assert_allclose(Y[0], X[0].mean(axis=0), rtol=1e-5)
    assert (Y[1] == 0.0).all()
    dX = backprop(numpy.ones_like(Y))
    assert [d.shape for d in dX] == [x.shape for x in X]
    assert (dX[0] == 0.5).all()
    numpy.testing.assert_allclose(dX[2], 1 / 3)


def test_documents_without_tokens_may_come_without_a_width():
    full, empty = random_vectors([2])[0], numpy.zeros((0, 0), dtype="f")
    model = Model("pool", forward_mean_pool)
    Y, backprop = forward_mean_pool(model, [empty, full], True)
    assert Y.shape == (2, 4) and (Y[0] == 0.0).all()
    assert [d.shape[0] for d in backprop(Y)] == [0, 2]
    none, _ = forward_mean_pool(model, [empty, empty], False)
    assert none.shape == (2, 0)


def make_shared(vectors):
    """A shared classifier whose tokens have these vectors; also returns the gradients it gets."""
    gradients = []

    def forward(model, docs, is_train):
        return [vectors[doc.text] for doc in docs], gradients.append

    model = make_shared_textcat(
        Model("vectors", forward), TextCatShim(ClassifierSettings()), n_labels=2
    )
    model.initialize(X=make_docs("two words"))
    return model, gradients


def test_a_shared_encoder_gets_its_gradient():
    one, two = random_vectors([1, 2])
    model, gradients = make_shared({"word": one, "two words": two, "": one[:0, :0]})
    docs = make_docs("word", "", "two words")
    logits, backprop = model.begin_update(docs)
    numpy.testing.assert_allclose(logits, model.predict(docs), atol=1e-6)
    head = model.get_ref("output_layer").shims[0].classifier.head
    numpy.testing.assert_allclose(logits[1], head.bias.detach().numpy(), atol=1e-6)
    backprop(numpy.array([[1, 0], [5, 5], [0, 1]], dtype="f"))
    weight = head.weight.detach().numpy()
    numpy.testing.assert_allclose(gradients[0][0], weight[:1], atol=1e-6)
    numpy.testing.assert_allclose(gradients[0][2], [weight[1] / 2] * 2, atol=1e-6)
    numpy.testing.assert_allclose(
        model.predict(make_docs("", "")), [logits[1], logits[1]], atol=1e-6
    )


def test_training_reaches_the_head_through_thinc():
    one, two = random_vectors([1, 2])
    model, _ = make_shared({"word": one, "two words": two})
    shim = model.get_ref("output_layer").shims[0]
    before = model.predict(make_docs("word"))
    logits, backprop = model.begin_update(make_docs("word"))
    backprop(numpy.array([[-1.0, 1.0]], dtype="f"))
    shim.weight_seen += 1.0
    model.finish_update(Adam(0.01))
    after = model.predict(make_docs("word"))
    assert after[0, 0] > before[0, 0] and after[0, 1] < before[0, 1]


def test_copies_and_bytes(make_shim):
    shim = make_shim()
    model = make_textcat(shim, 3)
    docs = make_docs("pizza")
    clone, deep = model.copy(), copy.deepcopy(model)
    assert len({twin.shims[0].id for twin in (model, clone, deep)}) == 3
    assert deep.get_ref("output_layer") is deep
    other = make_textcat(make_shim(ready=False)).from_bytes(model.to_bytes())
    assert other.get_dim("nO") == 3
    for twin in (clone, deep, other):
        assert (twin.predict(docs) == model.predict(docs)).all()


def test_a_classifier_for_another_width_is_not_made_again():
    shim = TextCatShim(ClassifierSettings())
    shim.set_classifier(TextClassifier(None, tiny.WIDTH, 2, normalize=False))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        make_textcat(shim, 2).predict(numpy.zeros((1, 4), dtype="f"))
