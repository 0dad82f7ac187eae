import captum.attr
import numpy
import pytest
import tiny
import torch

TEXTS = ["we want pizza today", "", "jazz", "这里有pizza吗", "is there jazz here"]
LIBRARY_TYPES = ["distilbert", "deberta-v2", "modernbert", "t5", "xlnet", "gpt2", "xlm-roberta-xl"]


def attribute(shim, texts, column=0, *, n_steps=48):
    directions = numpy.zeros((len(texts), 3), dtype="f")
    directions[:, column] = 1.0
    return shim.attribute(texts, directions, n_steps=n_steps)


def strong(shim, factor=20.0):
    """Make the head's scores large, so that tolerances mean something."""
    with torch.no_grad():
        shim.classifier.head.weight.mul_(factor)
    return shim


@pytest.mark.parametrize("model_type", ["bert", "roberta", "xlm-roberta", *LIBRARY_TYPES])
def test_weights_sum_up_to_the_score_less_that_of_nothing(make_shim, model_type):
    shim = strong(make_shim(model_type))
    for text, found in zip(TEXTS, attribute(shim, TEXTS), strict=True):
        assert found.weights.sum() == pytest.approx(found.total, rel=0.02, abs=2e-3)
        assert len(found.weights) == len(found.offsets) == len(shim.reader.encode([text])[0])
        assert (abs(found.total) > 1e-3) == bool(text)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("normalize", [True, False])
def test_pooling_and_unit_length(make_shim, pooling, normalize):
    shim = strong(make_shim(reading={"pooling": pooling, "normalize": normalize}))
    (found,) = attribute(shim, TEXTS[:1])
    assert found.weights.sum() == pytest.approx(found.total, abs=2e-3)


@pytest.mark.parametrize("masked", [True, False])
def test_against_captum_on_a_plain_transformer(make_shim, monkeypatch, masked):
    shim = strong(make_shim(reading={"prefix": ""}))
    monkeypatch.setattr(shim.tokenizer, "blank_id", 7 if masked else None)
    (ids,) = shim.reader.encode(TEXTS[:1])
    bert, head = tiny.make_transformer("bert"), shim.classifier.head
    table = bert.get_input_embeddings()

    def score(vectors):
        return head(bert(inputs_embeds=vectors)[0].mean(dim=1))

    start = table(torch.tensor([[0, *([7] * len(ids)), 2]])).detach()
    end = table(torch.tensor([[0, *ids.tolist(), 2]])).detach()
    if not masked:
        start[:, 1:-1] = 0.0
    expected = captum.attr.IntegratedGradients(score).attribute(end, start, target=1, n_steps=20)
    (found,) = attribute(shim, TEXTS[:1], 1, n_steps=20)
    numpy.testing.assert_allclose(
        found.weights, expected[0, 1:-1].sum(dim=1).detach().numpy(), atol=1e-4, rtol=1e-3
    )
    assert float(abs(expected[0, [0, -1]]).sum()) == 0.0
    with torch.no_grad():
        difference = float((score(end) - score(start))[0, 1])
    assert found.total == pytest.approx(difference, abs=1e-3)


@pytest.mark.parametrize("model_type", ["bert", "distilbert"])
def test_a_long_text_in_one_batch_or_in_many(make_shim, model_type):
    text = "we want pizza today and is there jazz here " * 12
    found = [
        attribute(strong(make_shim(model_type, max_train_pieces=n)), [text], n_steps=12)[0]
        for n in (100_000, 70)
    ]
    numpy.testing.assert_allclose(found[0].weights, found[1].weights, atol=1e-4)
    assert len(found[0].weights) > 3 * 64
    assert found[0].weights.sum() == pytest.approx(found[0].total, abs=5e-3)


def test_the_total_is_that_of_prediction(make_shim):
    shim = strong(make_shim())
    logits = shim.predict(["pizza", "jazz"])
    found = attribute(shim, ["pizza", "jazz"], 2)
    for row in found:
        assert len(row.weights) == len(found[0].weights)
    # Both start from as many blank pieces.
    difference = float(logits[0, 2] - logits[1, 2])
    assert found[0].total - found[1].total == pytest.approx(difference, abs=1e-3)


def test_half_precision(make_shim):
    shims = [strong(make_shim(precision=precision)) for precision in ("fp32", "bf16")]
    exact, rough = (attribute(shim, TEXTS[:1])[0] for shim in shims)
    numpy.testing.assert_allclose(rough.weights, exact.weights, atol=0.1, rtol=0.1)


def test_after_and_before_prediction(make_shim):
    shim = make_shim()
    first = attribute(shim, TEXTS)
    logits = shim.predict(TEXTS)
    with torch.inference_mode():
        second = attribute(shim, TEXTS)
    for a, b in zip(first, second, strict=True):
        numpy.testing.assert_array_equal(a.weights, b.weights)
    assert torch.equal(shim.predict(TEXTS), logits)
    assert all(p.requires_grad for p in shim.classifier.head.parameters())
    assert all(p.grad is None for p in shim.classifier.parameters())


def test_without_an_encoder_of_its_own(make_shim):
    shim = make_shim(ready=False)
    shim.reading = None
    with pytest.raises(ValueError, match="belongs to another component"):
        attribute(shim, TEXTS)


def test_without_the_library(make_shim, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("spacy_xlt.compat.import_module", missing)
    with pytest.raises(
        ImportError, match=r"Explaining by gradients needs .*captum.*spacy-xlt\[explain\]"
    ):
        attribute(make_shim(), TEXTS[:1])
