"""Which component of a pipeline is measured, and what it is and knows."""

import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, List, Mapping, Optional, Sequence, Union

from spacy.language import Language

from ..languages import standardize_language
from .metrics import DEFAULT_THRESHOLD
from .results import CorpusRecord, Signature

# Libraries whose version may change a figure.
LIBRARIES = {
    "spacy_xlt": "spacy-xlt",
    "spacy": "spacy",
    "thinc": "thinc",
    "numpy": "numpy",
    "torch": "torch",
    "transformers": "transformers",
    "spacy_transformers": "spacy-transformers",
}


@dataclass(frozen=True)
class Task:
    """What is measured: one component's labels, and how its scores become decisions.

    abstain (str): Whether and how it may give no answer, "none" if not.
    """

    component: str
    factory: str
    labels: List[str]
    exclusive: bool
    threshold: Optional[float]
    source_langs: List[str]
    tuned_langs: List[str]
    abstain: str

    def choose(self, scores: Mapping[str, float]) -> Union[str, List[str]]:
        """The label with the highest score, or all from the threshold up if not exclusive."""
        if self.exclusive:
            return max(self.labels, key=lambda label: scores[label])
        threshold = DEFAULT_THRESHOLD if self.threshold is None else self.threshold
        return [label for label in self.labels if scores[label] >= threshold]


def find_task(
    nlp: Language,
    component: Optional[str] = None,
    source_langs: Optional[Sequence[str]] = None,
) -> Task:
    """Find the text classifier of a pipeline and what it is about.

    RETURNS (Task): The component's name, labels and settings.
    RAISES (ValueError): If there is none, or several and none is named, or it has no labels.
    """
    names = find_textcats(nlp)
    if component is None and len(names) == 1:
        component = names[0]
    if component not in names:
        asked = f"'{component}' is not one" if component else "--component must name one"
        has = f"Text classifiers: {', '.join(names)}" if names else "It has no text classifier"
        raise ValueError(
            f"The pipeline has the components {', '.join(nlp.pipe_names) or '(none)'}. {has}. "
            f"Exactly one is used{f': {asked}' if names else ''}."
        )
    pipe: Any = nlp.get_pipe(component)
    factory = nlp.get_pipe_meta(component).factory
    labels = list(pipe.labels)
    if not labels:
        raise ValueError(
            f"The component '{component}' has no labels: it was never trained. Train it first, "
            f"for example with: python -m spacy xlt train"
        )
    cfg = getattr(pipe, "cfg", None) or {}
    exclusive = bool(cfg.get("exclusive", not factory.endswith("_multilabel")))
    sources = cfg.get("train_langs") or [] if source_langs is None else source_langs
    return Task(
        component=component,
        factory=factory,
        labels=labels,
        exclusive=exclusive,
        threshold=None if exclusive else cfg.get("threshold"),
        source_langs=sorted({standardize_language(lang) for lang in sources}),
        tuned_langs=sorted({standardize_language(lang) for lang in cfg.get("tuned_langs") or []}),
        abstain=cfg.get("abstain", "none"),
    )


def known_labels(nlp: Language) -> List[str]:
    """Labels of all text classifiers of a pipeline; gold may carry those of several."""
    return sorted(
        {
            label
            for pipe in find_textcats(nlp)
            for label in getattr(nlp.get_pipe(pipe), "labels", ())
        }
    )


def find_textcats(nlp: Language) -> List[str]:
    """Names of the components that set `doc.cats`."""
    return [pipe for pipe in nlp.pipe_names if "doc.cats" in nlp.get_pipe_meta(pipe).assigns]


def make_signature(nlp: Language, task: Task, corpora: Sequence[CorpusRecord]) -> Signature:
    """What must be equal for figures to be comparable."""
    loaded = {module: name for module, name in LIBRARIES.items() if module in sys.modules}
    seed = nlp.config.interpolate().get("training", {}).get("seed")
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in loaded.values()},
        },
        "pipeline": {
            "name": f"{nlp.meta['lang']}_{nlp.meta['name']}",
            "version": str(nlp.meta["version"]),
            "component": task.component,
            "factory": task.factory,
        },
        "encoder": getattr(nlp.get_pipe(task.component), "encoder_record", None),
        "seed": seed if isinstance(seed, int) else None,
        "corpora": list(corpora),
    }
