import numpy
import pytest
import tiny
import torch

from spacy_xlt.layers.classifier import TextClassifier, assemble_classifier
from spacy_xlt.layers.dropout import Dropout
from spacy_xlt.layers.encoder import load_encoder
from spacy_xlt.layers.windows import pack_into_batches, split_into_windows

NO_DROPOUT = Dropout(0.0)


@pytest.fixture
def make(encoder_dir):
    def classifier(*, n_labels=3, normalize=False):
        return TextClassifier(
            load_encoder(encoder_dir), tiny.WIDTH, n_labels, normalize=normalize
        ).eval()

    return classifier


def batches_of(texts, *, max_pieces=10_000, pooling="mean", overlap_pieces=0):
    windows = split_into_windows(
        texts,
        before=[0],
        after=[2],
        window_pieces=12,
        overlap_pieces=overlap_pieces,
        pooling=pooling,
    )
    return pack_into_batches(windows, max_pieces=max_pieces)


def pool(classifier, texts, **kwargs):
    with torch.no_grad():
        return classifier.pool(batches_of(texts, **kwargs), len(texts), torch.float32, NO_DROPOUT)


def texts_of(lengths):
    random = numpy.random.default_rng(0)
    return [random.integers(4, 60, size=n) for n in lengths]


def hidden_of(pieces):
    """The library's vectors of one window."""
    with torch.no_grad():
        return tiny.make_transformer("bert")(
            input_ids=torch.tensor([0, *pieces.tolist(), 2])[None]
        )[0][0]


def test_a_short_text_is_the_mean_of_its_pieces(make):
    (text,) = texts_of([7])
    torch.testing.assert_close(
        pool(make(), [text])[0], hidden_of(text).mean(dim=0), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize(("pooling", "place"), [("cls", 0), ("last", -1)])
def test_a_short_text_by_one_piece(make, pooling, place):
    (text,) = texts_of([7])
    found = pool(make(), [text], pooling=pooling)[0]
    torch.testing.assert_close(found, hidden_of(text)[place], atol=1e-5, rtol=1e-4)


def test_a_long_text_is_the_mean_over_the_pieces_of_its_windows(make):
    (text,) = texts_of([25])
    windows = [hidden_of(part) for part in (text[:10], text[10:20], text[20:])]
    wanted = torch.cat(windows).mean(dim=0)
    torch.testing.assert_close(pool(make(), [text])[0], wanted, atol=1e-5, rtol=1e-4)


def test_a_long_text_counts_overlaps_once(make):
    (text,) = texts_of([16])
    first, second = hidden_of(text[:10]), hidden_of(text[6:])
    # 4 pieces overlap: two of them belong to each window; special pieces always count
    wanted = torch.cat([first[:9], first[-1:], second[:1], second[3:]]).mean(dim=0)
    found = pool(make(), [text], overlap_pieces=4)[0]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("pooling", "place"), [("cls", 0), ("last", -1)])
