"""The component in files, in bytes, and in the hands of spaCy's own commands."""

import json
import shutil
from pathlib import Path

import pytest
import spacy
import srsly
import tiny
from spacy.cli._util import app
from spacy.cli.find_threshold import find_threshold
from spacy.util import load_config
from thinc.api import Adam
from typer.testing import CliRunner

TEXTS = ["pizza for everybody", "", "这里有taxi吗", "jazz " * 300, "🍕"]


def run(*args):
    """One of spaCy's commands, in this process."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def predict(nlp):
    return [doc.cats for doc in nlp.pipe(TEXTS)]


@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
@pytest.mark.parametrize("freeze", ["none", "embeddings", "encoder"])
def test_the_same_scores_from_disk_and_from_bytes(make_ready, tmp_path, factory, freeze):
    nlp = make_ready(factory, model={"freeze": freeze}, encoder={"prefix": None, "normalize": True})
    nlp.update(tiny.make_examples(nlp), sgd=Adam(4e-4))
    wanted = predict(nlp)
    nlp.to_disk(tmp_path)
    for other in (
        spacy.load(tmp_path),
        spacy.blank("xx").from_config(nlp.config).from_bytes(nlp.to_bytes()),
    ):
        assert predict(other) == wanted
        assert other.get_pipe("textcat").cfg == nlp.get_pipe("textcat").cfg
        assert other.config["components"] == nlp.config["components"]


def test_the_files(trained_dir):
    names = sorted(
        str(p.relative_to(trained_dir / "textcat")) for p in files(trained_dir / "textcat")
    )
    assert names == [
        "cfg",
        "model/config.json",
        "model/frozen.safetensors",
        "model/model.safetensors",
        "model/tokenizer.json",
        "model/xlt_encoder.json",
    ]
    cfg = json.loads((trained_dir / "textcat" / "cfg").read_text(encoding="utf8"))
    assert cfg == {
        "labels": tiny.LABELS,
        "exclusive": True,
        "threshold": 0.0,
        "positive_label": None,
        "train_langs": ["en"],
        "tuned_langs": [],
        "calibration": {},
        "abstain": "none",
        "zero_abstained": False,
        "forecasts": {},
        "warn": True,
        "read_translations": True,
    }


def files(path):
    return [p for p in path.rglob("*") if p.is_file()]


def test_a_loaded_pipeline_needs_no_encoder_directory(trained, trained_dir, tmp_path):
    """What it was trained from may be gone."""
    copy = shutil.copytree(trained_dir, tmp_path / "copy")
    config = load_config(copy / "config.cfg", interpolate=False)
    config["components"]["textcat"]["model"]["encoder"]["path"] = "/gone/with/the/wind"
    config.to_disk(copy / "config.cfg")
    assert predict(spacy.load(copy)) == predict(trained)


def test_saving_over_the_directory_it_was_loaded_from(trained_dir, tmp_path):
    path = shutil.copytree(trained_dir, tmp_path / "copy")
    for _ in range(2):
        nlp = spacy.load(path)
        nlp.update(tiny.make_examples(nlp), sgd=Adam(4e-4))
        wanted = predict(nlp)
        nlp.to_disk(path)
        assert predict(nlp) == wanted
        assert predict(spacy.load(path)) == wanted


def test_an_untrained_component_can_be_saved_in_bytes_but_not_on_disk(make_nlp, tmp_path):
    nlp = make_nlp()
    other = spacy.blank("xx").from_config(nlp.config).from_bytes(nlp.to_bytes())
    with pytest.raises(ValueError, match="no weights yet"):
        other("pizza")
    with pytest.raises(ValueError, match="no weights yet"):
        nlp.to_disk(tmp_path)


def test_loading_without_the_component(trained_dir):
    nlp = spacy.load(trained_dir, exclude=["textcat"])
    assert nlp.pipe_names == [] and nlp("pizza").cats == {}
    nlp = spacy.load(trained_dir, disable=["textcat"])
    assert nlp("pizza").cats == {}
    nlp.enable_pipe("textcat")
    assert len(nlp("pizza").cats) == 3


def test_a_damaged_pipeline_says_what_is_wrong(trained_dir, tmp_path):
    path = shutil.copytree(trained_dir, tmp_path / "copy")
    weights = path / "textcat" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"model\.safetensors' is damaged .*Copy or train"):
        spacy.load(path)


# -- spaCy's commands -----------------------------------------------------------------------


def test_evaluate(trained_dir, corpus_dir, tmp_path):
    run("evaluate", trained_dir, corpus_dir / "dev", "--output", tmp_path / "scores.json")
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf8"))
    assert set(scores["cats_by_lang"]) == {"de", "sw", "zh", "ar"}
    assert scores["cats_target_acc"] > 0.6
    assert set(scores["cats_f_per_type"]) == set(tiny.LABELS)


def test_apply(trained_dir, tmp_path):
    rows = [{"text": "pizza for everybody"}, {"text": "kuna taxi hapa"}]
    srsly.write_jsonl(tmp_path / "texts.jsonl", rows)
    run("apply", trained_dir, tmp_path / "texts.jsonl", tmp_path / "out.spacy")
    nlp = spacy.blank("xx")
    docs = list(spacy.tokens.DocBin().from_disk(tmp_path / "out.spacy").get_docs(nlp.vocab))
    assert len(docs) == 2 and all(set(doc.cats) == set(tiny.LABELS) for doc in docs)


def test_assemble(trained_dir, encoder_dir, tmp_path):
    """A config with a sourced component, and one with declared labels, become pipelines."""
    config = load_config(trained_dir / "config.cfg", interpolate=False)
    sourced = config.copy()
    sourced["components"]["textcat"] = {"source": str(trained_dir)}
    sourced.to_disk(tmp_path / "sourced.cfg")
    run("assemble", tmp_path / "sourced.cfg", tmp_path / "sourced")
    assert predict(spacy.load(tmp_path / "sourced")) == predict(spacy.load(trained_dir))
    config["initialize"]["components"] = {"textcat": {"labels": tiny.LABELS}}
    config.to_disk(tmp_path / "fresh.cfg")
    run("assemble", tmp_path / "fresh.cfg", tmp_path / "fresh")
    assert spacy.load(tmp_path / "fresh")("pizza").cats == pytest.approx(
        dict.fromkeys(tiny.LABELS, 1 / 3)
    )


def test_find_threshold(make_ready, corpus_dir, tmp_path, capsys):
    nlp = make_ready("xlt_textcat_multilabel")
    nlp.to_disk(tmp_path / "model")
    best, score, scores = find_threshold(
        tmp_path / "model",
        corpus_dir / "train.spacy",
        pipe_name="textcat",
        threshold_key="threshold",
        scores_key="cats_macro_f",
        n_trials=3,
        silent=True,
    )
    assert set(scores) == {0.0, 0.5, 1.0}
    # from half of all labels being right to none
    assert scores[0.0] == pytest.approx(0.5) and scores[1.0] == 0.0
    assert score == max(scores.values()) and scores[best] == score


@pytest.fixture
def config_args(corpus_dir, encoder_dir):
    """A config of ours with the overrides it needs."""
    return [
        Path(__file__).parents[2] / "configs" / "zero_shot.cfg",
        *("--paths.train", corpus_dir / "train.spacy"),
        *("--paths.dev", corpus_dir / "dev"),
        *("--paths.encoder", encoder_dir),
    ]


def test_debug_config(config_args):
    assert "Config is valid" in run("debug", "config", *config_args)


def test_init_labels(config_args, tmp_path):
    config, *overrides = config_args
    run("init", "labels", config, tmp_path, *overrides)
    assert json.loads((tmp_path / "textcat.json").read_text(encoding="utf8")) == tiny.LABELS


def test_package(trained, trained_dir, tmp_path):
    """The package requires this one, and its code loads the pipeline."""
    run("package", trained_dir, tmp_path, "--name", "tiny", "--version", "1.2.3", "--build", "none")
    package = tmp_path / "xx_tiny-1.2.3"
    meta = json.loads((package / "meta.json").read_text(encoding="utf8"))
    assert any(r.startswith("spacy-xlt>=") for r in meta["requirements"])
    assert meta["labels"] == {"textcat": tiny.LABELS}
    nlp = spacy.load(package / "xx_tiny" / "xx_tiny-1.2.3")
    assert predict(nlp) == predict(trained)
