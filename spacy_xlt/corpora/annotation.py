"""Texts to label, in the form that annotation tools import."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Sequence
from xml.sax.saxutils import quoteattr

# Names in a labelling interface of Label Studio.
TEXT_NAME, LABEL_NAME = "text", "label"


@dataclass(frozen=True)
class LabelTask:
    """A text to label.

    predicted (List[str]): Labels that a classifier would give it.
    probability (float): That this is right, as the classifier has it.
    reason (str): Why this text, in words.
    """

    text: str
    lang: str
    id: str
    predicted: List[str]
    probability: float
    reason: str

    def about(self) -> Dict[str, Any]:
        """All but the text, and no id where it has none."""
        about: Dict[str, Any] = {"lang": self.lang}
        if self.id:
            about["id"] = self.id
        return {
            **about,
            "predicted": ", ".join(self.predicted),
            "probability": round(self.probability, 4),
            "uncertainty": round(1.0 - self.probability, 4),
            "reason": self.reason,
        }


def to_plain(task: LabelTask, labels: Sequence[str]) -> Dict[str, Any]:
    """A row of fields; with a "label" added it is one that `spacy xlt data import` reads."""
    return {"text": task.text, **task.about()}


def to_prodigy(task: LabelTask, labels: Sequence[str]) -> Dict[str, Any]:
    """A task for its `choice` interface; no option is chosen beforehand.

    SOURCE: https://prodi.gy/docs/api-interfaces#choice
    """
    return {
        "text": task.text,
        "lang": task.lang,
        "options": [{"id": label, "text": label} for label in labels],
        "meta": task.about(),
    }


def to_doccano(task: LabelTask, labels: Sequence[str]) -> Dict[str, Any]:
    """A line of JSONL for text classification, not labelled; other fields become metadata.

    SOURCE: doccano's `backend/data_import/pipeline`, where the column of labels must be there.
    """
    return {"text": task.text, "label": [], **task.about()}


def to_label_studio(task: LabelTask, labels: Sequence[str]) -> Dict[str, Any]:
    """A task with a prediction for the interface of `label_studio_interface`.

    SOURCE: https://labelstud.io/guide/predictions; names and labels must be those of the
        interface, or the import is refused.
    """
    result = {
        "from_name": LABEL_NAME,
        "to_name": TEXT_NAME,
        "type": "choices",
        "value": {"choices": task.predicted},
    }
    prediction = {"score": round(task.probability, 4), "result": [result]}
    return {
        "data": {TEXT_NAME: task.text, **task.about()},
        "predictions": [prediction] if task.predicted else [],
    }


def label_studio_interface(labels: Sequence[str], *, exclusive: bool) -> str:
    """The labelling interface (XML) that the tasks of Label Studio fit."""
    choices = "".join(f"<Choice value={quoteattr(label)}/>" for label in labels)
    mode = "single" if exclusive else "multiple"
    return (
        f'<View><Text name="{TEXT_NAME}" value="${TEXT_NAME}"/>'
        f'<Choices name="{LABEL_NAME}" toName="{TEXT_NAME}" choice="{mode}">{choices}</Choices>'
        f"</View>"
    )


# format -> what makes a task of it
FORMS: Dict[str, Callable[[LabelTask, Sequence[str]], Dict[str, Any]]] = {
    "jsonl": to_plain,
    "prodigy": to_prodigy,
    "doccano": to_doccano,
    "label-studio": to_label_studio,
}
# The one tool that reads a list, in a file that ends in .json, in place of lines.
LISTS = ("label-studio",)
