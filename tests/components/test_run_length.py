from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.training.initialize import init_nlp
from spacy.training.loop import train as train_loop
from spacy.util import load_config

from spacy_xlt.components.run_length import create_run_length_v1, plan_run

CONFIG = Path(__file__).parents[2] / "configs" / "zero_shot.cfg"


@given(st.integers(1, 500), st.integers(1, 30), st.integers(1, 12))
def test_the_last_step_is_evaluated_and_the_epochs_are_whole(n_batches, epochs, evaluations):
    max_steps, eval_frequency = plan_run(n_batches, epochs=epochs, evaluations=evaluations)
    assert max_steps % eval_frequency == 0
    # spaCy runs max_steps + 1 updates
    assert max_steps + 1 >= n_batches * epochs
    assert max_steps // eval_frequency <= evaluations
    # no more than one evaluation's rounding beyond the epochs
    assert max_steps < n_batches * epochs + max(1, evaluations)


def test_a_round_case():
    assert plan_run(22, epochs=10, evaluations=4) == (220, 55)
    assert plan_run(1, epochs=1, evaluations=4) == (1, 1)


@pytest.mark.parametrize("name", ["epochs", "evaluations"])
def test_settings_out_of_range(name):
    with pytest.raises(ValueError, match=rf"{name} is 0; allowed is 1 or more"):
        create_run_length_v1(**{name: 0})


@pytest.fixture
def make_config(corpus_dir, encoder_dir):
    def make(**settings):
        config = load_config(CONFIG, interpolate=False)
        config["paths"] = {
            "train": str(corpus_dir / "train.spacy"),
            "dev": str(corpus_dir / "dev"),
            "encoder": str(encoder_dir),
        }
        config["training"]["batcher"]["size"] = 9
        config["training"]["logger"] = {"@loggers": "spacy.ConsoleLogger.v1"}
        config["initialize"]["after_init"].update(settings)
        return config

    return make


def test_the_steps_of_a_real_run(make_config):
    """27 documents in batches of 9: 3 batches an epoch."""
    nlp = init_nlp(make_config(epochs=2, evaluations=2))
    assert nlp.config["training"]["max_steps"] == 6
    assert nlp.config["training"]["eval_frequency"] == 3
    shim = nlp.get_pipe("textcat").model.shims[0]
    assert shim.run_length == 7
    log = StringIO()
    train_loop(nlp, stdout=log)
    assert shim.n_steps == 7
    assert shim.steps.n_averaged == 5  # the last 70 % of 7
    rows = [line.split() for line in log.getvalue().splitlines()]
    assert [row[1] for row in rows if row and row[0].isdigit()] == ["0", "3", "6"]


def test_the_schedule_knows_the_steps(make_config):
    """The interpolated value is read after the callback has set it."""
    nlp = init_nlp(make_config(epochs=2, evaluations=2))
    config = nlp.config.interpolate()
    assert config["training"]["optimizer"]["learn_rate"]["total_steps"] == 6


def test_a_training_corpus_without_batches(make_config, tmp_path):
    config = make_config()
    config["training"]["batcher"] = {
        "@batchers": "spacy.batch_by_words.v1",
        "discard_oversize": True,
    }
    config["training"]["batcher"].update(size=1, tolerance=0.0)
    with pytest.raises(ValueError, match=r"gives no batch\. Check paths\.train and \[training\.b"):
        init_nlp(config)
