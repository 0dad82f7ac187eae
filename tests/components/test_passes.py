"""Training with one pass and with two, against plain torch on the same tiny encoder."""

import numpy
import pytest
import spacy
import tiny
import torch
from spacy.training import Example
from thinc.api import SGD, Adam, fix_random_seed
from torch.nn import functional as F

from spacy_xlt.layers.noise import PieceNoise

TEXTS = ["we want pizza today", "taxi", "is there jazz here"]
ROBUST = "spacy_xlt.Robust.v1"


@pytest.fixture
def make_robust(make_ready):
    """An initialized pipeline; `model` holds settings of `spacy_xlt.TextCat.v1`, all others are
    those of `spacy_xlt.Robust.v1`."""

    def make(factory="xlt_textcat", *, model=None, langs=("en",), **robust):
        settings = {"robust": {"@architectures": ROBUST, **robust}, **(model or {})}
        nlp = make_ready(factory, model=settings, langs=langs)
        with torch.no_grad():  # so that gradients mean something
            shim_of(nlp).classifier.head.weight.normal_(std=0.5)
        return nlp

    return make


def shim_of(nlp):
    return nlp.get_pipe("textcat").model.get_ref("output_layer").shims[0]


def make_example(nlp, text, cats, *, lang="", weight=1.0):
    doc = nlp.make_doc(text)
    doc.cats, doc._.xlt_lang, doc._.xlt_weight = cats, lang, weight
    return Example(nlp.make_doc(text), doc)


def examples_of(nlp):
    """Hard, soft and partly missing labels, with weights."""
    return [
        make_example(nlp, TEXTS[0], {"food": 1.0}),
        make_example(nlp, TEXTS[1], {"food": 0.1, "music": 0.2, "travel": 0.7}, weight=0.5),
        make_example(nlp, TEXTS[2], {"music": 0.9, "travel": 0.1}, weight=2.0),
    ]


TARGETS = torch.tensor([[1.0, 0.0, 0.0], [0.1, 0.2, 0.7], [0.0, 0.9, 0.1]])
KNOWN = torch.tensor([[1, 1, 1], [1, 1, 1], [0, 1, 1]], dtype=torch.bool)
WEIGHTS = torch.tensor([1.0, 0.5, 2.0])


def gradients(nlp, examples=None, *, drop=0.0):
    """Of one update, and its loss."""
    losses = {}
    nlp.update(examples or examples_of(nlp), sgd=False, drop=drop, losses=losses)
    named = shim_of(nlp).classifier.named_parameters()
    return {n: p.grad for n, p in named if p.grad is not None}, losses["textcat"]


# -- the reference: transformers' own modules, torch's own losses ------------------------------


class Reference:
    """The classifier of a pipeline, as a plain torch program."""

    def __init__(self, nlp, n_frozen=0):
        classifier = shim_of(nlp).classifier
        self.bert = tiny.make_transformer("bert")
        # it has a layer above the encoder that nothing here uses
        self.bert.load_state_dict(classifier.encoder.transformer.state_dict(), strict=False)
        self.head = torch.nn.Linear(tiny.WIDTH, 3)
        self.head.load_state_dict(classifier.head.state_dict())
        self.n_frozen = n_frozen

    def inputs(self, ids):
        """What enters the trained layers."""
        x = self.bert.embeddings(torch.tensor([ids]))
        for layer in self.bert.encoder.layer[: self.n_frozen]:
            x = layer(x)[0]
        return x.detach() if self.n_frozen else x

    def logits(self, x):
        for layer in self.bert.encoder.layer[self.n_frozen :]:
            x = layer(x)[0]
        return self.head(x.mean(dim=1))[0]

    def gradients(self):
        parts = {"encoder.transformer.": self.bert, "head.": self.head}
        return {
            prefix + name: p.grad
            for prefix, part in parts.items()
            for name, p in part.named_parameters()
        }


def loss_of(logits, i, *, exclusive=True):
    known = KNOWN[i]
    if exclusive:
        log_probs = torch.log_softmax(logits[known], dim=0)
        return -WEIGHTS[i] * (TARGETS[i][known] * log_probs).sum()
    return WEIGHTS[i] * F.binary_cross_entropy_with_logits(
        logits[known], TARGETS[i][known], reduction="sum"
    )


