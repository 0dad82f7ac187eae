import json
import re

import numpy
import pytest
import spacy
import tiny
from running import run_command
from safetensors.torch import load_file

from spacy_xlt.cli import _resume
from spacy_xlt.layers.distilling import Distillation


@pytest.fixture
def texts(corpus_dir):
    """The tiny corpus in German, Swahili, Chinese and Arabic."""
    return corpus_dir / "dev"


def weights(path):
    return load_file(path / "textcat" / "model" / "model.safetensors")


def test_a_student_with_fewer_layers_answers_as_the_teacher(trained_dir, texts, tmp_path):
    output = tmp_path / "student"
    text = run_command(
        "distill", trained_dir, texts, "-o", output, "--layers", 1, "--epochs", 60,
        "--learn-rate", 0.0005,
    )  # fmt: skip
    assert "Student with 1 of 2 layers (1)" in text and "Learned from 28 texts and" in text
    student = spacy.load(output / "model-best")
    assert student.get_pipe("textcat").n_layers == 1
    teacher = spacy.load(trained_dir)
    docs = [doc.text for doc in tiny.make_docs(["de", "sw", "zh", "ar"], teacher.vocab)]
    found, wanted = (
        numpy.array([list(doc.cats.values()) for doc in nlp.pipe(docs)])
        for nlp in (student, teacher)
    )
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() > 0.9
    assert list(student("a").cats) == list(teacher("a").cats)


def test_the_student_is_an_ordinary_pipeline(trained_dir, texts, tmp_path):
    """It is loaded, saved and trained on like any other."""
    run_command("distill", trained_dir, texts, "-o", tmp_path, "-n", 1, "-e", 1)
    nlp = spacy.load(tmp_path / "model-best")
    assert nlp.get_pipe("textcat").cfg["train_langs"] == ["en"]
    nlp.to_disk(tmp_path / "again")
    assert spacy.load(tmp_path / "again")("taxi").cats == nlp("taxi").cats
    examples = tiny.make_examples(nlp)
    start = tmp_path / "model-best"
    nlp.get_pipe("textcat").initialize(lambda: examples, start_from=start)
    assert nlp.get_pipe("textcat").n_layers == 1
    nlp.update(examples, sgd=nlp.create_optimizer())


def test_a_student_that_learned_nothing_is_told_of(trained_dir, texts, tmp_path):
    arguments = ["distill", trained_dir, texts, "-n", 1, "--learn-rate"]
    text = run_command(*arguments, 1.0, "-o", tmp_path / "wild")
    assert "The student has hardly learned what the teacher knows" in text
    text = run_command(*arguments, 5e-4, "-e", 30, "-o", tmp_path / "good")
    assert re.search(r"It answers as the teacher on (100|9\d)\.\d% of those given", text)
    assert "hardly learned" not in text


def test_layers_and_languages_can_be_named(trained_dir, texts, tmp_path):
    text = run_command(
        "distill", trained_dir, texts, "-o", tmp_path, "--keep", "0", "--langs", "sw,zho", "-e", 1
    )
    assert "Student with 1 of 2 layers (0)" in text and "Learned from 14 texts and" in text


def test_tables_of_texts_are_read_and_blank_texts_left_out(trained_dir, tmp_path):
    rows = [{"text": text} for text in ("taxi", "taxi", "  ", "jazz")]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf8")
    text = run_command("distill", trained_dir, path, "-o", tmp_path / "out", "-n", 1, "-e", 1)
    assert "Learned from 2 texts and 2 mixed ones in" in text
    arguments = ["-o", tmp_path / "out", "-n", 1, "-e", 1, "--mixed", 0]
    text = run_command("distill", trained_dir, path, *arguments)
    assert "Learned from 2 texts and 0 mixed ones in" in text


def test_a_seed_gives_the_same_student_and_another_another(trained_dir, texts, tmp_path):
    students = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run_command(
            "distill", trained_dir, texts, "-o", tmp_path / name, "-n", 1, "-e", 2, "--seed", seed
        )
        students.append(weights(tmp_path / name / "model-best"))
    same, other = (
        max(float((students[0][key] - student[key]).abs().max()) for key in student)
        for student in students[1:]
    )
    assert same == 0.0 and other > 0.0


def test_ngrams_are_fitted_to_the_answers_and_stay_in_the_config(trained_dir, texts, tmp_path):
    arguments = ["distill", trained_dir, texts, "-n", 1, "-e", 1, "-o"]
    run_command(*arguments, tmp_path / "none", "--ngram-share", 0)
    run_command(*arguments, tmp_path / "some", "--ngram-share", 0.4)
    run_command(*arguments, tmp_path / "only", "--ngram-share", 1)
    nlps = [spacy.load(tmp_path / name / "model-best") for name in ("none", "some", "only")]
    shares = [nlp.get_pipe_config("textcat")["model"]["ngram_share"] for nlp in nlps]
    assert shares == [0.0, 0.4, 1.0]
    teacher = spacy.load(trained_dir)
    given = [doc.text for doc in tiny.make_docs(["de", "sw", "zh", "ar"], teacher.vocab)]
    head, mixed, ngrams, wanted = (
        numpy.array([list(doc.cats.values()) for doc in nlp.pipe(given)])
        for nlp in (*nlps, teacher)
    )
    assert (ngrams.argmax(axis=1) == wanted.argmax(axis=1)).mean() > 0.6  # chance: 0.33
    odds = numpy.exp(0.6 * numpy.log(head) + 0.4 * numpy.log(ngrams))
    numpy.testing.assert_allclose(mixed, odds / odds.sum(axis=1, keepdims=True), atol=1e-4)


