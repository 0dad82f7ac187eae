import copy
import pickle
import warnings

import numpy
import pytest
import tiny
import torch
from thinc.api import SGD, Adam, fix_random_seed

from spacy_xlt.architectures import build_encoder_v1
from spacy_xlt.encoder_files import MODEL_TYPES
from spacy_xlt.layers.shim import CACHE_BYTES, ClassifierSettings, TextCatShim

TEXTS = ["we want pizza today", "", "这里有taxi吗", "jazz " * 100, "a\0b", "🍕🚕", "\ud83d", " "]
GOLD = torch.tensor([[1.0, -1.0, 0.0]])


def gradients(shim, texts, *, d_logits=GOLD):
    """Accumulate the gradients of one batch; returns the logits."""
    logits, backprop = shim.begin_update(texts)
    backprop(d_logits.expand_as(logits))
    shim.weight_seen += float(len(texts))
    return logits


def stored_and_copied(shim, empty, path):
    """The classifier again by each way there is.

    empty: Makes a shim with the same settings that holds nothing yet.
    """
    shim.to_disk(path)
    return [
        empty().from_disk(path),
        empty().from_bytes(shim.to_bytes()),
        copy.deepcopy(shim),
        pickle.loads(pickle.dumps(shim)),
    ]


def train(shim, n_steps, *, texts=TEXTS[:3], optimizer=None):
    for _ in range(n_steps):
        gradients(shim, texts)
        shim.finish_update(optimizer or SGD(0.5e-3, L2=0.0, grad_clip=0.0))


def weights(shim):
    return {name: p.detach().clone() for name, p in shim.classifier.named_parameters()}


# -- before there are weights ---------------------------------------------------------------


def test_an_empty_shim_says_what_to_do(make_shim):
    shim = make_shim(ready=False)
    assert not shim.is_ready
    for action in (shim.predict, shim.embed, shim.begin_update, shim.plan_updates):
        with pytest.raises(ValueError, match=r"no weights yet\. Call nlp\.initialize"):
            action(["text"])
    shim.finish_update(Adam(1e-4))
    assert not shim.is_ready


def test_no_encoder_is_set(make_shim):
    with pytest.raises(ValueError, match=r"No encoder is set\. Set paths\.encoder.*encoder fetch"):
        make_shim(reading={"path": None})


def test_a_tokenizer_of_another_encoder(tmp_path):
    path = tiny.make_encoder(tmp_path / "small", "bert", vocab_size=50)
    with pytest.raises(ValueError, match=r"112 pieces, but the encoder has vectors for 50\. They"):
        load(path)


def load(path):
    TextCatShim(ClassifierSettings(), build_encoder_v1(path=str(path))).load_encoder(2)


def test_an_encoder_without_a_tokenizer(tmp_path):
    path = tiny.make_encoder(tmp_path / "none", "bert")
    (path / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"No tokenizer\.json in"):
        load(path)


# -- prediction -----------------------------------------------------------------------------


