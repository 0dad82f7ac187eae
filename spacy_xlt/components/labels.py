"""Which labels a classifier has, and whether its settings fit them."""

import warnings
from typing import List, Mapping, Optional, Sequence

from spacy.training import Example

from .gold import count_labels


def choose_labels(
    examples: Sequence[Example],
    *,
    declared: Optional[List[str]],
    added: Sequence[str],
    known: Sequence[str],
    exclusive: bool,
    name: str,
) -> List[str]:
    """Labels in the order of the output.

    examples (Sequence[Example]): Training examples.
    declared (Optional[List[str]]): Labels of the config.
    added (Sequence[str]): Those of `add_label`.
    known (Sequence[str]): Those of the pipeline started from, whose rows are kept.
    exclusive (bool): Whether labels exclude each other.
    name (str): The component, for messages.
    RAISES (ValueError): If there are too few labels, or a declared one has no example.
    """
    counts = count_labels(examples)
    if declared is None and added:
        declared = [*added, *sorted(set(counts) - set(added))]
    if declared is None:
        labels = [label for label in known if label in counts]
        labels += sorted(set(counts) - set(labels))
        dropped = [label for label in known if label not in counts]
        if dropped:
            warnings.warn(
                f"No training example has the labels {dropped} of the pipeline started from; "
                f"'{name}' drops them. To keep them, list all labels under "
                f"[initialize.components.{name}] labels = […].",
                stacklevel=3,
            )
    else:
        labels = list(dict.fromkeys(declared))
        lacking = [x for x in labels if not counts.get(x) and x not in known]
        # `spacy assemble` initializes with one example, which has no labels.
        if lacking and (len(examples) > 1 or any(counts.values())):
            raise ValueError(
                f"No training example has the declared labels {lacking} of '{name}'. "
                f"Labels with examples: {sorted(x for x, n in counts.items() if n)}. Add "
                f"examples, or remove these from [initialize.components.{name}] labels."
            )
        unknown = sorted(set(counts) - set(labels))
        if unknown:
            warnings.warn(
                f"Training examples have labels {unknown}, which '{name}' does not "
                f"declare; it ignores them.",
                stacklevel=3,
            )
    least = 2 if exclusive else 1
    if len(labels) < least:
        raise ValueError(
            f"'{name}' found the labels {labels} in {len(examples)} training examples, "
            f"but needs at least {least}. Check that the documents in paths.train have "
            f"`cats`, or list labels under [initialize.components.{name}] labels = […]."
        )
    return labels


def check_class_weights(
    class_weights: Mapping[str, float], labels: Sequence[str], *, name: str
) -> None:
    """RAISES (ValueError): If weights are given for labels that a component has not."""
    unknown = sorted(set(class_weights) - set(labels))
    if unknown:
        raise ValueError(
            f"class_weights of '{name}' name {unknown}, but its labels are "
            f"{list(labels)}. Remove or correct them in [components.{name}]."
        )


def check_positive_label(
    label: Optional[str], labels: Sequence[str], *, name: str
) -> Optional[str]:
    """The label, if it can be the positive one. RAISES (ValueError): If not."""
    if label is not None and (label not in labels or len(labels) != 2):
        raise ValueError(
            f"positive_label is '{label}', but the labels of '{name}' are "
            f"{list(labels)}. It must be one of exactly two labels."
        )
    return label