def test_several_teachers(trained_dir, texts, tmp_path):
    arguments = ["distill", trained_dir, texts, "-n", 1, "-e", 1, "--teacher", trained_dir]
    assert "Student with 1 of 2 layers" in run_command(*arguments, "-o", tmp_path)


def test_teachers_with_other_labels_are_refused(trained_dir, texts, make_ready, tmp_path):
    nlp = make_ready()
    nlp.get_pipe("textcat").add_label("sport")
    nlp.to_disk(tmp_path / "other")
    text = run_command(
        "distill", trained_dir, texts, "-o", tmp_path / "out", "-n", 1, "--teacher",
        tmp_path / "other",
        code=1,
    )  # fmt: skip
    assert "The teachers have different labels: ['food', 'music', 'travel'] the first one" in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layers", 0], "0 layers are to be kept; allowed are 1 to 2"),
        (["--layers", 3], "3 layers are to be kept; allowed are 1 to 2"),
        (["--keep", "0,0"], "The layers to keep are [0, 0]; allowed are different numbers from 0"),
        (["--keep", "2"], "The layers to keep are [2]"),
        (["--keep", "a"], "--keep is 'a'; allowed are numbers of layers from 0 with commas"),
        (["--langs", "fr"], "No text is in fr. Languages found: ar, de, sw, zh."),
        (["--epochs", 0], "epochs is 0; allowed is more than 0"),
        (["--mixed", -1], "mixed is -1; allowed is 0 or more"),
        (["--ngram-share", 1.1], "ngram_share is 1.1; allowed is 0 to 1"),
        (["--learn-rate", "nan"], "learn_rate is nan; allowed is more than 0"),
        (["--temperature", -1], "temperature is -1.0; allowed is more than 0"),
        (["--resume"], "There is no interrupted run to go on with"),
        (["--teacher", "no/such"], "The pipeline 'no/such' cannot be loaded"),
        (["--component", "nope"], "'nope' is not one"),
    ],
)
def test_mistakes_are_named(trained_dir, texts, tmp_path, arguments, message):
    output = tmp_path / "out"
    arguments = ["--layers", 1, *arguments] if "--layers" not in arguments else arguments
    assert message in run_command("distill", trained_dir, texts, "-o", output, *arguments, code=1)
    assert list(tmp_path.iterdir()) == []


def test_missing_teachers_and_texts_are_named(trained_dir, texts, tmp_path):
    text = run_command("distill", tmp_path / "none", texts, "-o", tmp_path / "out", code=1)
    assert "There is no such package or directory" in text
    arguments = ["-o", tmp_path / "out", "-n", 1]
    text = run_command("distill", trained_dir, tmp_path / "none", *arguments, code=1)
    assert "There is no file or directory" in text
    (tmp_path / "blank.txt").write_text(" \n\n", encoding="utf8")
    text = run_command("distill", trained_dir, tmp_path / "blank.txt", *arguments, code=1)
    assert "There is no text to learn from" in text
    nlp = spacy.blank("xx")
    stock = nlp.add_pipe("textcat")
    for label in ("x", "y"):
        stock.add_label(label)
    nlp.initialize()
    nlp.to_disk(tmp_path / "stock")
    text = run_command("distill", tmp_path / "stock", texts, *arguments, code=1)
    assert "'textcat' is a TextCategorizer; a student is made of the encoder of an" in text


def test_what_stands_in_the_output_stays_until_the_end(trained_dir, texts, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    run_command("distill", trained_dir, texts, "-o", tmp_path / "out", "-n", 1, "-e", 1)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["model-best", "notes.txt"]


@pytest.mark.parametrize("at", [1, 5])
def test_a_run_that_is_cut_off_goes_on(trained_dir, texts, tmp_path, monkeypatch, at):
    monkeypatch.setattr(_resume, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(_resume, "KEEP_SHARE", 1e9)
    arguments = ["distill", trained_dir, texts, "-n", 1, "-e", 2]
    run_command(*arguments, "-o", tmp_path / "whole")
    original, left, done = Distillation.step, [at], []

    def step(self, *args):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        done.append(1)
        return original(self, *args)

    monkeypatch.setattr(Distillation, "step", step)
    text = run_command(*arguments, "-o", tmp_path / "out", code=130)
    assert "Interrupted" in text and not (tmp_path / "out").exists()
    text = run_command(*arguments, "-o", tmp_path / "out")
    assert "Going on with the interrupted run" in text
    assert len(done) == 8  # 28 texts and as many mixed ones, 16 at a time, twice
    whole, cut = (
        weights(tmp_path / "whole" / "model-best"),
        weights(tmp_path / "out" / "model-best"),
    )
    assert all((whole[name] == cut[name]).all() for name in whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_another_run_starts_anew(trained_dir, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(_resume, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(_resume, "KEEP_SHARE", 1e9)
    original, left = Distillation.step, [4]

    def step(self, *args):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(Distillation, "step", step)
    arguments = ["distill", trained_dir, texts, "-n", 1, "-e", 8, "-o", tmp_path / "out"]
    run_command(*arguments, code=130)
    text = run_command(*arguments, "--temperature", 3, "--resume", code=1)
    assert "The interrupted run is another one. These are not the same: temperature" in text
    text = run_command(*arguments, "--temperature", 3)
    assert "Training starts anew" in text
