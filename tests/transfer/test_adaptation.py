"""What a second stage adapts to, and that what it sets is a setting of the config."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from spacy.util import load_config

from spacy_xlt.transfer.adaptation import (
    FAR_DISTANCE,
    FAR_PIECES,
    FAR_UNKNOWN,
    MANY_DOCUMENTS,
    Target,
    adapt_second_stage,
    is_far,
    measure_target,
)

CONFIG = Path(__file__).parents[2] / "configs" / "few_shot.cfg"
FAR = Target(56, distance=2.5, pieces_per_word=1.8, unknown_share=0.0)
NEAR = Target(56, distance=1.6, pieces_per_word=1.1, unknown_share=0.0)


def docs(nlp, lang):
    return [eg.reference for eg in tiny.make_examples(nlp, [lang])]


def test_a_language_is_no_distance_from_itself(trained):
    pipe, source = trained.get_pipe("textcat"), docs(trained, "en")
    found = measure_target(pipe, source, source)
    assert found.distance < 1.0 and found.pieces_per_word == pytest.approx(1.0)
    assert found.unknown_share == 0.0
    assert found.n_documents == len(source)


def test_texts_in_pieces_and_unknown_scripts_are_seen(trained):
    pipe, source = trained.get_pipe("textcat"), docs(trained, "en")
    spelled = [trained.make_doc("xyz qrk vvw") for _ in range(3)]
    found = measure_target(pipe, source, spelled)
    assert found.pieces_per_word > FAR_PIECES and found.distance > 1.0
    unknown = [trained.make_doc("ᱥᱟᱱᱛᱟᱲᱤ ᱯᱟᱹᱨᱥᱤ")]
    assert measure_target(pipe, source, unknown).unknown_share > FAR_UNKNOWN


def test_texts_without_words_do_no_harm(trained):
    pipe, source = trained.get_pipe("textcat"), docs(trained, "en")
    found = measure_target(pipe, source, [trained.make_doc(text) for text in ("", " ", "…")])
    assert found.distance > 0.0 and 0.0 <= found.unknown_share <= 1.0


@pytest.mark.parametrize(("n_source", "n_target"), [(1, 3), (0, 3), (3, 0)])
def test_too_few_documents_are_refused(trained, n_source, n_target):
    pipe, source = trained.get_pipe("textcat"), docs(trained, "en")
    with pytest.raises(ValueError, match=f"There are {n_source} source documents and {n_target} "):
        measure_target(pipe, source[:n_source], source[:n_target])


def test_a_shared_encoder_has_no_vectors_to_measure_by(trained):
    trained.get_pipe("textcat")._shim.reading = None
    source = docs(trained, "en")
    with pytest.raises(ValueError, match="shares its encoder with the pipeline"):
        measure_target(trained.get_pipe("textcat"), source, source)


@pytest.mark.parametrize(
    ("change", "far"),
    [
        ({}, False),
        ({"distance": FAR_DISTANCE}, True),
        ({"pieces_per_word": FAR_PIECES}, True),
        ({"unknown_share": FAR_UNKNOWN}, True),
        ({"n_documents": MANY_DOCUMENTS}, False),
    ],
)
def test_any_sign_of_distance_will_do(change, far):
    assert is_far(replace(NEAR, **change)) is far


def test_the_config_is_right_for_few_labels_of_a_far_language():
    assert adapt_second_stage(FAR) == {}
    near = adapt_second_stage(NEAR, name="topic")
    assert list(near) == ["initialize.components.topic.untouched_share"]


@pytest.mark.parametrize("target", [NEAR, replace(NEAR, n_documents=MANY_DOCUMENTS)])
def test_what_it_sets_is_there_and_other(target):
    config = load_config(CONFIG, interpolate=False)
    for name, value in adapt_second_stage(target).items():
        *sections, key = name.split(".")
        block = config
        for section in sections:
            block = block[section]
        assert block[key] != value


def test_many_documents_train_the_encoder():
    many = replace(FAR, n_documents=MANY_DOCUMENTS)
    assert adapt_second_stage(many)["components.textcat.model.freeze"] == "half"
    fewer = replace(FAR, n_documents=MANY_DOCUMENTS - 1)
    assert "components.textcat.model.freeze" not in adapt_second_stage(fewer)
