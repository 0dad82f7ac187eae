"""How long a run is, worked out from the corpus before training starts."""

import math
from typing import Callable, Tuple

from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.util import registry, resolve_dot_names


def create_run_length_v1(
    *, epochs: int = 10, evaluations: int = 4, patience: int = 0
) -> Callable[[Language], None]:
    """A callback for `[initialize.after_init]` that sets the number of steps.

    `spacy train` knows steps, not epochs, and evaluates the last step only if it is a multiple
    of `eval_frequency`. Schedules and averaging need the number too. The callback counts the
    batches of the training corpus, sets `training.max_steps`, `training.eval_frequency` and
    `training.patience` (spaCy resolves the config again afterwards) and tells the components.

    epochs (int): Passes over the training corpus.
    evaluations (int): How many times to evaluate, the first step aside.
    patience (int): Evaluations without a better score after which to stop; 0 to never stop early.
        Only for runs that may choose by their development data.
    RETURNS (Callable[[Language], None]): The callback.
    """
    for name, value in (("epochs", epochs), ("evaluations", evaluations)):
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed is 1 or more.")
    if patience < 0:
        raise ValueError(f"patience is {patience}; allowed is 0 or more.")

    def set_run_length(nlp: Language) -> None:
        n_batches = _count_batches(nlp)
        if n_batches == 0:
            raise ValueError(
                "The training corpus gives no batch. Check paths.train and [training.batcher]."
            )
        max_steps, eval_frequency = plan_run(n_batches, epochs=epochs, evaluations=evaluations)
        nlp.config["training"]["max_steps"] = max_steps
        nlp.config["training"]["eval_frequency"] = eval_frequency
        nlp.config["training"]["patience"] = patience * eval_frequency
        for _, pipe in nlp.pipeline:
            if hasattr(pipe, "set_run_length"):
                pipe.set_run_length(max_steps + 1)

    return set_run_length


def plan_run(n_batches: int, *, epochs: int, evaluations: int) -> Tuple[int, int]:
    """Numbers for a run whose last step is evaluated.

    n_batches (int): Batches of one epoch.
    RETURNS (Tuple[int, int]): `max_steps`, a multiple of `eval_frequency`, and that. spaCy runs
        one update more than `max_steps`; all of them together are at least the epochs.
    """
    n_updates = n_batches * epochs
    eval_frequency = math.ceil(n_updates / evaluations)
    return eval_frequency * max(1, math.ceil((n_updates - 1) / eval_frequency)), eval_frequency


def _count_batches(nlp: Language) -> int:
    config = nlp.config.interpolate()
    T = registry.resolve(config["training"], schema=ConfigSchemaTraining)
    (corpus,) = resolve_dot_names(config, [T["train_corpus"]])
    return sum(1 for _ in T["batcher"](corpus(nlp)))
