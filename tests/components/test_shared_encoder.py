"""Several heads on one encoder: `spacy_xlt.SharedEncoder.v1`, and members of an ensemble."""

import copy
import io
from pathlib import Path

import pytest
import spacy
import tiny
import torch
from safetensors.torch import load_file
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train as train_pipeline
from spacy.util import load_config
from thinc.api import Adam, fix_random_seed

from spacy_xlt.layers.encoder import Encoder

CONFIGS = Path(__file__).parents[2] / "configs"
TEXTS = ["we want pizza today", "", "这里有taxi吗", "jazz " * 100, "🍕🚕"]
SHARED = {"@architectures": "spacy_xlt.SharedEncoder.v1", "upstream": "topic"}


@pytest.fixture
def n_passes(monkeypatch):
    """Counts how many pieces the encoder has read."""
    passes = []
    original = Encoder.forward

    def forward(self, batch, **settings):
        passes.append(batch.ids.size)
        return original(self, batch, **settings)

    monkeypatch.setattr(Encoder, "forward", forward)
    return passes


def examples_of(nlp):
    """Each text with its topic, and whether it asks."""
    examples = []
    for eg in tiny.make_examples(nlp, ["en", "de"]):
        eg.reference.cats["asks"] = float("there" in eg.text or "gibt" in eg.text)
        examples.append(Example(nlp.make_doc(eg.text), eg.reference))
    return examples


@pytest.fixture
def make_pair(make_nlp):
    """A pipeline with an encoder, and a second head on it."""

    def make(freeze="encoder", *, initialize=True, **model):
        nlp = make_nlp(name="topic", model={"freeze": freeze})
        nlp.add_pipe("xlt_textcat_multilabel", name="kind", config={"model": {**SHARED, **model}})
        nlp.config["initialize"]["components"] = {
            "topic": {"labels": tiny.LABELS},
            "kind": {"labels": ["asks"]},
        }
        if initialize:
            fix_random_seed(0)
            with pytest.warns(UserWarning, match="does not declare"):
                nlp.initialize(lambda: examples_of(nlp))
        return nlp

    return make


def train(nlp, n_steps=5, *, rate=1e-3):
    examples, optimizer = examples_of(nlp), Adam(rate)
    for _ in range(n_steps):
        nlp.update(examples, sgd=optimizer)


def scores(nlp, texts=TEXTS, **settings):
    return [doc.cats for doc in nlp.pipe(texts, **settings)]


def test_one_pass_for_two_heads(make_pair, n_passes):
    nlp = make_pair()
    n_passes.clear()
    found = scores(nlp)
    n_both = sum(n_passes)
    n_passes.clear()
    with nlp.select_pipes(disable=["kind"]):
        alone = scores(nlp)
    # The texts are new ones for the encoder only if others came in between.
    assert n_passes == [] and n_both > 0
    assert set(found[0]) == {*tiny.LABELS, "asks"}
    assert [{k: v for k, v in cats.items() if k != "asks"} for cats in found] == alone


def test_the_head_learns_from_a_frozen_encoder(make_pair, n_passes):
    nlp = make_pair()
    before = nlp.get_pipe("topic").model.get_ref("output_layer").shims[0].tensors()
    before = {n: t.clone() for n, t in before.items() if n.startswith("encoder")}
    n_passes.clear()
    train(nlp, 50, rate=0.1)
    assert not n_passes  # initialize has made the vectors of the training texts
    after = nlp.get_pipe("topic").model.get_ref("output_layer").shims[0].tensors()
    assert all(torch.equal(before[name], after[name]) for name in before)
    docs = list(nlp.pipe([eg.text for eg in examples_of(nlp)]))
    right = [
        (doc.cats["asks"] > 0.5) == bool(eg.reference.cats["asks"])
        for doc, eg in zip(docs, examples_of(nlp), strict=True)
    ]
    assert sum(right) / len(right) > 0.95


def test_the_owner_may_be_trained(make_pair):
    """The head sees the vectors of each step; its own gradients stop before the encoder."""
    nlp = make_pair("embeddings")
    alone = copy.deepcopy(nlp)
    alone.remove_pipe("kind")
    for pipeline in (nlp, alone):
        fix_random_seed(0)
        train(pipeline, 3)
    for found, wanted in zip(scores(nlp), scores(alone), strict=True):
        assert {k: v for k, v in found.items() if k != "asks"} == pytest.approx(wanted, abs=1e-6)
    vectors = nlp.get_pipe("topic").embed([nlp.make_doc(TEXTS[0])])
    assert nlp.get_pipe("kind").embed([nlp.make_doc(TEXTS[0])]) == pytest.approx(vectors)


