import pytest
import torch
from test_ngrams import LABELS, LEARNED, fit
from test_shim import TEXTS, train
from thinc.api import Adam

from spacy_xlt.layers.soup import average_trained

NAMES = ["one", "two", "three"]


@pytest.fixture
def make_runs(make_shim):
    """Three runs from one start that see different texts."""

    def make(**settings):
        shims = [make_shim(**settings) for _ in NAMES]
        for i, shim in enumerate(shims):
            shim.set_run_length(4)
            train(shim, 4, texts=TEXTS[i : i + 2], optimizer=Adam(1e-4))
        return shims

    return make


@pytest.mark.parametrize("freeze", ["none", "embeddings", 1, "encoder"])
def test_it_is_the_mean_of_what_was_trained(make_runs, freeze):
    shims = make_runs(freeze=freeze)
    tensors = [shim.tensors() for shim in shims]
    means = average_trained(shims, NAMES, [0.5, 0.25, 0.25])
    assert set(means) == set(tensors[0]) - set(shims[0].frozen_names())
    for name, mean in means.items():
        a, b, c = (each[name] for each in tensors)
        torch.testing.assert_close(mean, 0.5 * a + 0.25 * (b + c), atol=1e-7, rtol=1e-6)
    for shim, before in zip(shims, tensors, strict=True):
        for name, tensor in shim.tensors().items():
            assert torch.equal(tensor, before[name])


def test_taking_the_mean_forgets_the_run(make_runs):
    shims = make_runs(start_share=0.5)
    means = average_trained(shims, NAMES, [1 / 3] * 3)
    shims[0].set_trained(means)
    for name, tensor in shims[0].tensors().items():
        if name in means:
            assert torch.equal(tensor, means[name])
    assert shims[0].n_steps == 0 and shims[0].training_state().means == {}
    assert not torch.equal(shims[0].predict(TEXTS), shims[1].predict(TEXTS))


def test_of_one_run_with_itself(make_runs):
    shims = make_runs()
    before = shims[0].tensors()
    for name, tensor in average_trained(shims[:1] * 2, NAMES[:2], [0.5, 0.5]).items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_weights_that_are_not_numbers(make_shim, value):
    shims = [make_shim(), make_shim()]
    with torch.no_grad():
        shims[1].classifier.head.bias[0] = float(value)
    with pytest.raises(ValueError, match=r"1 tensors of 'two' hold values that are not numbers, s"):
        average_trained(shims, ["one", "two"], [0.5, 0.5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, r"not the same kind of encoder \(bert, roberta\), so their w"),
        ({"freeze": 1}, r"'one' and 'other' have not the same frozen weights, so their weights ha"),
        ({"reading": {"prefix": "query: "}}, r"have not the same settings of model\.encoder, so"),
        ({"reading": {"pooling": "cls"}}, r"have not the same settings of model\.encoder, so"),
        ({"reading": {"normalize": True}}, r"have not the same settings of model\.encoder, so"),
        ({"n_labels": 4}, r"have not the same shapes of weights, so their weights have no mean"),
    ],
)
def test_classifiers_that_do_not_fit(make_shim, changes, message):
    with pytest.raises(ValueError, match=message):
        average_trained([make_shim(), make_shim(**changes)], ["one", "other"], [0.5, 0.5])


def test_another_encoder_with_frozen_weights(make_shim):
    shims = [make_shim(), make_shim()]
    with torch.no_grad():
        shims[1].classifier.encoder.piece_table[5] += 0.25
    with pytest.raises(ValueError, match=r"1 frozen tensors of 'one' and 'other' differ, such as "):
        average_trained(shims, ["one", "other"], [0.5, 0.5])


def test_ngrams_of_other_texts(make_shim):
    shims = [make_shim(ngram_share=0.5) for _ in range(3)]
    shims[0].set_ngrams(fit())
    shims[1].set_ngrams(fit(LEARNED[:4], LABELS[:4]))
    with pytest.raises(ValueError, match="'one' and 'other' have not the same character n-grams, "):
        average_trained(shims[:2], ["one", "other"], [0.5, 0.5])
    with pytest.raises(ValueError, match="fitted to the training texts, so their weights have no "):
        average_trained(shims[1:], ["one", "other"], [0.5, 0.5])
    assert average_trained(shims[:1] * 2, ["one", "other"], [0.5, 0.5])


def test_another_encoder_that_is_wholly_trained(make_shim):
    shims = [make_shim(freeze="none"), make_shim(freeze="none")]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in shims[1].classifier.encoder.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    with pytest.raises(ValueError, match=r"encoders of 'one' and 'other' are apart by \d+\.\d\d o"):
        average_trained(shims, ["one", "other"], [0.5, 0.5])


def test_where_nothing_of_the_encoder_is_trained(make_shim):
    shims = [make_shim(freeze="encoder"), make_shim(freeze="encoder")]
    assert set(average_trained(shims, ["a", "b"], [0.5, 0.5])) == {"head.weight", "head.bias"}


def test_what_differs_without_mattering(make_shim, tmp_path):
    """Settings of training, and where the encoder was read from."""
    stored = make_shim(max_train_pieces=64)
    stored.to_disk(tmp_path)
    loaded = make_shim(ready=False, reading={"path": None}).from_disk(tmp_path)
    average_trained([make_shim(), loaded], ["one", "other"], [0.5, 0.5])
