"""The component on an encoder that a spacy-transformers component owns."""

from pathlib import Path

import numpy
import pytest
import spacy
import tiny
import torch
from spacy.training import Example
from spacy.util import load_config, load_model_from_config
from thinc.api import Adam, fix_random_seed

from spacy_xlt.cli.suggest import suggest
from spacy_xlt.layers.encoder import set_dropout
from spacy_xlt.trust.explanation import explain_texts

CONFIG = Path(__file__).parents[2] / "configs" / "shared_transformer.cfg"
TEXTS = ["pizza for everybody", "", "这里有taxi吗", "kuna jazz hapa"]


@pytest.fixture
def make_shared(encoder_dir):
    """The pipeline of the config, before or after `initialize`."""

    def make(*, ready=True, factory="xlt_textcat", **model):
        overrides = {"paths.encoder": str(encoder_dir), "paths.train": "t", "paths.dev": "d"}
        config = load_config(CONFIG, overrides=overrides)
        config["components"]["textcat"]["factory"] = factory
        config["components"]["textcat"]["model"].update(model)
        config["initialize"]["after_init"] = None
        nlp = load_model_from_config(config, auto_fill=True)
        if ready:
            fix_random_seed(0)
            nlp.initialize(lambda: tiny.make_examples(nlp))
        return nlp

    return make


def train(nlp, n_steps=20, *, langs=("en",)):
    examples = tiny.make_examples(nlp, langs)
    optimizer = Adam(5e-4, L2=0.01, use_averages=False)
    for _ in range(n_steps):
        losses = {}
        nlp.update(examples, sgd=optimizer, losses=losses)
    return losses


def shim_of(nlp):
    return nlp.get_pipe("textcat").model.get_ref("output_layer").shims[0]


def encoder_weights(nlp):
    model = nlp.get_pipe("transformer").model.transformer
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def predict(nlp):
    return [doc.cats for doc in nlp.pipe(TEXTS)]


def test_it_trains_the_encoder_too(make_shared):
    nlp = make_shared()
    before = encoder_weights(nlp)
    losses = train(nlp)
    assert losses["textcat"] > 0.0 and losses["transformer"] > 0.0
    changed = {n for n, w in encoder_weights(nlp).items() if not torch.equal(w, before[n])}
    assert len(changed) > 0.9 * len(before) - 2  # all but the unused pooling layer
    assert tiny.accuracy(nlp, ["en"]) > 0.9
    assert tiny.accuracy(nlp, ["de", "sw", "ar"]) > 0.5


def test_the_gradient_is_that_of_the_mean_loss(make_shared):
    """The encoder gets what plain torch gives it, for documents of one piece per token."""
    nlp = make_shared()
    model = nlp.get_pipe("transformer").model.transformer
    text, cats = "taxi", {"food": 0.0, "music": 0.0, "travel": 1.0}
    doc = nlp.make_doc(text)
    doc.cats = cats
    with torch.no_grad():
        shim_of(nlp).classifier.head.weight.normal_(std=0.5)
    weight, bias = (p.detach().clone() for p in shim_of(nlp).classifier.head.parameters())
    model.eval()
    ids = torch.tensor([tiny.make_tokenizer().encode(text).ids])
    pooled = model(ids)[0][0, 1:-1].mean(dim=0)
    loss = torch.nn.functional.cross_entropy((pooled @ weight.T + bias)[None], torch.tensor([2]))
    model.zero_grad()
    loss.backward()
    wanted = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    set_dropout(model, 0.0)  # the only randomness of the library's training mode
    losses = {}
    examples = [Example(nlp.make_doc(text), doc)] * 3
    nlp.update(examples, sgd=False, losses=losses)
    assert losses["textcat"] == pytest.approx(float(loss.detach()), rel=1e-4)
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-4, rtol=1e-3)


def test_prediction_is_the_head_on_the_mean_token(make_shared):
    nlp = make_shared()
    train(nlp, 2)
    doc = nlp("taxi for everybody")
    weight, bias = (p.detach().numpy() for p in shim_of(nlp).classifier.head.parameters())
    tok2vec = nlp.get_pipe("textcat").model.get_ref("tok2vec")
    vectors = tok2vec.predict([doc])[0]
    assert vectors.shape == (3, tiny.WIDTH)
    logits = vectors.mean(axis=0) @ weight.T + bias
    wanted = numpy.exp(logits) / numpy.exp(logits).sum()
    numpy.testing.assert_allclose(list(doc.cats.values()), wanted, atol=1e-5)


