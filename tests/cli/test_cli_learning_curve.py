import json

import pytest
import tiny
from running import run_command
from spacy.vocab import Vocab

from spacy_xlt.cli.learning_curve import epochs_of


@pytest.fixture
def corpora(tmp_path):
    """Documents to draw and to measure on, in three languages; one of German's in both."""
    for lang in ("en", "de", "sw"):
        docs = tiny.make_docs([lang], Vocab())
        tiny.write_docbin(tmp_path / "train" / f"{lang}.spacy", docs[::2])
        leaked = docs[:1] if lang == "de" else []
        tiny.write_docbin(tmp_path / "dev" / f"{lang}.spacy", [*docs[1::2], *leaked])
    return tmp_path


@pytest.fixture
def arguments(corpora, trained_dir):
    return [
        *("learning-curve", trained_dir, corpora / "train", "--dev", corpora / "dev"),
        *("--output", corpora / "curve", "--shots", "1,2,3", "--draws", 2),
    ]


def trials(corpora):
    return {path.stem: path.stat().st_mtime_ns for path in (corpora / "curve/trials").glob("*")}


def test_figures_plot_and_what_comes_next(arguments, corpora):
    text = run_command(*arguments, "--langs", "deu,sw")
    assert "16 trainings of the head, for German, Swahili: about 1 minute" in text
    assert "1 documents to draw are also measured on (German 1)" in text
    assert "Accuracy in percent by labels per class" in text and "Language All 0 1 2 3 all" in text
    assert "What labels brought, and what 2 times as many would bring more" in text
    assert "The head alone was trained, which shows less than whole trainings" in text
    found = json.loads((corpora / "curve" / "learning_curve.json").read_text())
    assert found["format"] == "spacy_xlt.learning_curve.v1" and found["recipe"] == "head"
    assert {curve["lang"] for curve in found["languages"]} == {"de", "sw"}
    by_lang = {curve["lang"]: curve for curve in found["languages"]}
    assert by_lang["de"]["points"][-1]["n_labels"] == 13  # the one that is measured on is not
    assert by_lang["de"]["n_measured"] == 14 and by_lang["sw"]["n_measured"] == 13
    plot = (corpora / "curve" / "learning_curve.svg").read_text()
    assert plot.startswith("<svg") and "German" in plot and "var(--" not in plot


def test_the_language_that_was_trained_in_is_left_out(arguments, corpora):
    text = run_command(*arguments, "--shots", "1", "--draws", 1)
    assert "Left out, since the pipeline was trained in it: English. With --langs it can be" in text
    assert {name.partition("-")[0] for name in trials(corpora)} == {"de", "sw"}


def test_the_head_with_the_source(arguments, corpora):
    run_command(*arguments, "--langs", "sw", "--source", corpora / "train" / "en.spacy")
    assert len(trials(corpora)) == 8
    text = run_command(*arguments, "--langs", "sw", code=1)
    assert "These are not the same: source documents (" in text


def test_it_goes_on_and_takes_more(arguments, corpora):
    run_command(*arguments, "--langs", "sw")
    before = trials(corpora)
    assert len(before) == 8
    (corpora / "curve" / "trials" / "sw-shots2-draw1.json").unlink()
    text = run_command(*arguments, "--langs", "sw")
    assert "7 trainings are done already" in text and "1 trainings of the head" in text
    text = run_command(*arguments, "--langs", "sw,en", "--draws", 3)
    assert "8 trainings are done already" in text
    after = trials(corpora)
    assert len(after) == 22
    unchanged = [name for name in before if before[name] == after[name]]
    assert len(unchanged) == 7  # all but the one that was lost


