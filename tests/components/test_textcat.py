"""The component in a pipeline: creation, prediction, training. Labels have a file of their own."""

import copy
import os
import pickle
import subprocess
import sys
import warnings

import numpy
import pytest
import spacy
import tiny
import torch
from spacy.training import Example
from thinc.api import SGD, Adam, fix_random_seed

from spacy_xlt.layers.shim import TextCatShim

FACTORIES = ["xlt_textcat", "xlt_textcat_multilabel"]


def shim_of(nlp, name="textcat"):
    return nlp.get_pipe(name).model.get_ref("output_layer").shims[0]


def weights(nlp):
    return {n: p.detach().clone() for n, p in shim_of(nlp).classifier.named_parameters()}


def scores(nlp, texts):
    return numpy.array([list(doc.cats.values()) for doc in nlp.pipe(texts)])


def example(nlp, text, cats, weight=1.0):
    doc = nlp.make_doc(text)
    doc.cats = cats
    doc._.xlt_weight = weight
    return Example(nlp.make_doc(text), doc)


def assert_same_weights(a, b, **tolerance):
    a, b = weights(a), weights(b)
    assert set(a) == set(b)
    for name in a:
        torch.testing.assert_close(a[name], b[name], **{"atol": 1e-6, "rtol": 1e-5, **tolerance})


# -- creation -------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", FACTORIES)
def test_adding_it_needs_no_encoder(factory):
    nlp = spacy.blank("xx")
    pipe = nlp.add_pipe(factory)
    assert pipe.labels == () and pipe.label_data == [] and pipe.is_trainable
    with pytest.raises(ValueError, match=r"no weights yet\. Call nlp\.initialize"):
        nlp("hello")
    with pytest.raises(ValueError, match=r"No encoder is set\. Set paths\.encoder"):
        nlp.initialize(lambda: tiny.make_examples(nlp))


def test_it_can_join_another_pipeline(encoder_dir):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    encoder = {"@architectures": "spacy_xlt.Encoder.v1", "path": str(encoder_dir)}
    nlp.add_pipe("xlt_textcat", config={"model": {"encoder": encoder}})
    nlp.add_pipe("textcat_multilabel")
    nlp.initialize(lambda: tiny.make_examples(nlp))
    doc = nlp("We want pizza. We want jazz.")
    assert len(list(doc.sents)) == 2
    assert list(doc.cats) == tiny.LABELS


def test_what_the_registry_says_of_it():
    nlp = spacy.blank("xx")
    for factory in FACTORIES:
        meta = nlp.get_factory_meta(factory)
        assert meta.assigns == ["doc.cats"]
        # shown while training, but never counted: no choice is made with target labels
        assert set(meta.default_score_weights.values()) == {0.0, None}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"label_smoothing": 1.0}, r"label_smoothing is 1\.0; allowed is 0 up to"),
        ({"probe_strength": -1.0}, r"probe_strength is -1\.0; allowed is 0 or more"),
        ({"class_weights": {"food": -1.0}}, r"class_weights are .*'food': -1\.0.*0 or more"),
    ],
)
def test_settings_out_of_range(make_nlp, config, message):
    with pytest.raises(ValueError, match=message):
        make_nlp(**config)


def test_a_misspelt_setting_is_refused(make_nlp):
    with pytest.raises(ValueError, match="label_smothing"):
        make_nlp(label_smothing=0.1)
    with pytest.raises(ValueError, match="freezes"):
        make_nlp(model={"freezes": "none"})


# -- prediction -----------------------------------------------------------------------------

NASTY = [
    "we want pizza today",
    "",
    "   ",
    "🍕🚕🎷",
    "a\0b\0",
    "ᚠᛇᚻ᛫ᛒᛦᚦ",
    "我们今天想要jazz" * 60,
    "taxi " * 500,
    "x" * 3000,
    "\u202eـــ\u200d\ufeff",
]