def gap_of(a, b, i):
    p, q = (torch.log_softmax(x[KNOWN[i]], dim=0) for x in (a, b))
    there = F.kl_div(q, p, log_target=True, reduction="sum")
    back = F.kl_div(p, q, log_target=True, reduction="sum")
    return WEIGHTS[i] * 0.5 * (there + back)


def assert_same(found, wanted, *, atol=1e-5):
    assert len(found) > 10
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name], atol=atol, rtol=1e-3, msg=name)


def pieces_of(text):
    return tiny.make_tokenizer().encode(text).ids


# -- agreement ------------------------------------------------------------------------------


def test_agreement_is_the_double_pass_of_torch(make_robust, monkeypatch):
    """The second pass reads other pieces, whose place dropout takes otherwise."""
    monkeypatch.setattr(
        PieceNoise, "__call__", lambda self, texts, pieces, seed: [p[1:] for p in pieces]
    )
    nlp = make_robust(agreement=3.0, drop_rate=0.1)
    reference, total = Reference(nlp), 0.0
    for i, text in enumerate(TEXTS):
        start, first_piece, *rest = pieces_of(text)
        a = reference.logits(reference.inputs([start, first_piece, *rest]))
        b = reference.logits(reference.inputs([start, *rest]))
        loss = 0.5 * (loss_of(a, i) + loss_of(b, i)) + 0.5 * 3.0 * gap_of(a, b, i)
        loss.backward()
        total += float(loss.detach())
    found, loss = gradients(nlp)
    assert loss == pytest.approx(total / float(WEIGHTS.sum()), rel=1e-4)
    assert_same(found, reference.gradients())


def test_without_any_difference_two_passes_are_one(make_robust):
    (once, loss), (twice, same) = (gradients(make_robust(agreement=x)) for x in (0.0, 5.0))
    assert same == pytest.approx(loss, rel=1e-5)
    assert_same(twice, once, atol=1e-6)


def test_dropout_makes_a_difference(make_robust):
    losses = []
    for agreement in (1e-9, 10.0):
        nlp = make_robust(agreement=agreement)
        fix_random_seed(3)
        losses.append(gradients(nlp, drop=0.3)[1])
    assert losses[1] > losses[0] + 0.01


# -- the adversary --------------------------------------------------------------------------


@pytest.mark.parametrize("freeze", ["none", 1])
@pytest.mark.parametrize("agreement", [0.0, 2.0])
def test_the_adversary_is_that_of_torch(make_robust, freeze, agreement):
    nlp = make_robust(adversary_radius=0.3, agreement=agreement, model={"freeze": freeze})
    reference, total = Reference(nlp, n_frozen=1 if freeze == 1 else 0), 0.0
    for i, text in enumerate(TEXTS):
        x = reference.inputs(pieces_of(text))
        a = reference.logits(x)
        leaf = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss_of(reference.logits(leaf), i), leaf)
        b = reference.logits(x + 0.3 * x.detach().norm() * slope / slope.norm())
        loss = 0.5 * (loss_of(a, i) + loss_of(b, i)) + 0.5 * agreement * gap_of(a, b, i)
        loss.backward()
        total += float(loss.detach())
    found, loss = gradients(nlp)
    assert loss == pytest.approx(total / float(WEIGHTS.sum()), rel=1e-4)
    assert_same(found, reference.gradients())


def test_the_adversary_makes_the_loss_larger(make_robust):
    plain, attacked = (gradients(make_robust(adversary_radius=r))[1] for r in (0.0, 0.2))
    assert attacked > plain * 1.02


@pytest.mark.parametrize("model_type", ["distilbert", "mt5"])
def test_the_adversary_of_an_encoder_that_the_library_runs(make_ready, encoders, model_type):
    losses = []
    for radius in (0.0, 0.05):
        nlp = make_ready(
            model={"robust": {"@architectures": ROBUST, "adversary_radius": radius}},
            encoder={"path": str(encoders(model_type))},
        )
        with torch.no_grad():
            shim_of(nlp).classifier.head.weight.mul_(5.0)
        found, loss = gradients(nlp)
        assert all(gradient.isfinite().all() for gradient in found.values())
        losses.append(loss)
    assert losses[1] > losses[0]


def test_the_adversary_of_a_frozen_encoder_moves_its_features(make_robust):
    model = {"freeze": "encoder"}
    plain, attacked = (gradients(make_robust(model=model, adversary_radius=r)) for r in (0.0, 0.2))
    assert attacked[1] > plain[1] and set(attacked[0]) == {"head.weight", "head.bias"}