def test_an_owner_trained_before(make_pair, trained_dir, make_nlp):
    """A second head for a pipeline that is there already, which stays as it is."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("textcat", name="topic", source=spacy.load(trained_dir))
    wanted = scores(spacy.load(trained_dir))
    nlp.add_pipe("xlt_textcat_multilabel", name="kind", config={"model": SHARED})
    kind = nlp.get_pipe("kind")
    kind.initialize(lambda: examples_of(nlp), nlp=nlp, labels=["asks"])
    for _ in range(5):
        kind.update(examples_of(nlp), sgd=Adam(1e-3))
    for found, cats in zip(scores(nlp), wanted, strict=True):
        assert {k: v for k, v in found.items() if k != "asks"} == cats


def test_by_config(trained_dir, corpus_dir, encoder_dir, tmp_path):
    """`spacy train` with a trained owner that is frozen, and a new head on its encoder."""
    paths = {"train": corpus_dir / "train.spacy", "dev": corpus_dir / "dev", "encoder": encoder_dir}
    config = load_config(
        CONFIGS / "frozen.cfg", overrides={f"paths.{k}": str(v) for k, v in paths.items()}
    )
    config["nlp"]["pipeline"] = ["topic", "textcat"]
    config["components"]["topic"] = {"source": str(trained_dir), "component": "textcat"}
    config["components"]["textcat"]["model"] = SHARED
    config["training"]["frozen_components"] = ["topic"]
    config["initialize"]["after_init"]["epochs"] = 1
    nlp = init_nlp(config)
    train_pipeline(nlp, tmp_path, stdout=io.StringIO(), stderr=io.StringIO())
    nlp = spacy.load(tmp_path / "model-best")
    assert nlp.get_pipe("textcat").reads_text and tiny.accuracy(nlp, ["en"]) > 0.4
    owners = [
        load_file(p / "model/frozen.safetensors")
        for p in (tmp_path / "model-best/topic", trained_dir / "textcat")
    ]
    assert all(torch.equal(owners[0][name], owners[1][name]) for name in owners[1])


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_batches_and_processes(make_pair, batch_size):
    nlp = make_pair()
    wanted = scores(nlp)
    for found, cats in zip(scores(nlp, batch_size=batch_size), wanted, strict=True):
        assert found == pytest.approx(cats, abs=1e-5)
    for found, cats in zip(scores(nlp, batch_size=2, n_process=2), wanted, strict=True):
        assert found == pytest.approx(cats, abs=1e-5)


def test_stored_and_copied(make_pair, tmp_path):
    nlp = make_pair()
    train(nlp)
    wanted = scores(nlp)
    nlp.to_disk(tmp_path)
    assert not list((tmp_path / "kind").rglob("frozen.safetensors"))
    assert sum(f.stat().st_size for f in (tmp_path / "kind").rglob("*") if f.is_file()) < 10_000
    empty = make_pair(initialize=False)
    for other in (spacy.load(tmp_path), empty.from_bytes(nlp.to_bytes()), copy.deepcopy(nlp)):
        assert scores(other) == wanted
        train(other, 1)


def test_texts_that_come_again(make_pair, n_passes):
    nlp = make_pair()
    doubled = [TEXTS[0], TEXTS[2], TEXTS[0]]
    n_passes.clear()
    first, _, last = scores(nlp, doubled)
    assert first == last
    assert sum(n_passes) == 6 + 5 or len(n_passes) == 1


def test_vectors_are_those_of_the_weights(make_pair):
    """What is kept of the last batch is gone when the encoder was trained."""
    nlp = make_pair("embeddings")
    before = scores(nlp)
    train(nlp, 1)
    after = scores(nlp)
    assert all(a != b for a, b in zip(before, after, strict=True))
    fresh = copy.deepcopy(nlp)
    for found, wanted in zip(after, scores(fresh), strict=True):
        assert found == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("order", [["kind", "topic"], ["kind"]])
def test_an_owner_that_is_not_there(make_nlp, order):
    nlp = spacy.blank("xx")
    for name in order:
        if name == "topic":
            model = make_nlp(name="topic").get_pipe_config("topic")["model"]
            nlp.add_pipe("xlt_textcat", name="topic", config={"model": model})
        else:
            nlp.add_pipe("xlt_textcat_multilabel", name="kind", config={"model": SHARED})
    with pytest.raises(ValueError, match=r"no encoder of 'topic' to share.*before this one"):
        nlp.get_pipe("kind").initialize(lambda: examples_of(nlp), nlp=nlp, labels=["asks"])


def test_a_head_is_no_owner(make_pair):
    nlp = make_pair(initialize=False)
    nlp.add_pipe(
        "xlt_textcat_multilabel", name="more", config={"model": {**SHARED, "upstream": "kind"}}
    )
    with pytest.raises(ValueError, match=r"no encoder of 'kind' to share.*an encoder of its own"):
        nlp.get_pipe("more")(nlp.make_doc("taxi"))


def test_a_disabled_owner_still_lends_its_encoder(make_pair):
    nlp = make_pair()
    wanted = scores(nlp)
    with nlp.select_pipes(disable=["topic"]):
        found = scores(nlp)
    assert found == [{"asks": cats["asks"]} for cats in wanted]


def test_explained_by_occlusion_only(make_pair):
    nlp = make_pair()
    with pytest.raises(ValueError, match="Explain by occlusion"):
        nlp.get_pipe("kind").attribute([nlp.make_doc("taxi")], ["asks"])


def test_warnings_of_texts_that_it_cannot_read(make_pair):
    nlp = make_pair()
    doc = nlp("ᱥᱟᱱᱛᱟᱲᱤ")
    assert doc._.xlt_warning
    assert nlp.get_pipe("kind").count_pieces([doc.text]) == nlp.get_pipe("topic").count_pieces(
        [doc.text]
    )


# -- members of an ensemble -----------------------------------------------------------------


@pytest.fixture
def members(make_ready):
    """Heads with other starting points on the same encoder, and another encoder."""
    one, two = (make_ready(model={"freeze": "encoder"}, probe_strength=s) for s in (1.0, 5.0))
    return one, two, make_ready(model={"adapter": {"@architectures": "spacy_xlt.Prefix.v1"}})


def join(members):
    nlp = spacy.blank("xx")
    ensemble = nlp.add_pipe("xlt_ensemble", name="textcat")
    ensemble.set_members(members, names=[str(i) for i in range(len(members))])
    return nlp


def test_members_with_the_same_encoder_run_it_once(members, n_passes, tmp_path):
    one, two, other = members
    wanted = [
        {label: sum(cats[label] for cats in row) / 3 for label in tiny.LABELS}
        for row in zip(*map(scores, members), strict=True)
    ]
    n_passes.clear()
    scores(copy.deepcopy(one))
    n_alone = sum(n_passes)
    nlp = join(members)
    nlp.to_disk(tmp_path)
    for pipeline in (nlp, spacy.load(tmp_path), copy.deepcopy(nlp)):
        n_passes.clear()
        found = scores(pipeline)
        assert sum(n_passes) == 2 * n_alone
        assert all(a == pytest.approx(b, abs=1e-5) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(
    "change",
    [{"prefix": "query: "}, {"pooling": "cls"}, {"normalize": True}, {"overlap_pieces": 4}],
)
def test_another_way_of_reading_is_another_encoder(make_ready, change):
    one = make_ready(model={"freeze": "encoder"})
    two = make_ready(model={"freeze": "encoder"}, encoder=change)
    assert not two.get_pipe("textcat").share_encoder(one.get_pipe("textcat"))


def test_other_weights_are_another_encoder(make_ready):
    one, two = (make_ready(model={"freeze": "encoder"}) for _ in range(2))
    pipes = [nlp.get_pipe("textcat") for nlp in (one, two)]
    table = pipes[1].model.shims[0].classifier.encoder.piece_table
    before = table.data.clone()
    table.data[5] += 0.5
    assert not pipes[1].share_encoder(pipes[0])
    table.data.copy_(before)
    assert pipes[1].share_encoder(pipes[0])
    assert not pipes[1].share_encoder(spacy_head(one))


def spacy_head(nlp):
    """A head without an encoder of its own."""
    nlp.add_pipe("xlt_textcat", name="head", config={"model": {**SHARED, "upstream": "textcat"}})
    return nlp.get_pipe("head")
