import json
from pathlib import Path

import numpy as np
import pytest
import spacy
import tiny
from running import run_command

from spacy_xlt.cli import self_train as module
from spacy_xlt.cli.self_train import self_train
from spacy_xlt.transfer.pseudo_labels import find_answers
from spacy_xlt.transfer.self_training import Signs

LONG = ("--initialize.after_init.epochs", 30, "--training.optimizer.learn_rate.initial_rate", 0.003)
CONFIG = Path(__file__).parents[2] / "configs" / "self_train.cfg"


@pytest.fixture
def run(texts, trained_dir, frozen_dir, encoder_dir, corpus_dir, tmp_path):
    """Runs the command with a tiny encoder; the source dev set is of other English texts."""

    def run(*more, code=0, out="out", config=CONFIG, source=True, teacher=trained_dir):
        dev = tmp_path / "dev.jsonl"
        rows = [
            {"text": f"{word} please", "label": label, "lang": "en"}
            for label, words in tiny.WORDS.items()
            for word in words
        ]
        dev.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return run_command(
            *("self-train", config, "--teacher", teacher, "--teacher", frozen_dir),
            *(word for path in texts for word in ("--texts", path)),
            *("--output", tmp_path / out, "--paths.dev", dev, "--paths.encoder", encoder_dir),
            *(("--paths.source", corpus_dir / "train.spacy") if source else ()),
            *("--components.textcat.model.freeze", "embeddings", *more),
            code=code,
        )

    return run


def read_record(path):
    return json.loads((path / "self_training.json").read_text())


def test_two_rounds(run, frozen_dir, tmp_path, monkeypatch):
    text = run("--rounds", 2, *LONG)
    out = tmp_path / "out"
    assert "Alike texts agree" in text and "Swahili sw 18" in text
    record = read_record(out)
    assert record["format"] == "spacy_xlt.self_training.v1"
    assert list(record["rounds"]) == ["1", "2"][: len(record["rounds"])]
    signs = record["rounds"]["1"]
    assert 0 <= signs["likeness"] <= 1 and 1 <= signs["n_labels"] <= 3
    assert signs["n_held_out"] == 6 and signs["n_source"] == 9
    assert signs["source_accuracy"] > 0.5
    nlp = spacy.load(out / "model-best")
    pipe = nlp.get_pipe("textcat")
    assert pipe.cfg["train_langs"] == ["en"]
    assert record["result"] >= 1
    assert pipe.cfg["tuned_langs"] == ["ar", "de", "sw"]
    named = f"{record['result']} and '{frozen_dir}': {out}/model-best"
    assert f"The result is the student of round {named}" in text
    assert pipe.cfg["weights"] == pytest.approx([0.4, 0.6])
    # The same call again trains nothing, and comes to the same end.
    monkeypatch.setattr(module, "train_student", None)
    again = run("--rounds", 2, *LONG)
    assert "Round 1 was trained before" in again
    assert read_record(out)["result"] == record["result"]


def test_other_settings_are_another_self_training(run, tmp_path):
    run()
    text = run("--sharpness", 3, code=1)
    assert "holds rounds of another self-training. These are not the same: settings" in text
    assert "Choose another --output, or replace them with --force." in text
    text = run("--sharpness", 3, "--force")
    assert "Other rounds were there, which are replaced. These are not the same: settings" in text
    assert "was trained before" not in text
    (tmp_path / "out" / "self_training.json").write_text("{}")
    text = run(code=1)
    assert "is not the record of a self-training ('run'). Choose another --output, or" in text


def read_start(path):
    config = spacy.util.load_config(path / "model-best" / "config.cfg")
    return config["initialize"]["components"]["textcat"]["start_from"]