# -- together with everything else ----------------------------------------------------------

TWO_PASSES = [
    {"agreement": 2.0},
    {"adversary_radius": 0.2},
    {"agreement": 2.0, "adversary_radius": 0.2},
]
ALL = {
    "agreement": 1.0,
    "adversary_radius": 0.1,
    "pull_to_start": 10.0,
    "mask_rate": 0.1,
    "drop_rate": 0.1,
    "subword_rate": 0.5,
    "subword_sharpness": 0.1,
    "language_reversal": 0.1,
}


def long_examples(nlp):
    """Some are longer than a window."""
    texts = ["pizza today " * n for n in (1, 40, 3, 25)]
    return [make_example(nlp, text, {"food": 1.0}) for text in texts]


@pytest.mark.parametrize("robust", TWO_PASSES)
def test_parts_of_a_batch_add_up(make_robust, robust):
    results = []
    for max_pieces in (10_000, 64):
        nlp = make_robust(model={"max_train_pieces": max_pieces}, **robust)
        results.append(gradients(nlp, long_examples(nlp)))
    assert results[0][1] == pytest.approx(results[1][1], rel=1e-4)
    assert_same(results[0][0], results[1][0])


@pytest.mark.parametrize("robust", TWO_PASSES)
def test_accumulated_updates_are_one(make_robust, robust):
    whole, divided = make_robust(**robust), make_robust(**robust)
    wanted, _ = gradients(whole)
    for eg in examples_of(divided):
        found, _ = gradients(divided, [eg])
    assert_same(found, wanted)
    assert shim_of(divided).weight_seen == pytest.approx(3.5)


