"""How a second stage starts: between two encoders, with a head fitted to a few examples."""

import numpy
import pytest
import spacy
import tiny
import torch
from spacy.training import Example
from thinc.api import Adam, fix_random_seed

from spacy_xlt.layers.encoder import load_encoder


def initialize(nlp, examples=None, **settings):
    nlp.config["initialize"]["components"] = {"textcat": settings}
    examples = tiny.make_examples(nlp) if examples is None else examples
    nlp.initialize(lambda: examples)
    return nlp


def tensors(nlp):
    return nlp.get_pipe("textcat").model.shims[0].tensors()


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_encoder_starts_between_two(make_nlp, trained_dir, encoder_dir, share):
    nlp = initialize(make_nlp(), start_from=str(trained_dir), untouched_share=share)
    trained = tensors(spacy.load(trained_dir))
    untouched = {f"encoder.{n}": p for n, p in load_encoder(encoder_dir).named_parameters()}
    moved = 0
    for name, tensor in tensors(nlp).items():
        if name in untouched:
            wanted = (1 - share) * trained[name].float() + share * untouched[name]
            torch.testing.assert_close(tensor.float(), wanted.detach(), atol=1e-4, rtol=1e-3)
            moved += int(not torch.equal(trained[name].float(), untouched[name]))
    assert moved > 10  # else there is nothing between them


def test_vectors_are_those_of_the_mixed_encoder(make_nlp, trained_dir):
    """Also those that the head was fitted on are not of one of the two."""
    settings = {"start_from": str(trained_dir), "new_head": True}
    found = [
        initialize(make_nlp(model={"freeze": "encoder"}), untouched_share=share, **settings)
        for share in (0.0, 0.5)
    ]
    docs = [nlp.make_doc("we want pizza today") for nlp in found]
    vectors = [nlp.get_pipe("textcat").embed([d]) for nlp, d in zip(found, docs, strict=True)]
    assert abs(vectors[0] - vectors[1]).max() > 1e-4
    cached = found[1].get_pipe("textcat").model.shims[0].features(["we want pizza today"])
    numpy.testing.assert_allclose(cached, vectors[1], atol=1e-5)


def few_examples(nlp, label=None):
    """Two of each label in Swahili; all of them called by one label, if it is given."""
    examples = tiny.make_examples(nlp, ["sw"])
    by_label = {}
    for eg in examples:
        gold = max(eg.reference.cats, key=eg.reference.cats.get)
        if len(by_label.setdefault(gold, [])) < 2:
            by_label[gold].append(eg)
    found = [eg for own in by_label.values() for eg in own]
    for eg in found if label else []:
        eg.reference.cats = {other: float(other == label) for other in tiny.LABELS}
    return found


def head(nlp):
    found = tensors(nlp)
    return found["head.weight"].numpy(), found["head.bias"].numpy()


def test_a_refitted_head_stays_near_what_it_was(make_nlp, trained_dir):
    kept = head(initialize(make_nlp(), start_from=str(trained_dir)))
    distances = []
    for strength in (0.0, 0.01, 100.0):
        nlp = make_nlp(probe_strength=strength)
        initialize(nlp, few_examples(nlp), start_from=str(trained_dir), refit_head=True)
        distances.append(abs(head(nlp)[0] - kept[0]).max())
    assert distances[0] == 0.0
    assert 0.0 < distances[1] < distances[2]


def test_a_refitted_head_learns_what_the_examples_say(make_nlp, trained_dir):
    """Every text is food, the examples insist, and a strong refit believes it of such texts."""
    settings = {"start_from": str(trained_dir), "labels": tiny.LABELS, "refit_head": True}
    nlp = make_nlp(probe_strength=1000.0)
    examples = few_examples(nlp, "food")
    initialize(nlp, examples, **settings)
    assert all(nlp(eg.reference.text).cats["food"] > 0.8 for eg in examples)


def test_unlabelled_examples_refit_nothing(make_nlp, trained_dir):
    nlp = make_nlp()
    examples = [Example(nlp.make_doc("leo"), nlp.make_doc("leo"))] * 2
    initialize(nlp, examples, start_from=str(trained_dir), labels=tiny.LABELS, refit_head=True)
    numpy.testing.assert_array_equal(head(nlp)[0], head(spacy.load(trained_dir))[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"untouched_share": 1.5}, r"untouched_share is 1\.5; allowed is 0 to 1"),
        ({"untouched_share": -0.1}, r"untouched_share is -0\.1; allowed is 0 to 1"),
        ({"untouched_share": 0.5}, r"untouched_share is 0\.5, but start_from names no pipeline"),
        ({"refit_head": True}, r"refit_head is True and .* but start_from names no pipeline"),
    ],
)
def test_settings_that_have_nothing_to_apply_to(make_nlp, settings, message):
    with pytest.raises(ValueError, match=message):
        initialize(make_nlp(), **settings)


