import pytest
import spacy
from running import run_command

from spacy_xlt.cli._pipeline import save_pipeline, split_langs


def test_lists_of_languages():
    assert split_langs(None) is None
    assert split_langs("de, fr ,sw") == ["de", "fr", "sw"]
    with pytest.raises(ValueError, match="',' names no language"):
        split_langs(",")


def test_a_pipeline_replaces_nothing_but_a_pipeline(tmp_path):
    nlp = spacy.blank("xx")
    place = tmp_path / "place"
    place.mkdir()
    for _ in range(2):  # over an empty directory, and over itself
        save_pipeline(nlp, place)
        assert spacy.load(place).pipe_names == []
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="notes.txt' is a file; a pipeline needs a directory"):
        save_pipeline(nlp, tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="holds something that is not a pipeline.*notes.txt"):
        save_pipeline(nlp, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_commands_refuse_the_place_of_something_else_before_their_work(
    trained_dir, corpus_dir, tmp_path
):
    (tmp_path / "notes.txt").write_text("mine")
    dev = corpus_dir / "dev"
    for arguments in (
        ("calibrate", trained_dir, dev, "--output"),
        ("ensemble", trained_dir, trained_dir, "--output"),
        ("forecast", trained_dir, dev, "--source", corpus_dir / "train.spacy", "--save"),
    ):
        text = run_command(*arguments, tmp_path, code=1)
        assert "holds something that is not a pipeline (found: notes.txt)" in text
        text = run_command(*arguments, tmp_path / "notes.txt", code=1)
        assert "a pipeline needs a directory. Choose another name." in text
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_batches_of_nothing_are_refused(trained_dir, corpus_dir, tmp_path):
    dev, out = corpus_dir / "dev", tmp_path / "out"
    for arguments in (
        ("calibrate", trained_dir, dev, "--output", out),
        ("evaluate", trained_dir, dev),
        ("predict", trained_dir, tmp_path / "none.txt", out),
        ("suggest", trained_dir, dev),
    ):
        text = run_command(*arguments, "--batch-size", 0, code=1)
        assert "The batch size is 0; allowed is 1 or more." in text