@pytest.mark.parametrize("texts", [[""], ["", ""], ["", "taxi", ""], TEXTS])
def test_documents_without_tokens(make_shared, texts):
    nlp = make_shared()
    for doc, text in zip(nlp.pipe(texts), texts, strict=True):
        assert doc.text == text and sum(doc.cats.values()) == pytest.approx(1.0, abs=1e-5)
    examples = [
        Example.from_dict(nlp.make_doc(text), {"cats": dict.fromkeys(tiny.LABELS, 1 / 3)})
        for text in texts
    ]
    losses = {}
    nlp.update(examples, sgd=Adam(1e-4), losses=losses)
    assert numpy.isfinite(losses["textcat"])


def test_empty_documents_first_do_not_hide_the_width(make_shared):
    nlp = make_shared(ready=False)
    empty = [Example.from_dict(nlp.make_doc(""), {"cats": {"food": 1.0}}) for _ in range(10)]
    nlp.initialize(lambda: [*empty, *tiny.make_examples(nlp)])
    assert shim_of(nlp).classifier.width == tiny.WIDTH


@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
def test_the_same_scores_from_disk_and_from_bytes(make_shared, tmp_path, factory):
    nlp = make_shared(factory=factory)
    train(nlp, 2)
    wanted = predict(nlp)
    nlp.to_disk(tmp_path)
    other = make_shared(factory=factory, ready=False).from_bytes(nlp.to_bytes())
    for twin in (spacy.load(tmp_path), other):
        assert predict(twin) == wanted


@pytest.mark.parametrize("way", ["disk", "bytes"])
def test_an_encoder_of_its_own_in_place_of_the_listener_is_stored(make_shared, tmp_path, way):
    nlp = make_shared()
    train(nlp, 3)
    wanted = predict(nlp)
    nlp.replace_listeners("transformer", "textcat", ["model.tok2vec"])
    nlp.remove_pipe("transformer")
    assert predict(nlp) == wanted
    if way == "disk":
        nlp.to_disk(tmp_path)
        other = spacy.load(tmp_path)
    else:
        other = spacy.blank("xx").from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert other.pipe_names == ["textcat"]
    assert predict(other) == wanted


def test_a_label_more(make_shared, tmp_path):
    nlp = make_shared()
    train(nlp, 2)
    before = nlp("taxi").cats
    nlp.get_pipe("textcat").add_label("sport")
    after = nlp("taxi").cats
    assert list(after) == [*tiny.LABELS, "sport"]
    ratios = [after[x] / before[x] for x in before]
    assert ratios == pytest.approx([ratios[0]] * 3, rel=1e-4)
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path)("taxi").cats == after


def test_a_second_stage(make_shared, tmp_path):
    """Encoder by `source`, head by `start_from`, with a label more."""
    first = make_shared()
    train(first, 5)
    first.to_disk(tmp_path / "first")
    config = first.config.copy()
    config["components"]["transformer"] = {"source": str(tmp_path / "first")}
    nlp = load_model_from_config(config, auto_fill=True)
    labels = [*tiny.LABELS, "sport"]
    nlp.config["initialize"]["components"] = {
        "textcat": {"start_from": str(tmp_path / "first"), "labels": labels}
    }
    extra = Example.from_dict(nlp.make_doc("football"), {"cats": {"sport": 1.0}})
    with nlp.select_pipes(enable="textcat"):
        nlp.initialize(lambda: [*tiny.make_examples(nlp, ["sw"]), extra])
    assert list(nlp("taxi").cats) == labels
    old = first("taxi").cats
    new = nlp("taxi").cats
    ratios = [new[x] / old[x] for x in old]
    assert ratios == pytest.approx([ratios[0]] * 3, rel=1e-3)
    train(nlp, 3, langs=["sw"])
    assert sum(nlp("taxi").cats.values()) == pytest.approx(1.0, abs=1e-5)


def test_a_pipeline_of_the_other_kind_cannot_be_started_from(
    make_shared, make_nlp, trained_dir, tmp_path
):
    nlp = make_shared(ready=False)
    nlp.config["initialize"]["components"] = {"textcat": {"start_from": str(trained_dir)}}
    with pytest.raises(
        ValueError, match=r"weights do not fit its configuration: 0 tensors are mis"
    ):
        nlp.initialize(lambda: tiny.make_examples(nlp))
    make_shared().to_disk(tmp_path)
    nlp = make_nlp()
    nlp.config["initialize"]["components"] = {"textcat": {"start_from": str(tmp_path)}}
    with pytest.raises(ValueError, match=r"is incomplete: no config\.json"):
        nlp.initialize(lambda: tiny.make_examples(nlp))


