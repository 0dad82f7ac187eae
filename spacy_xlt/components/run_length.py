"""How long a run is, worked out from the corpus before training starts."""

import math
from typing import Callable

from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.util import registry, resolve_dot_names


def create_run_length_v1(*, epochs: int = 10, evaluations: int = 4) -> Callable[[Language], None]:
    """A callback for `[initialize.after_init]` that sets the number of steps.

    `spacy train` knows steps, not epochs, and evaluates the last step only if it is a multiple
    of `eval_frequency`. Schedules and averaging need the number too. The callback counts the
    batches of the training corpus, sets `training.max_steps` and `training.eval_frequency`
    (spaCy resolves the config again afterwards) and tells the components.

    epochs (int): Passes over the training corpus.
    evaluations (int): How many times to evaluate, the first step aside.
    RETURNS (Callable[[Language], None]): The callback.
    """
    for name, value in (("epochs", epochs), ("evaluations", evaluations)):
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed is 1 or more.")

    def set_run_length(nlp: Language) -> None:
        n_batches = _count_batches(nlp)
        if n_batches == 0:
            raise ValueError(
                "The training corpus gives no batch. Check paths.train and [training.batcher]."
            )
        eval_frequency = max(1, math.ceil(n_batches * epochs / evaluations))
        # spaCy runs one update more than max_steps says.
        max_steps = eval_frequency * math.ceil((n_batches * epochs - 1) / eval_frequency)
        max_steps = max(max_steps, eval_frequency)
        nlp.config["training"]["max_steps"] = max_steps
        nlp.config["training"]["eval_frequency"] = eval_frequency
        for _, pipe in nlp.pipeline:
            if hasattr(pipe, "set_run_length"):
                pipe.set_run_length(max_steps + 1)

    return set_run_length


def _count_batches(nlp: Language) -> int:
    config = nlp.config.interpolate()
    T = registry.resolve(config["training"], schema=ConfigSchemaTraining)
    (corpus,) = resolve_dot_names(config, [T["train_corpus"]])
    return sum(1 for _ in T["batcher"](corpus(nlp)))
