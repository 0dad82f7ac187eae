import pytest
import spacy

from spacy_xlt.components.starting import read_started


def test_a_trained_component(trained_dir):
    started = read_started(trained_dir, "textcat")
    assert started.labels == ["food", "music", "travel"]
    assert started.train_langs == ["en"]
    assert (started.weights_path / "model.safetensors").is_file()


def test_the_only_fitting_component_is_taken_under_another_name(trained_dir):
    assert read_started(trained_dir, "other").path == trained_dir / "textcat"


@pytest.fixture
def two(make_ready, tmp_path):
    nlp = make_ready(name="one")
    nlp.add_pipe("two", source=make_ready(name="two"))
    nlp.to_disk(tmp_path / "two")
    return tmp_path / "two"


def test_the_component_of_that_name_is_taken(two):
    assert read_started(two, "two").path == two / "two"
    with pytest.raises(ValueError, match=r"components \['one', 'two'\]; 'three' can start from"):
        read_started(two, "three")


@pytest.mark.parametrize("exists", [True, False])
def test_not_a_pipeline(tmp_path, exists):
    path = tmp_path if exists else tmp_path / "nowhere"
    with pytest.raises(ValueError, match=r"start_from is .* not a trained pipeline: it has no con"):
        read_started(path, "textcat")


def test_a_pipeline_without_a_classifier_of_ours(tmp_path):
    nlp = spacy.blank("xx")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path)
    with pytest.raises(
        ValueError, match=r"components \['sentencizer'\]; 'textcat' can start .*\[\]"
    ):
        read_started(tmp_path, "textcat")


def test_an_incomplete_pipeline(trained_dir, tmp_path):
    (tmp_path / "config.cfg").write_text((trained_dir / "config.cfg").read_text())
    with pytest.raises(ValueError, match=r"textcat' is not complete: it has no .*cfg"):
        read_started(tmp_path, "textcat")
