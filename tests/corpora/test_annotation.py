import json
import xml.etree.ElementTree as ElementTree

import pytest

from spacy_xlt.corpora.annotation import FORMS, LISTS, LabelTask, label_studio_interface
from spacy_xlt.corpora.formats import Columns, read_fields

LABELS = ["food", "music"]
TASK = LabelTask('jazz & "pizza"', "sw", "17", ["music"], 0.61239, "in doubt")


def test_plain_rows_carry_everything():
    assert FORMS["jsonl"](TASK, LABELS) == {
        "text": TASK.text,
        "lang": "sw",
        "id": "17",
        "predicted": "music",
        "probability": 0.6124,
        "uncertainty": 0.3876,
        "reason": "in doubt",
    }
    no_id = LabelTask("jazz", "", "", [], 1.0, "")
    assert "id" not in FORMS["jsonl"](no_id, LABELS) and no_id.about()["predicted"] == ""


def test_prodigy_gets_options_and_no_answer():
    task = FORMS["prodigy"](TASK, LABELS)
    assert task["text"] == TASK.text and task["lang"] == "sw"
    assert task["options"] == [{"id": "food", "text": "food"}, {"id": "music", "text": "music"}]
    assert task["meta"]["predicted"] == "music" and task["meta"]["id"] == "17"
    # What would count as an answer, or stand for one binary question.
    assert not {"accept", "answer", "label"} & set(task)
    # Shown in a corner of the card, so values must be plain.
    assert all(isinstance(value, (str, float)) for value in task["meta"].values())


def test_doccano_gets_an_empty_list_of_labels():
    task = FORMS["doccano"](TASK, LABELS)
    assert task["label"] == [] and task["text"] == TASK.text and task["lang"] == "sw"


def test_label_studio_gets_a_prediction_that_fits_its_interface():
    task = FORMS["label-studio"](TASK, LABELS)
    interface = ElementTree.fromstring(label_studio_interface(LABELS, exclusive=True))
    text, choices = interface.find("Text"), interface.find("Choices")
    assert text.get("value") == "$text" and task["data"]["text"] == TASK.text
    (prediction,) = task["predictions"]
    (result,) = prediction["result"]
    assert (result["from_name"], result["to_name"]) == (choices.get("name"), text.get("name"))
    assert (result["type"], choices.get("choice")) == ("choices", "single")
    given = [choice.get("value") for choice in choices]
    assert given == LABELS and set(result["value"]["choices"]) <= set(given)
    assert 0 <= prediction["score"] <= 1
    undecided = LabelTask("", "", "", [], 0.9, "")
    assert FORMS["label-studio"](undecided, LABELS)["predictions"] == []


def test_labels_of_any_letters_are_quoted_in_the_interface():
    labels = ['a"b', "<c>", "d&e", "音楽"]
    interface = ElementTree.fromstring(label_studio_interface(labels, exclusive=False))
    choices = interface.find("Choices")
    assert [choice.get("value") for choice in choices] == labels
    assert choices.get("choice") == "multiple"


@pytest.mark.parametrize(
    "form, column", [("jsonl", None), ("doccano", None), ("prodigy", "accept")]
)
def test_labelled_lines_are_read_again(form, column, tmp_path):
    """What the tools hand back, with the answer where they put it."""
    task = FORMS[form](TASK, LABELS)
    task[column or "label"] = ["music"]
    path = tmp_path / "labelled.jsonl"
    path.write_text(json.dumps(task) + "\n", encoding="utf8")
    (fields,) = read_fields(path, Columns(label=column))
    assert (fields.text, fields.labels, fields.lang) == (TASK.text, ["music"], "sw")


def test_every_form_is_json():
    assert set(LISTS) <= set(FORMS)
    for make in FORMS.values():
        assert json.loads(json.dumps(make(TASK, LABELS)))
