import json
import re

import pytest
import spacy
from running import run_command

from spacy_xlt.cli.evaluate import evaluate


def test_a_calibrated_pipeline_gives_the_same_labels(trained_dir, corpus_dir, tmp_path):
    out = tmp_path / "calibrated"
    text = run_command("calibrate", trained_dir, corpus_dir / "dev", "--output", out)
    assert "German de" in text and "Temperature" in text
    assert "Only 28 documents in all, so what was fitted may be chance" in text
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
    source, others = corpus_dir / "train.spacy", corpus_dir / "dev"
    text = run_command("calibrate", trained_dir, source, others, "--output", out)
    assert "Fewer than 30 documents, so hardly more than what fits all" in text
    run_command("calibrate", trained_dir, source, "--output", out)
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


def test_thresholds_and_sets_are_stored_and_nothing_abstains(trained_dir, corpus_dir, tmp_path):
    out = tmp_path / "calibrated"
    arguments = (corpus_dir / "dev", "--output", out, "--precision", 0.5, "--coverage", 0.9)
    text = run_command("calibrate", trained_dir, *arguments)
    assert "Answered Precision Coverage Set size" in text
    assert "Every text still gets an answer." in text and "--abstain precision or coverage" in text
    assert "Languages without labelled texts get what fits ar, de, sw, zh together" in text
    cfg = spacy.load(out).get_pipe("textcat").cfg
    assert cfg["abstain"] == "none"
    calibration = cfg["calibration"]
    assert set(calibration["set_thresholds"]) == {"", "ar", "de", "sw", "zh"}
    assert set(calibration["thresholds"]) == {"", "ar", "de", "sw", "zh"}
    assert (calibration["precision"], calibration["coverage"]) == (0.5, 0.9)


def test_a_precision_out_of_reach(trained_dir, corpus_dir, tmp_path):
    out = tmp_path / "calibrated"
    arguments = ("--output", out, "--precision", 0.9999, "--abstain", "precision")
    text = run_command("calibrate", trained_dir, corpus_dir / "dev", *arguments)
    assert "No threshold makes a precision of 0.9999 likely enough with these texts" in text
    assert "all other languages: food, music, travel" in text
    run_command("predict", out, corpus_dir_texts(tmp_path), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("pizza,,0.")


def corpus_dir_texts(tmp_path):
    (tmp_path / "in.csv").write_text("text\npizza\n")
    return tmp_path / "in.csv"


def test_evaluation_and_prediction_of_a_pipeline_that_abstains(trained_dir, corpus_dir, tmp_path):
    out = tmp_path / "calibrated"
    arguments = ("--output", out, "--coverage", 0.99, "--abstain", "coverage", "--zero-abstained")
    run_command("calibrate", trained_dir, corpus_dir / "dev", *arguments)
    nlp = spacy.load(out)
    pipe = nlp.get_pipe("textcat")
    pipe.cfg["calibration"]["set_thresholds"] = {"": 0.0, "de": 1.0}
    nlp.to_disk(out)
    figures = evaluate(str(out), [corpus_dir / "dev"], predictions=tmp_path / "lines.jsonl")
    rows = {row["lang"]: row for row in figures["languages"]}
    assert rows["de"]["selective"]["share_answered"] == 1.0
    assert rows["de"]["selective"]["set_size"] == 1.0
    assert rows["sw"]["selective"] == {
        "n_answered": 0,
        "share_answered": 0.0,
        "accuracy": None,
        "precision": None,
        "set_size": 3.0,
        "set_coverage": 1.0,
        "interval": None,
    }
    low, high = rows["de"]["selective"]["interval"]
    assert low < rows["de"]["accuracy"] < high
    assert rows["sw"]["accuracy"] == 0.0 and rows["sw"]["confidence"] is None
    assert rows["de"]["confidence"]["calibration_error"] >= 0.0
    lines = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    by_lang = {line["lang"]: line for line in lines}
    assert by_lang["sw"]["predicted"] is None
    assert by_lang["sw"]["set"] == ["food", "music", "travel"]
    assert by_lang["de"]["set"] == [by_lang["de"]["predicted"]]

    (tmp_path / "in.csv").write_text("text,lang\npizza,de\npizza,sw\n")
    run_command("predict", out, tmp_path / "in.csv", tmp_path / "out.csv", "--all-scores")
    header, de, sw = (tmp_path / "out.csv").read_text().splitlines()
    assert header.startswith("text,lang,label,score,set,score_food")
    assert de.startswith("pizza,de,food,0.") and ",food," in de
    assert sw == "pizza,sw,,0.0,food;music;travel,0.0,0.0,0.0"
    run_command("predict", out, tmp_path / "in.csv", tmp_path / "out.jsonl")
    de, sw = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert de["label"] == "food" and de["set"] == ["food"]
    assert sw["label"] is None and sw["set"] == ["food", "music", "travel"]

    text = run_command("evaluate", out, corpus_dir / "dev")
    assert "The pipeline may abstain. Above, its likeliest labels count whether or not" in text
    assert "German de 7 100.0" in text and "3.00" in text
    # Calibrating it again starts from all of its scores.
    run_command("calibrate", out, corpus_dir / "dev", "--output", out)
    assert spacy.load(out).get_pipe("textcat").cfg["abstain"] == "none"


def test_unlabelled_texts_and_known_mixes(trained_dir, corpus_dir, tmp_path):
    out = tmp_path / "calibrated"
    rows = [{"text": f"we want pizza {i}", "lang": "fr"} for i in range(60)]
    texts = tmp_path / "texts.jsonl"
    texts.write_text("\n".join(map(json.dumps, rows)))
    priors = tmp_path / "priors.json"
    priors.write_text(json.dumps({"deu": {"food": 0.8, "music": 0.1, "travel": 0.1}}))
    arguments = ("--output", out, "--unlabelled", texts, "--priors", priors)
    text = run_command("calibrate", trained_dir, corpus_dir / "dev", *arguments)
    assert "French fr 60 corrected" in text and "German de known corrected" in text
    shifts = spacy.load(out).get_pipe("textcat").cfg["calibration"]["shifts"]
    assert set(shifts) == {"fr", "de"} and shifts["fr"]["food"] > 0 > shifts["fr"]["music"]
    assert shifts["de"]["food"] > 0 > shifts["de"]["travel"]
    # The labelled texts themselves have the mix that is assumed.
    arguments = ("--output", out, "--unlabelled", corpus_dir / "dev")
    text = run_command("calibrate", trained_dir, corpus_dir / "dev", *arguments)
    assert "German de 7 as assumed" in text
    assert "shifts" not in spacy.load(out).get_pipe("textcat").cfg["calibration"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no file '.*'. Write it like"),
        ("{", "is not a file of shares of labels by language, or is damaged:"),
        ('{"de": {"food": "much"}}', "is not a file of shares of labels by language, or is dam"),
        ('{"de": {"food": 1.0}}', "give one for each of: food, music, travel"),
        ('{"no tag!": {"food": 1.0}}', "is not a language tag"),
    ],
)
def test_known_mixes_that_are_none(trained_dir, corpus_dir, tmp_path, content, message):
    if content is not None:
        (tmp_path / "priors.json").write_text(content)
    arguments = ("--output", tmp_path / "out", "--priors", tmp_path / "priors.json")
    text = run_command("calibrate", trained_dir, corpus_dir / "dev", *arguments, code=1)
    assert re.search(message, text)
    assert not (tmp_path / "out").exists()


