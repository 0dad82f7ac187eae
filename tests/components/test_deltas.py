"""What a task adds to an encoder: merged into it, and kept apart from it."""

import shutil

import pytest
import spacy
import srsly
import tiny
from safetensors.torch import load_file
from spacy.util import load_config
from thinc.api import Adam

from spacy_xlt.components.deltas import apply_delta, is_delta, merge_adapters, save_delta

TEXTS = ["we want pizza today", "", "这里有taxi吗", "jazz " * 100, "🍕🚕"]
LORA = {"@architectures": "spacy_xlt.LoRA.v1", "rank": 4}
ADAPTERS = {
    "none": None,
    "lora": LORA,
    "some": {"@architectures": "spacy_xlt.LoRA.v1", "targets": ["query", "value"]},
    "bottleneck": {"@architectures": "spacy_xlt.Bottleneck.v1", "width": 4},
    "prefix": {"@architectures": "spacy_xlt.Prefix.v1", "length": 2},
}


def train(nlp, n_steps=3):
    examples = tiny.make_examples(nlp)
    for _ in range(n_steps):
        nlp.update(examples, sgd=Adam(1e-2))
    return nlp


@pytest.fixture
def make_pipeline(make_ready, tmp_path):
    """A pipeline trained with an adapter, or of which only the head was trained, and its path."""

    def make(kind="lora", *, path="pipeline", **model):
        freeze = "encoder" if kind == "none" else "embeddings"
        nlp = train(make_ready(model={"adapter": ADAPTERS[kind], "freeze": freeze, **model}))
        nlp.to_disk(tmp_path / path)
        return nlp, tmp_path / path

    return make


def scores(nlp, texts=TEXTS):
    return [doc.cats for doc in nlp.pipe(texts)]


def close(found, wanted):
    return all(a == pytest.approx(b, abs=1e-5) for a, b in zip(found, wanted, strict=True))


def size(path):
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


# -- merged ---------------------------------------------------------------------------------


def test_merged_weights_need_no_adapter(make_pipeline, tmp_path):
    nlp, path = make_pipeline()
    wanted = scores(nlp)
    nlp = spacy.load(path)
    merge_adapters(nlp)
    assert close(scores(nlp), wanted)
    nlp.to_disk(tmp_path / "merged")
    assert not list((tmp_path / "merged").rglob("adapter.json"))
    assert (
        load_config(tmp_path / "merged" / "config.cfg")["components"]["textcat"]["model"]["adapter"]
        is None
    )
    merged = spacy.load(tmp_path / "merged")
    assert close(scores(merged), wanted)
    train(merged, 1)
    assert not close(scores(merged), wanted)


def test_averaged_weights_are_merged(make_ready):
    nlp = make_ready(model={"adapter": LORA})
    nlp.get_pipe("textcat").set_run_length(3)
    train(nlp, 3)
    wanted = scores(nlp)
    merge_adapters(nlp)
    assert close(scores(nlp), wanted)


@pytest.mark.parametrize("kind", ["none", "bottleneck", "prefix"])
def test_other_adapters_stay(make_pipeline, kind):
    nlp, _ = make_pipeline(kind)
    wanted = scores(nlp)
    merge_adapters(nlp)
    assert scores(nlp) == wanted
    assert (nlp.get_pipe_config("textcat")["model"]["adapter"] is None) == (kind == "none")


def test_members_of_an_ensemble_are_merged(make_pipeline, trained, tmp_path):
    nlp, _ = make_pipeline()
    joined = spacy.blank("xx")
    joined.add_pipe("xlt_ensemble", name="textcat").set_members([nlp, trained], names=["a", "b"])
    wanted = scores(joined)
    merge_adapters(joined)
    joined.to_disk(tmp_path / "joined")
    assert not list((tmp_path / "joined").rglob("adapter.json"))
    assert close(scores(spacy.load(tmp_path / "joined")), wanted)


# -- apart ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(ADAPTERS))
@pytest.mark.parametrize("half_precision", ["none", "frozen", "all"])
def test_a_delta_and_its_base_are_the_pipeline(
    make_pipeline, encoder_dir, tmp_path, kind, half_precision
):
    _, path = make_pipeline(kind, half_precision=half_precision)
    save_delta(path, tmp_path / "delta")
    assert is_delta(tmp_path / "delta") and not is_delta(path)
    assert not list((tmp_path / "delta").rglob("frozen.safetensors"))
    assert size(tmp_path / "delta") < 0.75 * size(path)
    for base in (encoder_dir, path):
        made = tmp_path / f"made-{base.name}"
        apply_delta(base, tmp_path / "delta", made)
        assert scores(spacy.load(made)) == scores(spacy.load(path))
        found, wanted = (load_file(p / "textcat/model/frozen.safetensors") for p in (made, path))
        assert {n: t.dtype for n, t in found.items()} == {n: t.dtype for n, t in wanted.items()}
        files = [{f.relative_to(p): f for f in p.rglob("*.*")} for p in (made, path)]
        assert files[0].keys() == files[1].keys()
        for name, file in files[0].items():
            assert file.suffix == ".safetensors" or file.read_bytes() == files[1][name].read_bytes()