def test_whole_trainings(arguments, corpora, encoder_dir):
    arguments = [*arguments, "--langs", "sw", "--shots", "1", "--draws", 1]
    arguments += ["--encoder", encoder_dir]
    text = run_command(*arguments, "--recipe", "finetune")
    assert "3 trainings by finetune, for Swahili: about 1 minute" in text
    assert "Fewer than 4 numbers of labels: no curve is drawn out." in text
    found = json.loads((corpora / "curve" / "learning_curve.json").read_text())
    assert found["recipe"] == "finetune" and found["mean"] is None
    assert epochs_of("finetune") == 10


def test_whole_trainings_with_the_source(arguments, corpora, encoder_dir):
    arguments = [*arguments, "--langs", "sw", "--shots", "1", "--draws", 1, "--recipe", "few_shot"]
    arguments += ["--encoder", encoder_dir]
    text = run_command(*arguments, code=1)
    assert "A learning curve cannot use the recipe 'few_shot' without --source." in text
    run_command(*arguments, "--source", corpora / "train" / "en.spacy")
    assert len(trials(corpora)) == 3


def test_a_recipe_that_uses_the_untouched_encoder(arguments):
    text = run_command(*arguments, "--langs", "sw", "--recipe", "finetune", code=1)
    assert "cannot use the recipe 'finetune' without --encoder." in text


def test_source_documents_that_are_measured_on_are_not_trained_on(arguments, corpora):
    source = corpora / "dev" / "sw.spacy"
    text = run_command(*arguments, "--langs", "sw", "--source", source)
    assert "13 source documents are also measured on; they are not trained on" in text


def test_trials_of_something_else_are_not_mixed(arguments, corpora, encoder_dir):
    arguments = [*arguments, "--encoder", encoder_dir]
    run_command(*arguments, "--langs", "sw")
    figures = (corpora / "curve" / "learning_curve.json").read_text()
    text = run_command(*arguments, "--langs", "sw", "--recipe", "finetune", code=1)
    assert "holds trials of another learning curve. These are not the same: recipe" in text
    tiny.write_docbin(corpora / "dev" / "sw.spacy", tiny.make_docs(["sw"], Vocab())[1::2][:9])
    text = run_command(*arguments, "--langs", "sw", code=1)
    assert "These are not the same: documents to measure on (" in text
    assert (corpora / "curve" / "learning_curve.json").read_text() == figures
    (corpora / "curve" / "setup.json").write_text("{")
    assert "setup.json' is damaged" in run_command(*arguments, "--langs", "sw", code=1)


def test_labels_that_the_pipeline_does_not_know(arguments, corpora):
    rows = [{"text": f"new {i}", "label": "sport", "lang": "sw"} for i in range(3)]
    (corpora / "train" / "more.jsonl").write_text("\n".join(map(json.dumps, rows)))
    text = run_command(*arguments, "--langs", "sw")
    assert "3 documents have no label of 'textcat' and are left out" in text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shots", "0"], "--shots is '0'; allowed are numbers from 1 with commas: 4,8,16."),
        (["--shots", "4,x"], "--shots is '4,x'; allowed are"),
        (["--draws", 0], "--draws is 0; allowed is 1 or more."),
        (["--langs", "zh"], "There must be labelled documents both to draw and to measure on."),
        (["--dev", "TRAIN"], "are also to be measured on. What is trained on measures nothing."),
        (["--recipe", "nope"], "There is no recipe 'nope'."),
        (["--recipe", "zero_shot"], "cannot use the recipe 'zero_shot': it does not go on from a"),
        (["--source", "none"], "There is no corpus at 'none'."),
        (["--source", "SW", "--recipe", "finetune"], "with --source, which it does not read."),
        (["--output", "FILE"], "is a file; a directory is needed."),
        (["--component", "nope"], "nope"),
    ],
)
def test_bad_arguments(arguments, corpora, more, message):
    (corpora / "file").write_text("mine")
    places = {"TRAIN": corpora / "train", "FILE": corpora / "file"}
    places["SW"] = corpora / "train" / "sw.spacy"
    text = run_command(*arguments, *(places.get(value, value) for value in more), code=1)
    assert message in text
    assert (corpora / "file").read_text() == "mine"