def test_two_components_share_it(make_shared):
    nlp = make_shared(ready=False)
    config = nlp.get_pipe_config("textcat").copy()
    config.pop("factory")
    nlp.add_pipe("xlt_textcat_multilabel", name="tone", config={**config, "threshold": 0.5})
    examples = tiny.make_examples(nlp)
    for i, eg in enumerate(examples):
        eg.reference.cats.update(loud=float(i % 2))
    nlp.config["initialize"]["components"] = {
        "textcat": {"labels": tiny.LABELS},
        "tone": {"labels": ["loud"]},
    }
    with pytest.warns(UserWarning, match="does not declare"):
        nlp.initialize(lambda: examples)
    before = encoder_weights(nlp)
    losses = {}
    optimizer = Adam(5e-4, use_averages=False)
    for _ in range(3):  # heads of zeros give the first step's encoder no gradient
        nlp.update(examples, sgd=optimizer, losses=losses)
    assert min(losses.values()) > 0.0 and set(losses) == {"transformer", "textcat", "tone"}
    assert any(not torch.equal(w, before[n]) for n, w in encoder_weights(nlp).items())
    assert set(nlp("taxi").cats) == {*tiny.LABELS, "loud"}


def test_a_frozen_encoder_annotates(make_shared):
    """`frozen_components` and `annotating_components` both name the transformer."""
    nlp = make_shared()
    before = encoder_weights(nlp)
    examples = tiny.make_examples(nlp)
    first, last = {}, {}
    for i in range(10):
        losses = first if i == 0 else last
        losses.clear()
        nlp.update(
            examples,
            sgd=Adam(5e-4, use_averages=False),
            exclude=["transformer"],
            annotates=["transformer"],
            losses=losses,
        )
    assert last["textcat"] < first["textcat"]
    assert all(torch.equal(w, before[n]) for n, w in encoder_weights(nlp).items())


def test_its_vectors_are_those_of_the_transformer(make_shared):
    nlp = make_shared()
    with pytest.raises(
        ValueError, match="'textcat' shares its encoder with the pipeline; take vec"
    ):
        nlp.get_pipe("textcat").embed([nlp.make_doc("taxi")])


def test_settings_out_of_range(make_shared):
    with pytest.raises(ValueError, match=r"average_last is 2\.0; allowed is 0 to 1"):
        make_shared(ready=False, average_last=2.0)
    with pytest.raises(ValueError, match=r"head_rate_factor is -1\.0; allowed is 0 or more"):
        make_shared(ready=False, head_rate_factor=-1.0)


def test_explanations_are_by_occlusion(make_shared):
    nlp = make_shared()
    train(nlp)
    with pytest.raises(ValueError, match="shares its encoder.*Explain by occlusion instead"):
        explain_texts(nlp, TEXTS)
    found = explain_texts(nlp, TEXTS, method="occlusion")
    assert [len(one["words"]) for one in found] == [3, 0, 5, 3]
    assert all(numpy.isfinite(word["weight"]) for one in found for word in one["words"])


def test_suggestions_without_vectors_of_its_own(make_shared, tmp_path):
    nlp = make_shared()
    path = tmp_path / "pool.txt"
    path.write_text("pizza\ntaxi\n", encoding="utf8")
    with pytest.raises(ValueError, match="no vectors.* --strategy uncertainty and random"):
        suggest(nlp, [path], 1)
    assert len(suggest(nlp, [path], 1, strategy="uncertainty").tasks) == 1


def test_warnings_without_pieces_of_its_own(make_shared):
    nlp = make_shared()
    pipe = nlp.get_pipe("textcat")
    assert pipe.count_pieces(["pizza"]) == []
    assert nlp("")._.xlt_warning == "There is no text."
    assert nlp("ᱚᱞ")._.xlt_warning == ""
    bad = {"accuracy": 0.3, "interval": [0.2, 0.4], "alarm": True, "reason": "Not this one."}
    pipe.set_forecasts({"sw": bad})
    doc = nlp.make_doc("kuna jazz hapa")
    doc._.xlt_lang = "sw"
    assert nlp(doc)._.xlt_warning == "Not this one."