@pytest.mark.parametrize("freeze", ["none", "embeddings", "half"])
@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
def test_everything_together_trains_and_follows_its_seed(make_robust, factory, freeze):
    def train(seed):
        nlp = make_robust(factory, model={"freeze": freeze}, langs=["en", "sw"], **ALL)
        examples = [*tiny.make_examples(nlp, ["en", "sw"]), *long_examples(nlp)]
        fix_random_seed(seed)
        history = []
        for _ in range(3):
            losses = {}
            nlp.update(examples, sgd=Adam(5e-4, L2=0.0), drop=0.1, losses=losses)
            history.append(losses["textcat"])
        return nlp, history

    nlp, history = train(0)
    assert all(numpy.isfinite(history)) and history[-1] < history[0]
    assert train(0)[1] == history != train(1)[1]
    # nothing of it is left at prediction
    first, again = (list(nlp(TEXTS[0]).cats.values()) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("robust", [{}, *TWO_PASSES, {"subword_rate": 1.0}])
def test_texts_without_pieces_or_labels(make_robust, robust):
    nlp = make_robust(**robust)
    examples = [
        make_example(nlp, "", {"food": 1.0}),
        make_example(nlp, "pizza", {}),
        make_example(nlp, "🍕\0", {"music": 1.0}),
    ]
    found, loss = gradients(nlp, examples)
    assert numpy.isfinite(loss)
    assert all(gradient.isfinite().all() for gradient in found.values())
    assert gradients(nlp, examples[1:2])[1] == 0.0


@pytest.mark.parametrize("rates", [{"mask_rate": 0.2}, {"drop_rate": 0.2}, {"subword_rate": 1.0}])
def test_pieces_change_with_each_reading_of_training_only(make_robust, rates):
    nlp = make_robust(subword_sharpness=0.0, **rates)
    texts = [text * 3 for text in TEXTS]
    examples = [make_example(nlp, text, {"food": 1.0}) for text in texts]
    losses = {round(gradients(nlp, examples)[1], 6) for _ in range(5)}
    assert len(losses) > 1
    assert len({tuple(nlp(texts[0]).cats.values()) for _ in range(3)}) == 1


def test_the_first_of_two_passes_reads_texts_as_they_are(make_robust, monkeypatch):
    seen = []

    def note(self, texts, pieces, seed):
        seen.append(len(texts))
        return pieces

    monkeypatch.setattr(PieceNoise, "__call__", note)
    for robust, n_changed in (({}, 1), ({"agreement": 1.0}, 1), ({"adversary_radius": 0.1}, 1)):
        seen.clear()
        gradients(make_robust(mask_rate=0.1, **robust))
        assert seen == [3] * n_changed


def test_windows_in_other_pieces_fill_no_cache(make_robust):
    nlp = make_robust(subword_rate=1.0, model={"freeze": 1})
    gradients(nlp)
    assert shim_of(nlp)._frozen.n_bytes == 0
    nlp = make_robust(subword_rate=1.0, agreement=1.0, model={"freeze": 1})
    gradients(nlp)
    kept = shim_of(nlp)._frozen.n_bytes
    gradients(nlp)
    assert kept == shim_of(nlp)._frozen.n_bytes > 0


def test_a_frozen_encoder_reads_each_text_once(make_robust):
    with pytest.raises(ValueError, match=r"mask_rate, drop_rate and subword_rate change.*\"half\""):
        make_robust(model={"freeze": "encoder"}, mask_rate=0.1)


def test_memory_of_passes_that_must_agree_counts_twice(make_robust):
    def n_parts(**robust):
        nlp = make_robust(model={"max_train_pieces": 64}, **robust)
        return len(shim_of(nlp).plan_updates(["pizza today " * 5] * 8))

    assert n_parts(agreement=1.0) >= 1.5 * n_parts() == 1.5 * n_parts(adversary_radius=0.1)


# -- languages ------------------------------------------------------------------------------


def reversal_examples(nlp):
    """Labelled English, and other languages without labels."""
    others = [
        make_example(nlp, eg.reference.text, {}, lang=eg.reference._.xlt_lang)
        for eg in tiny.make_examples(nlp, ["sw", "zh"])
    ]
    return [*tiny.make_examples(nlp, ["en"]), *others]


@pytest.fixture
def make_reversed(make_nlp):
    def make(**robust):
        nlp = make_nlp(model={"robust": {"@architectures": ROBUST, **robust}})
        fix_random_seed(0)
        nlp.initialize(lambda: reversal_examples(nlp))
        return nlp

    return make


def test_texts_without_labels_are_no_source_and_tuned_to_nothing(make_reversed):
    nlp = make_reversed(language_reversal=1.0)
    cfg = nlp.get_pipe("textcat").cfg
    assert (cfg["train_langs"], cfg["tuned_langs"]) == (["en"], [])
    assert shim_of(nlp).langs == ["en", "sw", "zh"]


def test_vectors_tell_less_of_the_language(make_reversed):
    """How much of the vectors' spread is between the languages' means."""

    def share_between(weight):
        nlp = make_reversed(language_reversal=weight)
        examples = reversal_examples(nlp)
        for _ in range(30):
            nlp.update(examples, sgd=Adam(5e-4, L2=0.0))
        vectors = shim_of(nlp).embed([eg.reference.text for eg in examples])
        langs = numpy.asarray([eg.reference._.xlt_lang for eg in examples])
        means = torch.stack([vectors[torch.from_numpy(langs == x)].mean(dim=0) for x in set(langs)])
        assert tiny.accuracy(nlp, ["en"]) > 0.9
        return float(means.var(dim=0).sum() / vectors.var(dim=0).sum())

    assert share_between(1.0) < 0.7 * share_between(0.0)


def test_texts_without_labels_count_nothing_unless_languages_do(make_reversed):
    for weight, counts in ((0.0, False), (1.0, True)):
        nlp = make_reversed(language_reversal=weight)
        examples = reversal_examples(nlp)
        unlabelled = examples[-4:]
        nlp.update(examples, sgd=SGD(1e-4))  # a critic knows nothing before its first step
        found, loss = gradients(nlp, unlabelled)
        assert loss == 0.0
        assert any(gradient.any() for gradient in found.values()) == counts
        # without labels there is no step, but what was learnt is part of the next one
        nlp.update(unlabelled, sgd=SGD(1e-4))
        assert shim_of(nlp).n_steps == 1
        nlp.update(examples[:2], sgd=SGD(1e-4))
        assert shim_of(nlp).n_steps == 2


def test_languages_to_tell_apart_are_needed(make_robust):
    nlp = make_robust(language_reversal=1.0)
    with pytest.raises(ValueError, match=r"language_reversal is 1\.0, but.*languages \['en'\]"):
        gradients(nlp)


# -- settings -------------------------------------------------------------------------------


def test_settings_are_stored_with_the_pipeline(make_robust, tmp_path):
    nlp = make_robust(agreement=1.5)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert shim_of(loaded).settings.robust.agreement == 1.5
    assert list(loaded(TEXTS[0]).cats.values()) == list(nlp(TEXTS[0]).cats.values())