@pytest.mark.parametrize("factory", FACTORIES)
def test_every_text_gets_what_it_gets_alone_and_in_order(make_ready, factory):
    nlp = make_ready(factory)
    together = list(nlp.pipe(NASTY))
    assert [doc.text for doc in together] == NASTY
    for doc in together:
        assert list(doc.cats) == tiny.LABELS
        assert all(type(value) is float and 0.0 <= value <= 1.0 for value in doc.cats.values())
        if factory == "xlt_textcat":
            assert sum(doc.cats.values()) == pytest.approx(1.0, abs=1e-5)
        alone = nlp(doc.text)
        assert alone.cats == pytest.approx(doc.cats, abs=1e-4)


def test_the_same_in_bfloat16(make_ready):
    nlp = make_ready(model={"precision": "bf16"})
    for doc in nlp.pipe(NASTY):
        assert nlp(doc.text).cats == pytest.approx(doc.cats, abs=2e-2)


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_the_batch_size_changes_nothing(make_ready, batch_size):
    nlp = make_ready()
    found = [doc.cats for doc in nlp.pipe(NASTY, batch_size=batch_size)]
    for cats, text in zip(found, NASTY, strict=True):
        assert cats == pytest.approx(nlp(text).cats, abs=1e-4)


def test_a_document_of_the_greatest_length(make_ready):
    nlp = make_ready()
    unit = "我们今天想要jazz给大家的"
    doc = nlp((unit * (nlp.max_length // len(unit) + 1))[: nlp.max_length])
    assert len(doc.text) == 1_000_000
    assert sum(doc.cats.values()) == pytest.approx(1.0, abs=1e-5)


def test_only_the_text_matters(make_ready):
    """Not how spaCy divides it into tokens."""
    nlp = make_ready()
    text = "we want pizza today"
    one = spacy.tokens.Doc(nlp.vocab, words=[text], spaces=[False])
    assert nlp.get_pipe("textcat")(one).cats == nlp(text).cats


def test_prediction_leaves_documents_alone(make_ready):
    nlp = make_ready()
    doc = nlp.make_doc("we want pizza")
    found = nlp.get_pipe("textcat").predict([doc])
    assert isinstance(found, numpy.ndarray) and found.shape == (1, 3)
    assert doc.cats == {} and nlp.get_pipe("textcat").predict([]).shape == (0, 3)
    doc = nlp("we want pizza")
    assert doc.user_data == {} and doc.tensor.size == 0


def test_a_stream_is_read_as_it_is_needed(make_ready):
    """A buffer's documents only, so memory does not grow with the stream."""
    nlp = make_ready()
    taken = []

    def texts():
        for i in range(10_000):
            taken.append(i)
            yield f"taxi {i}"

    stream = nlp.pipe(texts(), batch_size=8)
    for _ in range(20):
        next(stream)
    assert len(taken) <= 40


def test_several_processes(trained):
    texts = [doc.text for doc in tiny.make_docs(["en", "zh"], trained.vocab)] + ["", "🍕"]
    wanted = scores(trained, texts)
    docs = list(trained.pipe(texts, n_process=2, batch_size=8))
    assert [doc.text for doc in docs] == texts
    found = numpy.array([list(doc.cats.values()) for doc in docs])
    numpy.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_worker_that_is_not_forked_gets_it_pickled(trained):
    pipe = pickle.loads(pickle.dumps(trained.get_pipe("textcat")))
    doc = trained.make_doc("taxi for everybody")
    assert (pipe.predict([doc]) == trained.get_pipe("textcat").predict([doc])).all()
    assert pipe.labels == tuple(tiny.LABELS)


WORKERS = """
import multiprocessing, sys, spacy
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[2])
    nlp = spacy.load(sys.argv[1])
    texts = ["taxi for everybody", "", "jazz"] * 5
    alone = [doc.cats for doc in nlp.pipe(texts)]  # also starts the libraries' threads
    docs = list(nlp.pipe(texts, n_process=2, batch_size=4))
    assert [doc.text for doc in docs] == texts
    for doc, cats in zip(docs, alone):
        assert all(abs(doc.cats[label] - p) < 1e-4 for label, p in cats.items())
    print(len(docs))
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_several_processes_however_they_start(trained_dir, tmp_path, method):
    """With as many threads as the libraries like."""
    threads = ("OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM")
    env = {name: value for name, value in os.environ.items() if name not in threads}
    (tmp_path / "script.py").write_text(WORKERS)
    command = [sys.executable, tmp_path / "script.py", trained_dir, method]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert result.stdout.strip() == "15", result.stderr


def test_a_failing_batch_goes_to_the_error_handler(make_ready):
    nlp = make_ready()
    pipe = nlp.get_pipe("textcat")
    predict = pipe.predict

    class Fails(type(pipe)):
        def predict(self, docs):
            if any("bad" in doc.text for doc in docs):
                raise ValueError("a bad document")
            return predict(docs)

    pipe.__class__ = Fails
    failed = []
    nlp.set_error_handler(lambda name, proc, docs, e: failed.append((name, docs[0].text, str(e))))
    found = list(nlp.pipe(["good", "bad", "fine"], batch_size=1))
    assert [doc.text for doc in found] == ["good", "fine"]
    assert failed == [("textcat", "bad", "a bad document")]
    nlp.set_error_handler(spacy.util.raise_error)
    with pytest.raises(ValueError, match="a bad document"):
        list(nlp.pipe(["good", "bad"]))


def test_scores_that_are_not_numbers_are_an_error(make_ready):
    nlp = make_ready()
    with torch.no_grad():
        shim_of(nlp).classifier.head.bias[0] = float("nan")
    with pytest.raises(ValueError, match=r"'textcat' predicted scores that are not numbers\. Its"):
        nlp("pizza")


def test_vectors(make_ready):
    nlp = make_ready()
    docs = [nlp.make_doc(text) for text in ("pizza", "", "taxi")]
    vectors = nlp.get_pipe("textcat").embed(docs)
    assert vectors.shape == (3, tiny.WIDTH) and (vectors[1] == 0.0).all()


def test_what_is_known_of_its_encoder(make_nlp, make_ready):
    assert make_ready().get_pipe("textcat").encoder_record["name"] == "tiny-bert"
    assert make_nlp().get_pipe("textcat").encoder_record == {}


# -- training -------------------------------------------------------------------------------


def test_it_learns_and_carries_over(trained):
    assert tiny.accuracy(trained, ["en"]) == 1.0
    # far above a third, in languages it has not seen
    assert tiny.accuracy(trained, ["de", "sw", "zh"]) > 0.6


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_head_starts_from_a_probe(make_ready, factory):
    with_probe, without = make_ready(factory), make_ready(factory, probe_strength=0.0)
    assert tiny.accuracy(with_probe, ["en"]) > 0.6
    value = 1 / 3 if factory == "xlt_textcat" else 0.5
    assert without("pizza").cats == pytest.approx(dict.fromkeys(tiny.LABELS, value))


def test_losses_fall(make_ready):
    nlp = make_ready(model={"freeze": "none"})
    examples = tiny.make_examples(nlp)
    optimizer = Adam(5e-4, use_averages=False)
    history = []
    for _ in range(25):
        losses = {}
        nlp.update(examples, sgd=optimizer, losses=losses)
        assert type(losses["textcat"]) is float
        history.append(losses["textcat"])
    assert history[-1] < 0.9 * history[0]


def test_losses_add_up_and_are_there_for_empty_batches(make_ready):
    nlp = make_ready()
    pipe = nlp.get_pipe("textcat")
    assert pipe.update([]) == {"textcat": 0.0}
    assert pipe.update([example(nlp, "no label", {})]) == {"textcat": 0.0}
    losses = {"other": 1.0}
    batch = tiny.make_examples(nlp)[:4]
    once = pipe.update(batch, losses=losses)["textcat"]
    assert pipe.update(batch, losses=losses)["textcat"] == pytest.approx(2 * once)
    assert losses["other"] == 1.0


def test_the_loss_is_the_mean_cross_entropy(make_ready):
    nlp = make_ready()
    examples = tiny.make_examples(nlp)[:5]
    probabilities = [nlp(eg.reference.text).cats for eg in examples]
    gold = [max(eg.reference.cats, key=eg.reference.cats.get) for eg in examples]
    wanted = -numpy.mean([numpy.log(p[g]) for p, g in zip(probabilities, gold, strict=True)])
    assert nlp.get_pipe("textcat").update(examples)["textcat"] == pytest.approx(wanted, rel=1e-4)


def train_in_parts(make_ready, n_parts, *, n_steps=3, **settings):
    """What `training.accumulate_gradient = n_parts` does."""
    nlp = make_ready(model={"freeze": "none", **settings})
    pipe = nlp.get_pipe("textcat")
    optimizer = Adam(4e-4, L2=0.01, grad_clip=1.0, use_averages=False)
    examples = tiny.make_examples(nlp)[:11]
    for i, eg in enumerate(examples):
        eg.reference._.xlt_weight = 0.5 + i % 3
    for _ in range(n_steps):
        for i in range(n_parts):
            nlp.update(examples[i::n_parts], sgd=False)
        pipe.finish_update(optimizer)
    return nlp


@pytest.mark.parametrize("n_parts", [2, 4, 11])
def test_accumulated_gradients_are_exact(make_ready, n_parts):
    whole, parts = train_in_parts(make_ready, 1), train_in_parts(make_ready, n_parts)
    assert shim_of(parts).n_steps == 3
    # Adam's first steps divide tiny gradients by themselves
    assert_same_weights(whole, parts, atol=1e-5)


def test_accumulated_gradients_are_exact_with_sgd(make_ready):
    results = []
    for n_parts in (1, 4):
        nlp = make_ready(model={"freeze": "none"})
        examples = tiny.make_examples(nlp)[:11]
        for i in range(n_parts):
            nlp.update(examples[i::n_parts], sgd=False)
        nlp.get_pipe("textcat").finish_update(SGD(5e-4, L2=0.0, grad_clip=0.0))
        results.append(nlp)
    assert_same_weights(*results)


@pytest.mark.parametrize("max_train_pieces", [1, 40])
def test_parts_that_fit_into_memory_change_nothing(make_ready, max_train_pieces):
    results = []
    for limit in (10_000, max_train_pieces):
        nlp = make_ready(model={"freeze": "none", "max_train_pieces": limit})
        nlp.update(tiny.make_examples(nlp), sgd=SGD(5e-4, L2=0.0, grad_clip=0.0))
        results.append(nlp)
    assert_same_weights(*results)


def test_weights_of_examples_count(make_ready):
    """Weight 2 is the document twice, weight 0 is no document."""
    results = []
    for batch in (
        [("pizza", "food", 2.0), ("taxi", "travel", 1.0), ("jazz", "food", 0.0)],
        [("pizza", "food", 1.0), ("pizza", "food", 1.0), ("taxi", "travel", 1.0)],
    ):
        nlp = make_ready(model={"freeze": "none"})
        examples = [
            example(nlp, text, {x: float(x == label) for x in tiny.LABELS}, weight)
            for text, label, weight in batch
        ]
        nlp.update(examples, sgd=SGD(5e-4, L2=0.0, grad_clip=0.0))
        results.append(nlp)
    assert_same_weights(*results)


def test_class_weights_count_as_weights_of_examples(make_ready):
    results = []
    for class_weights, weight in (({"food": 3.0}, 1.0), (None, 3.0)):
        nlp = make_ready(class_weights=class_weights, probe_strength=0.0)
        food = {"food": 1.0, "music": 0.0, "travel": 0.0}
        travel = {"food": 0.0, "music": 0.0, "travel": 1.0}
        batch = [example(nlp, "pizza", food, weight), example(nlp, "taxi", travel)]
        nlp.update(batch, sgd=SGD(5e-4, L2=0.0, grad_clip=0.0))
        results.append(nlp)
    assert_same_weights(*results)


def loss_of(nlp, cats):
    return nlp.get_pipe("textcat").update([example(nlp, "pizza", cats)])["textcat"]


def test_label_smoothing(make_ready):
    nlp = make_ready(label_smoothing=0.3)
    p = nlp("pizza").cats
    wanted = -0.8 * numpy.log(p["food"]) - 0.1 * (numpy.log(p["music"]) + numpy.log(p["travel"]))
    found = loss_of(nlp, {"food": 1.0, "music": 0.0, "travel": 0.0})
    assert found == pytest.approx(wanted, rel=1e-4)


def test_soft_labels(make_ready):
    nlp = make_ready()
    p = nlp("pizza").cats
    wanted = -0.25 * numpy.log(p["food"]) - 0.75 * numpy.log(p["music"])
    found = loss_of(nlp, {"food": 0.25, "music": 0.75, "travel": 0.0})
    assert found == pytest.approx(wanted, rel=1e-4)


def test_missing_labels_are_masked(make_ready):
    nlp = make_ready("xlt_textcat_multilabel")
    p = nlp("pizza").cats
    wanted = -numpy.log(p["food"]) - numpy.log(1 - p["travel"])
    assert loss_of(nlp, {"food": 1.0, "travel": 0.0}) == pytest.approx(wanted, rel=1e-4)
    before = weights(nlp)["head.weight"][1].clone()
    batch = [example(nlp, "pizza", {"food": 1.0, "travel": 0.0})]
    nlp.update(batch, sgd=SGD(5e-4, L2=0.0))
    assert torch.equal(weights(nlp)["head.weight"][1], before)


def test_the_gradient_of_the_loss(make_ready):
    nlp = make_ready()
    examples = tiny.make_examples(nlp)[:3]
    pipe = nlp.get_pipe("textcat")
    logits = numpy.zeros((3, 3), dtype="f")
    loss, d_logits = pipe.get_loss(examples, logits)
    assert loss == pytest.approx(numpy.log(3), rel=1e-5)
    numpy.testing.assert_allclose(d_logits, 1 / 3 - numpy.eye(3), atol=1e-6)


@pytest.mark.parametrize("value", [2.0, -1.0])
def test_impossible_gold_values(make_ready, value):
    nlp = make_ready()
    with pytest.raises(ValueError, match=r"Label 'food' has the value .*probabilities from 0 to 1"):
        loss_of(nlp, {"food": value})


def train(nlp, n_steps=3, *, drop=0.2, optimizer=None, freeze=None):
    optimizer = optimizer or Adam(4e-4, L2=0.01, L2_is_weight_decay=True, use_averages=False)
    examples = tiny.make_examples(nlp)[:12]
    for _ in range(n_steps):
        nlp.update(examples, sgd=optimizer, drop=drop)
    return nlp


def test_the_same_seed_gives_the_same_and_another_another(make_ready):
    def run(seed):
        nlp = make_ready()
        fix_random_seed(seed)
        return weights(train(nlp))

    first, again, other = run(1), run(1), run(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("freeze", ["none", "embeddings", 0, 1, 2, "half", "encoder"])
def test_frozen_tensors_stay_as_they_are_in_the_encoder(make_ready, encoder_dir, freeze):
    from safetensors.torch import load_file

    nlp = train(make_ready(model={"freeze": freeze, "half_precision": "none"}))
    original = load_file(encoder_dir / "model.safetensors")
    prefix = "encoder.transformer."
    frozen = {name.removeprefix(prefix) for name in shim_of(nlp).frozen_names()}
    for name, tensor in weights(nlp).items():
        if name.startswith(prefix):
            short = name.removeprefix(prefix)
            assert torch.equal(tensor, original[short]) == (short in frozen)
    assert bool(frozen) == (freeze != "none")


def test_a_frozen_encoder_is_run_once_per_text(make_nlp, monkeypatch):
    """Also by the probe, and for all epochs."""
    nlp = make_nlp(model={"freeze": "encoder"})
    n_texts = []
    embed = TextCatShim._embed

    def count(self, classifier, texts, *args):
        n_texts.append(len(texts))
        return embed(self, classifier, texts, *args)

    monkeypatch.setattr(TextCatShim, "_embed", count)
    examples = tiny.make_examples(nlp)
    nlp.initialize(lambda: examples)
    for _ in range(4):
        nlp.update(examples, sgd=Adam(1e-2, use_averages=False), drop=0.1)
    assert sum(n_texts) == len(examples)


def test_dropout_is_in_training_only(make_ready):
    nlp = make_ready()
    batch = [example(nlp, "pizza", {"food": 1.0, "music": 0.0, "travel": 0.0})]
    pipe = nlp.get_pipe("textcat")
    fix_random_seed(0)
    noisy = {pipe.update(batch, drop=0.5)["textcat"] for _ in range(3)}
    exact = {pipe.update(batch, drop=0.0)["textcat"] for _ in range(3)}
    assert len(noisy) == 3 and len(exact) == 1
    assert nlp("pizza").cats == nlp("pizza").cats


def test_thinc_averages_do_not_disturb(make_ready):
    """Thinc's optimizer keeps none of torch's weights, so swapping its averages in changes
    nothing."""
    nlp = make_ready()
    optimizer = Adam(4e-4, use_averages=True)
    train(nlp, optimizer=optimizer)
    before = nlp("pizza").cats
    with nlp.use_params(optimizer.averages):
        assert nlp("pizza").cats == before
    assert nlp("pizza").cats == before


def test_an_optimizer_of_the_pipelines_own_making(make_ready):
    """`nlp.update` without one uses spaCy's default, at a rate that is worth a warning."""
    nlp = make_ready()
    before = weights(nlp)
    with pytest.warns(UserWarning, match=r"learning rate of 0\.001"):
        nlp.update(tiny.make_examples(nlp))
    assert not torch.equal(weights(nlp)["head.weight"], before["head.weight"])


def test_an_optimizer_that_is_refused(make_ready):
    nlp = make_ready()
    with pytest.raises(ValueError, match=r"cannot train with Optimizer\(beta1=0\.0, beta2=0\.9"):
        train(nlp, optimizer=Adam(1e-4, beta1=0.0))


def test_divergence_is_one_clear_message(make_ready):
    nlp = make_ready()
    with torch.no_grad():
        shim_of(nlp).classifier.head.weight.fill_(float("inf"))
    with pytest.raises(ValueError, match="training has diverged"), numpy.errstate(all="ignore"):
        train(nlp)


def test_the_average_of_the_last_steps_is_what_is_evaluated(make_ready):
    nlp = make_ready(model={"average_last": 0.5})
    nlp.get_pipe("textcat").set_run_length(4)
    history = []
    for _ in range(4):
        train(nlp, 1, drop=0.0, optimizer=Adam(4e-4, use_averages=False))
        history.append(weights(nlp))
    mean = {n: (history[2][n] + history[3][n]) / 2 for n in history[3]}
    evaluated = shim_of(nlp).tensors()
    for name, tensor in mean.items():
        torch.testing.assert_close(evaluated[name], tensor, atol=1e-6, rtol=1e-5)
    result = nlp.evaluate(tiny.make_examples(nlp))
    twin = copy.deepcopy(nlp.get_pipe("textcat"))
    doc = nlp.make_doc("pizza")
    numpy.testing.assert_allclose(
        twin.predict([doc]), nlp.get_pipe("textcat").predict([doc]), atol=1e-6
    )
    assert 0.0 <= result["cats_acc"] <= 1.0


# -- several components, and their place in a pipeline ---------------------------------------


def test_several_on_one_document(make_nlp):
    """Each writes and scores its own labels, and learns from its own only."""
    nlp = make_nlp(name="topic", scorer={"@scorers": NAME, "prefix": "topic"})
    second = make_nlp(
        "xlt_textcat_multilabel", name="tone", scorer={"@scorers": NAME, "prefix": "tone"}
    )
    third = make_nlp(name="size", scorer={"@scorers": NAME, "prefix": "size"})
    examples = tiny.make_examples(nlp)
    for i, eg in enumerate(examples):
        big = float(i % 5 > 1)
        eg.reference.cats.update(loud=float(i % 2), glad=float(i % 3 > 0), big=big, small=1 - big)
    for other, name in ((second, "tone"), (third, "size")):
        config = other.get_pipe_config(name)
        nlp.add_pipe(config.pop("factory"), name=name, config=config)
    labels = {"topic": tiny.LABELS, "tone": ["glad", "loud"], "size": ["big", "small"]}
    nlp.config["initialize"]["components"] = {name: {"labels": own} for name, own in labels.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nlp.initialize(lambda: examples)
    for name, own in labels.items():
        assert nlp.get_pipe(name).labels == tuple(own)
    losses = {}
    nlp.update(examples, sgd=Adam(4e-4), losses=losses)
    assert set(losses) == {"topic", "tone", "size"} and min(losses.values()) > 0.0
    cats = nlp("pizza for everybody").cats
    assert set(cats) == {*tiny.LABELS, "glad", "loud", "big", "small"}
    for own in (tiny.LABELS, ["big", "small"]):
        assert sum(cats[label] for label in own) == pytest.approx(1.0, abs=1e-5)
    result = nlp.evaluate(examples)
    for name, own in labels.items():
        assert list(result[f"{name}_f_per_type"]) == own


NAME = "spacy_xlt.textcat_by_language.v1"


def test_labels_of_another_component_stay_on_the_document(make_ready):
    nlp = make_ready()
    doc = nlp.make_doc("pizza")
    doc.cats = {"urgent": 0.7, "food": 0.123}
    nlp.get_pipe("textcat")(doc)
    assert doc.cats["urgent"] == 0.7 and doc.cats["food"] != 0.123


def test_scores_need_no_prediction_of_other_labels(make_ready):
    nlp = make_ready()
    examples = tiny.make_examples(nlp, ["en", "zh"])
    for eg in examples:
        eg.reference.cats["urgent"] = 1.0
    result = nlp.evaluate(examples)
    assert set(result["cats_f_per_type"]) == set(tiny.LABELS)
    assert set(result["cats_by_lang"]) == {"en", "zh"}
    assert result["cats_transfer_gap"] == pytest.approx(
        result["cats_acc_en"] - result["cats_acc_zh"]
    )


def test_sourced_into_another_pipeline(trained, trained_dir):
    nlp = spacy.blank("en")
    nlp.add_pipe("textcat", source=trained)
    nlp.add_pipe("sentencizer")
    texts = ["pizza for everybody", "这里有taxi吗"]
    numpy.testing.assert_allclose(scores(nlp, texts), scores(trained, texts))
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 1e-4
    before = weights(nlp)
    nlp.update(tiny.make_examples(nlp), sgd=optimizer)
    assert not torch.equal(weights(nlp)["head.weight"], before["head.weight"])
    numpy.testing.assert_allclose(
        scores(spacy.load(trained_dir), texts), scores(trained, texts), atol=1e-2
    )


def test_frozen_in_training(make_ready):
    """As `training.frozen_components` excludes it."""
    nlp = make_ready()
    before = weights(nlp)
    losses = {}
    nlp.update(tiny.make_examples(nlp), exclude=["textcat"], sgd=Adam(1e-4), losses=losses)
    assert losses == {}
    for name, tensor in weights(nlp).items():
        assert torch.equal(tensor, before[name])


class Onlooker:
    """Remembers the predicted labels that it sees in training."""

    def __init__(self):
        self.seen = []

    def __call__(self, doc):
        return doc

    def update(self, examples, *, drop=0.0, sgd=None, losses=None):
        self.seen += [set(eg.predicted.cats) for eg in examples]
        return losses


@spacy.Language.factory("xlt_test_onlooker")
def make_onlooker(nlp, name):
    return Onlooker()


@pytest.mark.parametrize("annotates", [True, False])
def test_annotating_in_training(make_ready, annotates):
    nlp = make_ready()
    onlooker = nlp.add_pipe("xlt_test_onlooker")
    examples = tiny.make_examples(nlp)[:3]
    nlp.update(examples, annotates=["textcat"] if annotates else [], sgd=Adam(1e-4))
    assert onlooker.seen == [set(tiny.LABELS) if annotates else set()] * 3


def test_a_deep_copy_is_another_component(make_ready):
    nlp = make_ready()
    pipe = nlp.get_pipe("textcat")
    clone = copy.deepcopy(pipe)
    assert clone.model.shims[0].id != pipe.model.shims[0].id
    doc = nlp.make_doc("pizza")
    before = pipe.predict([doc])
    assert (clone.predict([doc]) == before).all()
    clone.update(tiny.make_examples(nlp), sgd=Adam(4e-4))
    assert (pipe.predict([doc]) == before).all() and (clone.predict([doc]) != before).any()