@pytest.mark.parametrize("counting", [{"neighbours": 2}, {"ngram_share": 0.5}])
def test_what_counts_beside_the_head_is_in_a_delta(make_pipeline, encoder_dir, tmp_path, counting):
    nlp, path = make_pipeline("none", **counting)
    (tmp_path / "delta").mkdir()
    (tmp_path / "whole").mkdir()
    save_delta(path, tmp_path / "delta")
    apply_delta(encoder_dir, tmp_path / "delta", tmp_path / "whole")
    assert close(scores(spacy.load(tmp_path / "whole")), scores(nlp))


def test_tasks_share_a_base(make_pipeline, encoder_dir, tmp_path):
    """Each pipeline is a base for the deltas of the others, whatever its own adapter."""
    pipelines = [make_pipeline(kind, path=kind)[1] for kind in ("lora", "none", "bottleneck")]
    for delta_of, base in zip(pipelines, [*pipelines[1:], pipelines[0]], strict=True):
        delta, made = tmp_path / f"delta-{delta_of.name}", tmp_path / f"made-{delta_of.name}"
        save_delta(delta_of, delta)
        apply_delta(base, delta, made)
        assert scores(spacy.load(made)) == scores(spacy.load(delta_of))


def test_a_delta_to_a_tuned_pipeline(make_nlp, trained_dir, tmp_path, encoder_dir):
    nlp = make_nlp(model={"adapter": LORA})
    nlp.config["initialize"]["components"]["textcat"] = {"start_from": str(trained_dir)}
    nlp.initialize(lambda: tiny.make_examples(nlp))
    train(nlp).to_disk(tmp_path / "pipeline")
    save_delta(tmp_path / "pipeline", tmp_path / "delta")
    apply_delta(trained_dir, tmp_path / "delta", tmp_path / "made")
    assert scores(spacy.load(tmp_path / "made")) == scores(nlp)
    with pytest.raises(ValueError, match="is not the base of"):
        apply_delta(encoder_dir, tmp_path / "delta", tmp_path / "refused")


def test_several_classifiers(make_nlp, encoder_dir, tmp_path):
    nlp = make_nlp(model={"adapter": LORA})
    model = {**nlp.get_pipe_config("textcat")["model"], "freeze": "encoder", "adapter": None}
    nlp.add_pipe("xlt_textcat_multilabel", name="other", config={"model": model})
    nlp.initialize(lambda: tiny.make_examples(nlp))
    train(nlp).to_disk(tmp_path / "pipeline")
    save_delta(tmp_path / "pipeline", tmp_path / "delta")
    apply_delta(encoder_dir, tmp_path / "delta", tmp_path / "made")
    assert scores(spacy.load(tmp_path / "made")) == scores(nlp)


def test_another_base_is_refused(make_pipeline, tmp_path):
    _, path = make_pipeline()
    save_delta(path, tmp_path / "delta")
    known = srsly.read_json(tmp_path / "delta" / "delta.json")["components"]["textcat"]["base"]
    other = tiny.make_encoder(tmp_path / "other", "bert", initializer_range=0.06)
    message = (
        rf"'{other}' is not the base of .* is [0-9a-f]{{64}}, that of .*'textcat'.* is {known}"
    )
    with pytest.raises(ValueError, match=message):
        apply_delta(other, tmp_path / "delta", tmp_path / "made")


def test_another_tokenizer_is_refused(make_pipeline, encoder_dir, tmp_path):
    _, path = make_pipeline()
    save_delta(path, tmp_path / "delta")
    shutil.copytree(encoder_dir, tmp_path / "other")
    tokenizer = tiny.make_tokenizer()
    tokenizer.add_tokens(["lorem"])
    tokenizer.save(str(tmp_path / "other" / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"is not the base of .*weights and tokenizer"):
        apply_delta(tmp_path / "other", tmp_path / "delta", tmp_path / "made")


def test_a_tuned_encoder_is_no_delta(trained_dir, tmp_path):
    with pytest.raises(ValueError, match=r"has trained \d+ of its encoder's own .*lora\.cfg"):
        save_delta(trained_dir, tmp_path / "delta")


def test_what_is_no_pipeline(tmp_path, encoder_dir):
    with pytest.raises(ValueError, match=r"not a trained pipeline with an encoder.*none\)"):
        save_delta(encoder_dir, tmp_path / "delta")
    spacy.blank("xx").to_disk(tmp_path / "blank")
    with pytest.raises(ValueError, match=r"not a trained pipeline with an encoder.*none\)"):
        save_delta(tmp_path / "blank", tmp_path / "delta")


@pytest.mark.parametrize("content", [None, "{", "[]", '{"components": {"textcat": 1}}'])
def test_what_is_no_delta(tmp_path, encoder_dir, content):
    (tmp_path / "delta").mkdir()
    if content is not None:
        (tmp_path / "delta" / "delta.json").write_text(content)
    with pytest.raises(ValueError, match=r"is not a delta, or is damaged .*xlt delta save"):
        apply_delta(encoder_dir, tmp_path / "delta", tmp_path / "made")


def test_a_delta_alone_says_what_to_do(make_pipeline, tmp_path):
    _, path = make_pipeline()
    save_delta(path, tmp_path / "delta")
    with pytest.raises(ValueError, match=r"incomplete: no tokenizer\.json.*xlt delta apply"):
        spacy.load(tmp_path / "delta")