def test_a_head_is_not_new_and_refitted(make_nlp, trained_dir):
    with pytest.raises(ValueError, match=r"either fitted anew \(new_head\) or from what it was"):
        initialize(make_nlp(), start_from=str(trained_dir), new_head=True, refit_head=True)


def test_another_encoder_is_not_mixed(make_nlp, trained_dir, tmp_path):
    other = tiny.make_encoder(tmp_path / "deep", "bert", num_hidden_layers=3)
    nlp = make_nlp(encoder={"path": str(other)})
    with pytest.raises(ValueError, match=r"16 tensors differ in shape, such as transformer\.enc"):
        initialize(nlp, start_from=str(trained_dir), untouched_share=0.5)
    named = tiny.make_encoder(tmp_path / "roberta", "roberta")
    nlp = make_nlp(encoder={"path": str(named)})
    with pytest.raises(ValueError, match=r"from the encoder 'tiny-bert', but .* 'tiny-roberta'"):
        initialize(nlp, start_from=str(trained_dir), untouched_share=0.5)
    nlp = make_nlp(encoder={"path": None})
    with pytest.raises(ValueError, match="No encoder is set"):
        initialize(nlp, start_from=str(trained_dir), untouched_share=0.5)


# -- settings of training -------------------------------------------------------------------


def changed(before, after):
    """Depths of the layers, and whether the head, that differ."""
    names = [name for name in before if not torch.equal(before[name], after[name])]
    depths = {int(n.split("layer.")[1].split(".")[0]) for n in names if "layer." in n}
    return depths, any(name.startswith("head") for name in names)


@pytest.mark.filterwarnings("ignore:The encoder trains at a learning rate")
def test_layers_join_from_the_highest_down(make_ready):
    """Of ten steps: the head alone at first, the upper layer before the lower, then all."""
    nlp = make_ready(model={"unfreeze": 1.0, "average_last": 0.0})
    pipe, examples = nlp.get_pipe("textcat"), tiny.make_examples(nlp)[:6]
    pipe.set_run_length(10)
    optimizer = Adam(1e-3, L2=0.01, L2_is_weight_decay=True, use_averages=False)
    seen = []
    for _ in range(11):
        before = {name: tensor.clone() for name, tensor in tensors(nlp).items()}
        nlp.update(examples, sgd=optimizer)
        seen.append(changed(before, tensors(nlp)))
    assert seen[0] == (set(), True)
    assert seen[1:6] == [({1}, True)] * 5
    assert seen[6:] == [({0, 1}, True)] * 5


@pytest.mark.filterwarnings("ignore:The encoder trains at a learning rate")
def test_without_a_run_length_all_layers_train_at_once(make_ready):
    nlp = make_ready(model={"unfreeze": 1.0})
    before = {name: tensor.clone() for name, tensor in tensors(nlp).items()}
    nlp.update(tiny.make_examples(nlp)[:6], sgd=Adam(1e-3, use_averages=False))
    assert changed(before, tensors(nlp)) == ({0, 1}, True)


def cohesion(nlp, examples):
    """How much nearer texts are to those of their label than to others, as a cosine."""
    vectors = nlp.get_pipe("textcat").embed([eg.reference for eg in examples])
    vectors = vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)
    labels = [max(eg.reference.cats, key=eg.reference.cats.get) for eg in examples]
    same = numpy.equal.outer(labels, labels)
    cosines = vectors @ vectors.T
    return cosines[same].mean() - cosines[~same].mean()


@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
def test_contrast_draws_texts_of_a_label_together(make_ready, factory):
    found = []
    for contrast in (0.0, 1.0):
        nlp = make_ready(factory, model={"contrast": contrast})
        examples = tiny.make_examples(nlp)[:12]
        fix_random_seed(0)
        optimizer = Adam(5e-4, use_averages=False)
        for _ in range(40):
            nlp.update(examples, sgd=optimizer)
        found.append(cohesion(nlp, examples))
    assert found[1] > 1.5 * found[0]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"contrast": 1.0, "freeze": "encoder"}, r'contrast is 1\.0 .* with freeze = "encoder"'),
        ({"unfreeze": 0.5, "freeze": "encoder"}, r'unfreeze is 0\.5, but with freeze = "encoder"'),
        ({"contrast": -1.0}, r"contrast is -1\.0; allowed is 0 or more"),
        ({"contrast_temperature": 0.0}, r"contrast_temperature is 0\.0; allowed is 0\.01 or more"),
        ({"unfreeze": 1.5}, r"unfreeze is 1\.5; allowed is 0 to 1"),
    ],
)
def test_settings_of_training_that_cannot_be(make_nlp, model, message):
    with pytest.raises(ValueError, match=message):
        make_nlp(model=model)