def test_unlabelled_texts_without_a_language(trained_dir, corpus_dir, tmp_path):
    (tmp_path / "texts.jsonl").write_text('{"text": "pizza"}\n')
    arguments = ("--output", tmp_path / "out", "--unlabelled", tmp_path / "texts.jsonl")
    text = run_command("calibrate", trained_dir, corpus_dir / "dev", *arguments, code=1)
    assert "1 of 1 unlabelled texts have no language" in text
    (tmp_path / "texts.jsonl").write_text("")
    text = run_command("calibrate", trained_dir, corpus_dir / "dev", *arguments, code=1)
    assert "There is no unlabelled text in" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--abstain", "precision"), "no thresholds were fitted. Fit them first"),
        (("--abstain", "coverage", "--precision", 0.9), "no set_thresholds were fitted"),
        (("--abstain", "often"), "allowed are: none, precision, coverage"),
        (("--precision", 1.5), "The precision wanted is 1.5; allowed is between 0 and 1"),
        (("--coverage", "nan"), "The coverage wanted is nan; allowed is between 0 and 1"),
        (("--zero-abstained",), "there are no such texts"),
    ],
)
def test_settings_that_do_not_go_together(trained_dir, corpus_dir, tmp_path, options, message):
    out = tmp_path / "out"
    text = run_command(
        "calibrate", trained_dir, corpus_dir / "dev", "--output", out, *options, code=1
    )
    assert message in text and not out.exists()


def test_scores_that_are_not_numbers(trained_dir, corpus_dir, tmp_path):
    nlp = spacy.load(trained_dir)
    pipe = nlp.get_pipe("textcat")
    weight, bias = pipe._shim.head_rows([0, 1, 2])
    pipe._set_head(weight * float("nan"), bias)
    nlp.to_disk(tmp_path / "broken")
    arguments = (corpus_dir / "dev", "--output", tmp_path / "out", "--coverage", 0.9)
    text = run_command("calibrate", tmp_path / "broken", *arguments, code=1)
    assert "predicted scores that are not numbers. Its weights are damaged" in text
    assert not (tmp_path / "out").exists()