@pytest.mark.parametrize("model_type", sorted(MODEL_TYPES))
def test_a_batch_gives_each_text_what_it_gets_alone(make_shim, model_type):
    shim = make_shim(model_type)
    together = shim.predict(TEXTS)
    assert together.shape == (len(TEXTS), 3) and together.isfinite().all()
    for text, row in zip(TEXTS, together, strict=True):
        torch.testing.assert_close(row, shim.predict([text])[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta", "distilbert", "mt5"])
def test_a_batch_in_bfloat16_is_close_on_probabilities(make_shim, model_type):
    shim = make_shim(model_type, precision="bf16")
    exact = torch.softmax(make_shim(model_type).predict(TEXTS), dim=1)
    together = torch.softmax(shim.predict(TEXTS), dim=1)
    torch.testing.assert_close(together, exact, atol=2e-2, rtol=0)
    for text, row in zip(TEXTS, together, strict=True):
        alone = torch.softmax(shim.predict([text]), dim=1)[0]
        torch.testing.assert_close(row, alone, atol=2e-2, rtol=0)


@pytest.mark.parametrize("limit", [1, 50, 500])
def test_the_memory_limit_of_prediction_changes_nothing(make_shim, limit):
    wanted = make_shim().predict(TEXTS)
    found = make_shim(max_predict_pieces=limit).predict(TEXTS)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_a_text_of_20000_chinese_characters_is_read_in_bounded_chunks(make_shim, monkeypatch):
    shim = make_shim(max_predict_pieces=256)
    text = "我们今天想要jazz给大家的" * 1700
    assert len(text) > 20_000
    sizes = []
    encoder_class = type(shim.classifier.encoder)
    forward = encoder_class.forward

    def count(self, batch, **kwargs):
        sizes.append(batch.ids.size)
        return forward(self, batch, **kwargs)

    monkeypatch.setattr(encoder_class, "forward", count)
    (logits,) = shim.predict([text])
    assert logits.isfinite().all()
    n_pieces = shim.reader.encode([text])[0].size
    assert max(sizes) <= 256
    assert sum(sizes) >= n_pieces
    # the whole text counts, not its start
    other = shim.predict([text[: len(text) // 2] + "taxi" * 10_000])[0]
    assert (logits - other).abs().max() > 1e-3


def test_embedding_is_what_the_head_sees(make_shim):
    shim = make_shim()
    vectors = shim.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), tiny.WIDTH)
    head = shim.classifier.head
    with torch.inference_mode():
        torch.testing.assert_close(head(vectors), shim.predict(TEXTS))
    numpy.testing.assert_allclose(shim.features(TEXTS), vectors, atol=1e-5)


def test_training_and_prediction_agree_without_dropout(make_shim):
    shim = make_shim()
    logits, _ = shim.begin_update(TEXTS[:3])
    torch.testing.assert_close(logits, shim.predict(TEXTS[:3]), atol=1e-5, rtol=1e-4)


def reference(texts, *, before=""):
    """Mean over the pieces of each text, special pieces included, by the library."""
    transformer, tokenizer = tiny.make_transformer("bert"), tiny.make_tokenizer()
    with torch.no_grad():
        return torch.stack(
            [
                transformer(torch.tensor([tokenizer.encode(before + text).ids]))[0][0].mean(dim=0)
                for text in texts
            ]
        )


def test_the_prefix_is_as_if_it_stood_in_the_text(make_shim):
    texts = ["we want pizza today", "taxi"]
    for reading, before in (
        ({}, ""),
        ({"prefix": "query: "}, "query: "),
        ({"prefix": None}, "query: "),  # as the directory's record says
    ):
        found = make_shim(reading=reading).embed(texts)
        torch.testing.assert_close(found, reference(texts, before=before), atol=1e-4, rtol=1e-4)


def test_windows_are_no_longer_than_the_encoder_reads(make_shim):
    shim = make_shim("xlm-roberta", reading={"window_pieces": 500})
    assert shim.predict(["pizza " * 300]).isfinite().all()


# -- training -------------------------------------------------------------------------------


@pytest.mark.parametrize("model_type", sorted(MODEL_TYPES))
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_encoder_learns(make_shim, model_type, precision):
    shim = make_shim(model_type, freeze="none", precision=precision)
    shim.dropout_rate = 0.1
    before = weights(shim)
    train(shim, 3, texts=["pizza today", "taxi"], optimizer=Adam(4e-4, L2=0.0))
    after = weights(shim)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    depths = {"encoder." + n: depth for n, _, depth in shim.classifier.encoder.named_depths()}
    assert {depths.get(name, "head") for name in changed} == {0, 1, 2, "head"}
    assert all(w.isfinite().all() for w in after.values())
    (logits,) = shim.predict(["pizza today"])
    assert logits[0] < logits[1]


def test_gradients_of_parts_add_up_to_those_of_the_batch(make_shim):
    """SGD without dropout: the same weights, however a batch is divided."""
    texts = ["we want pizza today", "taxi", "jazz " * 60, ""]
    results = []
    for parts in ([texts], [texts[:1], texts[1:]], [[t] for t in texts]):
        shim = make_shim(freeze="none")
        for part in parts:
            gradients(shim, part)
        shim.finish_update(SGD(4e-4, L2=0.0, grad_clip=0.0))
        assert shim.n_steps == 1 and shim.weight_seen == 0.0
        results.append(weights(shim))
    for other in results[1:]:
        for name, tensor in results[0].items():
            torch.testing.assert_close(other[name], tensor, atol=1e-6, rtol=1e-5)


def test_a_step_is_the_mean_gradient(make_shim):
    """The head's bias: its gradient is the sum of the logits' gradients."""
    shim = make_shim(head_rate_factor=3.0, rate_factor=0.5)
    before = weights(shim)["head.bias"]
    gradients(shim, TEXTS[:2])
    gradients(shim, TEXTS[:2], d_logits=torch.tensor([[0.0, 0.0, 4.0]]))
    shim.finish_update(SGD(1e-3, L2=0.0, grad_clip=0.0))
    moved = before - weights(shim)["head.bias"]
    torch.testing.assert_close(moved, 1.5e-3 * torch.tensor([0.5, -0.5, 2.0]))


def test_parts_of_a_batch(make_shim):
    texts = ["jazz " * n for n in (1, 30, 2, 50, 3, 90)]
    plan = make_shim(max_train_pieces=128).plan_updates(texts)
    assert sorted(i for part in plan for i in part) == list(range(6))
    assert plan[0] == [5]
    lengths = [2 + 2 * n for n in (1, 30, 2, 50, 3, 90)]
    for part in plan:
        assert len(part) == 1 or sum(lengths[i] for i in part) <= 128
    flat = [lengths[i] for part in plan for i in part]
    assert flat == sorted(flat, reverse=True)
    assert make_shim(freeze="encoder").plan_updates(texts) == [[0, 1, 2, 3, 4, 5]]


def test_the_prefix_counts_in_parts_of_a_batch(make_shim, monkeypatch):
    shim = make_shim(max_train_pieces=64, reading={"prefix": "query: "})
    held = []
    classifier_class = type(shim.classifier)
    pool = classifier_class.pool

    def count(self, batches, *args, **kwargs):
        held.append(sum(batch.ids.size for batch in batches))
        return pool(self, batches, *args, **kwargs)

    monkeypatch.setattr(classifier_class, "pool", count)
    texts = ["jazz"] * 20
    for part in shim.plan_updates(texts):
        gradients(shim, [texts[i] for i in part])
    assert max(held) <= 64


def test_long_texts_are_sampled_in_training_with_a_warning(make_shim):
    shim = make_shim(max_train_windows=2, max_train_pieces=128)
    text = "jazz opera radio " * 200 + "pizza sushi banana " * 200
    with pytest.warns(UserWarning, match=r"more than 128 word pieces\. Training reads 2 windows"):
        shim.begin_update([text])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = {tuple(shim.begin_update([text])[0][0].tolist()) for _ in range(8)}
    assert len(drawn) > 1
    fix_random_seed(5)
    first = shim.begin_update([text])[0]
    fix_random_seed(5)
    assert (shim.begin_update([text])[0] == first).all()


def test_dropout_follows_its_rate_and_seed(make_shim):
    shim = make_shim()

    def logits(rate, seed):
        fix_random_seed(seed)
        shim.dropout_rate = rate
        return shim.begin_update(TEXTS[:1])[0]

    assert (logits(0.3, 0) == logits(0.3, 0)).all()
    assert (logits(0.3, 0) != logits(0.3, 1)).any()
    torch.testing.assert_close(logits(0.0, 0), shim.predict(TEXTS[:1]), atol=1e-5, rtol=1e-4)


def test_a_high_rate_is_worth_one_warning(make_shim):
    shim = make_shim(rate_factor=10.0)
    with pytest.warns(UserWarning, match=r"learning rate of 0\.001; above 0\.0005 it usually forg"):
        train(shim, 1, optimizer=SGD(1e-4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(shim, 1, optimizer=SGD(1e-4))
        train(make_shim(freeze="encoder"), 1, optimizer=SGD(1e-2))
        train(make_shim(rate_factor=0.01), 1, optimizer=SGD(1e-2))


@pytest.mark.parametrize("freeze", ["embeddings", 0, 1, 2, "encoder"])
@pytest.mark.parametrize("model_type", ["bert", "mt5", "gpt2"])
def test_frozen_tensors_stay_bit_identical(make_shim, freeze, model_type):
    shim = make_shim(model_type, freeze=freeze, average_last=1.0)
    shim.set_run_length(3)
    frozen = set(shim.frozen_names())
    before = weights(shim)
    train(shim, 3, optimizer=Adam(4e-4, L2=0.5, L2_is_weight_decay=True))
    for name, tensor in shim.tensors().items():
        assert torch.equal(tensor, before[name]) == (name in frozen), name


@pytest.mark.parametrize("precision, tolerance", [("fp32", 1e-6), ("bf16", 2e-2)])
def test_gradients_above_frozen_layers_do_not_depend_on_the_cache(
    make_shim, monkeypatch, precision, tolerance
):
    def gradients_of(n_bytes):
        monkeypatch.setattr("spacy_xlt.layers.shim.CACHE_BYTES", n_bytes)
        shim = make_shim(freeze=1, precision=precision)
        for _ in range(2):  # the second time from the cache, if there is one
            shim.classifier.zero_grad()
            gradients(shim, TEXTS)
        return {n: p.grad for n, p in shim.classifier.named_parameters() if p.requires_grad}

    found, wanted = gradients_of(CACHE_BYTES), gradients_of(0)
    assert found.keys() == wanted.keys()
    for name in found:
        scale = float(wanted[name].abs().max())
        torch.testing.assert_close(found[name], wanted[name], atol=tolerance * scale, rtol=0)


def test_frozen_layers_are_computed_once(make_shim, monkeypatch):
    shim = make_shim(freeze=1)
    encoder_class, seen = type(shim.classifier.encoder), []
    run = encoder_class._run_frozen

    def count(self, batch, *arguments):
        seen.append(batch.lengths.size)
        return run(self, batch, *arguments)

    monkeypatch.setattr(encoder_class, "_run_frozen", count)
    train(shim, 4, texts=["pizza", "taxi"])
    train(shim, 1, texts=["pizza", "hotel"])
    assert seen == [2, 1]
    train(pickle.loads(pickle.dumps(shim)), 1, texts=["pizza"])
    assert seen == [2, 1, 1]


def test_equal_texts_are_computed_once(make_shim, monkeypatch):
    shim = make_shim()
    texts = [TEXTS[i] for i in (2, 0, 2, 1, 0, 2)]
    expected = torch.cat([shim.predict([text]) for text in texts])
    encode, seen = shim.tokenizer.encode, []
    monkeypatch.setattr(shim.tokenizer, "encode", lambda x: seen.extend(x) or encode(x))
    torch.testing.assert_close(shim.predict(texts), expected, atol=1e-5, rtol=1e-4)
    assert seen == [TEXTS[2], TEXTS[0], TEXTS[1]]


def test_features_of_a_frozen_encoder_are_computed_once(make_shim, monkeypatch):
    shim = make_shim(freeze="encoder")
    seen = []
    encoder_class = type(shim.classifier.encoder)
    forward = encoder_class.forward

    def count(self, batch, **kwargs):
        seen.append(batch.lengths.size)
        return forward(self, batch, **kwargs)

    monkeypatch.setattr(encoder_class, "forward", count)
    texts = ["pizza", "taxi", "jazz"]
    shim.features(texts)
    assert sum(seen) == 3
    train(shim, 5, texts=texts, optimizer=Adam(1e-2))
    shim.features(texts)
    assert sum(seen) == 3
    train(shim, 1, texts=["pizza", "hotel"])
    assert sum(seen) == 4


def test_a_cached_feature_cannot_be_changed_by_training(make_shim):
    shim = make_shim(freeze="encoder")
    before = shim.features(TEXTS[:3]).copy()
    shim.dropout_rate = 0.5
    train(shim, 3, optimizer=Adam(1e-2))
    assert (shim.features(TEXTS[:3]) == before).all()


def test_caches_have_a_limit_and_prediction_does_not_use_them(make_shim):
    shim = make_shim()
    pieces = shim.reader._pieces
    assert pieces.max_bytes == shim._features.max_bytes == CACHE_BYTES
    shim.predict(TEXTS)
    assert len(pieces) == len(shim._features) == 0
    train(shim, 1)
    assert len(pieces) == 3 and len(shim._features) == 0


def test_a_diverged_gradient_is_an_error(make_shim):
    shim = make_shim()
    gradients(shim, TEXTS[:1], d_logits=torch.tensor([[float("nan"), 0.0, 0.0]]))
    with pytest.raises(ValueError, match=r"norm is nan: training has diverged\. Lower"):
        shim.finish_update(Adam(1e-4))


def test_nothing_seen_is_no_step(make_shim):
    shim = make_shim()
    shim.finish_update(Adam(1e-4))
    assert shim.n_steps == 0


# -- averages -------------------------------------------------------------------------------


def test_the_last_steps_are_averaged_and_used_everywhere(make_shim, tmp_path):
    shim = make_shim(average_last=0.7)
    shim.set_run_length(10)
    history = []
    for _ in range(10):
        train(shim, 1)
        history.append(weights(shim))
    averaged = shim.tensors()
    for name, tensor in averaged.items():
        wanted = torch.stack([step[name] for step in history[3:]]).mean(dim=0)
        torch.testing.assert_close(tensor, wanted, atol=1e-6, rtol=1e-5)
    assert any(not torch.equal(averaged[name], history[-1][name]) for name in averaged)
    # evaluation, files, bytes and copies all have the mean
    plain = make_shim(average_last=0.0)
    with torch.no_grad():
        for name, parameter in plain.classifier.named_parameters():
            parameter.copy_(averaged[name])
    wanted = plain.predict(TEXTS)
    for other in [shim, *stored_and_copied(shim, lambda: make_shim(ready=False), tmp_path)]:
        torch.testing.assert_close(other.predict(TEXTS), wanted, atol=1e-6, rtol=1e-5)
    # while training goes on from the last step
    for name, tensor in weights(shim).items():
        assert torch.equal(tensor, history[-1][name])


@pytest.mark.parametrize(("average_last", "run_length"), [(0.0, 5), (0.7, 0)])
def test_no_average_without_a_share_or_a_run_length(make_shim, average_last, run_length):
    shim = make_shim(average_last=average_last)
    shim.set_run_length(run_length)
    train(shim, 5)
    for name, tensor in weights(shim).items():
        assert torch.equal(shim.tensors()[name], tensor)


@pytest.mark.parametrize(
    ("average_last", "run_length", "n_averaged"), [(0.7, 10, 7), (1.0, 4, 4), (0.5, 3, 2)]
)
def test_how_many_steps_are_averaged(make_shim, average_last, run_length, n_averaged):
    shim = make_shim(average_last=average_last)
    shim.set_run_length(run_length)
    train(shim, run_length, texts=["pizza"])
    assert shim.steps.n_averaged == n_averaged


@pytest.mark.parametrize("freeze", ["none", "embeddings", 1, "encoder"])
@pytest.mark.parametrize("run_length", [0, 5])
def test_the_start_counts_everywhere(make_shim, tmp_path, freeze, run_length):
    """With averages and without them; evaluation, files, bytes and copies agree."""
    plain, shim = (make_shim(freeze=freeze, start_share=share) for share in (0.0, 0.3))
    start = weights(shim)
    for each in (plain, shim):
        each.set_run_length(run_length)
        train(each, 5)
    reached = plain.tensors()
    for name, tensor in shim.tensors().items():
        if name in shim.frozen_names():
            assert torch.equal(tensor, start[name])
        else:
            wanted = 0.3 * start[name] + 0.7 * reached[name]
            torch.testing.assert_close(tensor, wanted, atol=1e-7, rtol=1e-6)
        # training itself goes its way
        assert torch.equal(weights(shim)[name], weights(plain)[name])
    wanted = shim.predict(TEXTS)
    assert not torch.equal(wanted, plain.predict(TEXTS))
    for other in stored_and_copied(shim, lambda: make_shim(ready=False), tmp_path):
        assert torch.equal(other.predict(TEXTS), wanted)


def test_a_share_of_1_gives_back_the_start(make_shim):
    shim = make_shim(start_share=1.0)
    shim.set_run_length(3)
    before = shim.predict(TEXTS)
    train(shim, 3, optimizer=Adam(1e-3))
    assert torch.equal(shim.predict(TEXTS), before)


def test_without_a_share_nothing_is_kept_of_the_start(make_shim):
    shim = make_shim()
    train(shim, 1)
    assert shim.training_state().start == {}


def test_frozen_tensors_are_not_kept_twice(make_shim):
    shim = make_shim(freeze=1, start_share=0.5)
    assert shim.training_state().start == {}
    train(shim, 1)
    assert shim.training_state().start.keys() == set(weights(shim)) - set(shim.frozen_names())


def test_a_stored_classifier_starts_where_it_was_stored(make_shim, tmp_path):
    shim = make_shim(start_share=0.5)
    train(shim, 2)
    shim.to_disk(tmp_path)
    for other in (make_shim(ready=False, start_share=0.5).from_disk(tmp_path), copy.deepcopy(shim)):
        start = weights(other)
        train(other, 2)
        for name in set(start) - set(other.frozen_names()):
            tensor, wanted = other.tensors()[name], 0.5 * (start[name] + weights(other)[name])
            torch.testing.assert_close(tensor, wanted, atol=1e-7, rtol=1e-6)


# -- the head -------------------------------------------------------------------------------


def test_rows_of_a_head(make_shim):
    shim = make_shim()
    weight, bias = shim.head_rows([2, None, 0])
    old = weights(shim)
    assert (weight[0] == old["head.weight"][2].numpy()).all()
    assert (weight[1] == 0.0).all() and bias[1] == 0.0
    assert (weight[2] == old["head.weight"][0].numpy()).all()


def test_a_new_head_keeps_what_steps_know_of_the_encoder(make_shim):
    """Adam's next step on the encoder is that of a run without the change."""
    name = "encoder.transformer.encoder.layer.0.output.dense.weight"
    results = []
    for changed in (False, True):
        shim = make_shim(freeze="none")
        optimizer = Adam(1e-4, L2=0.0, grad_clip=0.0)
        train(shim, 2, optimizer=optimizer)
        if changed:
            shim.set_head(*shim.head_rows([0, 1, 2]))
        train(shim, 1, optimizer=optimizer)
        results.append(weights(shim)[name])
    torch.testing.assert_close(results[0], results[1], atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("start_share", [0.0, 0.5])
def test_a_new_head_while_weights_are_averaged_goes_on_from_the_mean(make_shim, start_share):
    shim = make_shim(average_last=1.0, start_share=start_share)
    shim.set_run_length(10)
    train(shim, 4, optimizer=Adam(1e-4))
    before = shim.predict(TEXTS)
    shim.set_head(*shim.head_rows([0, 1, 2, None]))
    torch.testing.assert_close(shim.predict(TEXTS)[:, :3], before, atol=1e-6, rtol=1e-5)
    optimizer = shim.steps._optimizer
    trained = {id(p) for p in shim.classifier.parameters() if p.requires_grad}
    assert {id(p) for p in optimizer.parameters} == trained
    known = {id(p) for p in optimizer._torch.state}
    assert known == trained - {id(p) for p in shim.classifier.head.parameters()}


# -- copies ---------------------------------------------------------------------------------


def test_a_deep_copy_has_an_id_and_weights_of_its_own(make_shim):
    shim = make_shim()
    train(shim, 2)
    clone, other = copy.deepcopy(shim), shim.copy()
    assert len({shim.id, clone.id, other.id}) == 3
    before = shim.predict(TEXTS)
    assert (clone.predict(TEXTS) == before).all()
    train(clone, 2)
    assert (shim.predict(TEXTS) == before).all()
    assert (clone.predict(TEXTS) != before).any()


def test_a_pickle_is_small_and_gives_the_same(make_shim):
    shim = make_shim(freeze="encoder")
    shim.dropout_rate = 0.1
    shim.predict(TEXTS)
    train(shim, 2)
    data = pickle.dumps(shim)
    n_weights = sum(p.numel() for p in shim.classifier.parameters())
    assert len(data) < 4 * n_weights + 100_000
    other = pickle.loads(data)
    assert (other.predict(TEXTS) == shim.predict(TEXTS)).all()
    assert len(pickle.dumps(make_shim(ready=False))) < 5_000


def test_an_empty_shim_can_be_copied(make_shim):
    shim = make_shim(ready=False)
    assert not copy.deepcopy(shim).is_ready
    assert copy.deepcopy(shim).id != shim.id


def test_moving_to_the_device_it_is_on_changes_nothing(make_shim):
    shim = make_shim()
    before = shim.predict(TEXTS)
    shim.to_device("cpu", 0)
    assert (shim.predict(TEXTS) == before).all()


@pytest.mark.gpu
@pytest.mark.parametrize("model_type", ["bert", "distilbert"])
def test_the_same_on_a_gpu(make_shim, model_type):
    cpu, gpu = make_shim(model_type), make_shim(model_type, device="cuda")
    torch.testing.assert_close(gpu.predict(TEXTS).cpu(), cpu.predict(TEXTS), atol=1e-4, rtol=1e-4)
    train(cpu, 2)
    train(gpu, 2)
    torch.testing.assert_close(gpu.predict(TEXTS).cpu(), cpu.predict(TEXTS), atol=1e-3, rtol=1e-3)