def test_a_long_text_by_one_piece_weighs_windows_by_length(make, pooling, place):
    (text,) = texts_of([13])
    first, second = hidden_of(text[:10])[place], hidden_of(text[10:])[place]
    found = pool(make(), [text], pooling=pooling)[0]
    torch.testing.assert_close(found, (12 * first + 5 * second) / 17, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("max_pieces", [1, 30, 10_000])
def test_a_batch_gives_each_text_what_it_gets_alone(make, pooling, max_pieces):
    classifier = make()
    texts = texts_of([5, 0, 40, 1, 13, 5, 22])
    together = pool(classifier, texts, pooling=pooling, max_pieces=max_pieces)
    for text, row in zip(texts, together, strict=True):
        alone = pool(classifier, [text], pooling=pooling)[0]
        torch.testing.assert_close(row, alone, atol=1e-5, rtol=1e-4)
    assert (together[1] == 0.0).all()


def test_unit_length(make):
    texts = texts_of([5, 0, 30])
    plain, unit = pool(make(), texts), pool(make(normalize=True), texts)
    lengths = plain.norm(dim=1, keepdim=True)
    torch.testing.assert_close(unit[[0, 2]], (plain / lengths)[[0, 2]])
    assert (unit[1] == 0.0).all()


def test_no_texts(make):
    assert pool(make(), []).shape == (0, tiny.WIDTH)


def test_the_gradient_of_pooling_by_finite_differences(make):
    """Also across the windows of a long text."""
    classifier = make()
    bias = classifier.encoder.transformer.encoder.layer[1].output.dense.bias
    batches = batches_of(texts_of([25, 4]), overlap_pieces=3)
    torch.manual_seed(0)
    direction = torch.randn(2, tiny.WIDTH)

    def value():
        pooled = classifier.pool(batches, 2, torch.float32, NO_DROPOUT)
        return (pooled * direction).sum()

    def value_at(i, step):
        with torch.no_grad():
            bias[i] += step
            result = float(value())
            bias[i] -= step
        return result

    value().backward()
    for i in range(0, tiny.WIDTH, 7):
        slope = (value_at(i, 0.01) - value_at(i, -0.01)) / 0.02
        assert slope == pytest.approx(float(bias.grad[i]), rel=1e-2, abs=1e-2)


def names(classifier, frozen):
    return {name for name, p in classifier.named_parameters() if p.requires_grad is not frozen}


def test_what_freezing_leaves_untouched(make):
    classifier = make()
    everything = {name for name, _ in classifier.named_parameters()}
    below = {name for name in everything if "embeddings" in name}
    layers = [{name for name in everything if f".layer.{i}." in name} for i in range(2)]
    assert below and all(layers)
    table = "encoder.transformer.embeddings.word_embeddings.weight"
    wanted = {
        "none": set(),
        "embeddings": {table},
        0: below,
        1: below | layers[0],
        "half": below | layers[0],
        2: below | layers[0] | layers[1],
        "encoder": everything - {"head.weight", "head.bias"},
    }
    for what, frozen in wanted.items():
        classifier.freeze(what)
        assert names(classifier, frozen=True) == frozen, what
        assert names(classifier, frozen=False) == everything - frozen, what


@pytest.mark.parametrize("what", ["all", -1, 3, True, None, 1.0])
def test_what_cannot_be_frozen(make, what):
    with pytest.raises(ValueError, match=r"freeze is .* Allowed are 'none'.*from 0 to 2"):
        make().freeze(what)


def test_a_head_without_an_encoder_has_nothing_to_freeze():
    classifier = TextClassifier(None, 4, 2, normalize=False)
    classifier.freeze("encoder")
    assert names(classifier, frozen=True) == set()


def test_a_new_head(make):
    classifier = make()
    random = numpy.random.default_rng(0)
    weight, bias = random.normal(size=(5, tiny.WIDTH)), random.normal(size=5)
    classifier.set_head(weight.astype("f"), bias.astype("f"))
    x = torch.randn(2, tiny.WIDTH)
    with torch.no_grad():
        numpy.testing.assert_allclose(
            classifier.head(x), x.numpy() @ weight.T + bias, atol=1e-5, rtol=1e-4
        )


# -- assembly -------------------------------------------------------------------------------


def parts_of(classifier):
    return classifier.encoder.to_json(), {n: p.detach() for n, p in classifier.named_parameters()}


def test_assembly_shares_the_tensors(make):
    classifier = make()
    config, tensors = parts_of(classifier)
    twin = assemble_classifier(config, tensors, normalize=True)
    assert twin.normalize
    for (_, a), (_, b) in zip(twin.named_parameters(), classifier.named_parameters(), strict=True):
        assert a.data_ptr() == b.data_ptr()


def test_assembly_of_wrong_tensors(make):
    config, tensors = parts_of(make())
    table = "encoder.transformer.embeddings.word_embeddings.weight"

    def assemble(tensors):
        return assemble_classifier(config, tensors, normalize=False)

    with pytest.raises(ValueError, match=r"incomplete: 'head\.weight' is missing"):
        assemble({})
    with pytest.raises(ValueError, match=rf"1 tensors are missing \['{table}'\], 0 are unknown"):
        assemble({name: t for name, t in tensors.items() if name != table})
    with pytest.raises(ValueError, match=r"1 are unknown \['encoder\.more'\]"):
        assemble({**tensors, "encoder.more": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"do not fit its configuration: Error(.|\n)*size mism"):
        assemble({**tensors, table: torch.zeros(5, tiny.WIDTH)})
    with pytest.raises(ValueError, match="do not fit its configuration: 0 tensors are missing"):
        assemble_classifier(None, tensors, normalize=False)