def test_students_start_from_what_taught_them(run, trained_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("spacy_xlt.transfer.self_training.find_worsening", lambda b, n: "")
    run("--rounds", 2)
    assert read_start(tmp_path / "out" / "round-1") == str(trained_dir)
    first = tmp_path / "out" / "round-1" / "model-best"
    assert read_start(tmp_path / "out" / "round-2") == str(first)
    run("--fresh", out="fresh")
    assert read_start(tmp_path / "fresh" / "round-1") is None
    # What the user sets is kept.
    run("--initialize.components.textcat.start_from", first, out="own")
    assert read_start(tmp_path / "own" / "round-1") == str(first)


def test_an_ensemble_as_the_first_teacher(run, trained_dir, frozen_dir, tmp_path, monkeypatch):
    """Students of it start from the encoder's directory."""
    monkeypatch.setattr("spacy_xlt.transfer.self_training.find_worsening", lambda b, n: "")
    run_command("ensemble", trained_dir, frozen_dir, "--output", tmp_path / "both")
    text = run(teacher=tmp_path / "both")
    assert f"Students start from the encoder's directory: '{tmp_path}/both' has no" in text
    assert read_start(tmp_path / "out" / "round-1") is None


def test_the_student_alone(run, tmp_path):
    text = run("--beside", 0, *LONG)
    assert f"The result is the student of round 1: {tmp_path}/out/model-best" in text
    assert spacy.load(tmp_path / "out" / "model-best").get_pipe("textcat").labels == (
        *("food", "music", "travel"),
    )
    student = tmp_path / "out" / "round-1" / "model-best" / "textcat" / "model"
    for path in student.iterdir():
        result = tmp_path / "out" / "model-best" / "textcat" / "model" / path.name
        assert result.read_bytes() == path.read_bytes()
    # Another share is no other self-training.
    text = run("--beside", 0.25, *LONG)
    assert "Round 1 was trained before" in text
    pipe = spacy.load(tmp_path / "out" / "model-best").get_pipe("textcat")
    assert pipe.cfg["weights"] == pytest.approx([0.75, 0.25])


def test_only_what_the_teacher_does_not_know_is_taught(run, tmp_path, monkeypatch):
    run("--max-likeness", 0.6)
    taught = (tmp_path / "out" / "round-1" / "corpus" / "train").iterdir()
    assert sorted(path.name for path in taught) == ["ar.spacy", "de.spacy"]
    likeness = read_record(tmp_path / "out")["likeness"]
    assert likeness["sw"] > 0.6 > likeness["ar"]
    monkeypatch.setattr(module, "train_student", None)
    text = run("--max-likeness", 0, out="none")
    assert "The first teacher is taken to know these languages already" in text
    assert "No student was better. The result is the first teacher" in text
    assert read_record(tmp_path / "none")["result"] == 0


def test_something_else_in_the_place_of_the_result(run, tmp_path):
    (tmp_path / "out" / "model-best").mkdir(parents=True)
    (tmp_path / "out" / "model-best" / "mine.txt").write_text("keep")
    assert "holds something that is not a pipeline (found: mine.txt)" in run(code=1)
    assert (tmp_path / "out" / "model-best" / "mine.txt").read_text() == "keep"


def test_an_interrupted_run_goes_on(run, tmp_path, monkeypatch):
    real = module.train_student

    def fail_in_second(config_path, folder, *args, **kwargs):
        if folder.name == "round-2":
            raise OSError("the disk is gone")
        return real(config_path, folder, *args, **kwargs)

    monkeypatch.setattr("spacy_xlt.transfer.self_training.find_worsening", lambda b, n: "")
    monkeypatch.setattr(module, "train_student", fail_in_second)
    text = run("--rounds", 2, code=1)
    assert "the disk is gone" in text
    assert not (tmp_path / "out" / "model-best").exists()
    monkeypatch.setattr(module, "train_student", real)
    text = run("--rounds", 2)
    assert "Round 1 was trained before" in text and "Round 2 was" not in text
    assert read_record(tmp_path / "out")["result"] == 2


@pytest.fixture
def teach(monkeypatch):
    """Lets every student be taught other pseudo-labels than those that were made."""
    real = module.write_labelled

    def teach(change):
        def write(path, found, teachers, rows=None):
            found.scores[:] = change(found.scores.copy())
            real(path, found, teachers, rows)

        monkeypatch.setattr(module, "write_labelled", write)

    return teach


def test_a_student_of_noise_is_stopped(run, teach, tmp_path):
    """Labels turned round by one: food becomes music."""
    teach(lambda scores: np.roll(find_answers(scores, exclusive=True), 1, axis=1))
    text = run("--rounds", 3, *LONG)
    assert "The student of round 1 is worse than what taught it" in text
    assert "No student was better. The result is the first teacher" in text
    record = read_record(tmp_path / "out")
    assert record["result"] == 0 and list(record["rounds"]) == ["1"]
    assert record["rounds"]["1"]["worse"] in record["reason"]
    assert tiny.accuracy(spacy.load(tmp_path / "out" / "model-best"), ["en"]) > 0.9


def test_a_student_of_one_label_is_stopped(run, teach, tmp_path):
    def collapse(scores):
        scores[:] = 0.0
        scores[:, 0] = 1.0
        return scores

    teach(collapse)
    text = run("--rounds", 3, *LONG)
    assert "The student of round 1 is worse than what taught it" in text
    assert "labels collapse" in text
    assert read_record(tmp_path / "out")["result"] == 0


def test_collapsed_pseudo_labels_are_not_taught(run, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "train_student", None)
    real = module._Judge.look

    def look(self, teacher, scores):
        signs = real(self, teacher, scores)
        return Signs(signs.likeness, signs.n_held_out, 99.0, signs.source_accuracy, signs.n_source)

    monkeypatch.setattr(module._Judge, "look", look)
    text = run()
    assert "The pseudo-labels of round 1 are not taught: its answers use" in text
    assert read_record(tmp_path / "out")["result"] == 0


def test_no_labelled_source(run):
    text = run(source=False, code=1)
    assert "needs the labelled texts of the source language, but the config has none" in text


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("--rounds", 0, "--rounds is 0; allowed is 1 or more."),
        ("--held-out", 1.0, "share of held-out texts is 1.0; allowed is between 0 and 1."),
        ("--beside", 1.0, "--beside is 1.0; allowed is 0 up to, not with, 1."),
        ("--max-likeness", 1.5, "max_likeness is 1.5; allowed is 0 to 1, for all languages."),
        ("--neighbours", -0.5, "neighbours is -0.5; allowed is 0 up to"),
        ("--langs", "sw,zu", "No unlabelled text in zu."),
        ("--paths.train", "x", "--paths.train is x, but self-training sets it itself"),
        ("--paths.dve", "x", "The config has no setting 'paths.dve' to override."),
    ],
)
def test_settings_out_of_range(option, value, message, run):
    assert message in run(option, value, code=1)


def test_a_teacher_without_vectors(make_pipeline, standin, corpus_dir, encoder_dir, tmp_path):
    path = tmp_path / "sw.txt"
    path.write_text("".join(f"{label} {i}\n" for label in "AB" for i in range(5)))
    source = tmp_path / "en.jsonl"
    source.write_text(json.dumps({"text": "A", "label": "A", "lang": "en"}) + "\n")
    with pytest.raises(ValueError, match="No teacher has vectors to find alike texts with"):
        self_train(
            CONFIG,
            [path],
            [str(make_pipeline())],
            tmp_path / "out",
            overrides={
                "paths.source": str(source),
                "paths.dev": str(source),
                "paths.encoder": str(encoder_dir),
            },
            code_path=standin,
        )
