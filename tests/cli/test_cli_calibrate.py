import pytest
import spacy
from running import run_command

from spacy_xlt.cli.evaluate import evaluate


def test_a_calibrated_pipeline_gives_the_same_labels(trained_dir, corpus_dir, tmp_path):
    out = tmp_path / "calibrated"
    text = run_command("calibrate", trained_dir, corpus_dir / "dev", "--output", out)
    assert "German de" in text and "Temperature" in text
    assert "Fewer than 30 documents" in text
    assert "✔ Calibrated pipeline:" in text
    before, after = (evaluate(str(path), [corpus_dir / "dev"]) for path in (trained_dir, out))
    for row, other in zip(before["languages"], after["languages"], strict=True):
        assert row["lang"] == other["lang"] and row["correct"] == other["correct"]
    assert before["overall"]["confidence"] != after["overall"]["confidence"]
    temperatures = spacy.load(out).get_pipe("textcat").cfg["calibration"]["temperatures"]
    assert set(temperatures) == {"", "ar", "de", "sw", "zh"}
    # Once more on the result: from the uncalibrated scores again.
    run_command("calibrate", out, corpus_dir / "dev", "--output", out)
    assert spacy.load(out).get_pipe("textcat").cfg["calibration"]["temperatures"] == temperatures


def test_source_labels_only(trained_dir, corpus_dir, tmp_path):
    out = tmp_path / "calibrated"
    run_command("calibrate", trained_dir, corpus_dir / "train.spacy", "--output", out)
    temperatures = spacy.load(out).get_pipe("textcat").cfg["calibration"]["temperatures"]
    assert set(temperatures) == {"", "en"}
    assert temperatures[""] == pytest.approx(temperatures["en"], rel=1e-3)


def test_predictions_use_the_language_of_their_row(trained_dir, tmp_path):
    nlp = spacy.load(trained_dir)
    nlp.get_pipe("textcat").set_calibration({"temperatures": {"": 1.0, "de": 4.0}})
    nlp.to_disk(tmp_path / "calibrated")
    rows = ["text,lang,sprache", "pizza,de,", "pizza,en,de", "pizza,none of that,deu"]
    (tmp_path / "in.csv").write_text("\n".join(rows) + "\n")

    def scores(*extra):
        run_command(
            "predict", tmp_path / "calibrated", tmp_path / "in.csv", tmp_path / "out.csv", *extra
        )
        lines = (tmp_path / "out.csv").read_text().splitlines()
        return [float(line.split(",")[-1]) for line in lines[1:]]

    de, en, bad = scores()
    assert de < en == bad
    first, second, third = scores("--lang-field", "sprache")
    assert first == en and second == third == de


def test_a_component_that_cannot_be_calibrated(make_pipeline, make_split, standin, tmp_path):
    split = make_split([("en", "A", "A")])
    arguments = (make_pipeline(), split, "--output", tmp_path / "out", "--code", standin)
    text = run_command("calibrate", *arguments, code=1)
    assert "which cannot be calibrated. Allowed are xlt_textcat and xlt_textcat_multilabel" in text
    assert not (tmp_path / "out").exists()


def test_nothing_to_calibrate_with(trained_dir, make_split, tmp_path):
    split = make_split([("en", "A", "A")])
    text = run_command("calibrate", trained_dir, split, "--output", tmp_path / "out", code=1)
    assert "No document has a label of 'textcat' and a usable prediction" in text
    text = run_command(
        "calibrate", trained_dir, split, "--output", tmp_path / "out", "--langs", "fr", code=1
    )
    assert "No document in fr (French)" in text
