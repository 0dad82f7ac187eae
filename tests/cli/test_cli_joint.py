"""Data sets with other names for labels, and with other labels: from files to one pipeline."""

import csv

import pytest
import spacy
import tiny
from running import run_command
from test_cli_train import CONFIGS, run


def write_csv(path, lang, rename):
    """The tiny corpus in a language with renamed labels; those without a new name are left out."""
    vocab = spacy.blank("xx").vocab
    with path.open("w", encoding="utf8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "lang"])
        for doc in tiny.make_docs([lang], vocab):
            label = max(doc.cats, key=doc.cats.get)
            if label in rename:
                writer.writerow([doc.text, rename[label], lang])
    return path


def import_data(tmp_path, name, lang, rename, label_map=None):
    table = write_csv(tmp_path / f"{name}.csv", lang, rename)
    arguments = ["data", "import", table, tmp_path / name]
    if label_map is not None:
        (tmp_path / f"{name}.tsv").write_text(label_map, encoding="utf8")
        arguments += ["--label-map", tmp_path / f"{name}.tsv"]
    run_command(*arguments)
    return tmp_path / name / "train"


@pytest.fixture
def arguments(trained_dir, encoder_dir, corpus_dir, tmp_path):
    """Of a run that trains on two data sets."""
    return [
        CONFIGS / "joint.cfg",
        *("--allow-source", "--output", tmp_path / "out"),
        *("--paths.start", trained_dir, "--paths.encoder", encoder_dir),
        *("--paths.dev", corpus_dir / "dev", "--initialize.after_init.epochs", 8),
        *("--training.batcher.batcher.size", 8),
        *("--training.optimizer.learn_rate.initial_rate", 0.0005),
        *("--initialize.components.textcat.new_head", "true"),
    ]


def test_data_sets_that_share_some_labels_become_one_classifier(arguments, tmp_path):
    source = import_data(tmp_path, "en", "en", {"food": "food", "music": "music"})
    target = import_data(
        tmp_path, "de", "de", {"food": "Essen", "travel": "Reise"}, "Essen\tfood\nReise\ttravel\n"
    )
    arguments += ["--paths.source", source, "--paths.train", target]
    code, output = run(*arguments, "--initialize.after_init.epochs", 16)
    assert code == 0, output
    assert "'source' lacks 'travel'; 'target' lacks 'music'." in output
    nlp = spacy.load(tmp_path / "out" / "model-best")
    assert nlp.get_pipe("textcat").labels == ("food", "music", "travel")
    # A label is told from the one that both know, also in the language whose data lack it.
    told = []
    for doc in tiny.make_docs(["en", "de"], nlp.vocab):
        found, right = nlp(doc.text).cats, max(doc.cats, key=doc.cats.get)
        others = ["music", "travel"] if right == "food" else ["food"]
        told.append(all(found[right] > found[other] for other in others))
    assert sum(told) / len(told) > 0.8


def test_label_sets_without_a_common_label_are_pointed_out(arguments, tmp_path):
    source = import_data(tmp_path, "en", "en", {"food": "food", "music": "music"})
    target = import_data(tmp_path, "de", "de", {"food": "Essen", "travel": "Reise"})
    code, output = run(*arguments, "--paths.source", source, "--paths.train", target)
    assert code == 0, output
    assert "No label is known in both 'source' and 'target'" in output
    assert "--label-map" in output
    nlp = spacy.load(tmp_path / "out" / "model-best")
    assert nlp.get_pipe("textcat").labels == ("Essen", "Reise", "food", "music")


def test_weights_are_settings_of_the_config(arguments, corpus_dir, tmp_path):
    arguments += ["--paths.source", corpus_dir / "train.spacy", "--paths.train", corpus_dir / "dev"]
    weights = ["--corpora.train.weights", '{"source": 0.0}', "--corpora.train.lang_weights"]
    code, output = run(*arguments, *weights, '{"sw": 0.0}')
    assert code == 0, output
    nlp = spacy.load(tmp_path / "out" / "model-best")
    assert nlp.get_pipe("textcat").cfg["tuned_langs"] == ["ar", "de", "zh"]
    code, output = run(*arguments, *weights, '{"fr": 2.0}')
    assert code == 1 and "lang_weights name fr (French), but no document is in it" in output


def test_an_interrupted_joint_run_goes_on(arguments, corpus_dir, tmp_path, monkeypatch):
    """What is drawn of each language is drawn again."""
    from test_cli_resume import interrupt_at
    from test_cli_train import snapshot

    from spacy_xlt.cli import _resume

    monkeypatch.setattr(_resume, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(_resume, "KEEP_SHARE", 1e9)
    arguments += ["--paths.source", corpus_dir / "train.spacy", "--paths.train", corpus_dir / "dev"]
    arguments += ["--training.batcher.alpha", 0.0]
    code, output = run(*arguments, "--output", tmp_path / "whole")
    assert code == 0, output
    with monkeypatch.context() as patch:
        interrupt_at(patch, "update", 9)
        assert run(*arguments)[0] == 130
    code, output = run(*arguments)
    assert code == 0 and "Going on with the interrupted run" in output, output
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole")
